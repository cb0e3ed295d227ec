//! Comfort noise: what is heard while the other side sends nothing, so that the line does not seem dead.
//!
//! As loud as the background was when it was last heard, and falling towards high frequencies as rooms do. Deterministic.

use crate::level;
use crate::pcm::to_i16;

/// The loudest that is made, dB below overload: louder backgrounds would be heard as a fault.
const LOUDEST_DB: f32 = -50.0;

/// What is quieter is silence, dB below overload.
const QUIETEST_DB: f32 = -80.0;

/// What share of the way the level falls to a quieter frame.
const FALL_SHARE: f32 = 0.5;

/// How fast the level rises while frames are louder, dB a frame: 5 dB a second, so that speech does not pass for background.
const RISE_DB: f32 = 0.1;

/// How much of each new sample the low-pass takes: 1.5 kHz of 8 kHz at least, as rooms sound.
const SMOOTHING: f32 = 0.3;

/// Follows the background of one voice, and makes noise like it.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    level_db: Option<f32>,
    state: u64,
    smooth: f32,
}

impl ComfortNoise {
    /// With the seed of its randomness; any will do.
    pub fn new(seed: u64) -> Self {
        Self { level_db: None, state: seed | 1, smooth: 0.0 }
    }

    /// Hears a frame of what really came.
    pub fn hear(&mut self, samples: &[i16]) {
        let heard = level::decibels(samples);
        self.level_db = Some(match self.level_db {
            None => heard,
            Some(level) if heard < level => level + FALL_SHARE * (heard - level),
            Some(level) => (level + RISE_DB).min(heard),
        });
    }

    /// How loud the noise is, dB below overload as a negative number; `None` when it is silence.
    pub fn level_db(&self) -> Option<f32> {
        self.level_db.filter(|&level| level > QUIETEST_DB).map(|level| level.min(LOUDEST_DB))
    }

    /// Fills `out` with noise.
    pub fn fill(&mut self, out: &mut [i16]) {
        let Some(level) = self.level_db() else {
            out.fill(0);
            return;
        };
        // Uniform noise within ±1 has a power of a third; the low-pass leaves SMOOTHING / (2 - SMOOTHING) of it.
        let power = SMOOTHING / (2.0 - SMOOTHING) / 3.0;
        let gain = crate::loudness::amplitude(level) / power.sqrt();
        for out in out {
            self.smooth += SMOOTHING * (self.uniform() - self.smooth);
            *out = to_i16(self.smooth * gain);
        }
    }

    /// A random number within ±1 (xorshift, Marsaglia 2003).
    fn uniform(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_loud_as_the_background_was() {
        for background in [-75.0, -60.0, -45.0, -20.0] {
            let mut noise = ComfortNoise::new(7);
            let amplitude = to_i16(crate::loudness::amplitude(background));
            for _ in 0..20 {
                noise.hear(&[amplitude; 960]);
            }
            let mut made = vec![0; 48_000];
            noise.fill(&mut made);
            let want = background.min(LOUDEST_DB);
            let got = level::decibels(&made);
            // At -75 dB samples are a handful of steps of 16 bits.
            assert!((got - want).abs() < 1.5, "{background}: {got}");
        }
    }

    #[test]
    fn speech_does_not_pass_for_background_and_silence_stays_silent() {
        let mut noise = ComfortNoise::new(7);
        for _ in 0..50 {
            noise.hear(&[20; 960]);
        }
        for _ in 0..25 {
            noise.hear(&[6_000; 960]);
        }
        let after = noise.level_db().unwrap();
        assert!(after < -61.0, "{after}");
        let mut silent = ComfortNoise::new(7);
        silent.hear(&[0; 960]);
        let mut made = [1; 960];
        silent.fill(&mut made);
        assert_eq!(made, [0; 960]);
        ComfortNoise::new(0).fill(&mut made);
        assert_eq!(made, [0; 960], "before anything was heard");
    }
}
