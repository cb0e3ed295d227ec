//! The gateway itself speaks with the caller: `answer`, `play`, `gather`, and what both have in common.
//!
//! The caller is **spoken to** from the first of these steps until somebody is connected, and again afterwards. What plays is named by a
//! number that counts up, so that the end of an earlier playback is not taken for that of the present one. Keys that the caller presses
//! while nobody asked for them are kept for the next `gather` (type-ahead).

use crate::audio::{Digit, Sound};
use crate::call::{Call, Output, PortDeed, State};
use crate::cause::Cause;
use crate::event::{GatherEnd, GatherOutcome, Outcome, PlayOutcome};
use crate::id::SessionId;
use crate::limits;
use crate::plan::{Gather, Play};
use crate::time::Instant;

/// A sound plays.
#[derive(Debug)]
pub(super) struct Playing {
    playback: u32,
    until: Instant,
}

impl Playing {
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }
}

/// Digits are collected.
#[derive(Debug)]
pub(super) struct Gathering {
    gather: Gather,
    digits: String,
    /// The prompt, while it plays.
    playing: Option<u32>,
    /// When the prompt has to be over, or the next digit has to be there.
    until: Instant,
}

impl Gathering {
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }
}

impl Call {
    /// Makes sure that the gateway speaks with the caller. The first time, the call is answered.
    pub(super) fn speak(&mut self, now: Instant) {
        self.answered_at.get_or_insert(now);
        // A plan that ends now has served the caller, whatever an earlier dial brought.
        self.last_dial = Some(Cause::Normal);
        if !self.spoken_to {
            (self.spoken_to, self.served) = (true, true);
            self.told_ringing = false;
            let caller = self.invitation.caller.session;
            self.outputs.push_back(Output::Speak(caller));
            self.tell_recorded(caller);
        }
    }

    /// Plays to a party and names the playback.
    pub(super) fn play_to(&mut self, session: SessionId, sound: Sound, times: u32) -> u32 {
        self.playbacks += 1;
        let playback = self.playbacks;
        self.outputs.push_back(Output::Port(session, PortDeed::Play { playback, sound, times }));
        playback
    }

    pub(super) fn play(&mut self, now: Instant, play: Play) {
        self.speak(now);
        let playback = self.play_to(self.invitation.caller.session, play.sound, play.times);
        self.enter(now, State::Playing(Playing { playback, until: now + limits::PLAY_MAX }));
    }

    pub(super) fn gather(&mut self, now: Instant, gather: Gather) {
        self.speak(now);
        let typed = std::mem::take(&mut self.typed);
        let skips_prompt = gather.barge_in && !typed.is_empty();
        let prompt = gather.prompt.clone().filter(|_| !skips_prompt);
        let playing = prompt.map(|sound| self.play_to(self.invitation.caller.session, sound, 1));
        let until = now + if playing.is_some() { limits::PLAY_MAX } else { gather.first_timeout };
        self.enter(now, State::Gathering(Gathering { gather, digits: String::new(), playing, until }));
        self.digits(now, &typed);
    }

    /// A playback to the caller is over.
    pub(super) fn played(&mut self, now: Instant, playback: u32, failure: Option<String>) {
        match &mut self.state {
            State::Playing(playing) if playing.playback == playback => self.play_over(now, failure),
            State::Gathering(gathering) if gathering.playing == Some(playback) => self.prompt_over(now),
            State::Messaging(_) => self.message_played(now, playback),
            State::Queued(_) => self.queue_played(playback, failure),
            State::Parked(_) => self.park_played(playback, failure),
            _ => {}
        }
    }

    fn play_over(&mut self, now: Instant, failure: Option<String>) {
        self.outcome = Outcome::Played(PlayOutcome { finished: failure.is_none(), failure });
        self.advance(now);
    }

    /// A step that plays took longer than it may.
    pub(super) fn play_overdue(&mut self, now: Instant) {
        self.hush_caller();
        let failure = format!("a step plays {} s at most", limits::PLAY_MAX.as_secs());
        self.play_over(now, Some(failure));
    }

    /// Stops what plays to the caller.
    pub(super) fn hush_caller(&mut self) {
        if self.spoken_to {
            self.outputs.push_back(Output::Port(self.invitation.caller.session, PortDeed::Stop));
        }
    }

    fn prompt_over(&mut self, now: Instant) {
        let State::Gathering(gathering) = &mut self.state else { return };
        gathering.playing = None;
        gathering.until = now + gathering.gather.first_timeout;
        let typed = std::mem::take(&mut self.typed);
        self.digits(now, &typed);
    }

    /// The caller pressed keys while the gateway speaks with them.
    pub(super) fn digits(&mut self, now: Instant, digits: &str) {
        match &mut self.state {
            State::Gathering(gathering) if gathering.playing.is_none() || gathering.gather.barge_in => {}
            State::Messaging(_) => return self.message_digits(now, digits),
            State::Queued(_) => return self.queue_keys(digits),
            _ => {
                let room = limits::TYPE_AHEAD_MAX.saturating_sub(self.typed.len());
                self.typed.extend(digits.chars().take(room));
                return;
            }
        }
        for (at, digit) in digits.char_indices() {
            if let Some(ended_by) = self.take_digit(now, digit) {
                // What follows was meant for what comes next.
                self.typed = digits[at + digit.len_utf8()..].to_owned();
                return self.gathered(now, ended_by);
            }
        }
    }

    /// One digit of an entry; what it ends the entry by, if it does.
    fn take_digit(&mut self, now: Instant, digit: char) -> Option<GatherEnd> {
        let State::Gathering(gathering) = &mut self.state else { return None };
        let was_playing = gathering.playing.take().is_some();
        gathering.until = now + gathering.gather.inter_timeout;
        let ended_by = if gathering.gather.finish.is_some() && Digit::new(digit) == gathering.gather.finish {
            Some(GatherEnd::FinishKey)
        } else {
            gathering.digits.push(digit);
            (gathering.digits.len() >= gathering.gather.max).then_some(GatherEnd::MaxDigits)
        };
        if was_playing {
            self.hush_caller();
        }
        ended_by
    }

    /// No digit came in time, or the prompt did not end.
    pub(super) fn gather_overdue(&mut self, now: Instant) {
        let State::Gathering(gathering) = &self.state else { return };
        if gathering.playing.is_some() {
            self.hush_caller();
            return self.prompt_over(now);
        }
        let is_first = gathering.digits.is_empty();
        self.gathered(now, if is_first { GatherEnd::FirstDigitTimeout } else { GatherEnd::InterDigitTimeout });
    }

    fn gathered(&mut self, now: Instant, ended_by: GatherEnd) {
        let State::Gathering(gathering) = &mut self.state else { return };
        let digits = std::mem::take(&mut gathering.digits);
        let complete = digits.len() >= gathering.gather.min;
        self.outcome = Outcome::Gathered(GatherOutcome { digits, complete, ended_by });
        self.advance(now);
    }
}
