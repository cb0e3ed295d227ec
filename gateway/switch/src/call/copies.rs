//! Copies of the voices: recordings and taps. Both begin with the first voice and end with the call.

use crate::audio::{AudioCommand, Purpose, Recording, RecordingId, TapId, Track};
use crate::call::{Call, Hearer, Hearers, Output, Side, State};
use crate::event::{MessageEnd, Outcome, StartOutcome};
use crate::id::SessionId;
use crate::limits;
use crate::plan::{Legs, RecordAction, TapStep};
use crate::signal::Happening;
use crate::time::Instant;

/// The recordings and taps of a call.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// How many recordings there were; the number of the last one.
    recordings: u16,
    recording: Option<OnRecord>,
    /// How many taps there were; the number of the last one.
    taps_made: u16,
    taps: Vec<OnTap>,
}

#[derive(Clone, Copy, Debug)]
struct OnRecord {
    id: RecordingId,
    legs: Legs,
    paused: bool,
    /// Whether who is on the callee's track stands at the caller's end by now; see [`Copies::turn`].
    turned: bool,
}

#[derive(Clone, Copy, Debug)]
struct OnTap {
    id: TapId,
    legs: Legs,
    /// As of a recording.
    turned: bool,
}

impl Copies {
    /// The caller leaves and the callee goes on in their place. Whoever stays keeps the track that their voice is on already, and the copies
    /// that cover it go on: a voice that changed sides in the middle of a recording could not be told apart any more.
    pub(super) fn turn(&mut self) {
        if let Some(on_record) = &mut self.recording {
            on_record.turned = !on_record.turned;
        }
        for tap in &mut self.taps {
            tap.turned = !tap.turned;
        }
    }
}

fn covers(legs: Legs, track: Track) -> bool {
    match legs {
        Legs::Both => true,
        Legs::Caller => track == Track::Caller,
        Legs::Callee => track == Track::Callee,
    }
}

impl Call {
    /// Starts, stops, pauses or resumes; gives the name of the recording that it is about.
    pub(super) fn record(&mut self, action: RecordAction, legs: Legs) -> Option<RecordingId> {
        let before = self.copies.recording;
        match (action, before) {
            (RecordAction::Start, None) => {
                let id = self.name_recording()?;
                self.copies.recording = Some(OnRecord { id, legs, paused: false, turned: false });
                let tracks = [Track::Caller, Track::Callee].into_iter().filter(|track| covers(legs, *track)).collect();
                let what = Recording {
                    tenant: self.invitation.tenant.clone(),
                    caller: self.invitation.caller.user.clone(),
                    dialled: self.invitation.to.clone(),
                    purpose: Purpose::Call,
                    tracks,
                };
                self.outputs.push_back(Output::Audio(AudioCommand::Record { recording: id, what: Box::new(what) }));
            }
            (RecordAction::Stop, Some(OnRecord { id, .. })) => {
                self.copies.recording = None;
                self.outputs.push_back(Output::Gates);
                self.outputs.push_back(Output::Audio(AudioCommand::Finish { recording: id, keep: true }));
            }
            (RecordAction::Pause, Some(on_record)) => {
                self.copies.recording = Some(OnRecord { paused: true, ..on_record });
            }
            (RecordAction::Start | RecordAction::Resume, Some(on_record)) => {
                self.copies.recording = Some(OnRecord { paused: false, ..on_record });
            }
            (RecordAction::Stop | RecordAction::Pause | RecordAction::Resume, None) => return None,
        }
        self.outputs.push_back(Output::Gates);
        let after = self.copies.recording;
        for session in self.talkers() {
            let (was, is) = (self.is_recorded(before, session), self.is_recorded(after, session));
            if was != is {
                self.tell(session, Happening::Recorded { on: is });
            }
        }
        after.or(before).map(|on_record| on_record.id)
    }

    /// A party that is spoken to or connected from now on has to know that it is recorded.
    pub(super) fn tell_recorded(&mut self, session: SessionId) {
        if self.is_recorded(self.copies.recording, session) {
            self.tell(session, Happening::Recorded { on: true });
        }
    }

    fn is_recorded(&self, recording: Option<OnRecord>, session: SessionId) -> bool {
        let Some(OnRecord { legs, paused: false, turned, .. }) = recording else { return false };
        covers(legs, self.track_of(session, turned))
    }

    /// The track of a party's voice, in a copy whose sides are `turned` or not.
    fn track_of(&self, session: SessionId, turned: bool) -> Track {
        if (session == self.invitation.caller.session) != turned { Track::Caller } else { Track::Callee }
    }

    /// Those whose voice is taken in now.
    fn talkers(&self) -> Vec<SessionId> {
        let caller = self.invitation.caller.session;
        match &self.state {
            State::Talking(talk) => vec![caller, talk.callee],
            State::Over => Vec::new(),
            _ if self.spoken_to || self.is_in_room() => vec![caller],
            _ => Vec::new(),
        }
    }

    /// Draws the next recording's name, unless the call had as many as it may.
    pub(super) fn name_recording(&mut self) -> Option<RecordingId> {
        if self.copies.recordings >= limits::RECORDINGS_PER_CALL_MAX {
            return None;
        }
        self.copies.recordings += 1;
        Some(RecordingId { call: self.invitation.call, number: self.copies.recordings })
    }

