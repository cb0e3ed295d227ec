//! Runs tenants' routing functions: WebAssembly components that are asked what shall happen to a call and answer with a plan.
//!
//! In: a component's bytes ([`Host::load`]), then questions ([`Host::invoke`]: a context and an event, as the core has them). Out: a
//! plan, not yet checked, or the reason why there is none. It knows no call, no session, no socket and no storage engine; what a
//! function may do beyond computing is in [`capabilities`], and what of it concerns the world is asked of an [`outside::Outside`].
//!
//! - [`Host`]: one for the process; owns the engine, the clock of time slices and the permits;
//! - [`Function`]: one loaded version of a tenant's function;
//! - [`Invocation`]: an answer and what it cost;
//! - [`Replayed`]: a recorded invocation, taken again;
//! - [`Inspection`]: what a component is, in plain words, for `tandem check`;
//! - [`limits`]: every bound, with unit and reason.

mod bindings;
mod cache;
pub mod capabilities;
mod compile;
mod convert;
mod digest;
mod engine;
mod host;
mod http;
mod instance;
mod invoke;
mod lanes;
pub mod limits;
mod load;
mod meter;
mod outcome;
pub mod outside;
mod replay;
mod ticker;
mod trace;
mod world;

pub use digest::Digest;
pub use host::{Host, HostConfig, HostError};
pub use invoke::{Clock, Conditions, Invocation, Log};
pub use lanes::Turns;
pub use limits::Limits;
pub use load::{Function, Inspection, LoadError, Origin};
pub use replay::{Replay, Replayed};
pub use trace::{HostCall, Trace};
pub use world::Kind;
