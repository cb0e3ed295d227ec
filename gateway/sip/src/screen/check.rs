//! What is checked of a message whose lines could be read, in the order in which RFC 3261 §8.2 and §16.3 look at it.

use super::grammar::{self, Address, Place, Via};
use super::head::{Head, Start};
use super::{Carrier, Fault, Policy};
use crate::limits;

/// Methods that are registered for SIP and that a gateway may not offer.
const REGISTERED: [&str; 14] = [
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
];

/// Header fields whose values are addresses.
const ADDRESSES: [&str; 3] = ["Contact", "Route", "Record-Route"];

pub(super) fn message(policy: &Policy, head: &Head<'_>, body: &[u8], carrier: Carrier) -> Result<(), Fault> {
    match head.start {
        Start::Request { method, uri, version } => {
            request_line(policy, method, version)?;
            fields(head, body, carrier)?;
            request(policy, head, method, uri, body)
        }
        Start::Response { version, status, .. } => {
            response_line(version, status)?;
            fields(head, body, carrier)?;
            response(head)
        }
        Start::Unreadable => Err(Fault::StartLine),
    }
}

fn request_line(policy: &Policy, method: &str, version: &str) -> Result<(), Fault> {
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault::Version);
    }
    if policy.methods.contains(&method) {
        Ok(())
    } else if REGISTERED.contains(&method) {
        Err(Fault::MethodNotAllowed)
    } else {
        Err(Fault::UnknownMethod)
    }
}

fn response_line(version: &str, status: &str) -> Result<(), Fault> {
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault::Version);
    }
    let known = status.len() == 3 && grammar::number(status).is_some_and(|status| (100..700).contains(&status));
    if known { Ok(()) } else { Err(Fault::Status) }
}

/// What requests and responses have in common.
fn fields(head: &Head<'_>, body: &[u8], carrier: Carrier) -> Result<(), Fault> {
    for name in ["From", "To"] {
        let value = head.required(name)?;
        Address::parse(value).ok_or(Fault::Address(name))?;
    }
    let call_id = head.required("Call-ID")?;
    if call_id.is_empty() || call_id.contains([' ', '\t']) {
        return Err(Fault::Address("Call-ID"));
    }
    sequence(head)?;
    hops(head)?;
    for name in ADDRESSES {
        addresses(head, name)?;
    }
    head.only("Content-Type")?;
    length(head, body, carrier)
}

fn sequence(head: &Head<'_>) -> Result<(), Fault> {
    let value = head.required("CSeq")?;
    let (sequence, method) = value.split_once([' ', '\t']).ok_or(Fault::CSeq)?;
    let sequence = grammar::number(sequence).ok_or(Fault::CSeq)?;
    let method = method.trim_start_matches([' ', '\t']);
    // RFC 3261 §8.1.1.5: less than 2³¹.
    if sequence >= 1 << 31 || !grammar::is_token(method) {
        return Err(Fault::CSeq);
    }
    match head.start {
        Start::Request { method: named, .. } if named != method => Err(Fault::CSeqMethod),
        _ => Ok(()),
    }
}

fn hops(head: &Head<'_>) -> Result<(), Fault> {
    let mut count = 0;
    for value in head.all("Via") {
        for hop in grammar::values(value).ok_or(Fault::Via)? {
            let via = Via::parse(hop).ok_or(Fault::Via)?;
            count += 1;
            // An empty branch would make every request of the sender one transaction.
            if count == 1 && via.parameter("branch").flatten().is_some_and(|branch| branch == "z9hG4bK") {
                return Err(Fault::Branch);
            }
        }
    }
    match count {
        0 => Err(Fault::Missing("Via")),
        1..=limits::VALUES_MAX => Ok(()),
        _ => Err(Fault::HeadTooLarge),
    }
}

fn addresses(head: &Head<'_>, name: &'static str) -> Result<(), Fault> {
    let mut count = 0;
    for value in head.all(name) {
        if name == "Contact" && value == "*" {
            continue;
        }
        for one in grammar::values(value).ok_or(Fault::Address(name))? {
            Address::parse(one).ok_or(Fault::Address(name))?;
            count += 1;
        }
    }
    if count > limits::VALUES_MAX { Err(Fault::HeadTooLarge) } else { Ok(()) }
}

