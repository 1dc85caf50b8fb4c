//! Where the demonstration's server keeps its data: a directory, or a table of a local DynamoDB. How the configuration names it,
//! and what lies in it, read past the server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::dynalite::Dynalite;
use super::search::contains;

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
    /// A directory or a table that the server makes; the DynamoDB runs as long as this value lives.
    pub(super) fn open(storage: Storage, tools: &Path, work: &Path) -> Result<Self> {
        match storage {
            Storage::Filesystem => {
                let path = work.join("data");
                println!("    the directory {}", path.display());
                Ok(Store::Directory(path))
            }
            Storage::Dynamodb => Ok(Store::Table(Dynalite::start(&tools.join("bin/dynalite"), &work.join("dynalite.log"))?)),
        }
    }

    /// The stanza of the configuration; `shared` if region and credentials stand in a block that it shares.
    pub(super) fn stanza(&self, shared: bool) -> String {
        match self {
            Store::Directory(path) => format!("storage \"filesystem\" {{\n  path = \"{}\"\n}}", path.display()),
            Store::Table(dynalite) => dynalite.stanza(shared),
        }
    }

    /// What is stored: names, and the values that the server gave.
    pub(super) fn entries(&self) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Store::Directory(path) => files(path),
            Store::Table(dynalite) => dynalite.items(),
        }
    }

    /// Shows what is stored, and that no secret of these, nor its path, is readable in it.
    pub(super) fn show(&self, secrets: &[(&str, &str)]) -> Result<()> {
        let stored = self.entries()?;
        let what = if matches!(self, Store::Directory(_)) { "files" } else { "items" };
        ensure!(!stored.is_empty(), "no {what}: the component stored nothing");
        for (name, bytes) in &stored {
            for (path, value) in secrets {
                let shown = [value, path].iter().any(|text| contains(bytes, text.as_bytes()));
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

/// Every file below a directory: its path, and the value that it holds, which the layout has as base 64 in a JSON object.
fn files(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut found, mut pending) = (Vec::new(), vec![directory.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                found.push((entry.path().display().to_string(), value(fs::read(entry.path())?)));
            }
        }
    }
    Ok(found)
}

/// The value in an entry's file; of a file that is no entry, its bytes.
fn value(file: Vec<u8>) -> Vec<u8> {
    let entry = serde_json::from_slice::<Value>(&file).ok();
    let value = entry.as_ref().and_then(|entry| entry.pointer("/Value")).and_then(Value::as_str);
    value.and_then(|value| STANDARD.decode(value).ok()).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrys_file_is_searched_by_its_value() {
        assert_eq!(value(b"{\"Value\":\"dGVzdA==\"}\n".to_vec()), b"test");
        assert_eq!(value(b"lock".to_vec()), b"lock");
    }
}
