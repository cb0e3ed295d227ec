//! Our side of a call's offers and answers (RFC 3264).

use std::net::SocketAddr;

use super::read::{Description, Mapped, Mux};
use super::write::{Said, description};
use super::{Agreed, Codec, Digits, Direction, Refusal};
use crate::limits;

/// What we say of ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address that the far end shall send to, and the RTP port. RTCP comes to the same port, or the next.
    pub address: SocketAddr,
    /// What we speak, the best first. At least one.
    pub codecs: Vec<Codec>,
    /// Names the session in `o=`: any number, the same for all of a call.
    pub session: u64,
}

/// See the module. Offers and answers alternate as SIP has them; a [`Refusal`] leaves all as it was.
#[derive(Clone, Debug)]
pub struct Negotiator {
    local: Local,
    version: u64,
    /// What was said last: only what says something else has another version (RFC 3264 §8).
    last: Option<String>,
    /// The payload types under which we are sent things. Once said, they stay (RFC 3264 §8.3.2).
    payload_types: Vec<(Codec, u8)>,
    digits: Vec<(u8, u32)>,
    protocol: &'static str,
    agreed: Option<Agreed>,
    /// Streams of the far end's last offer, so that ours stays in its place.
    offered: Option<(usize, usize)>,
}

/// Payload types that mean what a description says (RFC 3551 §6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
/// Payload types of our own offers, as browsers have them.
const OPUS: u8 = 111;
/// Digits on Opus' clock, then on the telephone's.
const DIGITS: [(u8, u32); 2] = [(100, 48_000), (101, 8_000)];

impl Negotiator {
    /// Nothing is said yet.
    pub fn new(local: Local) -> Self {
        let payload_types =
            local.codecs.iter().map(|codec| (*codec, codec.fixed_payload_type().unwrap_or(OPUS))).collect();
        let spoken = |(_, clock_hz): &(u8, u32)| local.codecs.iter().any(|codec| codec.clock_hz() == *clock_hz);
        let digits = DIGITS.into_iter().filter(spoken).collect();
        Self { local, version: 0, last: None, payload_types, digits, protocol: "RTP/AVP", agreed: None, offered: None }
    }

    /// What both sides came to last.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Our offer: the first of the call, or a change of direction.
    pub fn offer(&mut self, direction: Direction) -> String {
        let (codecs, digits) = (self.payload_types.clone(), self.digits.clone());
        self.say(
            &codecs,
            &digits,
            self.agreed.map_or(limits::PTIME_MS, |agreed| agreed.ptime_ms),
            direction,
            true,
            None,
        )
    }

    /// Answers an offer of the far end; `wanted` is the most that we do. The first codec of theirs that is ours is taken: it saves
    /// transcoding at the end that cannot choose. A call that goes on keeps its codec while that is offered.
    ///
    /// # Errors
    /// Why there can be no call; what was agreed before stays.
    pub fn answer(&mut self, offer: &str, wanted: Direction) -> Result<(String, Agreed), Refusal> {
        let offer = Description::parse(offer)?;
        let spoken = |mapped: &&Mapped| self.local.codecs.contains(&mapped.codec);
        let current = self.agreed.map(|agreed| agreed.codec);
        let kept = offer.codecs.iter().filter(spoken).find(|mapped| Some(mapped.codec) == current);
        let mapped = *kept.or(offer.codecs.iter().find(spoken)).ok_or(Refusal::NoCommonCodec)?;
        let digits = offer.digits_for(mapped.codec);
        // An answer uses the offer's numbers (RFC 3264 §6.1).
        let same = |payload_type| Digits { send_payload_type: payload_type, receive_payload_type: payload_type };
        let agreed = Agreed {
            rtp: offer.rtp,
            rtcp: rtcp_of(&offer),
            codec: mapped.codec,
            send_payload_type: mapped.payload_type,
            receive_payload_type: mapped.payload_type,
            digits: digits.map(same),
            ptime_ms: ptime(&offer),
            direction: wanted.answer_to(offer.direction),
            opus: mapped.opus,
        };
        let clock_of = |payload_type: u8| offer.digits.iter().find(|(known, _)| *known == payload_type).copied();
        let said_digits: Vec<_> = digits.and_then(clock_of).into_iter().collect();
        self.remember(mapped.codec, mapped.payload_type, said_digits.first().copied());
        self.protocol =
            if offer.streams[offer.chosen].protocol.eq_ignore_ascii_case("RTP/AVPF") { "RTP/AVPF" } else { "RTP/AVP" };
        self.agreed = Some(agreed);
        self.offered = Some((offer.streams.len(), offer.chosen));
        let codecs = [(mapped.codec, mapped.payload_type)];
        let mux = offer.rtcp_mux == Mux::Shared;
        let text = self.say(&codecs, &said_digits, agreed.ptime_ms, agreed.direction, mux, Some(&offer));
        Ok((text, agreed))
    }

