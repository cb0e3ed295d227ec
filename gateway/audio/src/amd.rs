//! Who answered: a human or a machine, by the cadence of the greeting.
//!
//! Humans say a word or two and wait; machines speak on. The rules and their parameters are those that Asterisk's `AMD` application
//! documents, so that what operators know of tuning it holds here too; one outcome has its own name: a callee who says nothing at all
//! is [`Callee::Silent`], which Asterisk counts as a machine. [`crate::beep`] hears when a machine's greeting ends.

use std::time::Duration;

use crate::level;
use crate::pcm::FRAME;

/// The rules' parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AmdOptions {
    /// A callee who is silent for so long is not talking to us.
    pub initial_silence: Duration,
    /// A greeting of so much speech is a machine's.
    pub greeting: Duration,
    /// Silence of so long after a greeting is a human who waits.
    pub after_greeting_silence: Duration,
    /// How long it is listened at all.
    pub total: Duration,
    /// Shorter sounds are no words.
    pub word_min: Duration,
    /// Longer words are a machine's: music, or speech without pauses.
    pub word_max: Duration,
    /// Silence of so long ends a word.
    pub between_words: Duration,
    /// A greeting of more words than this is a machine's.
    pub words_max: u32,
    /// What is louder is speech, dB below overload as a negative number.
    pub threshold_db: f32,
}

impl Default for AmdOptions {
    /// Asterisk's sample configuration; its threshold of 256 is -42 dB.
    fn default() -> Self {
        Self {
            initial_silence: Duration::from_millis(2500),
            greeting: Duration::from_millis(1500),
            after_greeting_silence: Duration::from_millis(800),
            total: Duration::from_millis(5000),
            word_min: Duration::from_millis(100),
            word_max: Duration::from_millis(5000),
            between_words: Duration::from_millis(50),
            words_max: 3,
            threshold_db: -42.0,
        }
    }
}

/// Who it seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// Somebody who said a word and waits.
    Human,
    /// A machine that speaks on.
    Machine,
    /// Nobody said anything.
    Silent,
    /// The time was up.
    NotSure,
}

/// By which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was said for [`AmdOptions::initial_silence`].
    InitialSilence,
    /// A greeting, then silence.
    WaitsAfterGreeting,
    /// The greeting was longer than [`AmdOptions::greeting`].
    LongGreeting,
    /// The greeting had more words than [`AmdOptions::words_max`].
    ManyWords,
    /// A word was longer than [`AmdOptions::word_max`].
    LongWord,
    /// [`AmdOptions::total`] was up.
    TimeUp,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who.
    pub callee: Callee,
    /// Why.
    pub reason: Reason,
    /// After how long.
    pub after: Duration,
    /// Words heard.
    pub words: u32,
}

/// Listens to who answered, from the answer on.
#[derive(Clone, Debug)]
pub struct AmdDetector {
    options: AmdOptions,
    heard: Duration,
    /// The silence, and the word, up to now.
    silence: Duration,
    word: Duration,
    /// Speech in all.
    speech: Duration,
    words: u32,
    in_word: bool,
    in_greeting: bool,
    verdict: Option<Verdict>,
}

impl Default for AmdDetector {
    fn default() -> Self {
        Self::new(AmdOptions::default())
    }
}

impl AmdDetector {
    /// A detector that has heard nothing.
    pub fn new(options: AmdOptions) -> Self {
        let zero = Duration::ZERO;
        Self {
            options,
            heard: zero,
            silence: zero,
            word: zero,
            speech: zero,
            words: 0,
            in_word: false,
            in_greeting: false,
            verdict: None,
        }
    }

