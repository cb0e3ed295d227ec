//! A `voicemail` step: greeting, beep, and what the caller says then.

use crate::audio::{AudioCommand, Digit, Purpose, Recording, RecordingId, Sound, Track};
use crate::call::{Call, Output, PortDeed, State};
use crate::event::{MessageEnd, MessageOutcome, Outcome};
use crate::limits;
use crate::plan::{Tone, Voicemail};
use crate::time::Instant;

/// A message is being left.
#[derive(Debug)]
pub(super) struct Messaging {
    voicemail: Voicemail,
    stage: Stage,
    /// When the stage is over at the latest.
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Greeting(u32),
    Beep(u32),
    Speaking { recording: RecordingId, since: Instant },
}

impl Messaging {
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    /// The recording that hears the caller.
    pub(super) fn recording(&self) -> Option<RecordingId> {
        match self.stage {
            Stage::Speaking { recording, .. } => Some(recording),
            Stage::Greeting(_) | Stage::Beep(_) => None,
        }
    }

    /// Whether the caller's silence matters.
    pub(super) fn watches(&self) -> bool {
        self.recording().is_some() && self.voicemail.silence.is_some()
    }
}

impl Call {
    pub(super) fn voicemail(&mut self, now: Instant, voicemail: Voicemail) {
        self.speak(now);
        let greeting = voicemail.greeting.clone().unwrap_or_else(|| Sound::Greeting(voicemail.mailbox.clone()));
        let playback = self.play_to(self.invitation.caller.session, greeting, 1);
        let stage = Stage::Greeting(playback);
        self.enter(now, State::Messaging(Messaging { voicemail, stage, until: now + limits::PLAY_MAX }));
    }

    /// A playback is over while a message is being left: the greeting, or the beep. One that could not be played is none.
    pub(super) fn message_played(&mut self, now: Instant, playback: u32) {
        let State::Messaging(messaging) = &self.state else { return };
        match messaging.stage {
            Stage::Greeting(greeting) if greeting == playback => self.beep(now),
            Stage::Beep(beep) if beep == playback => self.listen_to_message(now),
            _ => {}
        }
    }

    fn beep(&mut self, now: Instant) {
        let playback = self.play_to(self.invitation.caller.session, Sound::Tone(Tone::Beep), 1);
        if let State::Messaging(messaging) = &mut self.state {
            messaging.stage = Stage::Beep(playback);
            messaging.until = now + limits::PLAY_MAX;
        }
    }

    fn listen_to_message(&mut self, now: Instant) {
        let Some(recording) = self.name_recording() else {
            return self.message_over(now, MessageEnd::Failed);
        };
        let State::Messaging(messaging) = &mut self.state else { return };
        messaging.stage = Stage::Speaking { recording, since: now };
        messaging.until = now + messaging.voicemail.max_duration;
        let (mailbox, silence) = (messaging.voicemail.mailbox.clone(), messaging.voicemail.silence);
        let what = Recording {
            tenant: self.invitation.tenant.clone(),
            caller: self.invitation.caller.user.clone(),
            dialled: self.invitation.to.clone(),
            purpose: Purpose::Message { mailbox },
            tracks: vec![Track::Caller],
        };
        self.outputs.push_back(Output::Audio(AudioCommand::Record { recording, what: Box::new(what) }));
        if silence.is_some() {
            self.outputs.push_back(Output::Port(self.invitation.caller.session, PortDeed::Watch(silence)));
        }
        self.outputs.push_back(Output::Gates);
    }

    /// The caller pressed keys: one during the greeting skips it, the finish key ends the message.
    pub(super) fn message_digits(&mut self, now: Instant, digits: &str) {
        let State::Messaging(messaging) = &self.state else { return };
        match messaging.stage {
            Stage::Greeting(_) => {
                self.hush_caller();
                self.beep(now);
            }
            Stage::Beep(_) => {}
            Stage::Speaking { .. } => {
                let finish = messaging.voicemail.finish;
                if finish.is_some() && digits.chars().any(|key| Digit::new(key) == finish) {
                    self.message_over(now, MessageEnd::FinishKey);
                }
            }
        }
    }

    pub(super) fn message_silence(&mut self, now: Instant) {
        if matches!(&self.state, State::Messaging(messaging) if messaging.watches()) {
            self.message_over(now, MessageEnd::Silence);
        }
    }

    pub(super) fn message_overdue(&mut self, now: Instant) {
        let State::Messaging(messaging) = &self.state else { return };
        match messaging.stage {
            Stage::Greeting(_) => {
                self.hush_caller();
                self.beep(now);
            }
            Stage::Beep(_) => self.listen_to_message(now),
            Stage::Speaking { .. } => self.message_over(now, MessageEnd::MaxDuration),
        }
    }

    /// Ends the message and goes on with the plan.
    pub(super) fn message_over(&mut self, now: Instant, ended_by: MessageEnd) {
        let (recording, duration) = self.close_message(now).unzip();
        let duration = duration.unwrap_or(0);
        let recording = recording.filter(|_| ended_by != MessageEnd::Failed).flatten().map(|id| id.to_string());
        self.outcome = Outcome::LeftMessage(MessageOutcome { recording, duration, ended_by });
        self.advance(now);
    }

    /// Ends the message's recording, also when the call ends: its name if it is kept, and how long it is, milliseconds.
    pub(super) fn close_message(&mut self, now: Instant) -> Option<(Option<RecordingId>, u32)> {
        let State::Messaging(messaging) = &mut self.state else { return None };
        let Stage::Speaking { recording, since } = messaging.stage else { return None };
        let watched = messaging.watches();
        // A message is closed once, whatever else happens in this instant.
        messaging.stage = Stage::Beep(0);
        let duration = now.since(since);
        let keep = duration >= limits::MESSAGE_KEPT_MIN;
        if watched {
            self.outputs.push_back(Output::Port(self.invitation.caller.session, PortDeed::Watch(None)));
        }
        self.outputs.push_back(Output::Gates);
        self.outputs.push_back(Output::Audio(AudioCommand::Finish { recording, keep }));
        Some((keep.then_some(recording), u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)))
    }
}
