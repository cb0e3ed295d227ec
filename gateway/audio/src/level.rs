//! How loud a frame is, as RFC 6464 says it: decibels below overload.

use tandem_switch::media::rtp::AudioLevel;

/// Loudness from which a frame counts as speech, dB below overload.
pub const SPEECH_DB: u8 = 50;

/// The quietest that is told apart, dB below overload (RFC 6464 section 3).
pub const QUIETEST_DB: u8 = 127;

/// The root mean square of samples relative to the loudest square wave, dB: 0 at most; [`QUIETEST_DB`] below at least.
pub fn decibels(samples: &[i16]) -> f32 {
    let energy: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let mean = energy / samples.len().max(1) as f64;
    let ratio = mean.sqrt() / f64::from(i16::MAX);
    if ratio > 0.0 {
        (20.0 * ratio.log10()).clamp(-f64::from(QUIETEST_DB), 0.0) as f32
    } else {
        -f32::from(QUIETEST_DB)
    }
}

/// A frame's audio level for its RTP packet (RFC 6464 section 3).
pub fn audio_level(samples: &[i16]) -> AudioLevel {
    let below = (-decibels(samples)) as u8;
    AudioLevel { voice: below < SPEECH_DB, below_overload_db: below }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_is_told_as_rfc_6464_says() {
        let rows = [
            (0, false, 127),
            (i16::MAX, true, 0),
            (i16::MIN, true, 0),
            (3_277, true, 20),
            (33, false, 59),
            (1, false, 90),
        ];
        for (sample, voice, below) in rows {
            let level = audio_level(&[sample; 960]);
            assert_eq!(level.voice, voice, "{sample}");
            assert!(level.below_overload_db.abs_diff(below) <= 1, "{sample}: {level:?}");
        }
        assert_eq!(audio_level(&[]).below_overload_db, 127);
    }
}