    /// Hears a frame of 20 ms, at any rate. The verdict, once there is one, stays.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Verdict> {
        self.hear_level(level::decibels(samples))
    }

    /// Hears how loud a frame of 20 ms was, dB below overload as a negative number.
    pub fn hear_level(&mut self, decibels: f32) -> Option<Verdict> {
        if self.verdict.is_some() {
            return self.verdict;
        }
        self.heard += FRAME;
        let found = if decibels > self.options.threshold_db { self.hear_speech() } else { self.hear_silence() };
        let time_up = || (self.heard >= self.options.total).then_some((Callee::NotSure, Reason::TimeUp));
        let (callee, reason) = found.or_else(time_up)?;
        self.verdict = Some(Verdict { callee, reason, after: self.heard, words: self.words });
        self.verdict
    }

    fn hear_speech(&mut self) -> Option<(Callee, Reason)> {
        self.silence = Duration::ZERO;
        self.word += FRAME;
        self.speech += FRAME;
        if self.word >= self.options.word_min {
            self.words += u32::from(!self.in_word);
            self.in_word = true;
            self.in_greeting = true;
        }
        if self.word >= self.options.word_max {
            return Some((Callee::Machine, Reason::LongWord));
        }
        if self.words > self.options.words_max {
            return Some((Callee::Machine, Reason::ManyWords));
        }
        if self.in_greeting && self.speech >= self.options.greeting {
            return Some((Callee::Machine, Reason::LongGreeting));
        }
        None
    }

    fn hear_silence(&mut self) -> Option<(Callee, Reason)> {
        self.silence += FRAME;
        if self.silence >= self.options.between_words {
            if !self.in_word {
                // A click was no speech.
                self.speech -= self.word.min(self.speech);
            }
            self.word = Duration::ZERO;
            self.in_word = false;
        }
        if self.in_greeting {
            let waits = self.silence >= self.options.after_greeting_silence;
            return waits.then_some((Callee::Human, Reason::WaitsAfterGreeting));
        }
        let silent = self.silence >= self.options.initial_silence;
        silent.then_some((Callee::Silent, Reason::InitialSilence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when speech and silence take turns, milliseconds; silence first.
    fn find(turns: &[u32]) -> Option<(Callee, Reason, u64, u32)> {
        let mut detector = AmdDetector::default();
        let mut verdict = None;
        for (index, &milliseconds) in turns.iter().enumerate() {
            let decibels = if index % 2 == 0 { -60.0 } else { -25.0 };
            for _ in 0..milliseconds / 20 {
                verdict = verdict.or(detector.hear_level(decibels));
            }
        }
        verdict.map(|verdict| (verdict.callee, verdict.reason, verdict.after.as_millis() as u64, verdict.words))
    }

    #[test]
    fn cadences_tell_humans_from_machines() {
        let rows: [(&[u32], _); 9] = [
            // "Hello?"
            (&[400, 500, 1000], Some((Callee::Human, Reason::WaitsAfterGreeting, 1700, 1))),
            // "Smith, good morning."
            (&[300, 400, 100, 600, 1000], Some((Callee::Human, Reason::WaitsAfterGreeting, 2200, 2))),
            // "You have reached the mailbox of …"
            (&[500, 400, 60, 300, 60, 500, 80, 400], Some((Callee::Machine, Reason::LongGreeting, 2100, 4))),
            (&[500, 300, 60, 200, 60, 200, 60, 200, 60, 300], Some((Callee::Machine, Reason::ManyWords, 1680, 4))),
            (&[2600], Some((Callee::Silent, Reason::InitialSilence, 2500, 0))),
            // Clicks of the line are no words.
            (&[200, 60, 2600], Some((Callee::Silent, Reason::InitialSilence, 2760, 0))),
            // Cut in pieces that are neither.
            (&[2400, 60, 700, 60, 700, 60, 2000], Some((Callee::NotSure, Reason::TimeUp, 5000, 0))),
            (&[400, 500, 700], None),
            (&[], None),
        ];
        for (turns, want) in rows {
            let got = find(turns);
            let want = match want {
                // Which of two rules strikes first in a long greeting of many words is not the point of the row.
                Some((Callee::Machine, _, _, _)) => {
                    assert!(matches!(got, Some((Callee::Machine, _, _, _))), "{turns:?}: {got:?}");
                    continue;
                }
                want => want,
            };
            assert_eq!(got, want, "{turns:?}");
        }
    }

    #[test]
    fn each_rule_for_machines_is_its_own() {
        let options = AmdOptions { words_max: 99, ..AmdOptions::default() };
        let run = |options, levels: &[f32]| {
            let mut detector = AmdDetector::new(options);
            levels.iter().find_map(|&level| detector.hear_level(level)).map(|verdict| verdict.reason)
        };
        let speech = [-20.0; 300];
        assert_eq!(run(options, &speech), Some(Reason::LongGreeting));
        let long = Duration::from_secs(60);
        assert_eq!(run(AmdOptions { greeting: long, total: long, ..options }, &speech), Some(Reason::LongWord));
        let words: Vec<f32> = (0..300).map(|frame| if frame % 10 < 6 { -20.0 } else { -60.0 }).collect();
        assert_eq!(run(AmdOptions { words_max: 2, ..options }, &words), Some(Reason::ManyWords));
        assert_eq!(run(options, &words), Some(Reason::LongGreeting));
    }

    #[test]
    fn a_verdict_stays() {
        let mut detector = AmdDetector::default();
        let first = (0..200).find_map(|_| detector.hear_level(-80.0));
        assert_eq!(detector.hear_level(-10.0), first);
    }
}
