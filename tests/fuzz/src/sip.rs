//! SIP: the strict check of a datagram and of a stream, and the header fields that are read for themselves.

use std::net::SocketAddr;

use tandem_sip::cause::{self, Reason};
use tandem_sip::digest::{Challenge, Credentials};
use tandem_sip::limits;
use tandem_sip::numbers::{self, E164};
use tandem_sip::screen::{self, Policy, Stream, Verdict};
use tandem_sip::session_timer::{self, SessionExpires};

/// What passes the check passes it again, unchanged, also in a stream; an answer is one; what is read of header fields can be written and
/// read again as the same.
pub fn sip(data: &[u8]) {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    let policy = Policy::default();
    match screen::datagram(&policy, data, source) {
        Verdict::Pass(plain) => {
            assert_eq!(screen::datagram(&policy, &plain, source), Verdict::Pass(plain.clone()));
            assert_eq!(stream(&plain, source), [Verdict::Pass(plain)]);
        }
        Verdict::Answer(answer) => assert!(answer.bytes.ends_with(b"\r\n\r\n") && (400..600).contains(&answer.status)),
        Verdict::Drop(fault) => assert!(!fault.to_string().is_empty()),
        Verdict::KeepAlive(_) => {}
    }
    stream(data, source);
    if let Ok(text) = std::str::from_utf8(data) {
        fields(text);
    }
}

/// In pieces of seven bytes.
fn stream(data: &[u8], source: SocketAddr) -> Vec<Verdict> {
    let mut stream = Stream::new(Policy::default(), source);
    let mut verdicts = Vec::new();
    for piece in data.chunks(7) {
        stream.push(piece);
        verdicts.extend(std::iter::from_fn(|| stream.poll()));
        assert!(stream.waiting() <= limits::HEAD_BYTES_MAX + limits::BODY_BYTES_MAX + 7);
    }
    verdicts
}

fn fields(text: &str) {
    let reason = Reason::parse(text);
    let _ = (cause::of_answer(503, reason), cause::of_bye(reason), cause::of_cancel(reason));
    for challenge in Challenge::read([text]) {
        let _ = Challenge::read([challenge.to_string().as_str()]);
    }
    if let Some(credentials) = Credentials::parse(text) {
        assert!(credentials.to_string().starts_with("Digest "));
    }
    if let Some(expires) = SessionExpires::parse(text) {
        assert_eq!(SessionExpires::parse(&expires.to_string()), Some(expires));
    }
    let _ = (session_timer::min_se(text), numbers::user_of_uri(text), E164::of_uri(text), numbers::masked(text));
}
