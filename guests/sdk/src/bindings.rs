//! The contract as Rust: what wit-bindgen makes of `wit/`, and nothing by hand.
//!
//! One module per world, and one for what the worlds share, so that an error is the same type in each. Only the world that a guest
//! exports ends up in its component; an import that is not called does not appear in it at all.

#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::restriction, reason = "generated code")]

/// Types and imports that all worlds share.
pub mod shared {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: r#"
            package cofferdam:guest;
            world shared {
                import cofferdam:backend/types@0.1.0;
                import cofferdam:backend/log@0.1.0;
                import cofferdam:backend/aws@0.1.0;
                import cofferdam:backend/fencing@0.1.0;
            }
        "#,
        generate_all,
    });
}

/// The world `storage-backend`.
pub mod storage_backend {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "cofferdam:backend/storage-backend",
        with: {
            "cofferdam:backend/types@0.1.0": crate::bindings::shared::cofferdam::backend::types,
            "cofferdam:backend/log@0.1.0": crate::bindings::shared::cofferdam::backend::log,
            "cofferdam:backend/aws@0.1.0": crate::bindings::shared::cofferdam::backend::aws,
        },
        pub_export_macro: true,
        export_macro_name: "export_storage_backend",
        default_bindings_module: "cofferdam_guest::bindings::storage_backend",
    });
}

/// What the world `storage-backend-ha` has beyond `storage-backend`. A guest that exports both has the world `storage-backend-ha`; were that
/// world generated as a whole, its `storage` would be a second one with types of its own.
pub mod lock {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: r#"
            package cofferdam:guest;
            world lock {
                export cofferdam:backend/lock@0.1.0;
            }
        "#,
        with: { "cofferdam:backend/types@0.1.0": crate::bindings::shared::cofferdam::backend::types },
        pub_export_macro: true,
        export_macro_name: "export_lock",
        default_bindings_module: "cofferdam_guest::bindings::lock",
    });
}

/// The world `seal-backend`.
pub mod seal_backend {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "cofferdam:backend/seal-backend",
        with: {
            "cofferdam:backend/types@0.1.0": crate::bindings::shared::cofferdam::backend::types,
            "cofferdam:backend/log@0.1.0": crate::bindings::shared::cofferdam::backend::log,
            "cofferdam:backend/aws@0.1.0": crate::bindings::shared::cofferdam::backend::aws,
        },
        pub_export_macro: true,
        export_macro_name: "export_seal_backend",
        default_bindings_module: "cofferdam_guest::bindings::seal_backend",
    });
}
