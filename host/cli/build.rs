//! Puts the components of the release into the binary, as far as they have been built, and the exact version of wasmtime, which
//! has no constant of its own: which security fixes are in is what operators ask of it.
//!
//! They are looked for in `COFFER_GUESTS_DIR`, else in `target/guests` of the workspace. Without one of them the host still compiles; the
//! server then takes that component from `plugin_directory`, or says how to build it.

use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The components of the release.
const COMPONENTS: &[&str] = &["awskms", "dynamodb", "filesystem"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=COFFER_GUESTS_DIR");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rustc-env=COFFER_WASMTIME_VERSION={}", wasmtime(&manifest.join("../../Cargo.lock")));
    let directory = match env::var_os("COFFER_GUESTS_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => manifest.join("../../target/guests"),
    };
    let mut table = String::new();
    for name in COMPONENTS {
        table.push_str(&format!("({name:?}, {}),\n", bytes(&directory, name)?));
    }
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("release.rs"), format!("[\n{table}]\n"))
}

/// An expression with the bytes of a component and their SHA-256 in hexadecimal, if it has been built.
fn bytes(directory: &Path, name: &str) -> io::Result<String> {
    let component = directory.join(format!("{name}.wasm"));
    println!("cargo::rerun-if-changed={}", component.display());
    let Ok(component) = component.canonicalize() else { return Ok("None".to_owned()) };
    let digest: String = Sha256::digest(fs::read(&component)?).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("Some((include_bytes!({component:?}).as_slice(), {digest:?}))"))
}

/// The version that the lock file holds; `unknown` where this crate is built without it.
fn wasmtime(lock: &Path) -> String {
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap_or_default();
    let mut lines = text.lines().skip_while(|line| *line != "name = \"wasmtime\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or_else(|| "unknown".to_owned(), |version| version.trim_end_matches('"').to_owned())
}
