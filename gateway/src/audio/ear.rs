//! Listens to a party for silence. Packets that say how loud they are (RFC 6464) are believed, others decoded; nothing that came is held
//! back, since silence is a matter of seconds.

use std::time::Duration;

use tandem_audio::activity::{Activity, ActivityDetector, ActivityOptions};
use tandem_audio::level;
use tandem_audio::opus::{Decoder, PACKET_SAMPLES_MAX, Rate};
use tandem_switch::media::rtp::{AUDIO_LEVEL_EXTENSION, Packet};

use super::limits;

/// Samples of the longest packet at 8 kHz.
const SAMPLES_MAX: usize = PACKET_SAMPLES_MAX / 6;

/// Waits for one silence.
#[derive(Debug)]
pub(super) struct Ear {
    detector: ActivityDetector,
    /// Made when the first packet comes that does not say how loud it is.
    decoder: Option<Decoder>,
    /// The loudest since the last tick, dB.
    loudest: Option<f32>,
    /// The last that was heard, and for how many ticks nothing was since.
    last: f32,
    unheard: u32,
}

impl Ear {
    pub(super) fn new(silence: Duration) -> Self {
        let options = ActivityOptions { silence_after: silence, ..ActivityOptions::default() };
        let detector = ActivityDetector::new(options);
        Self { detector, decoder: None, loudest: None, last: f32::MIN, unheard: limits::UNHEARD_TICKS_MAX }
    }

    /// A packet of the party came.
    pub(super) fn hear(&mut self, packet: &Packet<'_>) {
        let level = match packet.audio_level(AUDIO_LEVEL_EXTENSION) {
            Some(level) => Some(-f32::from(level.below_overload_db)),
            None => self.decode(packet.payload),
        };
        if let Some(level) = level {
            self.loudest = Some(self.loudest.map_or(level, |loudest| loudest.max(level)));
        }
    }

    /// What is no Opus packet says nothing.
    fn decode(&mut self, payload: &[u8]) -> Option<f32> {
        if self.decoder.is_none() {
            self.decoder = Decoder::new(Rate::Hz8000).ok();
        }
        let mut samples = [0; SAMPLES_MAX];
        let count = self.decoder.as_mut()?.decode(payload, &mut samples).ok()?;
        Some(level::decibels(&samples[..count]))
    }

    /// 20 ms are over. Whether there was silence for as long as was asked.
    pub(super) fn tick(&mut self) -> bool {
        let activity = match self.loudest.take() {
            Some(level) => {
                (self.last, self.unheard) = (level, 0);
                self.detector.hear_level(level)
            }
            None if self.unheard < limits::UNHEARD_TICKS_MAX => {
                self.unheard += 1;
                self.detector.hear_level(self.last)
            }
            None => self.detector.hear_nothing(),
        };
        matches!(activity, Some(Activity::Silence { .. }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tandem_switch::media::rtp::{AudioLevel, Header, OPUS_PAYLOAD_TYPE};

    use super::*;

    /// Hears one packet for every tick of `levels` that has one; after how many ticks silence was told.
    fn silent_after(levels: impl IntoIterator<Item = Option<u8>>) -> Option<usize> {
        let mut ear = Ear::new(Duration::from_secs(1));
        for (tick, level) in levels.into_iter().enumerate() {
            if let Some(below_overload_db) = level {
                let header =
                    Header { marker: false, payload_type: OPUS_PAYLOAD_TYPE, sequence: 0, timestamp: 0, ssrc: 0 };
                let mut bytes = BytesMut::new();
                header.write(Some(AudioLevel { voice: true, below_overload_db }), &mut bytes);
                ear.hear(&Packet::parse(&bytes).unwrap());
            }
            if ear.tick() {
                return Some(tick + 1);
            }
        }
        None
    }

    #[test]
    fn silence_is_told_after_its_time_and_not_while_somebody_talks() {
        let talk = |ticks| std::iter::repeat_n(Some(20), ticks);
        let nothing = |ticks| std::iter::repeat_n(None, ticks);
        assert_eq!(silent_after(nothing(200)), Some(50), "a party that sends nothing");
        assert_eq!(silent_after(std::iter::repeat_n(Some(80), 200)), Some(50), "a party that is quiet");
        assert_eq!(silent_after(talk(100)), None);
        let after = silent_after(talk(100).chain(nothing(200))).unwrap();
        assert!((150..=175).contains(&after), "{after}");
        // Jitter: packets come in pairs, every other tick.
        let jitter = (0..100).map(|tick| (tick % 2 == 0).then_some(20));
        assert_eq!(silent_after(jitter), None);
    }
}
