//! Reads a session description: the first audio stream that can be used, and how many others there are.

use std::net::{IpAddr, SocketAddr};

use super::{Codec, Direction, Fec, OpusWishes, Refusal};
use crate::limits;

/// A format of the stream that is spoken here, under its payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Which.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// What is asked of it, if it is Opus.
    pub opus: OpusWishes,
}

/// One `m=` line as an answer has to repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) media: String,
    pub(super) protocol: String,
    /// The first format, which a declined stream still lists.
    pub(super) format: String,
}

/// A far end's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where it wants its RTP.
    pub rtp: SocketAddr,
    /// Where it wants its RTCP when it is not multiplexed.
    pub rtcp: SocketAddr,
    /// Whether it would take RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: Mux,
    /// What it speaks of our codecs, in its order of preference.
    pub codecs: Vec<Mapped>,
    /// The payload types of its digits (RFC 4733) with their clocks, Hz.
    pub(super) digits: Vec<(u8, u32)>,
    /// How much voice it wants in a packet, milliseconds.
    pub ptime_ms: Option<u32>,
    /// The most that it takes in a packet, milliseconds.
    pub maxptime_ms: Option<u32>,
    /// Which way voice goes, seen from there; a connection to 0.0.0.0 is a hold, too (RFC 3264 §8.4).
    pub direction: Direction,
    pub(super) streams: Vec<Stream>,
    /// Which of the streams this is about.
    pub(super) chosen: usize,
}

/// Whether RTP and RTCP share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mux {
    /// They do.
    Shared,
    /// Each has its own.
    Apart,
}

/// What was read of one stream so far.
#[derive(Debug, Default)]
struct Section<'a> {
    media: &'a str,
    port: u16,
    protocol: &'a str,
    formats: Vec<&'a str>,
    connection: Option<IpAddr>,
    rtcp: Option<(u16, Option<IpAddr>)>,
    mux: bool,
    maps: Vec<(u8, &'a str, u32, u32)>,
    parameters: Vec<(u8, &'a str)>,
    ptime_ms: Option<u32>,
    maxptime_ms: Option<u32>,
    direction: Option<Direction>,
}

impl Description {
    /// Reads a description. Lines and attributes that are not known are passed over, also in the wrong order.
    ///
    /// # Errors
    /// Says why it cannot be read, or has no audio that could be taken.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (session, sections) = sections(text)?;
        let usable = |section: &Section<'_>| {
            let plain = ["RTP/AVP", "RTP/AVPF"].iter().any(|known| known.eq_ignore_ascii_case(section.protocol));
            section.media.eq_ignore_ascii_case("audio") && plain && section.port != 0
        };
        let chosen = sections.iter().position(usable).ok_or(Refusal::NoAudio)?;
        let section = &sections[chosen];
        let address = section.connection.or(session.connection).ok_or(Refusal::NoAddress)?;
        let held = address.is_unspecified();
        if address.is_multicast() || matches!(address, IpAddr::V4(address) if address.is_broadcast()) {
            return Err(Refusal::NoAddress);
        }
        let said = section.direction.or(session.direction).unwrap_or_default();
        let direction = if held { said.answer_to(Direction::ReceiveOnly) } else { said };
        let rtcp = match section.rtcp {
            Some((port, own)) => SocketAddr::new(own.unwrap_or(address), port),
            None => SocketAddr::new(address, section.port.checked_add(1).unwrap_or(section.port)),
        };
        let rtcp_mux = if section.mux { Mux::Shared } else { Mux::Apart };
        let (codecs, digits) = section.formats();
        Ok(Self {
            rtp: SocketAddr::new(address, section.port),
            rtcp,
            rtcp_mux,
            codecs,
            digits,
            ptime_ms: section.ptime_ms.or(session.ptime_ms),
            maxptime_ms: section.maxptime_ms.or(session.maxptime_ms),
            direction,
            streams: sections.iter().map(Section::stream).collect(),
            chosen,
        })
    }

    /// The digits that go with a codec: those of its clock, as RFC 4733 §2.1 wants it, else any.
    pub(super) fn digits_for(&self, codec: Codec) -> Option<u8> {
        let same = self.digits.iter().find(|(_, clock_hz)| *clock_hz == codec.clock_hz());
        same.or(self.digits.first()).map(|(payload_type, _)| *payload_type)
    }
}

/// Everything before the first `m=`, and each stream.
fn sections(text: &str) -> Result<(Section<'_>, Vec<Section<'_>>), Refusal> {
    if text.len() > limits::SDP_BYTES_MAX {
        return Err(Refusal::TooLarge("it has too many bytes"));
    }
    let (mut session, mut streams) = (Section::default(), Vec::new());
    let mut is_begun = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if number > limits::SDP_LINES_MAX {
            return Err(Refusal::TooLarge("it has too many lines"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let malformed = |what| Refusal::Malformed { line: number, what };
        let (kind, value) = line.split_once('=').ok_or(malformed("a line is a letter, `=` and a value"))?;
        match kind {
            "v" if value.trim() != "0" => return Err(malformed("the version is 0")),
            "v" => is_begun = true,
            _ if !is_begun => return Err(malformed("the first line is v=0")),
            "m" if streams.len() == limits::SDP_STREAMS_MAX => {
                return Err(Refusal::TooLarge("it has too many streams"));
            }
            "m" => streams.push(Section::begin(value).map_err(malformed)?),
            "c" => current(&mut session, &mut streams).connection = Some(connection(value).map_err(malformed)?),
            "a" => current(&mut session, &mut streams).attribute(value)?,
            _ => {}
        }
    }
    if is_begun { Ok((session, streams)) } else { Err(Refusal::Malformed { line: 1, what: "the first line is v=0" }) }
}

fn current<'s, 'a>(session: &'s mut Section<'a>, streams: &'s mut [Section<'a>]) -> &'s mut Section<'a> {
    streams.last_mut().unwrap_or(session)
}

/// `IN IP4 address[/ttl]`. What is a host name is no address: names are not looked up for voice.
fn connection(value: &str) -> Result<IpAddr, &'static str> {
    let mut words = value.split_ascii_whitespace();
    let (Some("IN"), Some("IP4" | "IP6"), Some(address), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a connection is `IN IP4` or `IN IP6` and an address");
    };
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    address.parse().map_err(|_| "the connection's address is not one; names are not looked up")
}

