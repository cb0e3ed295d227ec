//! Unit tests of a function, natively: `cargo test`.
//!
//! ```
//! use tandem_function::testing::{call, decide};
//! use tandem_function::{Context, Error, Event, Plan, Router, ring};
//!
//! struct Direct;
//!
//! impl Router for Direct {
//!     async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
//!         Ok(Plan::new().dial(ring([context.to])))
//!     }
//! }
//!
//! assert_eq!(decide::<Direct>(call("alice", "bob"), Event::Incoming), Ok(Plan::new().dial(ring(["bob"]))));
//! ```

use std::pin::pin;
use std::task::{Poll, Waker};

#[cfg(not(target_family = "wasm"))]
pub use crate::surroundings::Surroundings;
use crate::{
    Cause, Consultation, Context, DialOutcome, Error, Event, GatherEnd, GatherOutcome, MessageEnd, MessageOutcome,
    Outcome, Party, Plan, PlayOutcome, Router, Transport, Verification,
};

/// The context of a call that has just come in, on Monday, 2 November 2026, 12:00 UTC. Change what matters to the test.
pub fn call(from: &str, to: &str) -> Context {
    const MONDAY_NOON: u64 = 1_793_620_800_000;
    Context {
        call: "00000000000000000000000001".into(),
        from: Party { address: from.into(), display_name: None, verified_by: Verification::Token },
        to: to.into(),
        transport: Transport::Webtransport,
        node: "test".into(),
        region: "test".into(),
        headers: Vec::new(),
        started_at: MONDAY_NOON,
        now: MONDAY_NOON,
        state: Vec::new(),
        version: String::new(),
    }
}

/// The event of a `consult` step with this tag, after a step that brought this.
pub fn consulted(tag: &str, outcome: Outcome) -> Event {
    Event::Consulted(Consultation { tag: tag.into(), outcome })
}

/// The event of a `consult` step with this tag, after a dial that nobody answered for this cause.
pub fn consulted_after_dial(tag: &str, cause: Cause) -> Event {
    consulted(tag, Outcome::Dialled(DialOutcome { cause, answered_by: None, talked: 0 }))
}

/// The event of a `consult` step with this tag, after a prompt that was played to its end.
pub fn consulted_after_play(tag: &str) -> Event {
    consulted(tag, Outcome::Played(PlayOutcome { finished: true, failure: None }))
}

/// The event of a `consult` step with this tag, after a caller who pressed these digits, as many as were asked for; none: after a caller who
/// pressed no key.
pub fn consulted_after_gather(tag: &str, digits: &str) -> Event {
    let complete = !digits.is_empty();
    let ended_by = if complete { GatherEnd::MaxDigits } else { GatherEnd::FirstDigitTimeout };
    consulted(tag, Outcome::Gathered(GatherOutcome { digits: digits.into(), complete, ended_by }))
}

/// The event of a `consult` step with this tag, after a message of 5 s with this recording; without one, after a message that was too short
/// to be kept.
pub fn consulted_after_message(tag: &str, recording: Option<&str>) -> Event {
    let duration = if recording.is_some() { 5_000 } else { 300 };
    let recording = recording.map(str::to_owned);
    consulted(tag, Outcome::LeftMessage(MessageOutcome { recording, duration, ended_by: MessageEnd::FinishKey }))
}

/// Asks the function, as the gateway does.
///
/// # Errors
/// Those of the function.
///
/// # Panics
/// When the function waits for something: natively there is no gateway that it could wait for.
pub fn decide<R: Router>(context: Context, event: Event) -> Result<Plan, Error> {
    let mut answer = pin!(R::route(context, event));
    match answer.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the function waits for the gateway, which a native test does not have"),
    }
}
