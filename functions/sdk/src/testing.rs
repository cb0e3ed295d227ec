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
    Cause, Consultation, Context, DialOutcome, Error, Event, Outcome, Party, Plan, Router, Transport, Verification,
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

/// The event of a `consult` step with this tag, after a dial that nobody answered for this cause.
pub fn consulted_after_dial(tag: &str, cause: Cause) -> Event {
    let outcome = Outcome::Dialled(DialOutcome { cause, answered_by: None, talked: 0 });
    Event::Consulted(Consultation { tag: tag.into(), outcome })
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
