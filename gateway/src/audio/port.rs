//! One party's port: plays packets to it, one each 20 ms.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tandem_switch::id::{FlowId, LinkId, TenantId};
use tandem_switch::media::datagram;
use tandem_switch::media::rtp::{FRAME_TICKS, HEADER_BYTES, Header, OPUS_PAYLOAD_TYPE};

use super::ear::Ear;
use super::voice::Voice;
use crate::media::{Departure, Egress};

/// Room for this many bytes of datagrams is made at once: some hundred packets share an allocation.
const BUFFER_BYTES: usize = 64 * 1024;

/// What ends a talk spurt: frames of silence (RFC 6716 section 4.3), so that no decoder goes on with the sound's last moment, and one without any
/// bytes of sound, by which a jitter buffer knows that nothing comes after it (section 2.1.9).
const CLOSING: [&[u8]; 4] = [&[0xf8, 0xff, 0xfe], &[0xf8, 0xff, 0xfe], &[0xf8, 0xff, 0xfe], &[0xf8]];

/// What a tick of a port brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticked {
    /// Nothing to tell.
    Quiet,
    /// A playback came to its end.
    Played(u32),
}

/// What plays, or will.
#[derive(Debug)]
enum Playing {
    Nothing,
    /// Its packets are being looked up.
    Loading {
        playback: u32,
        times: u32,
    },
    /// Its packets are sent.
    Sounding {
        playback: u32,
        packets: Arc<[Bytes]>,
        next: usize,
        rounds_left: u32,
    },
}

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) tenant: TenantId,
    flow: FlowId,
    egress: Option<Egress>,
    playing: Playing,
    /// What a tap's far end says into it.
    pub(super) voice: Option<Voice>,
    /// Listens for silence.
    pub(super) ear: Option<Ear>,
    ssrc: u32,
    sequence: u16,
    /// The timestamp of tick zero: time goes on while nothing is sent, as RFC 3550 section 5.1 wants it.
    timestamp: u32,
    /// The last tick sent sound: the next one does not begin a talk spurt.
    is_speaking: bool,
    /// How much of [`CLOSING`] was sent since.
    closed: usize,
}

/// How a packet left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sent: u64,
    pub(super) unsent: u64,
}

impl Port {
    pub(super) fn new(tenant: TenantId, flow: FlowId, egress: Option<Egress>) -> Self {
        Self {
            tenant,
            flow,
            egress,
            playing: Playing::Nothing,
            voice: None,
            ear: None,
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
            is_speaking: false,
            closed: CLOSING.len(),
        }
    }

    /// The party is reached so from now on.
    pub(super) fn retarget(&mut self, egress: Option<Egress>) {
        self.egress = egress;
        // Whoever begins to listen now takes the next packet for a beginning.
        self.is_speaking = false;
    }

    /// A playback's packets are looked up. Whether another one ended by it.
    pub(super) fn load(&mut self, playback: u32, times: u32) -> bool {
        let before = std::mem::replace(&mut self.playing, Playing::Loading { playback, times: times.max(1) });
        !matches!(before, Playing::Nothing)
    }

    /// A playback's packets are there. Whether it is still wanted.
    pub(super) fn begin(&mut self, playback: u32, packets: Arc<[Bytes]>) -> bool {
        let Playing::Loading { playback: wanted, times } = self.playing else { return false };
        if wanted == playback {
            self.playing = Playing::Sounding { playback, packets, next: 0, rounds_left: times };
        }
        wanted == playback
    }

    /// A playback's packets could not be had. Whether it was still wanted.
    pub(super) fn fail(&mut self, playback: u32) -> bool {
        let is_wanted = matches!(self.playing, Playing::Loading { playback: wanted, .. } if wanted == playback);
        if is_wanted {
            self.playing = Playing::Nothing;
        }
        is_wanted
    }

    /// Nothing plays any more. Whether something did.
    pub(super) fn stop(&mut self) -> bool {
        !matches!(std::mem::replace(&mut self.playing, Playing::Nothing), Playing::Nothing)
    }

    /// 20 ms: sends the packet that is due. What a tap's far end says waits while something is played.
    pub(super) fn tick(&mut self, tick: u64, buffer: &mut BytesMut, count: &mut Sent) -> Ticked {
        let (packet, ticked) = self.due();
        let packet = packet.or_else(|| match self.playing {
            Playing::Nothing => self.voice.as_mut().and_then(Voice::next),
            Playing::Loading { .. } | Playing::Sounding { .. } => None,
        });
        match packet {
            Some(packet) => {
                self.send(tick, &packet, buffer, count);
                (self.is_speaking, self.closed) = (true, 0);
            }
            None => self.close(tick, buffer, count),
        }
        ticked
    }

    /// Nothing is said any more.
    fn close(&mut self, tick: u64, buffer: &mut BytesMut, count: &mut Sent) {
        if let Some(silence) = CLOSING.get(self.closed) {
            // Part of the talk spurt that it ends.
            self.is_speaking = true;
            self.send(tick, silence, buffer, count);
            self.closed += 1;
        }
        self.is_speaking = false;
    }

    /// The packet of what plays. Its end is told in the tick after its last packet, when that one has sounded.
    fn due(&mut self) -> (Option<Bytes>, Ticked) {
        let Playing::Sounding { playback, packets, next, rounds_left } = &mut self.playing else {
            return (None, Ticked::Quiet);
        };
        if *next == packets.len() {
            *next = 0;
            *rounds_left -= 1;
        }
        if *rounds_left == 0 || packets.is_empty() {
            let ended = *playback;
            self.playing = Playing::Nothing;
            return (None, Ticked::Played(ended));
        }
        let packet = packets[*next].clone();
        *next += 1;
        (Some(packet), Ticked::Quiet)
    }

    fn send(&mut self, tick: u64, packet: &[u8], buffer: &mut BytesMut, count: &mut Sent) {
        let Some(egress) = &self.egress else { return };
        let room = datagram::PREFIX_BYTES_MAX + HEADER_BYTES + packet.len();
        if buffer.capacity() < room {
            buffer.reserve(BUFFER_BYTES.max(room));
        }
        datagram::write_prefix(self.flow, buffer);
        let header = Header {
            marker: !self.is_speaking,
            payload_type: OPUS_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: self.timestamp.wrapping_add((tick as u32).wrapping_mul(FRAME_TICKS)),
            ssrc: self.ssrc,
        };
        header.write(None, buffer);
        buffer.extend_from_slice(packet);
        self.sequence = self.sequence.wrapping_add(1);
        match egress.send(buffer.split().freeze()) {
            Departure::Sent | Departure::Displaced | Departure::Entered => count.sent += 1,
            Departure::Refused => count.unsent += 1,
            Departure::Gone => {
                count.unsent += 1;
                self.egress = None;
            }
        }
    }

    /// Whether the next ticks have nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.playing, Playing::Nothing | Playing::Loading { .. })
            && self.voice.is_none()
            && self.ear.is_none()
            && self.closed == CLOSING.len()
    }
}

/// The link of a party, looked up.
pub(super) fn look_up(links: &super::Links, to: Option<LinkId>) -> Option<Egress> {
    to.and_then(|link| links(link))
}
