//! `coffer plugin new`: a project for a backend of one's own, with a stub for an engine.
//!
//! The rule: the project is whole. It builds from what is written here and from crates.io, `coffer plugin test` passes before anything is
//! filled in, and the SDK and the contract in it are those that this binary was built with. Nothing that is there already is touched.

use crate::args::{NewArguments, PluginKind};
use crate::config::{Role, is_builtin};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::print;
use std::io::ErrorKind;
use std::path::Path;

/// A file of a project: where it is, and what is in it.
type File = (&'static str, &'static str);

macro_rules! template {
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../templates/plugin/", $from)))
    };
}

macro_rules! copy {
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../../../", $from)))
    };
}

/// What every project has.
const COMMON: &[File] = &[
    template!("Cargo.toml", "Cargo.toml.in"),
    template!("rust-toolchain.toml", "rust-toolchain.toml"),
    template!(".gitignore", "gitignore"),
    template!(".github/workflows/ci.yml", "ci.yml"),
    template!("vendor/cofferdam-guest/Cargo.toml", "sdk.toml"),
    copy!("rustfmt.toml", "guests/rustfmt.toml"),
];

/// What a storage has.
const STORAGE: &[File] = &[template!("README.md", "README.storage.md"), template!("src/lib.rs", "storage.rs")];

/// What a seal has: the key service is that of an example.
const SEAL: &[File] = &[
    template!("README.md", "README.seal.md"),
    template!("trial.hcl", "trial.hcl"),
    template!("src/lib.rs", "seal.rs"),
    copy!("src/service.rs", "examples/local-seal/src/service.rs"),
];

/// The SDK and the contract, byte for byte. The SDK looks for the contract two directories above its own.
const SDK: &[File] = &[
    copy!("vendor/cofferdam-guest/src/bindings.rs", "guests/sdk/src/bindings.rs"),
    copy!("vendor/cofferdam-guest/src/http.rs", "guests/sdk/src/http.rs"),
    copy!("vendor/cofferdam-guest/src/journal.rs", "guests/sdk/src/journal.rs"),
    copy!("vendor/cofferdam-guest/src/lib.rs", "guests/sdk/src/lib.rs"),
    copy!("vendor/cofferdam-guest/src/log.rs", "guests/sdk/src/log.rs"),
    copy!("vendor/cofferdam-guest/src/pages.rs", "guests/sdk/src/pages.rs"),
    copy!("vendor/cofferdam-guest/src/settings.rs", "guests/sdk/src/settings.rs"),
    copy!("wit/imports.wit", "wit/imports.wit"),
    copy!("wit/lock.wit", "wit/lock.wit"),
    copy!("wit/seal.wit", "wit/seal.wit"),
    copy!("wit/storage.wit", "wit/storage.wit"),
    copy!("wit/types.wit", "wit/types.wit"),
    copy!("wit/world.wit", "wit/world.wit"),
];

/// What the stub of a seal needs beside the SDK.
const SEAL_DEPENDENCIES: &str = "# For the stub: remove it with the stub.
chacha20poly1305 = { version = \"0.11\", default-features = false, features = [\"alloc\", \"getrandom\", \"zeroize\"] }
";

/// Names that Rust has for itself, or that cargo refuses for a library.
const RUST: &str = "abstract alloc as async await become box break build const continue core crate deps do dyn else enum examples extern false \
     final fn for gen if impl in incremental let loop macro match mod move mut override priv proc-macro pub ref return self static std struct \
     super test trait true try type typeof unsafe unsized use virtual where while yield";

/// Names that a stanza or the SDK has for something else.
const TAKEN: &[&str] = &["file", "shamir", "cofferdam-guest", "chacha20poly1305"];

/// `plugin new`.
pub(super) fn run(arguments: &NewArguments) -> Outcome {
    let NewArguments { name, kind, language } = arguments;
    if language != "rust" {
        return Err(Failure::usage(format!(
            "--language {language}: there is a template for rust and for no other language. A plugin may be written in any language whose \
             tools build a component of WASI 0.2 for the contract: see docs/authors.md of Cofferdam, and wit/ in a project for rust"
        )));
    }
    check(name).map_err(|reason| Failure::usage(format!("{name:?} cannot be a plugin's name: {reason}")))?;
    write(Path::new(name), name, *kind)?;
    print(&format!(
        "{name}/ is a {} backend with a stub for an engine. To build it and try it:\n\n  cd {name}\n  cargo build --release --target wasm32-wasip2\n  \
         coffer plugin test {}target/wasm32-wasip2/release/{}.wasm\n\nREADME.md says what to fill in.",
        role(*kind),
        trial(*kind),
        library(name)
    ))?;
    Ok(Exit::Success)
}

fn role(kind: PluginKind) -> Role {
    match kind {
        PluginKind::Storage => Role::Storage,
        PluginKind::Seal => Role::Seal,
    }
}

/// What a trial is told beside the file.
fn trial(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Storage => "",
        PluginKind::Seal => "--config trial.hcl ",
    }
}

