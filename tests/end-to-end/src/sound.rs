//! Whether a tone is heard.

use std::f64::consts::TAU;

use tandem_client::voice::{FRAME_SAMPLES, Frame, SAMPLE_HZ};

/// The share of a frame's energy that lies at `hz`, 0 to 1 (Goertzel's algorithm); 0 for a frame that is all but silent.
pub fn share_at(frame: &[i16], hz: f64) -> f64 {
    let energy: f64 = frame.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    if energy / (frame.len().max(1) as f64) < LOUD.powi(2) {
        return 0.0;
    }
    let coefficient = 2.0 * (TAU * hz / f64::from(SAMPLE_HZ)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for &sample in frame {
        (one, two) = (f64::from(sample) + coefficient * one - two, one);
    }
    let power = one * one + two * two - coefficient * one * two;
    2.0 * power / (energy * frame.len() as f64)
}

/// Root mean square from which a frame is not silent: -44 dB.
const LOUD: f64 = 200.0;

/// Whether a frame is a tone of `hz`.
pub fn is_tone(frame: &Frame, hz: f64) -> bool {
    share_at(frame, hz) > 0.8
}

/// Whether nothing is to be heard in a frame.
pub fn is_silent(frame: &Frame) -> bool {
    let energy: f64 = frame.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    energy / (FRAME_SAMPLES as f64) < LOUD.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64) -> Frame {
        std::array::from_fn(|n| (8_000.0 * (TAU * hz * n as f64 / f64::from(SAMPLE_HZ)).sin()) as i16)
    }

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        assert!(is_tone(&tone(450.0), 450.0));
        assert!(!is_tone(&tone(450.0), 1_000.0));
        assert!(!is_tone(&[0; FRAME_SAMPLES], 450.0) && is_silent(&[0; FRAME_SAMPLES]));
        assert!(!is_silent(&tone(450.0)));
    }
}
