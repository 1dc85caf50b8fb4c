//! `cargo xtask build`: the guests first, since the server embeds those of the release, then the server and the proxy's own program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::stage::{Stages, output, run as run_command};

const TARGET: &str = "wasm32-wasip2";

/// Builds all, leaving `target/guests/*.wasm`, `target/release/coffer` and `target/release/coffer-proxy`.
pub(crate) fn run(stages: &mut Stages) -> Result<()> {
    guests(stages)?;
    stages.stage("server", |stages| {
        // Of the whole workspace, so that dependencies have the features that the tests want: else they would be compiled twice.
        run_command(stages.cargo().args(["build", "--release", "--workspace", "--bin", "coffer", "--bin", "coffer-proxy"]))?;
        for program in ["coffer", "coffer-proxy"] {
            println!("    {}", stages.root().join("target/release").join(program).display());
        }
        Ok(())
    })
}

/// Builds the proxy's own program alone, for size: `target/small/coffer-proxy`. Everything it consists of is compiled for it anew.
pub(crate) fn small(stages: &mut Stages) -> Result<()> {
    stages.stage("small proxy", |stages| {
        run_command(stages.cargo().args(["build", "--profile", "small", "--package", "cofferdam-proxy", "--bin", "coffer-proxy"]))?;
        let program = stages.root().join("target/small/coffer-proxy");
        println!("    {} {} bytes", program.display(), fs::metadata(&program)?.len());
        Ok(())
    })
}

/// Builds every guest and copies it under the name of its library: `filesystem.wasm`.
pub(crate) fn guests(stages: &mut Stages) -> Result<()> {
    let toolchain = stages.stage("target of the guests", |_| Toolchain::find())?;
    stages.stage("guests", |stages| {
        let mut command = toolchain.cargo(stages)?;
        command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
        command.args(toolchain.arguments());
        let built = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?.wait_with_output()?;
        if !built.status.success() {
            bail!("the guests do not build: {}", built.status);
        }
        let components = components(&String::from_utf8_lossy(&built.stdout));
        if components.is_empty() {
            bail!("the workspace guests/ built no component (a library of crate type cdylib)");
        }
        let to = stages.root().join("target/guests");
        fs::create_dir_all(&to)?;
        for (name, from) in components {
            let to = to.join(format!("{name}.wasm"));
            copy_if_changed(&from, &to)?;
            println!("    {} {} bytes", to.display(), fs::metadata(&to)?.len());
        }
        Ok(())
    })
}

/// The components among cargo's messages: the library's name with the file that was built.
fn components(messages: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let list = |place| message.pointer(place).and_then(|list| list.as_array()).into_iter().flatten().filter_map(|item| item.as_str());
        let is_component = list("/target/crate_types").any(|kind| kind == "cdylib");
        let files = list("/filenames");
        if let (true, Some(name)) = (is_component, message.pointer("/target/name").and_then(|name| name.as_str())) {
            found.extend(files.filter(|file| file.ends_with(".wasm")).map(|file| (name.replace('-', "_"), PathBuf::from(file))));
        }
    }
    found.sort();
    found
}

/// Leaves an equal file alone: the server's build script watches it, and a new time would build the server again.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}

/// What compiles for wasm32-wasip2.
enum Toolchain {
    /// The toolchain of this build, which has the target's standard library.
    Own,
    /// Debian's rustc-web with its library built from source, where rustup cannot add the target.
    Debian,
}

impl Toolchain {
    /// Uses the target if present, else has rustup add it, else falls back to Debian's packages.
    fn find() -> Result<Self> {
        if target_present() {
            println!("    {TARGET} is present");
            return Ok(Self::Own);
        }
        println!("    adding {TARGET} with rustup");
        let added = run_command(Command::new("rustup").args(["target", "add", TARGET]));
        if added.is_ok() && target_present() {
            return Ok(Self::Own);
        }
        if Path::new("/usr/bin/wasm-ld-22").is_file() && Path::new("/usr/lib/wasm32-wasi/crt1-reactor.o").is_file() {
            println!("    rustup cannot add {TARGET}: using Debian's rustc-web");
            return Ok(Self::Debian);
        }
        let reason = added.err().map_or_else(String::new, |error| format!(" ({error:#})"));
        bail!(
            "no standard library for {TARGET}{reason}: run `rustup target add {TARGET}`, or on Debian \
             `apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22 wasi-libc`"
        )
    }

    fn cargo(&self, stages: &Stages) -> Result<Command> {
        let guests = stages.root().join("guests");
        if matches!(self, Self::Own) {
            let mut command = stages.cargo();
            command.current_dir(guests);
            return Ok(command);
        }
        // The linker is looked up by its plain name, which Debian's versioned package does not give.
        let bin = stages.root().join("target/xtask-bin");
        fs::create_dir_all(&bin)?;
        let linker = bin.join("wasm-ld");
        if !linker.exists() {
            symlink("/usr/bin/wasm-ld-22", &linker)?;
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/usr/bin/cargo");
        command.current_dir(guests);
        command.env("PATH", format!("{}:{path}", bin.display()));
        command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
        let flags = "-Clink-self-contained=no -L/usr/lib/wasm32-wasi -Clink-arg=/usr/lib/wasm32-wasi/crt1-reactor.o";
        command.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags);
        Ok(command)
    }

    fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Own => &[],
            Self::Debian => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// Whether the compiler in use has the target's standard library.
fn target_present() -> bool {
    output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET])).is_ok_and(|dir| Path::new(&dir).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_components_out_of_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde","crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"needs-aws","crate_types":["cdylib"]},"filenames":["/t/needs_aws.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(components(messages), [("needs_aws".to_owned(), PathBuf::from("/t/needs_aws.wasm"))]);
    }

    #[test]
    fn leaves_an_equal_file_untouched_and_replaces_a_differing_one() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, "new").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let first = fs::metadata(&to).unwrap().modified().unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), first);
        fs::write(&from, "newer").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"newer");
    }
}
