//! Write a Tandem routing function in ten lines.
//!
//! A routing function is asked what shall happen to a call and answers with a [`Plan`]: a list of steps that the gateway carries
//! out. This crate has the contract's types (`wit/voice.wit`), builders for them, and the [`router!`] macro that turns a type into
//! a WebAssembly component.
//!
//! ```
//! use tandem_function::{Cause, Context, Error, Event, Plan, Router, ring};
//!
//! struct Office;
//!
//! impl Router for Office {
//!     async fn route(_context: Context, _event: Event) -> Result<Plan, Error> {
//!         Ok(Plan::new().ring_back().dial(ring(["alice", "bob"]).for_seconds(20)).reject(Cause::NoAnswer))
//!     }
//! }
//!
//! tandem_function::router!(Office);
//! ```
//!
//! The gateway itself speaks and listens by [`Plan::play`], [`Plan::gather`] and [`Plan::voicemail`]; what a step brought is in the event of
//! the [`Plan::consult`] after it:
//!
//! ```
//! use tandem_function::{Cause, Context, Error, Event, Plan, Router, gather, ring, voicemail};
//!
//! struct Menu;
//!
//! impl Router for Menu {
//!     async fn route(_context: Context, event: Event) -> Result<Plan, Error> {
//!         let Event::Consulted(consultation) = event else {
//!             return Ok(Plan::new().gather(gather(1).asking("menu")).consult("chosen"));
//!         };
//!         Ok(match consultation.digits() {
//!             Some("1") => Plan::new().dial(ring(["alice", "bob"])),
//!             Some("2") => Plan::new().voicemail(voicemail("office")),
//!             _ => Plan::new().play("goodbye").hangup(Cause::Normal),
//!         })
//!     }
//! }
//!
//! tandem_function::router!(Menu);
//! ```
//!
//! **Keep state in the plan.** The gateway makes a fresh instance for every question: globals, statics and thread-locals
//! start anew each time. What a function wants to know at its next question about the same call it puts into
//! [`Plan::with_state`], and finds again in [`Context::state`].
//!
//! **Take the time from the context.** [`Context::local_time`] reads `context.now`, which makes a decision repeatable: the same
//! context and event give the same plan, in a test as on a node.
//!
//! The crate compiles natively too, so that a function has ordinary unit tests; see [`testing`].

mod clock;
mod context;
mod dial;
pub mod fetch;
mod host;
pub mod http;
mod outcome;
mod plan;
mod room;
#[cfg(not(target_family = "wasm"))]
mod surroundings;
pub mod testing;
mod voice;

/// What wit-bindgen makes of `wit/voice.wit`. Not for direct use: the crate's root has every type.
#[doc(hidden)]
#[allow(unsafe_code, reason = "the generated glue between the component and its host")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "router",
        additional_derives: [PartialEq, Eq, serde::Deserialize, serde::Serialize],
        // As JSON every name is the contract's own.
        additional_type_attributes: {
            "tandem:voice/types@0.1.0/party": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/header": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/context": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/event": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/consultation": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/dial-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/play-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/gather-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/gather-end": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/message-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/message-end": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/start-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/queue-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/queue-result": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/park-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/park-result": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/room-outcome": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/room-cause": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/call-record": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/plan": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/audio-source": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/play-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/gather-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/dial-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/dial-target": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/address": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/trunk-number": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/conference-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/enqueue-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/skill-need": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/voicemail-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/record-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/transfer-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/park-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/tap-step": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/tap-format": [#[serde(try_from = "String", into = "String")]],
            "tandem:voice/types@0.1.0/rejection": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/cause": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/transport": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/verification": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/tone": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/dial-strategy": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/after-answer": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/legs": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/record-action": [#[serde(rename_all = "kebab-case")]],
            "tandem:voice/types@0.1.0/transfer-kind": [#[serde(rename_all = "kebab-case")]],
        },
        pub_export_macro: true,
        default_bindings_module: "tandem_function::bindings",
    });
}

pub use bindings::tandem::voice::types::Plan;
pub use bindings::tandem::voice::types::{
    Address, AfterAnswer, AudioSource, CallRecord, Cause, ConferenceStep, Consultation, Context, DialOutcome, DialStep,
    DialStrategy, DialTarget, EnqueueStep, Error, Event, GatherEnd, GatherOutcome, GatherStep, Header, Legs,
    MessageEnd, MessageOutcome, Outcome, ParkOutcome, ParkResult, ParkStep, Party, PlayOutcome, PlayStep, QueueOutcome,
    QueueResult, RecordAction, RecordStep, Rejection, RoomCause, RoomOutcome, SkillNeed, StartOutcome, Step, TapFormat,
    TapStep, Tone, TransferKind, TransferStep, Transport, TrunkNumber, Verification, VoicemailStep,
};
pub use clock::{LocalTime, Weekday};
pub use dial::{ring, ring_weighted};
pub use host::{Refused, config, directory, key_value, log};
pub use room::conference;
pub use voice::{gather, play, tap, voicemail};

/// A routing function. [`router!`] makes a component of a type that implements it.
pub trait Router {
    /// Says what shall happen to the call: asked when a call comes in, when a plan consults, and when the call has ended (then
    /// the answer is ignored).
    ///
    /// # Errors
    /// When the function cannot answer. The call goes on with the last version that worked, else with the tenant's default plan, and the
    /// failure is shown.
    fn route(context: Context, event: Event) -> impl Future<Output = Result<Plan, Error>>;
}

impl Error {
    /// An error that says, in plain words, why there is no plan.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Exports a type that implements [`Router`] as the component's `route`. Once per component, at the root of the crate.
///
/// `router!(Office, http)` exports it as a `wasi:http` handler as well, so that `spin up` and any other host of HTTP components can serve it:
/// see [`http`].
#[macro_export]
macro_rules! router {
    ($router:ident, http) => {
        $crate::router!($router);

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Served;

            impl $crate::http::Guest for Served {
                fn handle(request: $crate::http::IncomingRequest, response: $crate::http::ResponseOutparam) {
                    $crate::http::serve::<$router>(request, response);
                }
            }

            $crate::http::wasip2::http::proxy::export! { Served with_types_in $crate::http::wasip2 }
        };
    };
    ($router:ident) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                async fn route(context: $crate::Context, event: $crate::Event) -> Result<$crate::Plan, $crate::Error> {
                    <$router as $crate::Router>::route(context, event).await
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::bindings::export! { Exported with_types_in $crate::bindings }

            // Natively nothing calls a component's export; this keeps the function from being reported as unused.
            #[cfg(not(target_family = "wasm"))]
            const _: fn($crate::Context, $crate::Event) =
                |context, event| drop(<$router as $crate::Router>::route(context, event));
        };
    };
}
