//! Several voices as one.

use super::{FRAME_SAMPLES, Frame};

/// From here on a sum is bent, so that it never exceeds full scale: -2.5 dB.
const KNEE: i32 = 24_576;

/// The sum of all frames; one alone stays as it is.
pub(super) fn mix(frames: &[Frame]) -> Frame {
    match frames {
        [] => [0; FRAME_SAMPLES],
        [alone] => *alone,
        several => std::array::from_fn(|at| bend(several.iter().map(|frame| i32::from(frame[at])).sum())),
    }
}

/// A sum as a sample: as it is up to the knee, then ever less of it, so that two who shout together do not crackle.
fn bend(sum: i32) -> i16 {
    let over = sum.abs() - KNEE;
    if over <= 0 {
        return sum as i16;
    }
    let room = i32::from(i16::MAX) - KNEE;
    let bent = KNEE + (i64::from(room) * i64::from(over) / i64::from(room + over)) as i32;
    (if sum < 0 { -bent } else { bent }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_voice_is_untouched_and_several_never_clip() {
        let loudest = [i16::MAX; FRAME_SAMPLES];
        assert_eq!(mix(&[]), [0; FRAME_SAMPLES]);
        assert_eq!(mix(&[loudest]), loudest);
        assert_eq!(mix(&[[1_000; FRAME_SAMPLES], [-300; FRAME_SAMPLES]]), [700; FRAME_SAMPLES]);
        let three = mix(&[loudest; 3])[0];
        assert!(three > 31_000 && three < i16::MAX, "{three}");
        assert_eq!(mix(&[[-i16::MAX; FRAME_SAMPLES]; 3])[0], -three);
    }
}
