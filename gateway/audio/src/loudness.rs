//! Makes recordings of different loudness alike: measures the level of their speech, and keeps peaks below a ceiling.
//!
//! The level is that of active speech, after ITU-T P.56: the mean power of those frames that are less than 15.9 dB below that very
//! level, found by iteration. So a recording with long pauses is not made louder than one without.

use std::collections::VecDeque;

/// The level that speech is brought to, dB below full scale (root mean square against a full square wave).
pub const TARGET_DB: f32 = -20.0;

/// What no sample exceeds, dB below full scale.
pub const CEILING_DB: f32 = -1.0;

/// The most that a recording is made louder, dB: beyond that, it is noise that would grow.
pub const GAIN_MAX_DB: f32 = 20.0;

/// How far below the speech level a frame still counts as speech, dB (ITU-T P.56).
const MARGIN_DB: f32 = 15.9;

/// Frames quieter than this are no speech, dB below full scale.
const FLOOR_DB: f32 = -70.0;

/// Samples of a frame that is measured: 20 ms at 48 kHz.
const FRAME: usize = 960;

/// Samples that the limiter looks ahead: 5 ms at 48 kHz.
const AHEAD: usize = 240;

/// A ratio of amplitudes from decibels.
pub fn amplitude(decibels: f32) -> f32 {
    10f32.powf(decibels / 20.0)
}

/// Measures the level of speech: four bytes a frame.
#[derive(Clone, Debug, Default)]
pub struct SpeechLevel {
    /// Mean power of each frame.
    powers: Vec<f32>,
    sum: f64,
    count: usize,
}

impl SpeechLevel {
    /// Takes samples at 48 kHz, within ±1.
    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            self.sum += f64::from(sample) * f64::from(sample);
            self.count += 1;
            if self.count == FRAME {
                self.powers.push((self.sum / FRAME as f64) as f32);
                (self.sum, self.count) = (0.0, 0);
            }
        }
    }

    /// The level of what was taken, dB below full scale; `None` when there is nothing but silence.
    pub fn decibels(&self) -> Option<f32> {
        let power = |decibels: f32| 10f32.powf(decibels / 10.0);
        let mut threshold = power(FLOOR_DB);
        let mut level = None;
        // Each round leaves out quieter frames, so that the level only rises and the rounds end.
        for _round in 0..self.powers.len() {
            let active = self.powers.iter().filter(|&&power| power > threshold);
            let (sum, count) = active.fold((0f64, 0u64), |(sum, count), &power| (sum + f64::from(power), count + 1));
            if count == 0 {
                break;
            }
            let mean = (sum / count as f64) as f32;
            level = Some(10.0 * mean.log10());
            let next = mean / power(MARGIN_DB);
            if next <= threshold * 1.001 {
                break;
            }
            threshold = next;
        }
        level
    }

    /// By how much the recording is to be multiplied to come to [`TARGET_DB`]; silence stays what it is.
    pub fn gain(&self) -> f32 {
        self.decibels().map_or(1.0, |level| amplitude((TARGET_DB - level).min(GAIN_MAX_DB)))
    }
}

/// Keeps samples below a ceiling: turns down 5 ms before a peak, smoothly, and up again after it. Delays by as much; see
/// [`Limiter::flush`].
#[derive(Clone, Debug)]
pub struct Limiter {
    ceiling: f32,
    delayed: VecDeque<f32>,
    /// Gains of the last samples that are smaller than all after them, with their places.
    least: VecDeque<(u64, f32)>,
    /// The least gains of the last windows, and their sum.
    window: VecDeque<f32>,
    sum: f64,
    at: u64,
}

impl Limiter {
    /// With this ceiling, dB below full scale.
    pub fn new(ceiling_db: f32) -> Self {
        Self {
            ceiling: amplitude(ceiling_db),
            delayed: VecDeque::with_capacity(AHEAD + 1),
            least: VecDeque::with_capacity(AHEAD + 1),
            window: std::iter::repeat_n(1.0, AHEAD).collect(),
            sum: AHEAD as f64,
            at: 0,
        }
    }

    /// Takes samples and appends those that are ready to `out`.
    pub fn push(&mut self, samples: impl IntoIterator<Item = f32>, out: &mut Vec<f32>) {
        for sample in samples {
            let gain = if sample.abs() > self.ceiling { self.ceiling / sample.abs() } else { 1.0 };
            while self.least.back().is_some_and(|&(_, other)| other >= gain) {
                self.least.pop_back();
            }
            self.least.push_back((self.at, gain));
            while self.least.front().is_some_and(|&(at, _)| at + AHEAD as u64 <= self.at) {
                self.least.pop_front();
            }
            let least = self.least.front().map_or(1.0, |&(_, gain)| gain);
            self.window.push_back(least);
            self.sum += f64::from(least) - f64::from(self.window.pop_front().unwrap_or(1.0));
            self.delayed.push_back(sample);
            self.at += 1;
            // Every window that the average is of has seen the sample that leaves now, so the average is not above its gain.
            if self.delayed.len() == AHEAD
                && let Some(ready) = self.delayed.pop_front()
            {
                let smooth = (self.sum / AHEAD as f64) as f32;
                out.push((ready * smooth).clamp(-self.ceiling, self.ceiling));
            }
        }
    }

    /// Appends what is still inside.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        let waiting = self.delayed.len();
        self.push(std::iter::repeat_n(0.0, waiting), out);
        *self = Self { ceiling: self.ceiling, ..Self::new(0.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, samples: usize) -> impl Iterator<Item = f32> {
        (0..samples).map(move |n| amplitude * (n as f32 * 0.05).sin())
    }

    #[test]
    fn pauses_do_not_count_as_quiet_speech() {
        let mut level = SpeechLevel::default();
        for _ in 0..10 {
            level.push(&sine(0.1, 48_000).collect::<Vec<_>>());
            level.push(&sine(0.0003, 96_000).collect::<Vec<_>>());
        }
        // A sine of a tenth: -20 dB, and 3 dB for being no square wave.
        let decibels = level.decibels().unwrap();
        assert!((decibels + 23.0).abs() < 0.3, "{decibels}");
        assert!((level.gain() - amplitude(3.0)).abs() < 0.05, "{}", level.gain());
    }

    #[test]
    fn silence_has_no_level_and_noise_is_not_made_much_louder() {
        let mut level = SpeechLevel::default();
        level.push(&[0.0; 9600]);
        assert_eq!((level.decibels(), level.gain()), (None, 1.0));
        level.push(&sine(0.001, 9600).collect::<Vec<_>>());
        assert!((level.gain() - amplitude(GAIN_MAX_DB)).abs() < 0.001);
    }

    #[test]
    fn peaks_stay_below_the_ceiling_and_the_rest_is_untouched() {
        let mut limiter = Limiter::new(CEILING_DB);
        let sound: Vec<f32> = sine(0.5, 4800).chain(sine(3.0, 960)).chain(sine(0.5, 9600)).collect();
        let mut out = Vec::new();
        for piece in sound.chunks(77) {
            limiter.push(piece.iter().copied(), &mut out);
        }
        limiter.flush(&mut out);
        assert_eq!(out.len(), sound.len());
        let loudest = out.iter().fold(0f32, |max, sample| max.max(sample.abs()));
        assert!(loudest <= amplitude(CEILING_DB) && loudest > 0.8, "{loudest}");
        let same = |range: std::ops::Range<usize>| range.into_iter().all(|n| (out[n] - sound[n]).abs() < 1e-4);
        assert!(same(0..4800 - 2 * AHEAD) && same(5760 + 2 * AHEAD..sound.len()));
    }
}
