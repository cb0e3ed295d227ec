//! The telephone band for detectors: 48 kHz down to 8 kHz, by a short filter, without allocation.
//!
//! Not for ears: what reaches a telephone goes through [`crate::resample`] or a coder at 8 kHz.

use crate::pcm::{FRAME_SAMPLES, Frame, to_f32};

/// Samples of a frame at 8 kHz.
pub(crate) const TELEPHONE_SAMPLES: usize = 160;

/// How many samples become one.
const FACTOR: usize = FRAME_SAMPLES / TELEPHONE_SAMPLES;

/// Taps of the filter: 60 dB down from 4.9 kHz on, flat up to 3 kHz.
const TAPS: usize = 96;

/// Where the filter's band ends, of 48 kHz: 3.7 kHz.
const CUT_OFF: f64 = 3_700.0 / 48_000.0;

/// Narrows one voice.
#[derive(Clone, Debug)]
pub(crate) struct Telephone {
    taps: [f32; TAPS],
    /// The end of the last frame, then the present one.
    samples: Box<[f32; TAPS + FRAME_SAMPLES]>,
}

impl Default for Telephone {
    fn default() -> Self {
        use std::f64::consts::PI;
        let weight = |tap: usize| {
            let from_middle = tap as f64 - (TAPS as f64 - 1.0) / 2.0;
            let sinc = (2.0 * PI * CUT_OFF * from_middle).sin() / (PI * from_middle);
            let angle = 2.0 * PI * (tap as f64 + 0.5) / TAPS as f64;
            sinc * (0.42 - 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos())
        };
        let taps: [f64; TAPS] = std::array::from_fn(weight);
        let sum: f64 = taps.iter().sum();
        Self { taps: taps.map(|tap| (tap / sum) as f32), samples: Box::new([0.0; TAPS + FRAME_SAMPLES]) }
    }
}

impl Telephone {
    /// A frame at 8 kHz, within ±1.
    pub(crate) fn narrow(&mut self, frame: &Frame, out: &mut [f32; TELEPHONE_SAMPLES]) {
        self.samples.copy_within(FRAME_SAMPLES.., 0);
        for (to, &from) in self.samples[TAPS..].iter_mut().zip(frame) {
            *to = to_f32(from);
        }
        for (index, out) in out.iter_mut().enumerate() {
            let from = (index + 1) * FACTOR;
            let window = &self.samples[from..from + TAPS];
            *out = window.iter().zip(&self.taps).map(|(sample, tap)| sample * tap).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_of_telephones_passes_and_nothing_else() {
        for (hz, least, most) in [
            (400.0, 0.98, 1.02),
            (1_633.0, 0.98, 1.02),
            (2_800.0, 0.9, 1.02),
            (5_200.0, 0.0, 0.01),
            (12_000.0, 0.0, 0.01),
        ] {
            let mut telephone = Telephone::default();
            let mut loudest = 0f32;
            for index in 0..20 {
                let at = |n: usize| (index * FRAME_SAMPLES + n) as f64 / 48_000.0;
                let frame = std::array::from_fn(|n| ((std::f64::consts::TAU * hz * at(n)).sin() * 16_384.0) as i16);
                let mut out = [0.0; TELEPHONE_SAMPLES];
                telephone.narrow(&frame, &mut out);
                if index > 0 {
                    loudest = out.iter().fold(loudest, |max, sample| max.max(sample.abs()));
                }
            }
            assert!((least..=most).contains(&(loudest * 2.0)), "{hz} Hz: {loudest}");
        }
    }
}