    /// Takes the far end's answer to our last offer, in which we said `offered`.
    ///
    /// # Errors
    /// The answer declines, or fits no offer of ours; what was agreed before stays.
    pub fn accept(&mut self, answer: &str, offered: Direction) -> Result<Agreed, Refusal> {
        let answer = match Description::parse(answer) {
            Ok(answer) => answer,
            Err(Refusal::NoAudio) => return Err(Refusal::NotAnAnswer("it declines the audio")),
            Err(refusal) => return Err(refusal),
        };
        let ours = |mapped: &&Mapped| self.payload_types.iter().any(|(codec, _)| *codec == mapped.codec);
        let mapped = *answer.codecs.iter().find(ours).ok_or(Refusal::NoCommonCodec)?;
        let receive = self.payload_types.iter().find(|(codec, _)| *codec == mapped.codec);
        let receive_payload_type = receive.map_or(mapped.payload_type, |(_, payload_type)| *payload_type);
        let digits = answer.digits_for(mapped.codec).map(|send_payload_type| {
            let clock_hz = answer.digits.iter().find(|(known, _)| *known == send_payload_type).map(|(_, clock)| *clock);
            let own = self.digits.iter().find(|(_, clock)| Some(*clock) == clock_hz);
            Digits { send_payload_type, receive_payload_type: own.map_or(send_payload_type, |(own, _)| *own) }
        });
        let agreed = Agreed {
            rtp: answer.rtp,
            rtcp: rtcp_of(&answer),
            codec: mapped.codec,
            send_payload_type: mapped.payload_type,
            receive_payload_type,
            digits,
            ptime_ms: ptime(&answer),
            // Whatever the answer says: no more than was offered.
            direction: offered.answer_to(answer.direction),
            opus: mapped.opus,
        };
        self.agreed = Some(agreed);
        Ok(agreed)
    }

    /// The far end's numbers for what is spoken are ours from now on; what had one of them before gets another.
    fn remember(&mut self, codec: Codec, payload_type: u8, digits: Option<(u8, u32)>) {
        self.payload_types.retain(|(known, _)| *known != codec);
        self.digits.retain(|(_, clock_hz)| digits.is_none_or(|(_, theirs)| theirs != *clock_hz));
        let taken = |number: u8| number == payload_type || digits.is_some_and(|(theirs, _)| theirs == number);
        let mut used: Vec<u8> = self.payload_types.iter().map(|(_, number)| *number).collect();
        used.extend(self.digits.iter().map(|(number, _)| *number));
        let mut free = DYNAMIC.filter(|number| !taken(*number) && !used.contains(number));
        let known = self.payload_types.iter_mut().map(|(_, number)| number);
        for number in known.chain(self.digits.iter_mut().map(|(number, _)| number)) {
            if taken(*number)
                && let Some(another) = free.next()
            {
                *number = another;
            }
        }
        self.payload_types.insert(0, (codec, payload_type));
        self.digits.extend(digits);
    }

    fn say(
        &mut self,
        codecs: &[(Codec, u8)],
        digits: &[(u8, u32)],
        ptime_ms: u32,
        direction: Direction,
        mux: bool,
        offer: Option<&Description>,
    ) -> String {
        let write = |version| {
            let said = Said {
                session: self.local.session,
                version,
                address: self.local.address,
                codecs,
                digits,
                ptime_ms,
                direction,
                protocol: self.protocol,
                mux,
            };
            match (offer, self.offered) {
                (Some(offer), _) => description(&said, &offer.streams, offer.chosen),
                // The place of a stream among a call's streams never changes (RFC 3264 §8).
                (None, Some((count, chosen))) => description(&said, &declined(count), chosen),
                (None, None) => description(&said, &[], 0),
            }
        };
        let mut text = write(self.version);
        if self.last.as_ref().is_some_and(|last| *last != text) {
            self.version += 1;
            text = write(self.version);
        }
        self.last = Some(text.clone());
        text
    }
}

/// Streams that were declined before, as an offer of ours goes on declining them.
fn declined(count: usize) -> Vec<super::read::Stream> {
    let stream = || super::read::Stream { media: "audio".into(), protocol: "RTP/AVP".into(), format: "0".into() };
    std::iter::repeat_with(stream).take(count).collect()
}

fn rtcp_of(description: &Description) -> SocketAddr {
    match description.rtcp_mux {
        Mux::Shared => description.rtp,
        Mux::Apart => description.rtcp,
    }
}

/// What goes into one packet: what is wished for in whole frames of 20 ms, within what the far end takes and what is sent here.
fn ptime(description: &Description) -> u32 {
    let wished = description.ptime_ms.unwrap_or(limits::PTIME_MS).div_ceil(limits::PTIME_MS) * limits::PTIME_MS;
    let most = description.maxptime_ms.unwrap_or(limits::PTIME_MS_MAX) / limits::PTIME_MS * limits::PTIME_MS;
    wished.min(most).clamp(limits::PTIME_MS, limits::PTIME_MS_MAX)
}
