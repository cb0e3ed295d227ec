//! Offers and answers: real ones, those that cannot be agreed to, holds, and anything at all.

use std::net::SocketAddr;

use proptest::prelude::*;
use tandem_sip::limits;
use tandem_sip::sdp::{Agreed, Codec, Description, Digits, Direction, Fec, Local, Negotiator, Refusal};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn negotiator(at: &str, codecs: &[Codec]) -> Negotiator {
    Negotiator::new(Local { address: address(at), codecs: codecs.to_vec(), session: 7 })
}

fn ours() -> Negotiator {
    negotiator("192.0.2.1:30000", &[Codec::Opus, Codec::Pcmu, Codec::Pcma])
}

fn described(stream: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{stream}")
}

const DESK_PHONE: &str = "m=audio 11780 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

#[test]
fn a_desk_phone_is_answered_with_the_first_codec_of_its_that_is_ours() {
    let (text, agreed) = ours().answer(&described(DESK_PHONE), Direction::SendReceive).unwrap();
    let same = Digits { send_payload_type: 101, receive_payload_type: 101 };
    let want = Agreed {
        rtp: address("198.51.100.7:11780"),
        rtcp: address("198.51.100.7:11781"),
        codec: Codec::Pcma,
        send_payload_type: 8,
        receive_payload_type: 8,
        digits: Some(same),
        ptime_ms: 20,
        direction: Direction::SendReceive,
        opus: Default::default(),
    };
    assert_eq!(agreed, want);
    let golden = "v=0\r\no=- 7 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 101\r\n\
        a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";
    assert_eq!(text, golden);
}

#[test]
fn opus_keeps_the_offers_numbers_and_wishes() {
    let offer = described(
        "m=audio 4000 RTP/AVP 96 0 97 98\r\na=rtpmap:96 OPUS/48000/2\r\na=fmtp:96 useinbandfec=1; maxaveragebitrate=20000\r\n\
         a=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 telephone-event/48000\r\na=rtcp-mux\r\na=maxptime:40\r\na=ptime:60\r\n",
    );
    let (text, agreed) = ours().answer(&offer, Direction::SendReceive).unwrap();
    assert_eq!((agreed.codec, agreed.send_payload_type, agreed.ptime_ms), (Codec::Opus, 96, 40));
    assert_eq!(agreed.digits.map(|digits| digits.send_payload_type), Some(98), "digits on Opus' clock");
    assert_eq!((agreed.opus.fec, agreed.opus.bitrate_max), (Some(Fec::Used), Some(20_000)));
    assert_eq!(agreed.rtcp, agreed.rtp, "one port for both");
    assert!(text.contains("m=audio 30000 RTP/AVP 96 98\r\n") && text.contains("a=rtcp-mux\r\n"), "{text}");
}

#[test]
fn other_streams_are_declined_in_their_places() {
    let offer = described(
        "m=video 5000 RTP/AVP 31\r\nm=audio 0 RTP/AVP 0\r\nm=audio 6000 RTP/SAVP 0\r\nm=audio 7000 RTP/AVP 0\r\nm=image 1 udptl t38\r\n",
    );
    let mut negotiator = ours();
    let (text, agreed) = negotiator.answer(&offer, Direction::SendReceive).unwrap();
    let streams =
        |text: &str| text.lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect::<Vec<_>>();
    let want = [
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 30000 RTP/AVP 0",
        "m=image 0 udptl t38",
    ];
    assert_eq!((streams(&text), agreed.rtp.port()), (want.map(str::to_owned).to_vec(), 7000));
    let again = streams(&negotiator.offer(Direction::SendReceive));
    assert!(again.len() == 5 && again[3].starts_with("m=audio 30000 "), "{again:?}");
}

#[test]
fn a_hold_is_understood_in_both_spellings_and_a_call_keeps_its_codec() {
    let mut negotiator = ours();
    negotiator.answer(&described(DESK_PHONE), Direction::SendReceive).unwrap();
    // The same phone now prefers the other law.
    let other = DESK_PHONE.replace("9 8 0", "9 0 8");
    for (from, to) in [("a=sendrecv", "a=sendonly"), ("a=sendrecv", "a=inactive")] {
        let (_, agreed) = negotiator.answer(&described(&other.replace(from, to)), Direction::SendReceive).unwrap();
        let want = if to == "a=sendonly" { Direction::ReceiveOnly } else { Direction::Inactive };
        assert_eq!((agreed.direction, agreed.codec), (want, Codec::Pcma));
    }
    let old = described(DESK_PHONE).replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0");
    assert_eq!(negotiator.answer(&old, Direction::SendReceive).unwrap().1.direction, Direction::ReceiveOnly);
    let (_, agreed) = negotiator.answer(&described(DESK_PHONE), Direction::SendOnly).unwrap();
    assert_eq!(agreed.direction, Direction::SendOnly, "ours, of it");
}

