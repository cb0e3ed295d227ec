//! Who speaks when: talk and silence by energy against a noise floor that adapts, with hangover.
//!
//! Pure: told frame after frame, it counts time by their number. A frame is talk when it is [`ActivityOptions::margin_db`] louder than
//! the floor and not quieter than [`ActivityOptions::quietest_db`]. The floor falls to a quieter frame at once, and rises slowly, slower
//! while somebody talks.

use std::time::Duration;

use crate::level;
use crate::pcm::FRAME;

/// How fast the floor rises while nobody talks, dB a frame: 10 dB a second.
const RISE_DB: f32 = 0.2;

/// How fast the floor rises in talk, dB a frame: 1 dB a second, so that a steady noise is not taken for talk for ever.
const RISE_IN_TALK_DB: f32 = 0.02;

/// What share of the way the floor falls to a quieter frame.
const FALL_SHARE: f32 = 0.5;

/// The floor never is lower, dB: a line without any noise.
const FLOOR_MIN_DB: f32 = -75.0;

/// The floor never is higher, dB: talk against it would be a shout.
const FLOOR_MAX_DB: f32 = -30.0;

/// What counts as talk, and when silence is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivityOptions {
    /// How much louder than the floor talk is, dB.
    pub margin_db: f32,
    /// What is quieter is never talk, dB below overload as a negative number.
    pub quietest_db: f32,
    /// How long it has to be loud before it is talk: shorter are clicks.
    pub onset: Duration,
    /// How long it has to be quiet before talk has stopped: pauses between words are shorter.
    pub hangover: Duration,
    /// After how much silence [`Activity::Silence`] is told; each stretch of silence once.
    pub silence_after: Duration,
}

