//! Building a plan, step by step.

use crate::{Cause, DialStep, Plan, Rejection, Step};

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
