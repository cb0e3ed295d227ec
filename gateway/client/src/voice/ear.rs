//! One voice being heard: RTP → jitter buffer → Opus, a piece of 20 ms at a time.

use bytes::Bytes;
use tandem_audio::leg::{LegDecoder, OnLoss};
use tandem_audio::opus::Rate;
use tandem_audio::pcm::SILENCE;
use tandem_switch::media::jitter::Playout;
use tandem_switch::media::rtp::{OPUS_PAYLOAD_TYPE, Packet};
use tandem_switch::media::stats::{Reception, ReceptionMeter, mean_opinion_score};
use tandem_switch::time::Instant;

use super::{Frame, VoiceError};

/// For so many pulls in a row nothing was to be played before a voice counts as idle: 1 s.
const IDLE_PULLS: u32 = 50;

/// One flow's receiving end.
pub(super) struct Ear {
    leg: LegDecoder,
    meter: ReceptionMeter,
    /// Pulls in a row that brought nothing.
    quiet: u32,
}

impl Ear {
    pub(super) fn new() -> Result<Self, VoiceError> {
        let leg = LegDecoder::new(Rate::Hz48000, OnLoss::Correct, rand::random())?;
        Ok(Self { leg, meter: ReceptionMeter::default(), quiet: 0 })
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
        self.leg.push(now, packet.header.sequence, packet.header.timestamp, payload);
    }

    /// What to play for the 20 ms from `now`.
    pub(super) fn pull(&mut self, now: Instant) -> Playout {
        let playout = self.leg.due(now);
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
        let late = self.leg.counters().late;
        let expected = network.packets + network.lost;
        if expected == 0 {
            return network;
        }
        let unheard = (network.lost + late) as f32 / expected as f32;
        Reception { late, mos: mean_opinion_score(unheard.min(1.0), network.jitter_ms), ..network }
    }

    /// The sound of what was pulled.
    pub(super) fn decode(&mut self, playout: Playout) -> Frame {
        let mut frame = SILENCE;
        self.leg.play(playout, &mut frame);
        frame
    }
}
