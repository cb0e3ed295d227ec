//! The voices of a call: one for each flow that brings something, mixed to one sound.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tandem_audio::mix::Mixer;
use tandem_audio::pcm::SILENCE;
use tandem_switch::id::FlowId;
use tandem_switch::media::jitter::Playout;
use tandem_switch::media::stats::Reception;
use tandem_switch::time::Instant;

use super::ear::Ear;
use super::{Frame, VoiceError};
use crate::limits;

/// See the module.
#[derive(Default)]
pub(super) struct Voices {
    /// By flow, made when its first packet comes; at most [`limits::VOICES_MAX`].
    ears: BTreeMap<FlowId, Ear>,
    /// What was received of flows that are heard no more.
    gone: Reception,
    mixer: Mixer,
}

impl Voices {
    /// Takes a packet of a flow that came at `now`.
    ///
    /// # Errors
    /// When there is no decoder to be had.
    pub(super) fn take(&mut self, now: Instant, flow: FlowId, rtp: &Bytes) -> Result<(), VoiceError> {
        if !self.ears.contains_key(&flow) {
            if self.ears.len() >= limits::VOICES_MAX && !self.make_room() {
                tracing::trace!(flow = flow.0, "more voices at once than are decoded");
                return Ok(());
            }
            self.ears.insert(flow, Ear::new()?);
        }
        if let Some(ear) = self.ears.get_mut(&flow) {
            ear.take(now, rtp);
        }
        Ok(())
    }

