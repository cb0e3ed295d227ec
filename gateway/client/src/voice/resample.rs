//! Brings a whole sound file to another sample rate: a polyphase filter of windowed sinc, aliases about 80 dB down.

use std::f64::consts::PI;

/// Zero crossings of the sinc on each side; 24 with a Blackman window pass 90 % of the band.
const CROSSINGS: usize = 24;

/// `samples` at `from` Hz as samples at `to` Hz.
pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() || from == 0 {
        return samples.to_vec();
    }
    let divisor = gcd(from, to);
    let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
    let filter = Filter::new(up, down);
    let length = (samples.len() * up).div_ceil(down);
    (0..length).map(|index| filter.at(samples, index)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

struct Filter {
    up: usize,
    down: usize,
    /// Input samples on each side of the output sample.
    reach: usize,
    /// One set of taps for each fraction of an input sample that an output sample can lie at.
    phases: Vec<Vec<f32>>,
}

impl Filter {
    fn new(up: usize, down: usize) -> Self {
        // The pass band ends at the lower of the two Nyquist frequencies, as a fraction of the input's.
        let band = (up as f64 / down as f64).min(1.0);
        let reach = (CROSSINGS as f64 / band).ceil() as usize;
        let phases = (0..up).map(|phase| taps(phase as f64 / up as f64, reach, band)).collect();
        Self { up, down, reach, phases }
    }

    fn at(&self, samples: &[f32], index: usize) -> f32 {
        let position = index * self.down;
        let (centre, phase) = (position / self.up, position % self.up);
        // Tap t belongs to the input sample centre + 1 - reach + t; outside the file is silence.
        let first = centre + 1;
        let taps = self.phases[phase].iter().enumerate();
        taps.filter_map(|(tap, weight)| Some(samples.get((first + tap).checked_sub(self.reach)?)? * weight)).sum()
    }
}

fn taps(fraction: f64, reach: usize, band: f64) -> Vec<f32> {
    let weight = |tap: usize| {
        let distance = tap as f64 + 1.0 - reach as f64 - fraction;
        let angle = PI * distance / reach as f64;
        let window = 0.42 + 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos();
        let sinc = if distance == 0.0 { 1.0 } else { (PI * distance * band).sin() / (PI * distance * band) };
        if distance.abs() > reach as f64 { 0.0 } else { sinc * window * band }
    };
    (0..2 * reach).map(|tap| weight(tap) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, length: usize) -> Vec<f32> {
        (0..length).map(|n| (2.0 * PI * hz * n as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_tone_stays_the_same_tone() {
        for from in [8_000, 16_000, 22_050, 44_100, 96_000] {
            let length = from as usize / 4;
            let got = resample(&sine(1_000.0, from, length), from, 48_000);
            let want = sine(1_000.0, 48_000, got.len());
            assert!(got.len().abs_diff(12_000) <= 6, "{from}: {}", got.len());
            let middle = 2_000..got.len() - 2_000;
            let worst = middle.map(|n| (got[n] - want[n]).abs()).fold(0.0, f32::max);
            assert!(worst < 0.001, "{from}: off by {worst}");
        }
    }

    #[test]
    fn what_does_not_fit_the_band_is_filtered_out() {
        let got = resample(&sine(30_000.0, 96_000, 24_000), 96_000, 48_000);
        let loudest = got[2_000..10_000].iter().fold(0.0f32, |max, sample| max.max(sample.abs()));
        assert!(loudest < 0.001, "{loudest}");
    }

    #[test]
    fn nothing_becomes_nothing() {
        assert!(resample(&[], 8_000, 48_000).is_empty());
    }
}
