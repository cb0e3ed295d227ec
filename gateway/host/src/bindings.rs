//! What wasmtime makes of `wit/voice.wit`: the only `bindgen!` of the gateway. Nobody outside of this crate sees these types;
//! [`crate::convert`] turns them into the core's.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "router",
});
