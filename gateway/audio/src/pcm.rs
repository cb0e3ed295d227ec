//! Samples and time: 16 bit, mono, 48 kHz, in frames of 20 ms, unless a name says otherwise.

use std::time::Duration;

/// Samples a second.
pub const SAMPLE_HZ: u32 = 48_000;

/// Samples of one frame.
pub const FRAME_SAMPLES: usize = 960;

/// How long a frame sounds.
pub const FRAME: Duration = Duration::from_millis(20);

/// One frame of 20 ms.
pub type Frame = [i16; FRAME_SAMPLES];

/// Silence of one frame.
pub const SILENCE: Frame = [0; FRAME_SAMPLES];

/// Full scale of a sample, as a number that samples are divided by to lie within ±1.
pub const FULL_SCALE: f32 = 32_768.0;

/// A place in a recording: samples of 48 kHz since its beginning, whatever rate the sound itself has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// The sample that sounds at `since` after the beginning.
    pub fn after(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos() * u128::from(SAMPLE_HZ) / 1_000_000_000).unwrap_or(u64::MAX))
    }

    /// How long after the beginning this is.
    pub fn since_start(self) -> Duration {
        let seconds = self.0 / u64::from(SAMPLE_HZ);
        let rest = self.0 % u64::from(SAMPLE_HZ);
        Duration::new(seconds, (rest * 1_000_000_000 / u64::from(SAMPLE_HZ)) as u32)
    }

    /// `samples` later.
    #[must_use]
    pub fn plus(self, samples: u64) -> Self {
        Self(self.0.saturating_add(samples))
    }
}

/// A sample within ±1 as 16 bit; what lies beyond is clipped, what is no number is silence.
pub fn to_i16(sample: f32) -> i16 {
    // A cast saturates, and makes zero of NaN.
    (sample * FULL_SCALE).round() as i16
}

/// A 16-bit sample within ±1.
pub fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / FULL_SCALE
}

/// Fades `from` into `into`, in place: begins as the one and ends as the other. What is longer stays as it is.
pub fn blend(from: &[i16], into: &mut [i16]) {
    let length = from.len().min(into.len()).max(1) as f32;
    for (index, (new, old)) in into.iter_mut().zip(from).enumerate() {
        let share = index as f32 / length;
        *new = (f32::from(*old) * (1.0 - share) + f32::from(*new) * share) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_time_and_duration_are_the_same_to_the_sample() {
        for samples in [0, 1, 959, 960, 48_000, 48_001, 172_800_000_001] {
            let nearly = MediaTime::after(MediaTime(samples).since_start()).0;
            assert!(samples - nearly <= 1, "{samples}: {nearly}");
        }
        assert_eq!(MediaTime::after(Duration::from_millis(20)), MediaTime(960));
        assert_eq!(MediaTime::after(Duration::MAX), MediaTime(u64::MAX));
    }

    #[test]
    fn what_is_beyond_full_scale_is_clipped() {
        for (sample, want) in [(0.0, 0), (0.5, 16_384), (1.0, 32_767), (-1.0, -32_768), (9.0, 32_767), (f32::NAN, 0)] {
            assert_eq!(to_i16(sample), want, "{sample}");
        }
    }

    #[test]
    fn two_frames_blend_from_one_to_the_other() {
        let mut blended = [-1000; FRAME_SAMPLES];
        blend(&[1000; FRAME_SAMPLES], &mut blended);
        assert_eq!((blended[0], blended[FRAME_SAMPLES / 2]), (1000, 0));
        assert!(blended[FRAME_SAMPLES - 1] < -990);
    }
}
