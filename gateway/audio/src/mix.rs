//! Mixing: what several say as one voice, for those who cannot mix themselves.
//!
//! Encoding costs a hundred times what mixing does, so [`Sets`] finds out who hears the same: everybody who says nothing shares one mix,
//! each talker gets that without himself, and each distinct mix is made and encoded once.

use crate::pcm::{FRAME_SAMPLES, Frame};

/// Most talkers of one mix: one bit each in [`Heard`]. Rooms forward the loudest few; more at once is noise.
pub const TALKERS_MAX: usize = 64;

/// From here on a sum is bent, so that it never exceeds full scale: -2.5 dB.
const KNEE: i32 = 24_576;

/// The loudest sample.
const LOUDEST: i32 = i16::MAX as i32;

/// Which talkers a listener hears: bit n is talker n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heard(pub u64);

impl Heard {
    /// All of `talkers` talkers.
    pub const fn all(talkers: usize) -> Self {
        if talkers >= TALKERS_MAX { Self(u64::MAX) } else { Self((1 << talkers) - 1) }
    }

    /// Without one of them.
    #[must_use]
    pub const fn without(self, talker: usize) -> Self {
        if talker >= TALKERS_MAX { self } else { Self(self.0 & !(1 << talker)) }
    }

    /// With one more of them.
    #[must_use]
    pub const fn with(self, talker: usize) -> Self {
        if talker >= TALKERS_MAX { self } else { Self(self.0 | 1 << talker) }
    }
}

/// The sum of everything, before it is bent to 16 bits.
#[derive(Clone, Debug)]
pub struct Mixer {
    sum: Box<[i32; FRAME_SAMPLES]>,
    /// How many were added.
    voices: u32,
}

impl Default for Mixer {
    fn default() -> Self {
        Self { sum: Box::new([0; FRAME_SAMPLES]), voices: 0 }
    }
}

impl Mixer {
    /// Begins the mix of another 20 ms.
    pub fn begin(&mut self) {
        self.sum.fill(0);
        self.voices = 0;
    }

    /// Adds a talker. 65,000 may be added before a sum could overflow.
    pub fn add(&mut self, frame: &[i16]) {
        self.voices += 1;
        for (sum, &sample) in self.sum.iter_mut().zip(frame) {
            *sum += i32::from(sample);
        }
    }

    /// The mix of all that were added; one alone stays as it is.
    pub fn everybody(&self, out: &mut [i16]) {
        for (out, &sum) in out.iter_mut().zip(self.sum.iter()) {
            *out = if self.voices > 1 { bend(sum) } else { sum as i16 };
        }
    }

    /// The mix of all that were added but one: what that one hears. One that is left alone stays as it is.
    pub fn without(&self, own: &[i16], out: &mut [i16]) {
        for ((out, &sum), &own) in out.iter_mut().zip(self.sum.iter()).zip(own) {
            let others = sum - i32::from(own);
            *out = if self.voices > 2 { bend(others) } else { others as i16 };
        }
    }
}

/// A sum as a sample: as it is up to the knee, then ever less of it, never beyond full scale. Smooth, so that two who shout together
/// do not crackle.
fn bend(sum: i32) -> i16 {
    let over = sum.abs() - KNEE;
    if over <= 0 {
        return sum as i16;
    }
    // Slope one at the knee; the room that is left is approached and not reached.
    let room = LOUDEST - KNEE;
    let bent = KNEE + (i64::from(room) * i64::from(over) / i64::from(room + over)) as i32;
    (if sum < 0 { -bent } else { bent }) as i16
}

/// Who hears the same mix.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    distinct: Vec<Heard>,
    of_listener: Vec<usize>,
}

impl Sets {
    /// With room for so many listeners: [`Sets::assign`] allocates nothing for as many.
    pub fn with_room(listeners: usize) -> Self {
        Self { distinct: Vec::with_capacity(listeners), of_listener: Vec::with_capacity(listeners) }
    }

