//! The strict check: bounds, keep-alives, streams, and anything at all.

use std::net::SocketAddr;

use proptest::prelude::*;
use tandem_sip::limits;
use tandem_sip::screen::{self, Fault, Policy, Stream, Verdict};

fn source() -> SocketAddr {
    "[2001:db8::7]:40000".parse().expect("an address")
}

fn with(method: &str, more: &str, body: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;rport;branch=z9hG4bK1\r\nFrom: <sip:alice@example.com>;tag=1\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: 1@example.com\r\nCSeq: 1 {method}\r\n{more}\r\n{body}"
    )
}

fn fault(message: &str) -> Option<Fault> {
    match screen::datagram(&Policy::default(), message.as_bytes(), source()) {
        Verdict::Pass(_) | Verdict::KeepAlive(_) => None,
        Verdict::Answer(answer) => {
            assert_eq!(answer.status, answer.fault.status());
            Some(answer.fault)
        }
        Verdict::Drop(fault) => Some(fault),
    }
}

#[test]
fn one_rule_each() {
    let long = "x".repeat(limits::HEADER_BYTES_MAX);
    let long_field = format!("X: {long}\r\n");
    let flood = "X: y\r\n".repeat(limits::HEADERS_MAX);
    let hops = "Via: SIP/2.0/UDP a\r\n".repeat(limits::VALUES_MAX);
    for (more, expected) in [
        ("", None),
        ("X: y\r\n", None),
        ("Max-Forwards: 0\r\n", Some(Fault::NoHopsLeft)),
        ("Max-Forwards: 256\r\n", Some(Fault::MaxForwards)),
        ("Max-Forwards: +1\r\n", Some(Fault::MaxForwards)),
        ("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", Some(Fault::Repeated("Max-Forwards"))),
        ("Require: 100rel, timer\r\n", None),
        ("Require: 100rel, sec-agree\r\n", Some(Fault::Extension)),
        ("Content-Type: application/sdp\r\nContent-Length: 1\r\n", Some(Fault::BodyTooShort)),
        ("Content-Length: 65537\r\n", Some(Fault::BodyTooLarge)),
        ("Content-Length: 99999999999999999999999999\r\n", Some(Fault::ContentLength)),
        ("Content-Length: 0x0\r\n", Some(Fault::ContentLength)),
        ("X\r\n", Some(Fault::HeaderLine)),
        (": y\r\n", Some(Fault::HeaderLine)),
        ("X y: z\r\n", Some(Fault::HeaderLine)),
        ("X: a\nVia: b\r\n", Some(Fault::Characters)),
        ("X: a\rb\r\n", Some(Fault::Characters)),
        ("X: a\0b\r\n", Some(Fault::Characters)),
        ("Contact: <sip:a@b\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b>>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:@b>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b:99999>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a%4@b>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: \"a\" \"b\" <sip:a@b>\r\n", Some(Fault::Address("Contact"))),
        // Parsers differ over where such a host begins, which of two parameters holds, and where such a value ends.
        ("Contact: <sip:a@b@c>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b?x=y@c>\r\n", Some(Fault::Address("Contact"))),
        ("Contact: sip:a@b?x=y@c\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a%40b@c>\r\n", None),
        ("Contact: <sip:a@b>;expires=60;Expires=0\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b>;x;X\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b>;x=\"y\"z\r\n", Some(Fault::Address("Contact"))),
        ("Contact: <sip:a@b>;x=\"y\\\"; x=z\";z=y\r\n", None),
        ("Via: SIP/2.0/UDP a;branch=z9hG4bK1;branch=z9hG4bK2\r\n", Some(Fault::Via)),
        ("Contact: <sip:a@[2001:db8::1]:5060;transport=tcp>;expires=60\r\n", None),
        ("Contact: sip:a@b, \"x, y\" <tel:+1;phone-context=z>\r\n", None),
        ("Route: <sip:proxy;lr>, <sip:proxy2:5070;lr>\r\n", None),
        ("Accept: text/plain\r\n", Some(Fault::Accept)),
        ("Accept:\r\n", None),
        ("Accept: text/plain, application/sdp;level=1\r\n", None),
        (long_field.as_str(), Some(Fault::HeadTooLarge)),
        (flood.as_str(), Some(Fault::HeadTooLarge)),
        (hops.as_str(), Some(Fault::HeadTooLarge)),
    ] {
        assert_eq!(fault(&with("INVITE", more, "")), expected, "{}", more.get(..200).unwrap_or(more));
    }
    assert_eq!(fault(&with("SUBSCRIBE", "", "")), Some(Fault::MethodNotAllowed));
    assert_eq!(fault(&with("invite", "", "")), Some(Fault::UnknownMethod));
    assert_eq!(fault(&with("ACK", "Require: nothing\r\n", "")), None);
    assert_eq!(fault(&with("OPTIONS", "Max-Forwards: 0\r\n", "")), None);
    assert_eq!(fault(&with("INVITE", "Content-Type: application / SDP;x=y\r\n", "v=0\r\n")), None);
    assert_eq!(fault(&with("INVITE", "Content-Type: text/plain\r\n", "hi")), Some(Fault::ContentType));
    assert_eq!(fault(&with("INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=1")), None);
    assert_eq!(fault(&format!("INVITE sip:{long} SIP/2.0\r\n\r\n")), Some(Fault::StartLineTooLong));
    assert_eq!(fault("INVITE sip:a SIP/2.0\r\n\r\n"), Some(Fault::Missing("From")));
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Some(Fault::StartLine));
    assert_eq!(fault(&with("INVITE", "", "").replace("\r\n\r\n", "\r\n")), Some(Fault::HeadNotEnded));
}

