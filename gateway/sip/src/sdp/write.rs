//! Writes our session descriptions.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::read::Stream;
use super::{Codec, Direction};
use crate::limits;

/// Our stream, as it is said.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) session: u64,
    pub(super) version: u64,
    pub(super) address: SocketAddr,
    pub(super) codecs: &'a [(Codec, u8)],
    /// Payload types and clocks of digits.
    pub(super) digits: &'a [(u8, u32)],
    pub(super) ptime_ms: u32,
    pub(super) direction: Direction,
    pub(super) protocol: &'a str,
    pub(super) mux: bool,
}

/// A description with our stream at `chosen` among `streams`, of which the others are declined; without any: our stream alone.
pub(super) fn description(said: &Said<'_>, streams: &[Stream], chosen: usize) -> String {
    let kind = match said.address.ip() {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let ip = said.address.ip();
    let mut out =
        format!("v=0\r\no=- {} {} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n", said.session, said.version);
    for index in 0..streams.len().max(1) {
        match streams.get(index).filter(|_| index != chosen) {
            Some(Stream { media, protocol, format }) => {
                put(&mut out, format_args!("m={media} 0 {protocol} {format}"));
            }
            None => stream(said, &mut out),
        }
    }
    out
}

fn stream(said: &Said<'_>, out: &mut String) {
    let mut formats = String::new();
    for payload_type in
        said.codecs.iter().map(|(_, payload_type)| payload_type).chain(said.digits.iter().map(|(p, _)| p))
    {
        // Writing to a string never fails.
        let _ = write!(formats, " {payload_type}");
    }
    put(out, format_args!("m=audio {} {}{formats}", said.address.port(), said.protocol));
    for (codec, payload_type) in said.codecs {
        let channels = if *codec == Codec::Opus { "/2" } else { "" };
        put(out, format_args!("a=rtpmap:{payload_type} {}/{}{channels}", codec.name(), codec.clock_hz()));
        if *codec == Codec::Opus {
            put(out, format_args!("a=fmtp:{payload_type} useinbandfec=1;usedtx=1"));
        }
    }
    for (payload_type, clock_hz) in said.digits {
        put(out, format_args!("a=rtpmap:{payload_type} telephone-event/{clock_hz}"));
        put(out, format_args!("a=fmtp:{payload_type} 0-15"));
    }
    put(out, format_args!("a=ptime:{}", said.ptime_ms));
    put(out, format_args!("a=maxptime:{}", limits::PTIME_MS_MAX));
    if said.mux {
        put(out, format_args!("a=rtcp-mux"));
    }
    put(out, format_args!("a={}", said.direction.as_str()));
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string never fails.
    let _ = write!(out, "{line}\r\n");
}
