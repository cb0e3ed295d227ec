//! From one sample rate to another: an FFT filter (rubato), streaming, for voice to and from telephones, taps and files.
//!
//! Delay: half a block of (mostly) 20 ms, which [`Resampler`] leaves out at the start and gives at [`Resampler::flush`], so that sound keeps
//! its place. [`Resampler::push`] does not allocate when `out` has room.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Lowest rate that is taken, samples a second: below, there is no speech.
pub const HZ_MIN: u32 = 4_000;

/// Highest rate that is taken, samples a second: four times what studios use.
pub const HZ_MAX: u32 = 384_000;

/// Blocks a second, at most.
const BLOCKS: u32 = 50;

/// A rate that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sample rate of {hz} Hz; from {HZ_MIN} to {HZ_MAX} Hz are possible")]
pub struct RateError {
    /// Samples a second.
    pub hz: u32,
}

/// One mono stream on its way to another rate.
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    /// `None` when both rates are the same.
    filter: Option<Filter>,
    /// Samples taken and given.
    taken: u64,
    given: u64,
}

struct Filter {
    fft: Fft<f32>,
    /// What waits for a block to be full.
    block: Vec<f32>,
    filled: usize,
    filtered: Vec<f32>,
    /// Samples still to be left out, of the filter's delay.
    skip: usize,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Resampler")
            .field("from_hz", &self.from_hz)
            .field("to_hz", &self.to_hz)
            .finish_non_exhaustive()
    }
}

impl Resampler {
    /// From `from_hz` to `to_hz` samples a second.
    ///
    /// # Errors
    /// When a rate is out of bounds.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, RateError> {
        for hz in [from_hz, to_hz] {
            if !(HZ_MIN..=HZ_MAX).contains(&hz) {
                return Err(RateError { hz });
            }
        }
        let filter = if from_hz == to_hz { None } else { Some(Filter::new(from_hz, to_hz)) };
        Ok(Self { from_hz, to_hz, filter, taken: 0, given: 0 })
    }

    /// Takes samples within ±1, and appends to `out` what is ready: nothing, or blocks of 20 ms.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => filter.push(samples, |ready| out.extend_from_slice(ready)),
        }
        self.given += (out.len() - before) as u64;
    }

    /// Takes 16-bit samples, and appends to `out` what is ready: nothing, or blocks of 20 ms.
    pub fn push_pcm(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.taken += samples.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => {
                for piece in samples.chunks(256) {
                    let mut scaled = [0.0; 256];
                    for (to, &from) in scaled.iter_mut().zip(piece) {
                        *to = crate::pcm::to_f32(from);
                    }
                    let mut give = |ready: &[f32]| out.extend(ready.iter().map(|&sample| crate::pcm::to_i16(sample)));
                    filter.push(&scaled[..piece.len()], &mut give);
                }
            }
        }
        self.given += (out.len() - before) as u64;
    }

    /// Appends what is still inside. All that was given is then as long as all that was taken, to half a sample; what comes after it is
    /// a new stream.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        let due = (self.taken * u64::from(self.to_hz) + u64::from(self.from_hz) / 2) / u64::from(self.from_hz);
        let mut missing = due.saturating_sub(self.given) as usize;
        if let Some(filter) = &mut self.filter {
            while missing > 0 {
                filter.push(&[0.0; 256], |ready| {
                    let ready = &ready[..ready.len().min(missing)];
                    out.extend_from_slice(ready);
                    missing -= ready.len();
                });
            }
            filter.reset();
        }
        (self.taken, self.given) = (0, 0);
    }
}

impl Filter {
    fn new(from_hz: u32, to_hz: u32) -> Self {
        let block = block(from_hz, to_hz);
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(from_hz as usize, to_hz as usize, block, 1, 1, window, FixedSync::Both);
        // Both rates were found possible; nothing else can be wrong.
        let fft = fft.expect("a block of one channel between two positive rates");
        let (taken, given, skip) = (fft.input_frames_next(), fft.output_frames_next(), fft.output_delay());
        Self { fft, block: vec![0.0; taken], filled: 0, filtered: vec![0.0; given], skip }
    }

    fn push(&mut self, mut samples: &[f32], mut give: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let length = samples.len().min(self.block.len() - self.filled);
            let (now, later) = samples.split_at(length);
            self.block[self.filled..self.filled + length].copy_from_slice(now);
            self.filled += length;
            samples = later;
            if self.filled == self.block.len() {
                self.filled = 0;
                self.run();
                let skipped = self.skip.min(self.filtered.len());
                self.skip -= skipped;
                give(&self.filtered[skipped..]);
            }
        }
    }

    fn run(&mut self) {
        let (taken, given) = (self.block.len(), self.filtered.len());
        let block = InterleavedSlice::new(&self.block, 1, taken).expect("a block of its own length");
        let mut filtered = InterleavedSlice::new_mut(&mut self.filtered, 1, given).expect("a block of its own length");
        let done = self.fft.process_into_buffer(&block, &mut filtered, None);
        debug_assert!(matches!(done, Ok(frames) if frames == (taken, given)), "blocks have fixed lengths");
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.filled = 0;
        self.skip = self.fft.output_delay();
    }
}

