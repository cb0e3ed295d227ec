//! Hears the beep that ends a machine's greeting: one steady frequency, for a while, and then no more.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::pcm::{FRAME, Frame};
use crate::telephone::{TELEPHONE_SAMPLES, Telephone};

/// Frequencies of beeps, Hz.
const HZ: std::ops::Range<f32> = 350.0..2_500.0;

/// The shortest and the longest beep. What lasts longer is a tone of a network or of a fax.
const SHORTEST: Duration = Duration::from_millis(100);
/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_millis(3_000);

/// The share of a frame's power that is at one frequency in a beep.
const PURITY: f32 = 0.93;

/// Least level, mean power of samples within ±1: -43 dB below full scale.
const POWER_MIN: f32 = 0.000_05;

/// By how much the frequency may change from frame to frame, Hz.
const DRIFT_HZ: f32 = 15.0;

/// A beep that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beep {
    /// Its frequency, Hz.
    pub hz: f32,
    /// How long it was, to two frames.
    pub lasted: Duration,
}

/// Listens to one voice.
#[derive(Clone, Debug, Default)]
pub struct BeepDetector {
    telephone: Telephone,
    /// The frequency of the tone that is heard, and for how many frames.
    tone: Option<(f32, u32)>,
}

impl BeepDetector {
    /// Hears a frame of 20 ms; tells of a beep when it has ended.
    pub fn hear(&mut self, frame: &Frame) -> Option<Beep> {
        let mut samples = [0.0; TELEPHONE_SAMPLES];
        self.telephone.narrow(frame, &mut samples);
        let now = pitch(&samples);
        let (goes_on, ended) = match (self.tone, now) {
            (Some((hz, frames)), Some(now)) if (now - hz).abs() < DRIFT_HZ => {
                (Some((now, frames.saturating_add(1))), None)
            }
            (before, now) => (now.map(|hz| (hz, 1)), before),
        };
        self.tone = goes_on;
        let (hz, frames) = ended?;
        // Both of its ends lie within frames that are not pure; one of them makes up for the two.
        let lasted = FRAME * frames.saturating_add(1);
        (SHORTEST..=LONGEST).contains(&lasted).then_some(Beep { hz, lasted })
    }
}

/// The frequency of a frame that holds hardly anything else, Hz.
fn pitch(samples: &[f32; TELEPHONE_SAMPLES]) -> Option<f32> {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / TELEPHONE_SAMPLES as f32;
    if power < POWER_MIN {
        return None;
    }
    // Of a sine, the neighbours of each sample add up to it times twice the cosine of its frequency; least squares find it.
    let (mut product, mut square) = (0.0, 0.0);
    for three in samples.windows(3) {
        product += (three[0] + three[2]) * three[1];
        square += three[1] * three[1];
    }
    let angle = (product / (2.0 * square)).clamp(-1.0, 1.0).acos();
    let hz = angle / TAU * 8_000.0;
    if !HZ.contains(&hz) {
        return None;
    }
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sine, cosine) = (angle * n as f32).sin_cos();
        real += sample * cosine;
        imaginary += sample * sine;
    }
    let there = 2.0 * (real * real + imaginary * imaginary) / (TELEPHONE_SAMPLES * TELEPHONE_SAMPLES) as f32;
    (there > PURITY * power).then_some(hz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::FRAME_SAMPLES;
    use crate::tone::{Meaning, Region, Tone};

    fn listen(sound: &[i16]) -> Vec<Beep> {
        let mut detector = BeepDetector::default();
        let quiet = [0; 2 * FRAME_SAMPLES];
        [sound, &quiet].concat().as_chunks().0.iter().filter_map(|frame| detector.hear(frame)).collect()
    }

    fn sine(hz: f64, milliseconds: usize, amplitude: f64) -> Vec<i16> {
        let sample = |n: usize| amplitude * (std::f64::consts::TAU * hz * n as f64 / 48_000.0).sin();
        (0..milliseconds * 48).map(|n| sample(n) as i16).collect()
    }

    #[test]
    fn beeps_are_told_with_their_frequency_and_length() {
        for hz in [400.0, 440.0, 1_000.0, 1_400.0, 2_100.0] {
            for (milliseconds, offset) in [(150, 0), (400, 300), (1_000, 777)] {
                let sound = [vec![0; 9_600 + offset], sine(hz, milliseconds, 3_000.0)].concat();
                let heard = listen(&sound);
                let [beep] = heard[..] else { panic!("{hz} Hz, {milliseconds} ms: {heard:?}") };
                assert!((beep.hz - hz as f32).abs() < 15.0, "{hz} Hz: {beep:?}");
                assert!(
                    (beep.lasted.as_millis() as i64 - milliseconds as i64).abs() <= 40,
                    "{milliseconds} ms: {beep:?}"
                );
            }
        }
        assert_eq!(listen(&Tone::beep().samples()).len(), 1);
    }

    #[test]
    fn what_is_no_beep_is_not_told() {
        let short = sine(1_000.0, 50, 3_000.0);
        let long = sine(1_000.0, 5_000, 3_000.0);
        let quiet = sine(1_000.0, 400, 30.0);
        let low = sine(200.0, 400, 3_000.0);
        let digits = Tone::dtmf("123456789*0#ABCD").unwrap().samples();
        let two = Tone::network(Meaning::Busy, Region::NorthAmerica).samples();
        let glide: Vec<i16> = (0..48_000).map(|n| ((n as f64 / 100.0).powf(1.6).sin() * 3_000.0) as i16).collect();
        let noise: Vec<i16> = {
            let mut noise = crate::noise::ComfortNoise::new(3);
            let mut out = vec![0; 96_000];
            noise.hear(&[6_000; 960]);
            noise.fill(&mut out);
            out
        };
        for (index, sound) in [short, long, quiet, low, digits, two, glide, noise].iter().enumerate() {
            assert_eq!(listen(sound), [], "sound {index}");
        }
    }
}
