//! The interfaces of others, as their own tools import them.

#[expect(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, reason = "the generated glue")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../../../wit", "wit", "../../../wit"],
        inline: r"
            package test:capable;

            world imports {
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:keyvalue/batch@0.2.0-draft2;
                import wasi:config/store@0.2.0-rc.1;
                import wasi:config/store@0.2.0-draft-2024-09-27;
                import fermyon:spin/key-value@2.0.0;
                import fermyon:spin/variables@2.0.0;
                import spin:key-value/key-value@3.0.0;
                import spin:variables/variables@3.0.0;
            }
        ",
        world: "test:capable/imports",
        generate_all,
    });
}