impl Default for ActivityOptions {
    fn default() -> Self {
        Self {
            margin_db: 9.0,
            quietest_db: -55.0,
            onset: Duration::from_millis(60),
            hangover: Duration::from_millis(300),
            silence_after: Duration::from_secs(3),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Talk began, as long ago as the onset.
    TalkStarted,
    /// Talk ended, as long ago as the hangover.
    TalkStopped {
        /// How long it lasted, without the hangover.
        lasted: Duration,
    },
    /// There has been silence for as long as was asked, since the beginning or the last talk.
    Silence {
        /// How long.
        lasted: Duration,
    },
}

/// Listens to one leg.
#[derive(Clone, Debug)]
pub struct ActivityDetector {
    options: ActivityOptions,
    floor_db: f32,
    talking: bool,
    /// Frames in a row that were loud, and that were quiet.
    loud: u32,
    quiet: u32,
    /// Frames of the talk so far.
    talk: u32,
    /// Whether the present silence was told.
    told: bool,
}

impl Default for ActivityDetector {
    fn default() -> Self {
        Self::new(ActivityOptions::default())
    }
}

impl ActivityDetector {
    /// A detector that has heard nothing.
    pub fn new(options: ActivityOptions) -> Self {
        Self { options, floor_db: -60.0, talking: false, loud: 0, quiet: 0, talk: 0, told: false }
    }

    /// Hears a frame of 20 ms, at any rate.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Activity> {
        self.hear_level(level::decibels(samples))
    }

    /// Hears how loud a frame of 20 ms was, dB below overload as a negative number: as RFC 6464 has it, negated.
    pub fn hear_level(&mut self, decibels: f32) -> Option<Activity> {
        let is_loud = decibels > self.options.quietest_db && decibels > self.floor_db + self.options.margin_db;
        self.follow_floor(decibels);
        if is_loud {
            (self.loud, self.quiet) = (self.loud.saturating_add(1), 0);
        } else {
            (self.loud, self.quiet) = (0, self.quiet.saturating_add(1));
        }
        if self.talking {
            self.talk = self.talk.saturating_add(1);
            return self.in_talk();
        }
        if is_loud && time(self.loud) >= self.options.onset {
            self.talking = true;
            self.talk = self.loud;
            return Some(Activity::TalkStarted);
        }
        self.in_silence()
    }

    /// Hears that there was nothing for 20 ms: a sender that sends no packets in silence.
    pub fn hear_nothing(&mut self) -> Option<Activity> {
        self.hear_level(self.floor_db)
    }

    /// Whether somebody talks.
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// The noise floor, dB below overload as a negative number.
    pub fn floor_db(&self) -> f32 {
        self.floor_db
    }

    fn in_talk(&mut self) -> Option<Activity> {
        if self.quiet == 0 || time(self.quiet) < self.options.hangover {
            return None;
        }
        self.talking = false;
        self.told = false;
        Some(Activity::TalkStopped { lasted: time(self.talk - self.quiet.min(self.talk)) })
    }

    fn in_silence(&mut self) -> Option<Activity> {
        if self.told || time(self.quiet) < self.options.silence_after {
            return None;
        }
        self.told = true;
        Some(Activity::Silence { lasted: time(self.quiet) })
    }

    fn follow_floor(&mut self, decibels: f32) {
        let rise = if self.talking { RISE_IN_TALK_DB } else { RISE_DB };
        let next = match decibels {
            quieter if quieter < self.floor_db => self.floor_db + FALL_SHARE * (quieter - self.floor_db),
            louder => (self.floor_db + rise).min(louder),
        };
        self.floor_db = next.clamp(FLOOR_MIN_DB, FLOOR_MAX_DB);
    }
}

fn time(frames: u32) -> Duration {
    FRAME * frames
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told when each level is heard for so many frames, with the frame's number.
    fn told(detector: &mut ActivityDetector, stretches: &[(f32, u32)]) -> Vec<(u32, Activity)> {
        let mut events = Vec::new();
        let mut at = 0;
        for &(decibels, frames) in stretches {
            for _ in 0..frames {
                at += 1;
                events.extend(detector.hear_level(decibels).map(|event| (at, event)));
            }
        }
        events
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn talk_and_silence_are_told_once_each() {
        let mut detector = ActivityDetector::default();
        let events = told(&mut detector, &[(-65.0, 200), (-20.0, 50), (-65.0, 400)]);
        let want = [
            (150, Activity::Silence { lasted: MS(3000) }),
            (203, Activity::TalkStarted),
            (265, Activity::TalkStopped { lasted: MS(1000) }),
            (400, Activity::Silence { lasted: MS(3000) }),
        ];
        assert_eq!(events, want);
    }

    #[test]
    fn clicks_and_pauses_between_words_change_nothing() {
        let mut detector = ActivityDetector::default();
        assert_eq!(told(&mut detector, &[(-60.0, 50), (-15.0, 2), (-60.0, 50)]), []);
        let words = [(-20.0, 20), (-60.0, 10), (-22.0, 20), (-60.0, 14), (-20.0, 5)];
        assert_eq!(told(&mut detector, &words), [(3, Activity::TalkStarted)]);
    }

    #[test]
    fn a_steady_noise_becomes_the_floor() {
        let mut detector = ActivityDetector::default();
        let events = told(&mut detector, &[(-65.0, 20), (-42.0, 3000)]);
        assert_eq!(events[0], (23, Activity::TalkStarted));
        assert!(matches!(events[1], (_, Activity::TalkStopped { .. })), "{events:?}");
        assert!(!detector.is_talking());
        assert_eq!(told(&mut detector, &[(-20.0, 10)]), [(3, Activity::TalkStarted)], "speech above it is still heard");
    }

    #[test]
    fn a_noise_that_ends_uncovers_quiet_speech() {
        let mut detector = ActivityDetector::default();
        told(&mut detector, &[(-40.0, 3000), (-70.0, 20)]);
        assert!(detector.floor_db() < -68.0);
        assert_eq!(told(&mut detector, &[(-50.0, 5)]), [(3, Activity::TalkStarted)]);
    }

    #[test]
    fn no_packets_are_silence() {
        let mut detector = ActivityDetector::default();
        let events: Vec<_> = (0..150).filter_map(|_| detector.hear_nothing()).collect();
        assert_eq!(events, [Activity::Silence { lasted: MS(3000) }]);
    }
}