fn length(head: &Head<'_>, body: &[u8], carrier: Carrier) -> Result<(), Fault> {
    match (super::announced_length(head)?, carrier) {
        (Some(length), _) if length > body.len() => Err(Fault::BodyTooShort),
        // What follows in a datagram is no part of the message (RFC 3261 §18.3).
        (Some(_), _) => Ok(()),
        (None, Carrier::Stream) => Err(Fault::Missing("Content-Length")),
        (None, Carrier::Datagram) if body.len() > limits::BODY_BYTES_MAX => Err(Fault::BodyTooLarge),
        (None, Carrier::Datagram) => Ok(()),
    }
}

fn request(policy: &Policy, head: &Head<'_>, method: &str, uri: &str, body: &[u8]) -> Result<(), Fault> {
    request_uri(uri)?;
    max_forwards(head, method)?;
    if method == "REGISTER" {
        registered(head)?;
    }
    // RFC 3261 §8.2.2.3: neither may be refused for what it requires.
    if !matches!(method, "ACK" | "CANCEL") && unsupported(policy, head).next().is_some() {
        return Err(Fault::Extension);
    }
    if matches!(method, "INVITE" | "UPDATE" | "PRACK") {
        offer(head, body)?;
    }
    if method == "INVITE" && !accepts_sdp(head) {
        return Err(Fault::Accept);
    }
    Ok(())
}

fn request_uri(uri: &str) -> Result<(), Fault> {
    if !grammar::is_uri(uri, Place::Bare) {
        return Err(Fault::RequestUri);
    }
    if is_served(uri) { Ok(()) } else { Err(Fault::Scheme) }
}

fn is_served(uri: &str) -> bool {
    grammar::scheme(uri).is_some_and(|scheme| ["sip", "sips", "tel"].iter().any(|own| scheme.eq_ignore_ascii_case(own)))
}

fn max_forwards(head: &Head<'_>, method: &str) -> Result<(), Fault> {
    let Some(value) = head.only("Max-Forwards")? else { return Ok(()) };
    match grammar::number(value) {
        Some(256..) | None => Err(Fault::MaxForwards),
        // An endpoint answers whatever reaches it; a new call goes on from here (RFC 7332), and might go round.
        Some(0) if method == "INVITE" && !is_in_dialog(head) => Err(Fault::NoHopsLeft),
        Some(_) => Ok(()),
    }
}

fn is_in_dialog(head: &Head<'_>) -> bool {
    head.all("To").next().and_then(Address::parse).is_some_and(|to| to.has("tag"))
}

/// Who is registered has an address that calls can reach (RFC 3261 §10.2).
fn registered(head: &Head<'_>) -> Result<(), Fault> {
    let to = Address::parse(head.required("To")?).ok_or(Fault::Address("To"))?;
    if is_served(to.uri) { Ok(()) } else { Err(Fault::Address("To")) }
}

/// The option tags that a request requires and that are not supported.
pub(super) fn unsupported<'a>(policy: &'a Policy, head: &'a Head<'_>) -> impl Iterator<Item = &'a str> {
    let tags = head.all("Require").flat_map(|value| value.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    tags.filter(move |tag| !policy.extensions.iter().any(|own| own.eq_ignore_ascii_case(tag)))
}

/// A body that describes media is SDP, by itself or in one of several parts (RFC 3261 §8.2.3).
fn offer(head: &Head<'_>, body: &[u8]) -> Result<(), Fault> {
    let Some(value) = head.only("Content-Type")? else { return Ok(()) };
    let kind = value.split(';').next().unwrap_or_default();
    let kind: String = kind.chars().filter(|char| !char.is_whitespace()).collect::<String>().to_ascii_lowercase();
    if body.is_empty() || kind == "application/sdp" || kind.starts_with("multipart/") {
        Ok(())
    } else {
        Err(Fault::ContentType)
    }
}

fn accepts_sdp(head: &Head<'_>) -> bool {
    let mut kinds = head
        .all("Accept")
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let mut named = kinds.by_ref().filter(|kind| !kind.is_empty()).peekable();
    named.peek().is_none()
        || named
            .any(|kind| ["application/sdp", "application/*", "*/*"].iter().any(|sdp| kind.eq_ignore_ascii_case(sdp)))
}

/// A response that still has hops to go was sent to the wrong place (RFC 3261 §8.1.3.3).
fn response(head: &Head<'_>) -> Result<(), Fault> {
    let hops: usize = head.all("Via").map(|value| grammar::values(value).map_or(0, |hops| hops.len())).sum();
    if hops == 1 { Ok(()) } else { Err(Fault::ResponseVia) }
}
