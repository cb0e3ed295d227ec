//! RFC 4475: every test message, and what becomes of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tandem_sip::screen::{self, Fault, Policy, Stream, Verdict};

/// What the gateway does with a message.
#[derive(Debug, PartialEq, Eq)]
enum Becomes {
    Passed,
    Answered(u16),
    Dropped,
}

use Becomes::{Answered, Dropped, Passed};

/// Name, what becomes of it, why: the RFC's words for it, where it leaves a choice also ours.
const TABLE: [(&str, Becomes, &str); 49] = [
    // 3.1.1 Valid messages
    ("wsinv", Passed, "blanks and folded lines everywhere"),
    ("intmeth", Answered(501), "a method nobody knows: endpoints say 501 with Allow"),
    ("esc01", Passed, "escapes in addresses"),
    ("escnull", Passed, "escaped NULs in addresses"),
    ("esc02", Answered(501), "% escapes nothing in a method: RE%47IST%45R is unknown"),
    ("lwsdisp", Passed, "no blank between display name and <"),
    ("longreq", Passed, "long values"),
    ("dblreq", Passed, "what follows in the datagram is no part of it"),
    ("semiuri", Passed, "a semicolon in the user part"),
    ("transports", Passed, "transports nobody knows in further hops"),
    ("mpart01", Passed, "a body of several parts with binary in it"),
    ("unreason", Passed, "a reason phrase in other letters"),
    ("noreason", Passed, "an empty reason phrase"),
    // 3.1.2 Invalid messages
    ("badinv01", Answered(400), "separators without values"),
    ("clerr", Answered(400), "less came than Content-Length says"),
    ("ncl", Answered(400), "a negative Content-Length"),
    ("scalar02", Answered(400), "CSeq and others beyond their range"),
    ("scalarlg", Dropped, "a response with values beyond their range"),
    ("quotbal", Answered(400), "a quote that does not close"),
    ("ltgtruri", Answered(400), "the Request-URI in <>"),
    ("lwsruri", Answered(400), "blanks in the Request-URI"),
    ("lwsstart", Answered(400), "two blanks in the first line"),
    ("trws", Answered(400), "blanks at the end of the first line"),
    ("escruri", Answered(400), "header fields in the Request-URI"),
    ("baddate", Passed, "a date in another zone: not refused by who does not use it"),
    ("regbadct", Answered(400), "header fields in an address without <>"),
    ("badaspec", Answered(400), "blanks within <>"),
    ("baddn", Answered(400), "a comma in a display name without quotes"),
    ("badvers", Answered(505), "SIP/7.0"),
    ("mismatch01", Answered(400), "CSeq names another method"),
    ("mismatch02", Answered(501), "so it does, and the method is unknown"),
    ("bigcode", Dropped, "a response's status beyond all classes"),
    // 3.2 Transaction layer
    ("badbranch", Answered(400), "a branch that is its magic cookie alone"),
    // 3.3 Application layer
    ("insuf", Answered(400), "no Call-ID, From, To"),
    ("unkscm", Answered(416), "an address of an unknown kind"),
    ("novelsc", Answered(416), "an address of a kind that telephones do not have"),
    ("unksm2", Answered(400), "an address to register that calls cannot reach"),
    ("bext01", Answered(420), "requires what nobody supports"),
    ("invut", Answered(415), "a body of an unknown kind"),
    ("regaut01", Passed, "an unknown scheme of authorisation: the registrar asks for one that it knows"),
    ("multi01", Answered(400), "header fields twice that are there once"),
    ("mcl01", Answered(400), "two Content-Lengths"),
    ("bcast", Dropped, "a response with further hops to go"),
    ("zeromf", Passed, "no hops left: an endpoint answers what reached it"),
    ("cparam01", Passed, "the parameter is the contact's"),
    ("cparam02", Passed, "the parameter is the address's"),
    ("regescrt", Passed, "header fields in an address in <>"),
    ("sdp01", Answered(406), "accepts no SDP"),
    // 3.4 Backward compatibility
    ("inv2543", Passed, "an RFC 2543 INVITE"),
];

fn source() -> SocketAddr {
    "198.51.100.7:40000".parse().expect("an address")
}

/// See the head of the file.
fn messages() -> BTreeMap<String, Vec<u8>> {
    let mut messages = BTreeMap::<String, Vec<u8>>::new();
    let mut current = None;
    for line in include_str!("rfc4475.txt").lines().skip_while(|line| line.starts_with('#') || line.is_empty()) {
        match line.strip_prefix("=== ") {
            Some(name) => current = Some(messages.entry(name.to_owned()).or_default()),
            None => unescape(line, current.as_mut().expect("a name comes first")),
        }
    }
    messages
}

