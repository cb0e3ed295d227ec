//! Hears DTMF digits in sound, where they did not come as events (RFC 4733): Goertzel filters at the eight frequencies, with the limits
//! of ITU-T Q.24.
//!
//! Each window of 12.75 ms, one every 6.4 ms, is judged by itself; then windows in a row are.
//!
//! | Q.24 | here |
//! |---|---|
//! | frequencies off by 1.5 % are taken, by 3.5 % refused | the width of the filters |
//! | digits of 40 ms are taken, of 20 ms refused | [`HITS`] windows in a row that are full of the same digit |
//! | pauses of 40 ms part two digits, of 10 ms do not | [`MISSES`] windows in a row that are not |
//! | the high group up to 4 dB louder, up to 8 dB quieter | [`REVERSE_TWIST`], [`TWIST`] |
//! | speech is no digit | nearly all power is at two frequencies, each stands out of its group, and both are steady |

use std::f32::consts::TAU;
use std::time::Duration;

use crate::opus::Rate;
use crate::pcm::{Frame, to_f32};
use crate::telephone::{TELEPHONE_SAMPLES, Telephone};
use crate::tone::{DTMF_DIGITS, DTMF_HIGH_HZ, DTMF_LOW_HZ};

/// Samples of a window at 8 kHz: 12.75 ms.
const WINDOW: usize = 102;

/// Samples from one window to the next.
const HOP: usize = WINDOW / 2;

/// Least level of each frequency, mean power of samples within ±1: -36 dB below a full sine, Q.24's -29 dBm with room for lines.
const POWER_MIN: f32 = 0.000_126;

/// How much louder the low frequency may be: 8 dB, as power, and a little for noise.
const TWIST: f32 = 7.0;

/// How much louder the high frequency may be: 4 dB, as power, and a little for noise.
const REVERSE_TWIST: f32 = 2.82;

/// How much a frequency stands out of the others of its group: 8 dB, as power.
const STANDS_OUT: f32 = 6.31;

/// The share of all power that is at the two frequencies.
const PURITY: f32 = 0.75;

/// The share of a window's power that each third of it has at least; an even one has a third.
const THIRD_MIN: f32 = 0.15;

/// By how much each frequency's power may differ from that of the digit's first full window.
const STEADY: f32 = 1.6;

/// By how much each frequency's power may rise from the first window to the second: the first need not be quite full.
const RISE: f32 = 2.5;

/// Windows in a row that make a digit: 32 ms from the first's beginning to the last's end.
const HITS: u32 = 4;

/// Windows in a row without the digit that end it.
const MISSES: u32 = 5;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A digit began: `0` to `9`, `*`, `#`, `A` to `D`.
    Began(char),
    /// It ended.
    Ended {
        /// Which.
        digit: char,
        /// How long it was, to about 10 ms.
        lasted: Duration,
    },
}

/// A window that is full of a digit.
#[derive(Clone, Copy, Debug)]
struct Hit {
    digit: char,
    low: f32,
    high: f32,
}

/// Windows in a row that agree.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Hit,
    hits: u32,
    /// Windows since the last that agreed.
    misses: u32,
    /// Windows from the first to the last that agreed.
    span: u32,
    /// Whether the digit was told.
    told: bool,
}

/// Listens to one voice.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    telephone: Telephone,
    /// Twice the cosine of each frequency's angle.
    coefficients: [f32; 8],
    window: [f32; WINDOW],
    filled: usize,
    run: Option<Run>,
}

impl Default for DtmfDetector {
    fn default() -> Self {
        let coefficient = |index: usize| {
            let hz = if index < 4 { DTMF_LOW_HZ[index] } else { DTMF_HIGH_HZ[index - 4] };
            2.0 * (TAU * f32::from(hz) / Rate::Hz8000.hz() as f32).cos()
        };
        let coefficients = std::array::from_fn(coefficient);
        Self { telephone: Telephone::default(), coefficients, window: [0.0; WINDOW], filled: 0, run: None }
    }
}

impl DtmfDetector {
    /// Hears a frame of 20 ms at 48 kHz; tells what began and ended in it.
    pub fn hear(&mut self, frame: &Frame, mut told: impl FnMut(Heard)) {
        let mut samples = [0.0; TELEPHONE_SAMPLES];
        self.telephone.narrow(frame, &mut samples);
        samples.into_iter().for_each(|sample| self.listen(sample, &mut told));
    }

    /// Hears samples at 8 kHz, as many as there are.
    pub fn hear_narrow(&mut self, samples: &[i16], mut told: impl FnMut(Heard)) {
        samples.iter().for_each(|&sample| self.listen(to_f32(sample), &mut told));
    }

    fn listen(&mut self, sample: f32, told: &mut impl FnMut(Heard)) {
        self.window[self.filled] = sample;
        self.filled += 1;
        if self.filled == WINDOW {
            let hit = self.judge();
            self.window.copy_within(HOP.., 0);
            self.filled = WINDOW - HOP;
            self.follow(hit, told);
        }
    }

