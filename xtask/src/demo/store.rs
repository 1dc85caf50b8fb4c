//! Where the demonstration's server keeps its data: a directory, or a table of a local DynamoDB. How the configuration names it,
//! and what lies in it, read past the server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::dynalite::Dynalite;

/// The storages that the demonstration has.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Storage {
    /// A directory of this machine
    Filesystem,
    /// A table of a DynamoDB that runs on this machine (dynalite)
    Dynamodb,
}

impl Storage {
    /// The file of its component.
    pub(super) fn component(self) -> &'static str {
        match self {
            Storage::Filesystem => "filesystem.wasm",
            Storage::Dynamodb => "dynamodb.wasm",
        }
    }
}

/// Where this run's data is.
pub(super) enum Store {
    Directory(PathBuf),
    Table(Dynalite),
}

impl Store {
    /// A directory that the server makes.
    pub(super) fn directory(path: &Path) -> Self {
        Store::Directory(path.to_path_buf())
    }

    /// A table that the server makes, of a DynamoDB that runs as long as this value lives.
    pub(super) fn table(tools: &Path, work: &Path) -> Result<Self> {
        Ok(Store::Table(Dynalite::start(&tools.join("bin/dynalite"), &work.join("dynalite.log"))?))
    }

    /// The stanza of the configuration.
    pub(super) fn stanza(&self) -> String {
        match self {
            Store::Directory(path) => format!("storage \"filesystem\" {{\n  path = \"{}\"\n}}", path.display()),
            Store::Table(dynalite) => dynalite.stanza(),
        }
    }

    /// Shows what is stored, and that no secret of these, nor its path, is readable in it.
    pub(super) fn show(&self, secrets: &[(&str, &str)]) -> Result<()> {
        let (stored, what) = match self {
            Store::Directory(path) => (files(path)?, "files"),
            Store::Table(dynalite) => (dynalite.items()?, "items"),
        };
        ensure!(!stored.is_empty(), "no {what}: the component stored nothing");
        for (name, bytes) in &stored {
            for (path, value) in secrets {
                let shown = [value, path].iter().any(|text| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
                ensure!(!shown, "{name} shows secret/{path} in clear");
            }
        }
        if let Store::Table(_) = self {
            for (name, bytes) in &stored {
                println!("    {:>6} bytes  {name}", bytes.len());
            }
        }
        println!("    {} {what}, none with a secret or its path in clear", stored.len());
        Ok(())
    }
}

/// Every file below a directory: its path and its bytes.
fn files(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut found, mut pending) = (Vec::new(), vec![directory.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                found.push((entry.path().display().to_string(), fs::read(entry.path())?));
            }
        }
    }
    Ok(found)
}