#[test]
fn the_version_counts_what_changes() {
    let mut negotiator = ours();
    let version = |text: &str| text.lines().nth(1).and_then(|line| line.split(' ').nth(2)).map(str::to_owned);
    let first = negotiator.offer(Direction::SendReceive);
    let texts = [
        negotiator.offer(Direction::SendReceive),
        negotiator.offer(Direction::SendOnly),
        negotiator.offer(Direction::SendOnly),
        negotiator.offer(Direction::SendReceive),
    ];
    assert_eq!(version(&first).as_deref(), Some("0"));
    assert_eq!(texts.map(|text| version(&text).unwrap()), ["0", "1", "1", "2"]);
}

#[test]
fn what_cannot_be_agreed_to_is_told_apart() {
    let no_codec = "m=audio 4000 RTP/AVP 18 9\r\na=rtpmap:18 G729/8000\r\n";
    let encrypted = "m=audio 4000 RTP/SAVP 0\r\n";
    for (offer, want, status) in [
        (described(no_codec), Refusal::NoCommonCodec, 488),
        (described(encrypted), Refusal::NoAudio, 488),
        (described("m=video 4000 RTP/AVP 0\r\n"), Refusal::NoAudio, 488),
        (described(""), Refusal::NoAudio, 488),
        ("v=0\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(), Refusal::NoAddress, 488),
        ("v=0\r\nc=IN IP4 224.0.0.1/127\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(), Refusal::NoAddress, 488),
        (String::new(), Refusal::Malformed { line: 1, what: "the first line is v=0" }, 400),
        ("v=1\r\n".to_owned(), Refusal::Malformed { line: 1, what: "the version is 0" }, 400),
        (
            "v=0\r\nhello\r\n".to_owned(),
            Refusal::Malformed { line: 2, what: "a line is a letter, `=` and a value" },
            400,
        ),
        (described(&"a=x\r\n".repeat(limits::SDP_LINES_MAX)), Refusal::TooLarge("it has too many lines"), 413),
        (described(&"m=audio 0 RTP/AVP 0\r\n".repeat(99)), Refusal::TooLarge("it has too many streams"), 413),
        (described(&"x".repeat(limits::SDP_BYTES_MAX)), Refusal::TooLarge("it has too many bytes"), 413),
    ] {
        let refusal = ours().answer(&offer, Direction::SendReceive).unwrap_err();
        assert_eq!((refusal, refusal.status()), (want, status), "{offer:.200}");
    }
    let mut caller = ours();
    caller.offer(Direction::SendReceive);
    let declined = described("m=audio 0 RTP/AVP 0\r\n");
    assert!(matches!(caller.accept(&declined, Direction::SendReceive), Err(Refusal::NotAnAnswer(_))));
    assert_eq!(caller.agreed(), None);
}

#[test]
fn an_answer_may_use_other_numbers_than_the_offer() {
    let mut caller = ours();
    let offer = caller.offer(Direction::SendReceive);
    assert!(offer.contains("m=audio 30000 RTP/AVP 111 0 8 100 101\r\n"), "{offer}");
    let answer =
        described("m=audio 4000 RTP/AVP 99 98\r\na=rtpmap:99 opus/48000/2\r\na=rtpmap:98 telephone-event/48000\r\n");
    let agreed = caller.accept(&answer, Direction::SendReceive).unwrap();
    assert_eq!((agreed.send_payload_type, agreed.receive_payload_type), (99, 111));
    assert_eq!(agreed.digits, Some(Digits { send_payload_type: 98, receive_payload_type: 100 }));
    // No more than was offered, whatever is answered.
    let agreed = caller.accept(&answer, Direction::SendOnly).unwrap();
    assert_eq!(agreed.direction, Direction::SendOnly);
}

#[test]
fn numbers_that_the_far_end_uses_for_something_else_are_given_up() {
    let mut negotiator = ours();
    // Digits under the number that Opus has here, PCMU under that of digits.
    let offer =
        described("m=audio 4000 RTP/AVP 101 111\r\na=rtpmap:101 PCMU/8000\r\na=rtpmap:111 telephone-event/8000\r\n");
    let (_, agreed) = negotiator.answer(&offer, Direction::SendReceive).unwrap();
    assert_eq!((agreed.codec, agreed.receive_payload_type), (Codec::Pcmu, 101));
    let offer = negotiator.offer(Direction::SendReceive);
    assert!(offer.contains("m=audio 30000 RTP/AVP 101 96 8 100 111\r\n"), "{offer}");
    assert!(offer.contains("a=rtpmap:96 opus/48000/2\r\n") && offer.contains("a=rtpmap:101 PCMU/8000\r\n"), "{offer}");
}

fn codecs() -> impl Strategy<Value = Vec<Codec>> {
    let all = vec![Codec::Opus, Codec::Pcmu, Codec::Pcma];
    proptest::sample::subsequence(all, 1..=3).prop_shuffle()
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::SendReceive),
        Just(Direction::SendOnly),
        Just(Direction::ReceiveOnly),
        Just(Direction::Inactive)
    ]
}

