//! One voice being heard: RTP → jitter buffer → Opus, a piece of 20 ms at a time.

use bytes::Bytes;
use opus::{Channels, Decoder};
use tandem_switch::media::jitter::{JitterBuffer, Playout};
use tandem_switch::media::rtp::{OPUS_PAYLOAD_TYPE, Packet};
use tandem_switch::media::stats::{Reception, ReceptionMeter, mean_opinion_score};
use tandem_switch::time::Instant;

use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError};

/// Longest packet that a decoder may be given, samples: 120 ms (RFC 6716 section 3.4).
const PACKET_SAMPLES_MAX: usize = 5760;

/// For so many pulls in a row nothing was to be played before a voice counts as idle: 1 s.
const IDLE_PULLS: u32 = 50;

/// One flow's receiving end.
pub(super) struct Ear {
    buffer: JitterBuffer,
    meter: ReceptionMeter,
    decoder: Decoder,
    /// Pulls in a row that brought nothing.
    quiet: u32,
}

impl Ear {
    pub(super) fn new() -> Result<Self, VoiceError> {
        Ok(Self {
            buffer: JitterBuffer::default(),
            meter: ReceptionMeter::default(),
            decoder: Decoder::new(SAMPLE_HZ, Channels::Mono)?,
            quiet: 0,
        })
    }

    /// Takes what came at `now`; what is no Opus in RTP is left out.
    pub(super) fn take(&mut self, now: Instant, rtp: &Bytes) {
        let Ok(packet) = Packet::parse(rtp) else {
            tracing::debug!("a packet that is no RTP packet");
            return;
        };
        if packet.header.payload_type != OPUS_PAYLOAD_TYPE {
            return;
        }
        self.meter.receive(now, &packet.header, rtp.len());
        self.quiet = 0;
        let payload = rtp.slice_ref(packet.payload);
        self.buffer.push(now, packet.header.sequence, packet.header.timestamp, payload);
    }

    /// What to play for the 20 ms from `now`.
    pub(super) fn pull(&mut self, now: Instant) -> Playout {
        let playout = self.buffer.pull(now);
        let nothing = matches!(playout, Playout::Wait | Playout::Silence);
        self.quiet = if nothing { self.quiet.saturating_add(1) } else { 0 };
        playout
    }

    /// Whether nothing was to be played for a while.
    pub(super) fn is_idle(&self) -> bool {
        self.quiet >= IDLE_PULLS
    }

    /// What the network brought, and of it what came too late to be played.
    pub(super) fn reception(&self) -> Reception {
        let network = self.meter.reception();
        let late = self.buffer.counters().late;
        let expected = network.packets + network.lost;
        if expected == 0 {
            return network;
        }
        let unheard = (network.lost + late) as f32 / expected as f32;
        Reception { late, mos: mean_opinion_score(unheard.min(1.0), network.jitter_ms), ..network }
    }

    /// The sound of what was pulled.
    pub(super) fn decode(&mut self, playout: Playout) -> Frame {
        match playout {
            Playout::Packet(packet) => self.frame(&packet, false),
            Playout::Fec(next) => self.frame(&next, true),
            Playout::Conceal | Playout::Expand | Playout::Silence => self.frame(&[], false),
            Playout::Accelerate(first, second) => blend(&self.frame(&first, false), &self.frame(&second, false)),
            Playout::Wait => [0; FRAME_SAMPLES],
        }
    }

    /// Decodes a packet, or conceals one when there are no bytes. What the decoder refuses is silence: it came from the network.
    fn frame(&mut self, packet: &[u8], fec: bool) -> Frame {
        let mut frame = [0; FRAME_SAMPLES];
        let mut decoded = [0; PACKET_SAMPLES_MAX];
        // Concealment and FEC fill the room that they are given; a packet knows its own length.
        let room = if fec || packet.is_empty() { FRAME_SAMPLES } else { PACKET_SAMPLES_MAX };
        match self.decoder.decode(packet, &mut decoded[..room], fec) {
            Ok(_) => frame.copy_from_slice(&decoded[..FRAME_SAMPLES]),
            Err(error) => tracing::debug!(%error, "a packet that could not be decoded"),
        }
        frame
    }
}

/// One frame out of two: the first fades into the second.
fn blend(first: &Frame, second: &Frame) -> Frame {
    std::array::from_fn(|index| {
        let share = index as f32 / FRAME_SAMPLES as f32;
        (f32::from(first[index]) * (1.0 - share) + f32::from(second[index]) * share) as i16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_blend_from_one_to_the_other() {
        let blended = blend(&[1000; FRAME_SAMPLES], &[-1000; FRAME_SAMPLES]);
        assert_eq!((blended[0], blended[FRAME_SAMPLES / 2]), (1000, 0));
        assert!(blended[FRAME_SAMPLES - 1] < -990);
    }
}
