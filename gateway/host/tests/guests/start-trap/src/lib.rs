//! A routing function that is valid in every way and traps as its instance starts: a constructor, which runs before any export can be
//! called, ends it. For the host's tests.

use tandem_function::{Context, Error, Event, Plan, Router, ring};

struct Stillborn;

impl Router for Stillborn {
    async fn route(context: Context, _event: Event) -> Result<Plan, Error> {
        Ok(Plan::new().dial(ring([context.to])))
    }
}

tandem_function::router!(Stillborn);

#[cfg(target_family = "wasm")]
extern "C" fn trap() {
    core::arch::wasm32::unreachable()
}

#[cfg(target_family = "wasm")]
#[used]
#[expect(unsafe_code, reason = "the linker calls what is in this section before everything else")]
// SAFETY: the section holds pointers to functions without parameters, and this is one.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = trap;