/// What a description may hold, and what it may not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[vcmoat]=[ -~]{0,60}",
        "a=(rtpmap|fmtp|ptime|maxptime|rtcp|crypto):[ -~]{0,40}",
        "a=rtpmap:[0-9]{1,3} (opus|PCMU|telephone-event|G722)/[0-9]{1,6}(/[0-9])?",
        "m=audio [0-9]{1,6} RTP/AVP( [0-9]{1,3}){0,5}",
        "c=IN IP[46] [0-9a-f.:/]{1,20}",
        Just("v=0".to_owned()),
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn two_of_us_always_agree_or_have_nothing_in_common(
        theirs in codecs(), our in codecs(), offered in directions(), wanted in directions(), v6 in any::<bool>(),
    ) {
        let at = if v6 { "[2001:db8::1]:30000" } else { "192.0.2.1:30000" };
        let (mut caller, mut callee) = (negotiator(at, &theirs), negotiator("203.0.113.9:40000", &our));
        let offer = caller.offer(offered);
        match callee.answer(&offer, wanted) {
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::NoCommonCodec);
                prop_assert!(theirs.iter().all(|codec| !our.contains(codec)));
            }
            Ok((answer, there)) => {
                let here = caller.accept(&answer, offered).unwrap();
                prop_assert_eq!((here.codec, here.ptime_ms), (there.codec, there.ptime_ms));
                prop_assert_eq!(here.send_payload_type, there.receive_payload_type);
                prop_assert_eq!(here.receive_payload_type, there.send_payload_type);
                prop_assert_eq!(here.digits.map(|d| d.send_payload_type), there.digits.map(|d| d.receive_payload_type));
                prop_assert_eq!((here.rtp, there.rtp), (address("203.0.113.9:40000"), address(at)));
                prop_assert_eq!(here.direction.sends(), there.direction.receives());
                prop_assert_eq!(here.direction.receives(), there.direction.sends());
                // The other way round, in the same call: the codec stays.
                let back = callee.offer(Direction::SendReceive);
                let (answer, again) = caller.answer(&back, Direction::SendReceive).unwrap();
                prop_assert_eq!(again.codec, here.codec);
                prop_assert_eq!(callee.accept(&answer, Direction::SendReceive).unwrap().codec, here.codec);
            }
        }
    }

    #[test]
    fn anything_at_all_is_read_or_refused(lines in proptest::collection::vec(line(), 0..30), begun in any::<bool>()) {
        let begin = if begun { "v=0\r\nc=IN IP4 192.0.2.7\r\n" } else { "" };
        let text = format!("{begin}{}", lines.join("\r\n"));
        if let Ok(description) = Description::parse(&text) {
            prop_assert!(description.rtp.port() != 0);
        }
        let mut negotiator = ours();
        if let Ok((answer, agreed)) = negotiator.answer(&text, Direction::SendReceive) {
            prop_assert!((limits::PTIME_MS..=limits::PTIME_MS_MAX).contains(&agreed.ptime_ms));
            prop_assert!(agreed.send_payload_type < 128);
            let read = Description::parse(&answer).unwrap();
            prop_assert_eq!(read.rtp, address("192.0.2.1:30000"));
        }
        let _ = ours().accept(&text, Direction::SendReceive);
    }
}
