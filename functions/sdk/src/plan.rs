//! Building a plan, step by step.

use crate::{
    Cause, ConferenceStep, DialStep, GatherStep, Legs, Plan, PlayStep, RecordAction, RecordStep, Rejection, Step,
    TapStep, VoicemailStep,
};

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// A plan without steps: the right answer to `ended`. A call in progress needs at least one.
    pub fn new() -> Self {
        Self { steps: Vec::new(), state: Vec::new() }
    }

    /// Adds any step of the contract.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The caller hears that it rings.
    pub fn ring_back(self) -> Self {
        self.step(Step::RingBack)
    }

    /// Answers the call. Steps that need it do so by themselves.
    pub fn answer(self) -> Self {
        self.step(Step::Answer)
    }

    /// Plays a prompt (by name), a tone, or what [`crate::play`] makes, to the caller.
    pub fn play(self, sound: impl Into<PlayStep>) -> Self {
        self.step(Step::Play(sound.into()))
    }

    /// Collects digits from the caller; see [`crate::gather`].
    pub fn gather(self, gather: GatherStep) -> Self {
        self.step(Step::Gather(gather))
    }

    /// Puts the caller into a room, where many talk; see [`crate::conference`].
    pub fn conference(self, conference: ConferenceStep) -> Self {
        self.step(Step::Conference(conference))
    }

    /// Lets the caller speak on a channel, and moderate it.
    pub fn broadcast(self, channel: impl Into<String>) -> Self {
        self.step(Step::Broadcast(channel.into()))
    }

    /// Lets the caller listen to a channel.
    pub fn listen(self, channel: impl Into<String>) -> Self {
        self.step(Step::Listen(channel.into()))
    }

    /// Lets the caller leave a message; see [`crate::voicemail`].
    pub fn voicemail(self, voicemail: VoicemailStep) -> Self {
        self.step(Step::Voicemail(voicemail))
    }

    /// Records both parties from here on, or from the first voice on.
    pub fn record(self) -> Self {
        self.record_step(RecordAction::Start, Legs::Both)
    }

    /// Records one party, from here on or from the first voice on.
    pub fn record_only(self, legs: Legs) -> Self {
        self.record_step(RecordAction::Start, legs)
    }

    /// Ends the recording.
    pub fn stop_recording(self) -> Self {
        self.record_step(RecordAction::Stop, Legs::Both)
    }

    /// Holds the recording, while a card number is spoken; it is silent there.
    pub fn pause_recording(self) -> Self {
        self.record_step(RecordAction::Pause, Legs::Both)
    }

    /// Goes on with a recording that was held.
    pub fn resume_recording(self) -> Self {
        self.record_step(RecordAction::Resume, Legs::Both)
    }

    fn record_step(self, action: RecordAction, legs: Legs) -> Self {
        self.step(Step::Record(RecordStep { action, legs }))
    }

    /// Sends a copy of the voices elsewhere; see [`crate::tap`].
    pub fn tap(self, tap: TapStep) -> Self {
        self.step(Step::Tap(tap))
    }

    /// Tells the caller's side to call this address instead.
    pub fn redirect(self, to: impl Into<String>) -> Self {
        self.step(Step::Redirect(to.into()))
    }

    /// Waits; 1 ms to 60 s.
    pub fn pause_ms(self, millis: u32) -> Self {
        self.step(Step::Pause(millis))
    }

    /// Rings somebody and connects whoever answers; see [`crate::ring`].
    pub fn dial(self, dial: DialStep) -> Self {
        self.step(Step::Dial(dial))
    }

    /// Refuses the call.
    pub fn reject(self, cause: Cause) -> Self {
        self.step(Step::Reject(Rejection { cause, reason: None }))
    }

    /// Refuses the call, with words for the caller.
    pub fn reject_because(self, cause: Cause, reason: impl Into<String>) -> Self {
        self.step(Step::Reject(Rejection { cause, reason: Some(reason.into()) }))
    }

    /// Ends the call.
    pub fn hangup(self, cause: Cause) -> Self {
        self.step(Step::Hangup(cause))
    }

    /// Asks the function again, with this tag.
    pub fn consult(self, tag: impl Into<String>) -> Self {
        self.step(Step::Consult(tag.into()))
    }

    /// What the function is given back as `context.state` at its next question about this call.
    pub fn with_state(self, state: impl Into<Vec<u8>>) -> Self {
        Self { state: state.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring;

    #[test]
    fn steps_come_in_the_order_they_are_written() {
        let plan = Plan::new().ring_back().dial(ring(["bob"])).pause_ms(5).consult("again").with_state("1");
        assert_eq!(
            plan.steps,
            [Step::RingBack, Step::Dial(ring(["bob"])), Step::Pause(5), Step::Consult("again".into())]
        );
        assert_eq!(plan.state, b"1");
    }
}