fn unescape(line: &str, bytes: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.as_bytes().get(at + 1) {
            Some(b'+') => return,
            Some(b'x') => {
                bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).expect("two hexadecimal digits"));
                rest = &rest[at + 4..];
            }
            _ => {
                bytes.push(b'\\');
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

#[test]
fn each_is_passed_answered_or_dropped_as_the_table_says() {
    let (messages, policy) = (messages(), Policy::default());
    assert_eq!(messages.len(), TABLE.len());
    let mut wrong = Vec::new();
    for (name, becomes, why) in TABLE {
        let message = &messages[name];
        let (is, fault) = match screen::datagram(&policy, message, source()) {
            Verdict::Pass(plain) => {
                let again = screen::datagram(&policy, &plain, source());
                assert_eq!(again, Verdict::Pass(plain), "{name}: what was written plainly stays so");
                (Passed, None)
            }
            Verdict::Answer(answer) => {
                let text = String::from_utf8(answer.bytes).expect("an answer is text");
                assert!(
                    text.starts_with(&format!("SIP/2.0 {} ", answer.status)) && text.ends_with("\r\n\r\n"),
                    "{name}: {text}"
                );
                (Answered(answer.status), Some(answer.fault))
            }
            Verdict::Drop(fault) => (Dropped, Some(fault)),
            Verdict::KeepAlive(_) => panic!("{name} is a message"),
        };
        println!("{name:<11} {is:<13?} {fault:?}: {why}");
        if is != becomes {
            wrong.push(format!("{name}: {is:?}, not {becomes:?}: {fault:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn in_a_stream_each_becomes_the_same_however_it_is_cut() {
    let policy = Policy::default();
    for (name, message) in messages() {
        let whole = verdicts(&message, message.len());
        for size in [1, 7, 100] {
            assert_eq!(verdicts(&message, size), whole, "{name} in pieces of {size}");
        }
        let first = whole.first().cloned();
        match name.as_str() {
            // Without a Content-Length, or with one that is longer, a stream cannot go on or waits.
            "inv2543" => assert!(
                matches!(first, Some(Verdict::Answer(answer)) if answer.fault == Fault::Missing("Content-Length"))
            ),
            "clerr" => assert_eq!(first, None),
            _ => assert_eq!(first.map(kind), Some(kind(screen::datagram(&policy, &message, source()))), "{name}"),
        }
    }
}

fn verdicts(message: &[u8], size: usize) -> Vec<Verdict> {
    let mut stream = Stream::new(Policy::default(), source());
    let mut verdicts = Vec::new();
    for piece in message.chunks(size) {
        stream.push(piece);
        verdicts
            .extend(std::iter::from_fn(|| stream.poll()).filter(|verdict| !matches!(verdict, Verdict::KeepAlive(_))));
    }
    verdicts
}

fn kind(verdict: Verdict) -> Becomes {
    match verdict {
        Verdict::Pass(_) => Passed,
        Verdict::Answer(answer) => Answered(answer.status),
        Verdict::Drop(_) | Verdict::KeepAlive(_) => Dropped,
    }
}

#[test]
fn what_passes_is_written_plainly() {
    let Verdict::Pass(plain) = screen::datagram(&Policy::default(), &messages()["wsinv"], source()) else {
        panic!("it passes")
    };
    let text = String::from_utf8(plain).expect("text");
    for line in [
        "To: sip:vivekg@chair-dnrc.example.com;tag=1918181833n",
        "From: \"J Rosenberg \\\\\\\"\" <sip:jdrosen@example.com>;tag=98asjd8",
        "Max-Forwards: 68",
        "CSeq: 9 INVITE",
        "Via: SIP/2.0/UDP 192.0.2.2;branch=390skdjuw",
        "Via: SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8, SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239",
        "Contact: \"Quoted string \\\"\\\"\" <sip:jdrosen@example.com>;newparam=newvalue;secondparam;q=0.33",
        "NewFangledHeader: newfangled value continued newfangled value",
        "UnknownHeaderWithUnusualValue: ;;,,;;,;",
        "Content-Length: 150",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_answer_repeats_the_request_and_says_what_would_be_right() {
    let answer = |name: &str| match screen::datagram(&Policy::default(), &messages()[name], source()) {
        Verdict::Answer(answer) => (String::from_utf8(answer.bytes).expect("text"), answer.to),
        other => panic!("{other:?}"),
    };
    let (text, to) = answer("bext01");
    assert!(text.contains("Unsupported: nothingSupportsThis, nothingSupportsThisEither\r\n"), "{text}");
    assert!(
        text.contains("Via: SIP/2.0/TLS fold-and-staple.example.com;branch=z9hG4bKkdjuw;received=198.51.100.7\r\n"),
        "{text}"
    );
    assert!(text.contains("To: sip:j_user@example.com;tag=") && text.contains("CSeq: 8 OPTIONS\r\n"), "{text}");
    assert_eq!(to, "198.51.100.7:5060".parse().unwrap());
    assert!(answer("intmeth").0.contains("Allow: INVITE, ACK"));
    assert!(answer("invut").0.contains("Accept: application/sdp"));
    assert!(answer("mismatch01").0.starts_with("SIP/2.0 400 Bad Request: CSeq names another method\r\n"));
    assert_eq!(answer("bext01"), answer("bext01"), "sent again, the same");
}
