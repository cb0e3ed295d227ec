//! The strict check in front of the SIP stack: what may be handed on, what is answered at once, what is dropped.
//!
//! Bytes that strangers sent come in; a [`Verdict`] comes out. What passes is written anew in the one plain way that every parser reads
//! alike: long names, no folding, no blanks where none are needed, a `Content-Length` that is true. What an endpoint shall refuse by
//! itself (RFC 3261 §8.2, RFC 4475) is answered here, without state, in plain words in the reason phrase. It is no transaction layer, and
//! it judges neither who somebody is nor what they may.

mod answer;
mod check;
mod fault;
mod grammar;
mod head;
mod stream;

use std::net::SocketAddr;

pub use answer::Answer;
pub use fault::Fault;
pub use stream::Stream;

use crate::limits;
use head::{Head, Start};

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is handed to the stack, written like this.
    Pass(Vec<u8>),
    /// It is refused with an answer, which is to be sent; nothing else is kept of it.
    Answer(Answer),
    /// It is dropped and counted.
    Drop(Fault),
    /// It only keeps a connection or a NAT binding alive (RFC 5626 §4.4.1); this is sent back, which may be nothing.
    KeepAlive(&'static [u8]),
}

/// What the gateway supports: refusals follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Methods that are handed on. Other ones that are known to SIP are answered with 405, unknown ones with 501.
    pub methods: &'static [&'static str],
    /// Option tags that a `Require` may name (RFC 3261 §19.2). Others are answered with 420.
    pub extensions: &'static [&'static str],
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            methods: &[
                "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY",
                "MESSAGE",
            ],
            extensions: &["100rel", "timer", "replaces", "path", "outbound", "norefersub"],
        }
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// By itself: its end is the datagram's.
    Datagram,
    /// In a stream: its end is where `Content-Length` says.
    Stream,
}

/// Judges one datagram that came from `source`.
pub fn datagram(policy: &Policy, bytes: &[u8], source: SocketAddr) -> Verdict {
    let message = without_leading_line_ends(bytes);
    match message.first() {
        None => Verdict::KeepAlive(b""),
        // STUN (RFC 5389 §6) and its kind on the same port: the top two bits are zero, and SIP begins with no control character.
        Some(..0x20) => Verdict::Drop(Fault::NotSip),
        Some(_) => judge(policy, message, source, Carrier::Datagram),
    }
}

fn without_leading_line_ends(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

fn judge(policy: &Policy, message: &[u8], source: SocketAddr, carrier: Carrier) -> Verdict {
    let (head, body) = Head::read(message);
    let fault = match head.fault {
        Some(fault) => Some(fault),
        None => check::message(policy, &head, body, carrier).err(),
    };
    match (fault, &head.start) {
        (None, _) => Verdict::Pass(head.written_plainly(body)),
        (Some(fault), Start::Request { method, .. }) if *method != "ACK" => refuse(policy, &head, fault, source),
        (Some(fault), Start::Unreadable) if !looks_like_a_response(message) => refuse(policy, &head, fault, source),
        // Neither an ACK nor a response is ever answered.
        (Some(fault), _) => Verdict::Drop(fault),
    }
}

fn looks_like_a_response(message: &[u8]) -> bool {
    message.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

fn refuse(policy: &Policy, head: &Head<'_>, fault: Fault, source: SocketAddr) -> Verdict {
    match answer::write(policy, head, fault, source) {
        Some(answer) => Verdict::Answer(answer),
        None => Verdict::Drop(fault),
    }
}

/// How long a body may be that a head announces, read as strictly as [`check`] does.
fn announced_length(head: &Head<'_>) -> Result<Option<usize>, Fault> {
    let Some(value) = head.only("Content-Length")? else { return Ok(None) };
    let length = grammar::number(value).ok_or(Fault::ContentLength)?;
    match usize::try_from(length) {
        Ok(length) if length <= limits::BODY_BYTES_MAX => Ok(Some(length)),
        _ => Err(Fault::BodyTooLarge),
    }
}