impl<'a> Section<'a> {
    /// `audio 49170 RTP/AVP 0 8 101`.
    fn begin(value: &'a str) -> Result<Self, &'static str> {
        let mut words = value.split_ascii_whitespace();
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err("a stream is its kind, a port, a protocol and formats");
        };
        let port = port.split_once('/').map_or(port, |(port, _)| port);
        let port = port.parse().map_err(|_| "a stream's port is a number of 0 to 65535")?;
        let formats = words.take(limits::SDP_FORMATS_MAX).collect();
        Ok(Self { media, port, protocol, formats, ..Self::default() })
    }

    /// What is said in a known attribute but cannot be read is as if it were not there; but for too many of them.
    fn attribute(&mut self, value: &'a str) -> Result<(), Refusal> {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        let value = value.trim();
        match name.trim() {
            "rtpmap" | "fmtp" if self.maps.len() + self.parameters.len() >= 2 * limits::SDP_FORMATS_MAX => {
                return Err(Refusal::TooLarge("a stream has too many formats"));
            }
            "rtpmap" => self.maps.extend(rtpmap(value)),
            "fmtp" => {
                if let Some((payload_type, parameters)) = value.split_once(char::is_whitespace) {
                    let read = payload_type_of(payload_type);
                    self.parameters.extend(read.map(|payload_type| (payload_type, parameters)));
                }
            }
            "ptime" => self.ptime_ms = milliseconds(value).or(self.ptime_ms),
            "maxptime" => self.maxptime_ms = milliseconds(value).or(self.maxptime_ms),
            "rtcp-mux" => self.mux = true,
            "rtcp" => {
                let (port, rest) = value.split_once(' ').unwrap_or((value, ""));
                self.rtcp = port.parse().ok().filter(|port| *port != 0).map(|port| (port, connection(rest).ok()));
            }
            name => self.direction = Direction::parse(name).or(self.direction),
        }
        Ok(())
    }

    /// Those of our codecs, and the digits, in the order of the `m=` line, which is that of preference (RFC 3264 §5.1).
    fn formats(&self) -> (Vec<Mapped>, Vec<(u8, u32)>) {
        let (mut codecs, mut digits) = (Vec::<Mapped>::new(), Vec::new());
        for payload_type in self.formats.iter().filter_map(|format| payload_type_of(format)) {
            let map = self.maps.iter().find(|(mapped, ..)| *mapped == payload_type);
            let codec = match map {
                Some((_, name, clock_hz, _)) if name.eq_ignore_ascii_case("telephone-event") => {
                    digits.push((payload_type, *clock_hz));
                    None
                }
                Some((_, name, clock_hz, channels)) => Codec::of_encoding(name, *clock_hz, *channels),
                None => [Codec::Pcmu, Codec::Pcma]
                    .into_iter()
                    .find(|codec| codec.fixed_payload_type() == Some(payload_type)),
            };
            if let Some(codec) = codec.filter(|codec| codecs.iter().all(|known| known.codec != *codec)) {
                let parameters = self.parameters.iter().find(|(mapped, _)| *mapped == payload_type);
                let opus = parameters.map(|(_, parameters)| wishes(parameters)).unwrap_or_default();
                codecs.push(Mapped { codec, payload_type, opus });
            }
        }
        (codecs, digits)
    }

    fn stream(&self) -> Stream {
        Stream {
            media: self.media.to_owned(),
            protocol: self.protocol.to_owned(),
            format: self.formats.first().copied().unwrap_or("0").to_owned(),
        }
    }
}

fn payload_type_of(text: &str) -> Option<u8> {
    text.parse().ok().filter(|payload_type| *payload_type < 128)
}

/// `96 opus/48000/2`.
fn rtpmap(value: &str) -> Option<(u8, &str, u32, u32)> {
    let (payload_type, encoding) = value.split_once(char::is_whitespace)?;
    let mut parts = encoding.trim().split('/');
    let (name, clock_hz) = (parts.next()?, parts.next()?.parse().ok()?);
    let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
    Some((payload_type_of(payload_type)?, name, clock_hz, channels))
}

fn milliseconds(value: &str) -> Option<u32> {
    // Some write `20.0`.
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    whole.parse().ok().filter(|span| (1..=1_000).contains(span))
}

fn wishes(parameters: &str) -> OpusWishes {
    let mut wishes = OpusWishes::default();
    for (name, value) in parameters.split(';').filter_map(|pair| pair.split_once('=')) {
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("useinbandfec", "1") => wishes.fec = Some(Fec::Used),
            ("useinbandfec", "0") => wishes.fec = Some(Fec::Unused),
            ("maxaveragebitrate", bits) => {
                wishes.bitrate_max = bits.parse().ok().map(|bits: u32| bits.clamp(6_000, 510_000));
            }
            _ => {}
        }
    }
    wishes
}
