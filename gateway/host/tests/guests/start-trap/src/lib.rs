//! A routing function that is valid in every way and traps as its instance starts: what is to run before any export can be called
//! ends it. For the host's tests.

use tandem_function::{Context, Error, Event, Plan, Router, ring};

struct Stillborn;

impl Router for Stillborn {
    async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        Ok(Plan::new().dial(ring([context.to])))
    }
}

tandem_function::router!(Stillborn);

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "a component's start is what its module exports under this name")]
// SAFETY: nothing else in this crate has the name, and the function has the shape that the component's linker expects of it.
#[unsafe(export_name = "_initialize")]
extern "C" fn initialize() {
    core::arch::wasm32::unreachable()
}