#[test]
fn neither_an_ack_nor_a_response_nor_what_has_no_hop_is_answered() {
    let is_dropped =
        |message: &str| matches!(screen::datagram(&Policy::default(), message.as_bytes(), source()), Verdict::Drop(_));
    assert!(is_dropped(&with("ACK", "Content-Length: x\r\n", "")));
    assert!(is_dropped("SIP/2.0 200\r\nVia: SIP/2.0/UDP a\r\n\r\n"));
    assert!(is_dropped("INVITE sip:a SIP/2.0\r\nFrom: x\r\n\r\n"));
    assert!(is_dropped("\0\u{1}\0\0\u{21}\u{12}"), "STUN");
}

#[test]
fn an_answer_goes_where_the_request_came_from() {
    let Verdict::Answer(answer) = screen::datagram(&Policy::default(), with("FOO", "", "").as_bytes(), source()) else {
        panic!()
    };
    assert_eq!(answer.to, source(), "rport asks for the port");
    let text = String::from_utf8(answer.bytes).unwrap();
    assert!(
        text.contains("Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1;received=2001:db8::7;rport=40000\r\n"),
        "{text}"
    );
}

#[test]
fn a_stream_is_cut_at_content_length_whatever_blanks_it_has() {
    let one = with("MESSAGE", "Content-Length   : 4\r\n", "abcd");
    let two = with("OPTIONS", "l:0\r\n", "");
    let mut stream = Stream::new(Policy::default(), source());
    stream.push(format!("\r\n\r\n{one}\r\n{two}\r\n").as_bytes());
    assert_eq!(stream.poll(), Some(Verdict::KeepAlive(b"\r\n")));
    let Some(Verdict::Pass(message)) = stream.poll() else { panic!("a message") };
    assert!(message.ends_with(b"Content-Length: 4\r\n\r\nabcd"));
    let Some(Verdict::Pass(message)) = stream.poll() else { panic!("another") };
    assert!(message.starts_with(b"OPTIONS "));
    assert_eq!((stream.poll(), stream.waiting()), (None, 2));
    stream.push(b"\r\n");
    assert_eq!((stream.poll(), stream.waiting()), (Some(Verdict::KeepAlive(b"\r\n")), 0));
}

#[test]
fn a_stream_that_cannot_be_cut_ends() {
    for (message, fault) in [
        (with("OPTIONS", "", ""), Fault::Missing("Content-Length")),
        (with("OPTIONS", "Content-Length: 1\r\nl: 2\r\n", ""), Fault::Repeated("Content-Length")),
        (with("OPTIONS", "Content-Length: 9999999\r\n", ""), Fault::BodyTooLarge),
        (with("OPTIONS", &"X: y\r\n".repeat(limits::HEAD_BYTES_MAX), ""), Fault::HeadTooLarge),
        (with("OPTIONS", &"X: y\r\n".repeat(limits::HEAD_BYTES_MAX), "").replace("\r\n\r\n", ""), Fault::HeadTooLarge),
    ] {
        let mut stream = Stream::new(Policy::default(), source());
        stream.push(message.as_bytes());
        let Some(Verdict::Answer(answer)) = stream.poll() else { panic!("{fault}") };
        assert_eq!(answer.fault, fault);
        assert!(stream.is_broken());
        stream.push(b"INVITE");
        assert_eq!((stream.poll(), stream.waiting()), (None, 0));
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("INVITE sip:a@b SIP/2.0\r\n".to_owned()),
        Just("SIP/2.0 200 OK\r\n".to_owned()),
        Just("Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n".to_owned()),
        Just("v: SIP / 2.0 / TCP b : 5060 ; rport , SIP/2.0/UDP c\r\n".to_owned()),
        Just("From: \"a\\\"\" <sip:a@b>;tag=1\r\n".to_owned()),
        Just("t: sip:b@c\r\n".to_owned()),
        Just("i: 1\r\nCSeq: 1 INVITE\r\n".to_owned()),
        Just("l: 3\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just(" folded\r\n".to_owned()),
        "[ -~]{0,20}",
        "\\PC{0,10}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn anything_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = screen::datagram(&Policy::default(), &bytes, source());
    }

    #[test]
    fn what_passes_passes_again_unchanged_and_a_stream_says_the_same(text in pieces(), size in 1usize..64) {
        let policy = Policy::default();
        if let Verdict::Pass(plain) = screen::datagram(&policy, text.as_bytes(), source()) {
            prop_assert_eq!(screen::datagram(&policy, &plain, source()), Verdict::Pass(plain.clone()));
            let mut stream = Stream::new(policy, source());
            let mut seen = Vec::new();
            for piece in plain.chunks(size) {
                stream.push(piece);
                seen.extend(std::iter::from_fn(|| stream.poll()));
            }
            prop_assert_eq!(seen, vec![Verdict::Pass(plain)]);
        }
    }
}