    /// Finds the distinct mixes of what each listener hears.
    pub fn assign(&mut self, listeners: impl IntoIterator<Item = Heard>) {
        self.distinct.clear();
        self.of_listener.clear();
        for heard in listeners {
            // There are about as many as talkers, a handful: a scan is the fastest.
            let known = self.distinct.iter().position(|&other| other == heard);
            let set = known.unwrap_or_else(|| {
                self.distinct.push(heard);
                self.distinct.len() - 1
            });
            self.of_listener.push(set);
        }
    }

    /// The distinct mixes: one encoder each.
    pub fn distinct(&self) -> &[Heard] {
        &self.distinct
    }

    /// Which of [`Sets::distinct`] a listener hears, in the order of [`Sets::assign`].
    pub fn of(&self, listener: usize) -> Option<usize> {
        self.of_listener.get(listener).copied()
    }
}

/// Makes one mix: of those talkers that are heard, in a few passes over their frames. A talker who has no frame is silent.
pub fn mix(talkers: &[Option<&Frame>], heard: Heard, mixer: &mut Mixer, out: &mut Frame) {
    mixer.begin();
    for (index, talker) in talkers.iter().enumerate().take(TALKERS_MAX) {
        if let Some(frame) = talker
            && heard.0 & 1 << index != 0
        {
            mixer.add(*frame);
        }
    }
    mixer.everybody(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_bent_smoothly_and_never_clips() {
        let rows = [
            (0, 0),
            (1000, 1000),
            (-KNEE, -24_576),
            (KNEE + 100, 24_674),
            (32_767, 28_671),
            (65_534, 31_401),
            (-65_534, -31_401),
        ];
        for (sum, want) in rows {
            assert_eq!(bend(sum), want, "{sum}");
        }
        let steps = (0..2_000_000).map(bend);
        assert!(steps.clone().zip(steps.skip(1)).all(|(a, b)| b >= a && b - a <= 1));
        assert!(
            i32::from(bend(i32::from(i16::MAX) * 64)) < LOUDEST && i32::from(bend(i32::from(i16::MIN) * 64)) > -LOUDEST
        );
    }

    #[test]
    fn each_talker_hears_all_others() {
        let frames = [[100; FRAME_SAMPLES], [2_000; FRAME_SAMPLES], [-30; FRAME_SAMPLES]];
        let mut mixer = Mixer::default();
        let mut out = [0; FRAME_SAMPLES];
        for _round in 0..2 {
            mixer.begin();
            frames.iter().for_each(|frame| mixer.add(frame));
            mixer.everybody(&mut out);
            assert_eq!(out, [2_070; FRAME_SAMPLES]);
            for (own, want) in frames.iter().zip([1_970, 70, 2_100]) {
                mixer.without(own, &mut out);
                assert_eq!(out, [want; FRAME_SAMPLES]);
            }
        }
        mixer.begin();
        mixer.add(&[i16::MIN; FRAME_SAMPLES]);
        mixer.everybody(&mut out);
        assert_eq!(out, [i16::MIN; FRAME_SAMPLES], "one alone stays as it is");
        mixer.add(&frames[0]);
        mixer.without(&frames[0], &mut out);
        assert_eq!(out, [i16::MIN; FRAME_SAMPLES]);
        let talkers = [Some(&frames[0]), None, Some(&frames[2])];
        mix(&talkers, Heard::all(3).without(0), &mut mixer, &mut out);
        assert_eq!(out, [-30; FRAME_SAMPLES]);
    }

    #[test]
    fn who_hears_the_same_shares_a_mix() {
        let mut sets = Sets::with_room(1000);
        // Three talkers, a supervisor who also hears a whisper, and listeners.
        let all = Heard::all(3);
        let listeners = [all.without(0), all.without(1), all.without(2), all.with(5)].into_iter();
        sets.assign(listeners.chain(std::iter::repeat_n(all, 996)));
        assert_eq!(sets.distinct().len(), 5);
        assert_eq!(
            (sets.of(0), sets.of(3), sets.of(4), sets.of(999), sets.of(1000)),
            (Some(0), Some(3), Some(4), Some(4), None)
        );
        assert_eq!((Heard::all(64), Heard::all(99), Heard::all(0)), (Heard(u64::MAX), Heard(u64::MAX), Heard(0)));
        assert_eq!(all.with(64).without(64), all);
    }
}