    /// The digit of a full window, if it is full of one.
    fn judge(&self) -> Option<Hit> {
        let whole = power(&self.window);
        if whole < 2.0 * POWER_MIN {
            return None;
        }
        let full = |third: &[f32]| power(third) / 3.0 > THIRD_MIN * whole;
        let powers: [f32; 8] = self.coefficients.map(|coefficient| goertzel(&self.window, coefficient));
        let (row, low) = outstanding(&powers[..4])?;
        let (column, high) = outstanding(&powers[4..])?;
        let loud = low > POWER_MIN && high > POWER_MIN;
        let even = low < high * TWIST && high < low * REVERSE_TWIST;
        let pure = low + high > PURITY * whole;
        let is_digit = loud && even && pure && self.window.chunks(WINDOW / 3).all(full);
        is_digit.then(|| Hit { digit: DTMF_DIGITS[row][column], low, high })
    }

    fn follow(&mut self, hit: Option<Hit>, told: &mut impl FnMut(Heard)) {
        let Some(run) = &mut self.run else {
            self.run = hit.map(Run::new);
            return;
        };
        if hit.is_some_and(|hit| run.goes_on_with(hit)) {
            run.settle(hit);
            run.hits += 1;
            run.span += run.misses + 1;
            run.misses = 0;
            if run.hits >= HITS && !run.told {
                run.told = true;
                told(Heard::Began(run.first.digit));
            }
            return;
        }
        run.misses += 1;
        // Before it is told nothing may interrupt a digit; another digit ends it at once.
        let other = hit.filter(|hit| hit.digit != run.first.digit || !run.told);
        if run.told && other.is_none() && run.misses < MISSES {
            return;
        }
        if run.told {
            told(Heard::Ended { digit: run.first.digit, lasted: run.lasted() });
        }
        self.run = hit.map(Run::new);
    }
}

impl Run {
    fn new(first: Hit) -> Self {
        Self { first, hits: 1, misses: 0, span: 1, told: false }
    }

    fn goes_on_with(&self, hit: Hit) -> bool {
        let rise = if self.hits == 1 { RISE } else { STEADY };
        let steady = |before: f32, now: f32| now < before * rise && before < now * STEADY;
        // Once told, a digit may become louder: only its beginning has to be told from speech.
        let alike = self.told || steady(self.first.low, hit.low) && steady(self.first.high, hit.high);
        hit.digit == self.first.digit && alike
    }

    /// Measures the digit by its second window if that is the louder one: the first may have begun before the digit did.
    fn settle(&mut self, hit: Option<Hit>) {
        if let Some(hit) = hit.filter(|hit| self.hits == 1 && hit.low + hit.high > self.first.low + self.first.high) {
            self.first = hit;
        }
    }

    fn lasted(&self) -> Duration {
        Duration::from_micros((u64::from(self.span - 1) * HOP as u64 + WINDOW as u64) * 125)
    }
}

/// Mean power.
fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

/// The loudest of a group, if it stands out.
fn outstanding(powers: &[f32]) -> Option<(usize, f32)> {
    let (best, &power) = powers.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let alone = powers.iter().enumerate().all(|(index, &other)| index == best || other * STANDS_OUT < power);
    alone.then_some((best, power))
}