    /// A `record` step.
    pub(super) fn record_step(&mut self, action: RecordAction, legs: Legs) {
        let id = self.record(action, legs).map(|id| id.to_string());
        let failure = (id.is_none() && action == RecordAction::Start)
            .then(|| format!("a call has {} recordings at most", limits::RECORDINGS_PER_CALL_MAX));
        self.outcome = Outcome::Started(StartOutcome { id, failure });
    }

    /// A recording broke off. The call goes on; what was written is kept.
    pub(super) fn recording_failed(&mut self, now: Instant, id: RecordingId) {
        if self.copies.recording.is_some_and(|on_record| on_record.id == id) {
            self.record(RecordAction::Stop, Legs::Both);
        } else if matches!(&self.state, State::Messaging(messaging) if messaging.recording() == Some(id)) {
            self.message_over(now, MessageEnd::Failed);
        }
    }

    /// A `tap` step: starts it and says whether the plan has to wait for its end.
    pub(super) fn tap_step(&mut self, now: Instant, step: TapStep) -> bool {
        if self.copies.taps.len() >= limits::TAPS_PER_CALL_MAX {
            let failure = Some(format!("a call has {} taps at once at most", limits::TAPS_PER_CALL_MAX));
            self.outcome = Outcome::Started(StartOutcome { id: None, failure });
            return false;
        }
        let waits = step.speaks;
        if waits {
            self.speak(now);
        }
        self.copies.taps_made = self.copies.taps_made.wrapping_add(1);
        let tap = TapId { call: self.invitation.call, number: self.copies.taps_made };
        self.copies.taps.push(OnTap { id: tap, legs: step.legs, turned: false });
        let tenant = self.invitation.tenant.clone();
        // The exchange puts the caller's port in.
        self.outputs.push_back(Output::Audio(AudioCommand::Tap { tap, tenant, step: Box::new(step), port: None }));
        self.outputs.push_back(Output::Gates);
        self.outcome = Outcome::Started(StartOutcome { id: Some(tap.to_string()), failure: None });
        if waits {
            self.enter(now, State::Tapping(tap));
        }
        waits
    }

    /// A tap's far end refused, closed or was lost.
    pub(super) fn tap_ended(&mut self, now: Instant, tap: TapId, failure: Option<String>) {
        let before = self.copies.taps.len();
        self.copies.taps.retain(|on_tap| on_tap.id != tap);
        if self.copies.taps.len() < before {
            self.outputs.push_back(Output::Gates);
        }
        if matches!(self.state, State::Tapping(waiting) if waiting == tap) {
            self.outcome = Outcome::Started(StartOutcome { id: Some(tap.to_string()), failure });
            self.advance(now);
        }
    }

    /// A tap ends before its far end wants it.
    pub(super) fn end_tap(&mut self, tap: TapId) {
        self.copies.taps.retain(|on_tap| on_tap.id != tap);
        self.outputs.push_back(Output::Gates);
        self.outputs.push_back(Output::Audio(AudioCommand::Untap { tap }));
    }

    /// The call ends: so does everything that copies its voices.
    pub(super) fn end_copies(&mut self, now: Instant) {
        self.close_message(now);
        if let Some(OnRecord { id, .. }) = self.copies.recording.take() {
            self.outputs.push_back(Output::Audio(AudioCommand::Finish { recording: id, keep: true }));
        }
        for OnTap { id: tap, .. } in std::mem::take(&mut self.copies.taps) {
            self.outputs.push_back(Output::Audio(AudioCommand::Untap { tap }));
        }
    }

    /// Who hears a party, and whether anything passes.
    pub fn heard_by(&self, session: SessionId) -> Hearers {
        let is_caller = session == self.invitation.caller.session;
        let (passes, mut hearers) = match &self.state {
            State::Talking(talk) if is_caller => (self.passes(Side::Caller), vec![Hearer::Party(talk.callee)]),
            State::Talking(talk) if session == talk.callee => {
                (self.passes(Side::Callee), vec![Hearer::Party(self.invitation.caller.session)])
            }
            State::Talking(_) | State::Over => return Hearers::default(),
            State::Messaging(messaging) if is_caller => {
                let port = messaging.watches().then_some(Hearer::Port);
                let recording = messaging.recording().map(|id| Hearer::Recording(id, Track::Caller));
                (!self.caller_muted, port.into_iter().chain(recording).collect())
            }
            State::Conferring(_) if is_caller => (!self.caller_muted, vec![Hearer::Room]),
            _ if is_caller => (!self.caller_muted, Vec::new()),
            _ => return Hearers::default(),
        };
        if let Some(OnRecord { id, legs, paused: false, turned }) = self.copies.recording {
            let track = self.track_of(session, turned);
            hearers.extend(covers(legs, track).then_some(Hearer::Recording(id, track)));
        }
        for OnTap { id, legs, turned } in &self.copies.taps {
            let track = self.track_of(session, *turned);
            hearers.extend(covers(*legs, track).then_some(Hearer::Tap(*id, track)));
        }
        Hearers { passes, hearers }
    }
}
