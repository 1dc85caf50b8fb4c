//! What both sides of the seal rows, and the servers of these rows, talk to: a KMS in memory, in a process of its own. It is asked over its
//! standard input, a word to a line, answers each with a line of JSON, and ends when that input does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cofferdam_emulator::{Kms, NewKey};
use serde_json::{Value, json};

use super::{ALIAS, REGION};
use crate::process::Owned;

/// How often each operation was asked for.
pub(super) type Counts = BTreeMap<String, u64>;

/// Serves until its standard input ends.
pub(crate) async fn serve() -> Result<()> {
    let kms = Kms::start().await?;
    let key = kms.create(NewKey::new(REGION));
    kms.alias(ALIAS, &key);
    println!("{}", json!({"endpoint": kms.endpoint(), "key": key}));
    let mut counts = Counts::new();
    for line in std::io::stdin().lines() {
        let answer = match line?.as_str() {
            "counts" => {
                for request in kms.take() {
                    *counts.entry(request.operation).or_default() += 1;
                }
                json!(counts)
            }
            "rotate" => {
                let key = kms.create(NewKey::new(REGION));
                kms.alias(ALIAS, &key);
                json!({"key": key})
            }
            other => bail!("{other:?}: expected counts or rotate"),
        };
        println!("{answer}");
    }
    Ok(())
}

/// The server's process.
pub(super) struct Endpoint {
    _process: Owned,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    url: String,
    key: String,
}

impl Endpoint {
    /// Starts this program again as the server.
    pub(super) fn start() -> Result<Self> {
        let mut child = Owned(Command::new(std::env::current_exe()?).arg("kms").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let input = child.stdin.take().context("the KMS has no input")?;
        let output = BufReader::new(child.stdout.take().context("the KMS has no output")?);
        let mut endpoint = Self { _process: child, input, output, url: String::new(), key: String::new() };
        let said = endpoint.answer()?;
        let text = |place: &str| said.pointer(place).and_then(Value::as_str).map(str::to_owned).context("the KMS does not say its address");
        (endpoint.url, endpoint.key) = (text("/endpoint")?, text("/key")?);
        Ok(endpoint)
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The ARN of the key that the alias stands for.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// What it was asked so far.
    pub(super) fn counts(&mut self) -> Result<Counts> {
        Ok(serde_json::from_value(self.ask("counts")?)?)
    }

    /// Points the alias at a new key.
    pub(super) fn rotate(&mut self) -> Result<()> {
        let said = self.ask("rotate")?;
        self.key = said.pointer("/key").and_then(Value::as_str).context("the KMS has no new key")?.to_owned();
        Ok(())
    }

    fn ask(&mut self, what: &str) -> Result<Value> {
        writeln!(self.input, "{what}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the KMS ended");
        Ok(serde_json::from_str(&line)?)
    }
}