/// Mean power of the sine at one frequency (Goertzel 1958).
fn goertzel(samples: &[f32; WINDOW], coefficient: f32) -> f32 {
    let (mut one, mut two) = (0.0, 0.0);
    for &sample in samples {
        let zero = sample + coefficient * one - two;
        (two, one) = (one, zero);
    }
    2.0 * (one * one + two * two - coefficient * one * two) / (WINDOW * WINDOW) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::ComfortNoise;
    use crate::pcm::FRAME_SAMPLES;
    use crate::tone::Tone;

    fn hear(sound: &[i16]) -> Vec<Heard> {
        let mut detector = DtmfDetector::default();
        let mut heard = Vec::new();
        let quiet = [0; 4 * FRAME_SAMPLES];
        for frame in [sound, &quiet].concat().as_chunks().0 {
            detector.hear(frame, |event| heard.push(event));
        }
        heard
    }

    fn digits(heard: &[Heard]) -> String {
        let began = heard.iter().filter_map(|event| match event {
            Heard::Began(digit) => Some(*digit),
            Heard::Ended { .. } => None,
        });
        began.collect()
    }

    /// The digit 5, with its frequencies off by a factor, for so many milliseconds, at these amplitudes.
    fn five(off: [f64; 2], milliseconds: usize, amplitudes: [f64; 2]) -> Vec<i16> {
        let waves = [(770.0 * off[0], amplitudes[0]), (1336.0 * off[1], amplitudes[1])];
        let sample = |n: usize| {
            let at = n as f64 / 48_000.0;
            let sum: f64 =
                waves.iter().map(|&(hz, amplitude)| amplitude * (std::f64::consts::TAU * hz * at).sin()).sum();
            sum as i16
        };
        (0..milliseconds * 48).map(sample).collect()
    }

    #[test]
    fn every_digit_is_heard_once_with_its_length() {
        let all = "1234567890*#ABCD1122";
        let heard = hear(&Tone::dtmf(all).unwrap().samples());
        assert_eq!(digits(&heard), all);
        for event in heard {
            if let Heard::Ended { lasted, .. } = event {
                assert!(lasted.abs_diff(Duration::from_millis(100)) < Duration::from_millis(26), "{lasted:?}");
            }
        }
    }

    #[test]
    fn what_comes_at_8_khz_is_heard_too() {
        let narrow: Vec<i16> = Tone::dtmf("0815").unwrap().samples().into_iter().step_by(6).collect();
        let mut detector = DtmfDetector::default();
        let mut heard = Vec::new();
        for piece in narrow.chunks(133) {
            detector.hear_narrow(piece, |event| heard.push(event));
        }
        assert_eq!(digits(&heard), "0815");
    }

    #[test]
    fn the_limits_of_q_24_are_kept() {
        let even = [4_000.0, 4_000.0];
        // What is played, and whether it is a digit, wherever in a block it begins.
        let rows = [
            ("as it should be", five([1.0, 1.0], 50, even), true),
            ("40 ms", five([1.0, 1.0], 40, even), true),
            ("20 ms", five([1.0, 1.0], 20, even), false),
            ("1.5 % too high", five([1.015, 1.015], 60, even), true),
            ("1.5 % too low", five([0.985, 0.985], 60, even), true),
            ("one of each", five([0.985, 1.015], 60, even), true),
            ("3.5 % too high", five([1.035, 1.035], 60, even), false),
            ("3.5 % too low", five([0.965, 0.965], 60, even), false),
            ("low 8 dB louder", five([1.0, 1.0], 60, [8_000.0, 3_400.0]), true),
            ("high 4 dB louder", five([1.0, 1.0], 60, [3_000.0, 4_700.0]), true),
            ("low 12 dB louder", five([1.0, 1.0], 60, [8_000.0, 2_000.0]), false),
            ("high 8 dB louder", five([1.0, 1.0], 60, [2_000.0, 5_000.0]), false),
            ("-26 dBm", five([1.0, 1.0], 60, [1_150.0, 1_150.0]), true),
            ("-45 dBm", five([1.0, 1.0], 60, [125.0, 125.0]), false),
            ("one frequency", five([1.0, 1.0], 60, [8_000.0, 0.0]), false),
        ];
        for (name, sound, is_digit) in rows {
            for offset in (0..1_200).step_by(67) {
                let heard = hear(&[vec![0; offset], sound.clone()].concat());
                assert_eq!(digits(&heard), if is_digit { "5" } else { "" }, "{name}, {offset} samples late");
            }
        }
    }

    #[test]
    fn a_short_break_is_none_and_a_pause_parts_two_digits() {
        let five = five([1.0, 1.0], 60, [4_000.0, 4_000.0]);
        for offset in (0..1_200).step_by(131) {
            let twice =
                |pause_ms: usize| [vec![0; offset], five.clone(), vec![0; pause_ms * 48], five.clone()].concat();
            assert_eq!(digits(&hear(&twice(10))), "5", "10 ms, {offset} late");
            assert_eq!(digits(&hear(&twice(40))), "55", "40 ms, {offset} late");
        }
    }

    /// Two minutes of something like speech: a buzz whose pitch wanders through three resonances that wander too, with hiss.
    #[test]
    fn speech_like_sound_talks_nothing_off() {
        let mut detector = DtmfDetector::default();
        let mut random = ComfortNoise::new(99);
        random.hear(&[300; FRAME_SAMPLES]);
        let mut phase = 0f32;
        let mut heard = Vec::new();
        for index in 0..6_000 {
            let mut frame = [0; FRAME_SAMPLES];
            random.fill(&mut frame);
            let at = index as f32;
            let pitch = 150.0 + 60.0 * (at * 0.031).sin() + 25.0 * (at * 0.17).sin();
            let resonances = [500.0 + 300.0 * (at * 0.11).sin(), 1_400.0 + 600.0 * (at * 0.07).sin(), 2_500.0];
            let loud = 1.0 + (at * 0.23).sin();
            let gains: [f32; 20] = std::array::from_fn(|k| {
                let hz = pitch * (k + 1) as f32;
                resonances.iter().map(|&middle: &f32| 1.0 / (1.0 + ((hz - middle) / 60.0).powi(2))).sum::<f32>()
            });
            for sample in &mut frame {
                phase = (phase + TAU * pitch / 48_000.0) % TAU;
                // The sines of all harmonics follow from two (Chebyshev).
                let (first, twice) = (phase.sin(), 2.0 * phase.cos());
                let (mut before, mut now, mut voice) = (0.0, first, 0.0);
                for gain in gains {
                    voice += gain * now;
                    (before, now) = (now, twice * now - before);
                }
                *sample = sample.saturating_add((voice * loud * 2_500.0) as i16);
            }
            detector.hear(&frame, |event| heard.push((index, event)));
        }
        assert_eq!(heard, []);
    }
}
