//! Puts the storage component of the release into the binary, if it has been built.
//!
//! `filesystem.wasm` is looked for in `COFFER_GUESTS_DIR`, else in `target/guests` of the workspace. Without it the host still compiles;
//! the server then takes the component from `plugin_directory`, or says how to build it.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(embedded_filesystem)");
    println!("cargo::rerun-if-env-changed=COFFER_GUESTS_DIR");
    let directory = match env::var_os("COFFER_GUESTS_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../target/guests"),
    };
    let component = directory.join("filesystem.wasm");
    println!("cargo::rerun-if-changed={}", component.display());
    if let Ok(component) = component.canonicalize() {
        println!("cargo::rustc-cfg=embedded_filesystem");
        println!("cargo::rustc-env=COFFER_FILESYSTEM_WASM={}", component.display());
    }
}
