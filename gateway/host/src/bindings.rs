//! What wasmtime makes of `wit/voice.wit`: the only `bindgen!` of the gateway's own contract. Nobody outside of this crate sees these
//! types; [`crate::convert`] turns them into the core's.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "router",
});

/// The same with a synchronous `route`; its types are those of `router`.
pub(crate) mod blocking {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "blocking-router",
        exports: { default: async },
        with: { "tandem:voice/types": crate::bindings::tandem::voice::types },
    });
}
