//! Puts the storage component of the release into the binary, if it has been built, and the exact version of wasmtime, which has no
//! constant of its own: which security fixes are in is what operators ask of it.
//!
//! `filesystem.wasm` is looked for in `COFFER_GUESTS_DIR`, else in `target/guests` of the workspace. Without it the host still compiles;
//! the server then takes the component from `plugin_directory`, or says how to build it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(embedded_filesystem)");
    println!("cargo::rerun-if-env-changed=COFFER_GUESTS_DIR");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rustc-env=COFFER_WASMTIME_VERSION={}", wasmtime(&manifest.join("../../Cargo.lock")));
    let directory = match env::var_os("COFFER_GUESTS_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => manifest.join("../../target/guests"),
    };
    let component = directory.join("filesystem.wasm");
    println!("cargo::rerun-if-changed={}", component.display());
    if let Ok(component) = component.canonicalize() {
        println!("cargo::rustc-cfg=embedded_filesystem");
        println!("cargo::rustc-env=COFFER_FILESYSTEM_WASM={}", component.display());
    }
}

/// The version that the lock file holds; `unknown` where this crate is built without it.
fn wasmtime(lock: &Path) -> String {
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap_or_default();
    let mut lines = text.lines().skip_while(|line| *line != "name = \"wasmtime\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or_else(|| "unknown".to_owned(), |version| version.trim_end_matches('"').to_owned())
}
