//! Stages of a command: announced when they begin, timed, and listed at the end. Programs run with their output on the
//! terminal, so that whoever waits sees what for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The stages that one command went through.
pub(crate) struct Stages {
    root: PathBuf,
    cargo: OsString,
    done: Vec<(String, Duration)>,
}

impl Stages {
    /// Finds the checkout: the folder above xtask's own.
    pub(crate) fn new() -> Result<Self> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|dir| dir.ends_with("xtask"));
        let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = own.parent().context("xtask lies in no checkout")?.to_path_buf();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Self { root, cargo, done: Vec::new() })
    }

    /// The checkout's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo command in the checkout's root: the cargo that runs this xtask, or the one that the variable CARGO names.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(&self.root);
        // Set by the cargo that runs xtask; they would describe xtask's package to the build.
        for variable in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs one stage and keeps its time, also when it fails.
    pub(crate) fn stage<T>(&mut self, name: &str, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let start = Instant::now();
        let result = work(self);
        let took = start.elapsed();
        let (end, name) = match result {
            Ok(_) => ("done in", name.to_owned()),
            Err(_) => ("failed after", format!("{name} (failed)")),
        };
        println!("    {end} {:.1} s", took.as_secs_f64());
        self.done.push((name, took));
        result
    }

    /// Prints every stage with its time.
    pub(crate) fn report(&self) {
        if self.done.is_empty() {
            return;
        }
        println!("\nstage times");
        for (name, took) in &self.done {
            println!("  {:>8.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("  {:>8.1} s  in all", total.as_secs_f64());
    }
}

/// Runs a program with our terminal as its output; an error names the program and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        bail!("{name} {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program and gives back what it wrote to standard output, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