/// What cargo calls the library, and so the component.
fn library(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a plugin and a Rust package can have this name.
fn check(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
    if name.len() > 64 || !ends || !name.chars().all(fits) {
        return Err("expected 1 to 64 characters of a-z, 0-9 and -, a letter first and no - at the end");
    }
    if TAKEN.contains(&name) || [Role::Storage, Role::Seal].into_iter().any(|role| is_builtin(role, name)) {
        return Err("this release has something of that name; choose another");
    }
    if RUST.split_whitespace().any(|taken| taken == name) {
        return Err("Rust has something of that name; choose another");
    }
    Ok(())
}

/// The files of a project, with its name filled in.
fn files(name: &str, kind: PluginKind) -> Vec<(&'static str, String)> {
    let (own, dependencies) = match kind {
        PluginKind::Storage => (STORAGE, ""),
        PluginKind::Seal => (SEAL, SEAL_DEPENDENCIES),
    };
    let filled = |text: &str| {
        let named = text.replace("@NAME@", name).replace("@CRATE@", &library(name)).replace("@KIND@", &role(kind).to_string());
        named.replace("@DEPENDENCIES@\n", dependencies).replace("@TRIAL@", trial(kind)).replace("@VERSION@", env!("CARGO_PKG_VERSION"))
    };
    let copied = SDK.iter().map(|(path, text)| (*path, (*text).to_owned()));
    COMMON.iter().chain(own).map(|(path, text)| (*path, filled(text))).chain(copied).collect()
}

/// Makes the project. What was made of it is removed if it cannot be made whole.
fn write(directory: &Path, name: &str, kind: PluginKind) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| Failure::usage(format!("{}: cannot be written: {error}", path.display()));
    std::fs::create_dir(directory).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{}: there is something of that name already, and it is left as it is", directory.display()))
        }
        _ => failed(directory, &error),
    })?;
    let written = files(name, kind).into_iter().try_for_each(|(path, text)| {
        let path = directory.join(path);
        let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        parent.and_then(|()| std::fs::write(&path, text)).map_err(|error| failed(&path, &error))
    });
    if written.is_err() {
        // It is ours, from a moment ago.
        let _ = std::fs::remove_dir_all(directory);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The lines of a manifest that say what comes from the registry.
    fn versions(manifest: &str) -> BTreeSet<String> {
        let lines = manifest.lines().filter(|line| line.contains("version = \"") && line.contains('{'));
        lines.map(|line| line.replace(", optional = true", "")).collect()
    }

    #[test]
    fn a_name_is_one_for_a_plugin_and_for_a_package() {
        for name in ["a", "etcd", "my-store", "s3", "x--y", &"n".repeat(64)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let wrong = ["", "-a", "a-", "3s", "My", "a_b", "a/b", "..", "ä", "a b", "a.wasm", &"n".repeat(65)];
        let taken = ["filesystem", "file", "dynamodb", "awskms", "shamir", "cofferdam-guest", "type", "test", "core", "proc-macro"];
        for name in wrong.into_iter().chain(taken) {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn everything_is_filled_in() {
        for kind in [PluginKind::Storage, PluginKind::Seal] {
            let files = files("my-own", kind);
            for (path, text) in &files {
                assert!(!["@NAME@", "@CRATE@", "@KIND@", "@DEP", "@TRIAL@", "@VERSION@"].iter().any(|left| text.contains(left)), "{path}");
            }
            let text = |of: &str| files.iter().find(|(path, _)| *path == of).map(|(_, text)| text.as_str()).unwrap();
            assert!(text("Cargo.toml").contains("name = \"my_own\"") && text("Cargo.toml").contains("name = \"my-own\""));
            assert_eq!(text("Cargo.toml").contains("chacha20poly1305"), kind == PluginKind::Seal);
            assert!(text("README.md").contains("target/wasm32-wasip2/release/my_own.wasm"));
            assert_eq!(text(".github/workflows/ci.yml").contains("--config trial.hcl"), kind == PluginKind::Seal);
            let paths: BTreeSet<&str> = files.iter().map(|(path, _)| *path).collect();
            assert_eq!(paths.len(), files.len());
        }
    }

    /// What is copied is all that there is, and what it is built with is what it was tested with here.
    #[test]
    fn the_copy_of_the_sdk_is_whole_and_of_the_same_versions() {
        let copied: BTreeSet<PathBuf> =
            SDK.iter().map(|(path, _)| PathBuf::from(path.replace("vendor/cofferdam-guest", "guests/sdk"))).collect();
        let mut found = BTreeSet::new();
        for directory in ["guests/sdk/src", "wit"] {
            found.extend(
                std::fs::read_dir(root().join(directory)).unwrap().map(|entry| Path::new(directory).join(entry.unwrap().file_name())),
            );
        }
        assert_eq!(copied, found);
        let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
        let (guests, sdk, seal) = (read("guests/Cargo.toml"), read("guests/sdk/Cargo.toml"), read("examples/local-seal/Cargo.toml"));
        let own = include_str!("../../templates/plugin/sdk.toml");
        assert_eq!(versions(own).len(), 2);
        assert!(versions(&guests).is_superset(&versions(own)), "{own}");
        assert!(versions(&seal).is_superset(&versions(SEAL_DEPENDENCIES)), "{SEAL_DEPENDENCIES}");
        assert!(guests.contains(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))));
        let profile = |manifest: &str| manifest.split_once("[profile.release]").map(|(_, rest)| rest.trim().to_owned());
        assert_eq!(profile(include_str!("../../templates/plugin/Cargo.toml.in")), profile(&guests));
        let features = |manifest: &str| manifest.lines().find(|line| line.starts_with("http = ")).map(str::to_owned);
        assert_eq!(features(own), features(&sdk));
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (made, taken) = (root.path().join("made"), root.path().join("taken"));
        write(&made, "made", PluginKind::Storage).unwrap();
        assert!(made.join("vendor/cofferdam-guest/src/lib.rs").is_file() && made.join("wit/storage.wit").is_file());
        std::fs::write(&taken, "mine").unwrap();
        for there in [&made, &taken] {
            let error = write(there, "x", PluginKind::Seal).unwrap_err();
            assert!(error.message.contains("there is something of that name already"), "{}", error.message);
        }
        assert_eq!(std::fs::read_to_string(taken).unwrap(), "mine");
        assert!(!made.join("src/service.rs").exists());
        assert!(write(&root.path().join("no/such"), "x", PluginKind::Seal).is_err());
    }
}
