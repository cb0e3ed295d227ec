//! The answer to a request that is refused: of what could be read of it, without state (RFC 3261 §8.2.6.2).

use std::fmt::Write as _;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use super::check;
use super::grammar::{self, Address, Via};
use super::head::{Head, Start};
use super::{Fault, Policy};

/// Where a request without a port in its `Via` is answered (RFC 3261 §18.2.2).
const PORT: u16 = 5060;

/// An answer that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: u16,
    /// Why.
    pub fault: Fault,
    /// The message.
    pub bytes: Vec<u8>,
    /// Where it goes, if the request came in a datagram; in a stream it goes back.
    pub to: SocketAddr,
}

/// None for a request that nobody could match to an answer: it has no `Via`.
pub(super) fn write(policy: &Policy, head: &Head<'_>, fault: Fault, source: SocketAddr) -> Option<Answer> {
    let first = head.all("Via").next()?;
    let mut text = format!("SIP/2.0 {} {fault}\r\n", fault.status());
    let to = first_hop(first, source, &mut text);
    for value in head.all("Via").skip(1) {
        let _ = write!(text, "Via: {value}\r\n");
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        if let Some(value) = head.all(name).next() {
            let _ = write!(text, "{name}: {value}");
            if name == "To" && Address::parse(value).is_none_or(|to| !to.has("tag")) {
                let _ = write!(text, ";tag={}", tag(head));
            }
            text.push_str("\r\n");
        }
    }
    explain(policy, head, fault, &mut text);
    text.push_str("Content-Length: 0\r\n\r\n");
    Some(Answer { status: fault.status(), fault, bytes: text.into_bytes(), to })
}

/// Writes the hop that sent it, with where it really came from (RFC 3581 §4), and says where the answer goes.
fn first_hop(value: &str, source: SocketAddr, text: &mut String) -> SocketAddr {
    text.push_str("Via: ");
    let hops = grammar::values(value);
    let via = hops.as_ref().and_then(|hops| hops.first()).and_then(|hop| Via::parse(hop));
    let Some(mut via) = via else {
        let _ = write!(text, "{value}\r\n");
        return source;
    };
    let (address, port) = (source.ip().to_string(), source.port().to_string());
    let asks_for_port = via.parameter("rport").is_some();
    let to = if asks_for_port { source } else { SocketAddr::new(source.ip(), via.port.unwrap_or(PORT)) };
    via.parameters.retain(|(name, _)| !["received", "rport"].iter().any(|own| name.eq_ignore_ascii_case(own)));
    if asks_for_port || via.host != address {
        via.parameters.push(("received", Some(address.as_str())));
    }
    if asks_for_port {
        via.parameters.push(("rport", Some(port.as_str())));
    }
    via.write(text);
    for hop in hops.iter().flatten().skip(1) {
        let _ = write!(text, ", {hop}");
    }
    text.push_str("\r\n");
    to
}

/// The same request, sent again, gets the same tag: nothing is kept to know it by.
fn tag(head: &Head<'_>) -> String {
    let mut hash = Sha256::new();
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        hash.update(head.all(name).next().unwrap_or_default());
        hash.update([0]);
    }
    hash.finalize()[..6].iter().fold(String::new(), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    })
}

/// What would be right.
fn explain(policy: &Policy, head: &Head<'_>, fault: Fault, text: &mut String) {
    let _ = match fault {
        Fault::UnknownMethod | Fault::MethodNotAllowed => write!(text, "Allow: {}\r\n", policy.methods.join(", ")),
        Fault::ContentType => text.write_str("Accept: application/sdp\r\n"),
        Fault::Extension if matches!(head.start, Start::Request { .. }) => {
            write!(text, "Unsupported: {}\r\n", check::unsupported(policy, head).collect::<Vec<_>>().join(", "))
        }
        _ => Ok(()),
    };
}