    /// Forgets the voices of other flows, but not what was received of them.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<FlowId>) {
        let gone = &mut self.gone;
        self.ears.retain(|flow, ear| {
            let stays = wanted.contains(flow);
            if !stays {
                *gone = gone.merge(ear.reception());
            }
            stays
        });
    }

    /// Forgets a voice that is silent; says whether there was one.
    fn make_room(&mut self) -> bool {
        let idle = self.ears.iter().find(|(_, ear)| ear.is_idle()).map(|(&flow, _)| flow);
        let ear = idle.and_then(|flow| self.ears.remove(&flow));
        if let Some(ear) = &ear {
            self.gone = self.gone.merge(ear.reception());
        }
        ear.is_some()
    }

    /// What was received in all.
    pub(super) fn reception(&self) -> Reception {
        self.ears.values().fold(self.gone, |sum, ear| sum.merge(ear.reception()))
    }

    /// What to play for the 20 ms from `now`, not decoded; `None` when there are several voices, which have to be mixed.
    pub(super) fn pull_packet(&mut self, now: Instant) -> Option<Playout> {
        match (self.ears.len(), self.ears.values_mut().next()) {
            (1, Some(ear)) => Some(ear.pull(now)),
            // Between two voices the time goes on; before the first there is none.
            (0, _) if self.gone.packets > 0 => Some(Playout::Silence),
            (0, _) => Some(Playout::Wait),
            _ => None,
        }
    }

    /// The mix to play for the 20 ms from `now`.
    pub(super) fn pull(&mut self, now: Instant) -> Frame {
        self.mixer.begin();
        for ear in self.ears.values_mut() {
            let playout = ear.pull(now);
            self.mixer.add(&ear.decode(playout));
        }
        let mut mixed = SILENCE;
        self.mixer.everybody(&mut mixed);
        mixed
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use bytes::BytesMut;
    use tandem_audio::opus::{Application, Encoder, EncoderOptions, PACKET_BYTES_MAX};
    use tandem_switch::media::rtp::{Header, OPUS_PAYLOAD_TYPE};

    use super::super::{FRAME_SAMPLES, SAMPLE_HZ};
    use super::*;

    /// One frame's time, microseconds.
    const FRAME_MICROS: u64 = 20_000;

    /// Somebody who says a tone.
    struct Talker {
        hz: f64,
        encoder: Encoder,
        frames: u32,
    }

    impl Talker {
        fn new(hz: f64) -> Self {
            let options = EncoderOptions { application: Application::Audio, ..EncoderOptions::default() };
            let encoder = Encoder::new(options).unwrap();
            Self { hz, encoder, frames: 0 }
        }

        fn says(&mut self) -> Bytes {
            let start = self.frames as usize * FRAME_SAMPLES;
            let sample = |at: usize| (6_000.0 * (TAU * self.hz * at as f64 / f64::from(SAMPLE_HZ)).sin()) as i16;
            let frame: Vec<i16> = (start..start + FRAME_SAMPLES).map(sample).collect();
            let header = Header {
                marker: self.frames == 0,
                payload_type: OPUS_PAYLOAD_TYPE,
                sequence: self.frames as u16,
                timestamp: start as u32,
                ssrc: self.hz as u32,
            };
            self.frames += 1;
            let mut packet = BytesMut::new();
            header.write(None, &mut packet);
            let mut opus = [0; PACKET_BYTES_MAX];
            let bytes = self.encoder.encode(&frame, &mut opus).unwrap();
            packet.extend_from_slice(&opus[..bytes]);
            packet.freeze()
        }
    }

    /// How much of `hz` there is (Goertzel), as an amplitude.
    fn amplitude(frame: &Frame, hz: f64) -> f64 {
        let turn = 2.0 * (TAU * hz / f64::from(SAMPLE_HZ)).cos();
        let (mut last, mut before) = (0.0, 0.0);
        for &sample in frame {
            (last, before) = (f64::from(sample) + turn * last - before, last);
        }
        2.0 * (last * last + before * before - turn * last * before).max(0.0).sqrt() / FRAME_SAMPLES as f64
    }

    #[test]
    fn several_voices_are_heard_at_once_and_one_alone_after_the_other_is_gone() {
        let mut voices = Voices::default();
        let mut talkers = [Talker::new(500.0), Talker::new(1_000.0)];
        let mut heard = [0; FRAME_SAMPLES];
        for tick in 0..100u64 {
            let now = Instant::from_micros(tick * FRAME_MICROS);
            for (flow, talker) in (1..).zip(&mut talkers) {
                voices.take(now, FlowId(flow), &talker.says()).unwrap();
            }
            assert!(tick == 0 || voices.pull_packet(now).is_none(), "two voices must be mixed");
            heard = voices.pull(now);
        }
        let loud = |heard: &Frame| [amplitude(heard, 500.0) > 4_000.0, amplitude(heard, 1_000.0) > 4_000.0];
        assert_eq!(loud(&heard), [true, true]);
        assert!(amplitude(&heard, 750.0) < 1_000.0);
        assert_eq!((voices.reception().packets, voices.reception().lost), (200, 0));

        voices.keep(&BTreeSet::from([FlowId(2)]));
        for tick in 100..120u64 {
            let now = Instant::from_micros(tick * FRAME_MICROS);
            voices.take(now, FlowId(2), &talkers[1].says()).unwrap();
            heard = voices.pull(now);
        }
        assert_eq!(loud(&heard), [false, true]);
        assert_eq!(voices.reception().packets, 220, "what is gone still counts");
        assert!(voices.pull_packet(Instant::from_micros(120 * FRAME_MICROS)).is_some(), "one voice needs no mixing");
    }

    #[test]
    fn voices_are_bounded_and_a_silent_one_makes_room() {
        let mut voices = Voices::default();
        let count = u32::try_from(limits::VOICES_MAX).unwrap();
        let mut talkers: Vec<_> = (0..=count).map(|n| Talker::new(f64::from(300 + n))).collect();
        for (flow, talker) in (0..).zip(&mut talkers) {
            voices.take(Instant::from_micros(0), FlowId(flow), &talker.says()).unwrap();
        }
        assert_eq!(voices.ears.len(), limits::VOICES_MAX);
        assert!(!voices.ears.contains_key(&FlowId(count)), "nobody was silent");
        for tick in 1..=60u64 {
            voices.pull(Instant::from_micros(tick * FRAME_MICROS));
        }
        let now = Instant::from_micros(61 * FRAME_MICROS);
        voices.take(now, FlowId(count), &talkers[count as usize].says()).unwrap();
        assert!(voices.ears.contains_key(&FlowId(count)));
        assert_eq!(voices.ears.len(), limits::VOICES_MAX);
        assert_eq!(voices.reception().packets, u64::from(count) + 1);
    }
}