/// Samples of a block at `from_hz`: 20 ms, or as much more as makes whole samples of both rates, and an even number: half of it, the
/// delay, is whole too.
fn block(from_hz: u32, to_hz: u32) -> usize {
    let unit = from_hz / gcd(from_hz, to_hz);
    let count = (from_hz / BLOCKS).div_ceil(unit).max(1);
    let even = if (unit * count).is_multiple_of(2) { count } else { count + 1 };
    (unit * even) as usize
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A whole sound at another rate.
///
/// # Errors
/// When a rate is out of bounds.
pub fn whole(samples: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, RateError> {
    let mut resampler = Resampler::new(from_hz, to_hz)?;
    let length = samples.len() as u64 * u64::from(to_hz) / u64::from(from_hz);
    let mut out = Vec::with_capacity(length as usize + to_hz as usize / 10);
    resampler.push(samples, &mut out);
    resampler.flush(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn sine(hz: f64, rate: u32, length: usize) -> Vec<f32> {
        (0..length).map(|n| (TAU * hz * n as f64 / f64::from(rate)).sin() as f32 * 0.9).collect()
    }

    #[test]
    fn a_tone_stays_the_same_tone_at_its_place() {
        let rates = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000];
        for from in rates {
            for to in [8_000, 16_000, 24_000, 44_100, 48_000] {
                let got = whole(&sine(1_000.0, from, from as usize / 4), from, to).unwrap();
                let want = sine(1_000.0, to, got.len());
                assert!(got.len().abs_diff(to as usize / 4) <= 1, "{from} to {to}: {}", got.len());
                let edge = to as usize / 25;
                let worst = (edge..got.len() - edge).map(|n| (got[n] - want[n]).abs()).fold(0.0, f32::max);
                assert!(worst < 0.002, "{from} to {to}: off by {worst}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_the_band_is_filtered_out() {
        for (hz, from, to) in [(30_000.0, 96_000, 48_000), (5_000.0, 48_000, 8_000), (13_000.0, 48_000, 24_000)] {
            let got = whole(&sine(hz, from, from as usize / 4), from, to).unwrap();
            let edge = to as usize / 25;
            let loudest = got[edge..got.len() - edge].iter().fold(0.0f32, |max, sample| max.max(sample.abs()));
            assert!(loudest < 0.002, "{from} to {to}: {loudest}");
        }
    }

    #[test]
    fn pieces_of_any_size_give_what_the_whole_gives() {
        let sound = sine(700.0, 44_100, 20_000);
        let want = whole(&sound, 44_100, 48_000).unwrap();
        let mut resampler = Resampler::new(44_100, 48_000).unwrap();
        for _again in 0..2 {
            let mut got = Vec::new();
            let mut rest = &sound[..];
            for size in [1, 7, 882, 3000, 159].into_iter().cycle() {
                let (piece, after) = rest.split_at(size.min(rest.len()));
                resampler.push(piece, &mut got);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            resampler.flush(&mut got);
            assert_eq!(got, want);
        }
    }

    #[test]
    fn sixteen_bits_pass_as_numbers_do() {
        let sound = sine(440.0, 48_000, 9_600);
        let pcm: Vec<i16> = sound.iter().map(|&sample| crate::pcm::to_i16(sample)).collect();
        let (mut numbers, mut bits) = (Vec::new(), Vec::new());
        Resampler::new(48_000, 8_000).unwrap().push(&sound, &mut numbers);
        Resampler::new(48_000, 8_000).unwrap().push_pcm(&pcm, &mut bits);
        assert_eq!(numbers.len(), bits.len());
        let near = |(&number, &bits): (&f32, &i16)| crate::pcm::to_i16(number).abs_diff(bits) <= 1;
        assert!(numbers.iter().zip(&bits).all(near));
    }

    #[test]
    fn impossible_rates_are_named() {
        let error = Resampler::new(0, 48_000).unwrap_err().to_string();
        assert_eq!(error, "a sample rate of 0 Hz; from 4000 to 384000 Hz are possible");
        assert!(Resampler::new(48_000, u32::MAX).is_err());
        assert!(whole(&[], 8_000, 48_000).unwrap().is_empty());
        // A rate that shares no divisor with 48,000.
        let odd = whole(&sine(1_000.0, 44_101, 44_101), 44_101, 48_000).unwrap();
        assert!(odd.len().abs_diff(48_000) <= 1);
    }
}
