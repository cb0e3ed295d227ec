//! What wasmtime makes of `gateway/host/wit`: the interfaces that are answered through the door. Private to [`super`].

wasmtime::component::bindgen!({
    path: ["../../wit", "wit"],
    world: "tandem:host/door",
    imports: { default: async | trappable },
    with: {
        "wasi:keyvalue/store@0.2.0-draft.bucket": crate::capabilities::key_value::Bucket,
        "wasi:keyvalue/store@0.2.0-draft2.bucket": crate::capabilities::key_value::Bucket,
        "wasi:keyvalue/atomics@0.2.0-draft2.cas": crate::capabilities::key_value::Cas,
        "fermyon:spin/key-value@2.0.0.store": crate::capabilities::key_value::Bucket,
        "spin:key-value/key-value@3.0.0.store": crate::capabilities::key_value::Bucket,
    },
});
