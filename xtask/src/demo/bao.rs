//! The real `bao` command line, as an operator uses it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::stage::output;

/// The client of one server.
pub(super) struct Bao {
    pub(super) program: PathBuf,
    /// The server's, as in `http://127.0.0.1:8200`.
    pub(super) address: String,
    /// Where it may keep files of its own.
    pub(super) home: PathBuf,
}

impl Bao {
    /// Runs a command that must succeed, shows it, and gives back the JSON that it prints.
    pub(super) fn run(&self, token: Option<&str>, command: &[&str]) -> Result<Value> {
        println!("    $ bao {}", command.join(" "));
        let mut bao = Command::new(&self.program);
        // Nothing of the caller's own configuration.
        bao.env_clear().env("HOME", &self.home).env("BAO_ADDR", &self.address).env("BAO_FORMAT", "json").args(command);
        if let Some(token) = token {
            bao.env("BAO_TOKEN", token);
        }
        let text = output(&mut bao)?;
        serde_json::from_str(&text).with_context(|| format!("bao {}: no JSON: {text}", command.join(" ")))
    }
}
