//! `coffer snapshot`: what a server holds as one file, saved, restored, looked at, and put under another seal.

mod convert;
mod inspect;

use crate::args::{OutputFormat, RestoreArguments, SaveArguments, SnapshotCommand};
use crate::client::{Client, ClientError};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json};
use cofferdam_snapshot::{Part, Snapshot};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;

const PATH: &str = "sys/storage/raft/snapshot";
const FORCED: &str = "sys/storage/raft/snapshot-force";

/// Runs a command.
pub(crate) async fn run(command: &SnapshotCommand, environment: &Environment) -> Outcome {
    match command {
        SnapshotCommand::Save(arguments) => save(arguments, environment).await,
        SnapshotCommand::Restore(arguments) => restore(arguments, environment).await,
        SnapshotCommand::Inspect(arguments) => inspect::run(arguments, environment),
        SnapshotCommand::Convert(arguments) => convert::run(arguments, environment).await,
    }
}

/// An archive that is checked as a whole.
fn open(path: &Path) -> Result<Snapshot, Failure> {
    Snapshot::open(path).map_err(Failure::usage)
}

fn doing(what: &'static str) -> impl Fn(ClientError) -> Failure {
    move |error| Failure::failed(format!("Error {what} the snapshot: {error}"))
}

async fn save(arguments: &SaveArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    let path = &arguments.file;
    let mut part = Part::beside(path).map_err(Failure::usage)?;
    client.download(PATH, part.file()).await.map_err(doing("saving"))?;
    let snapshot = open(part.path())?;
    if snapshot.sealed_sums().is_none() {
        return Err(Failure::failed("Error saving the snapshot: incomplete snapshot, unable to read SHA256SUMS.sealed file"));
    }
    part.persist().map_err(Failure::usage)?;
    let contents = snapshot.contents();
    match format {
        OutputFormat::Json => {
            print_json(
                &json!({"file": path, "entries": contents.entries, "state_bytes": contents.state_bytes, "sha256": snapshot.digest()}),
            )?;
        }
        OutputFormat::Table => {
            let text = format!("Success! Saved {} entries ({} bytes) in {}", contents.entries, contents.state_bytes, path.display());
            print(&text)?;
        }
    }
    Ok(Exit::Success)
}

async fn restore(arguments: &RestoreArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    // A file that is damaged is not even sent.
    let snapshot = open(&arguments.file)?;
    let file = File::open(&arguments.file).map_err(|error| Failure::usage(format!("{}: {error}", arguments.file.display())))?;
    let path = if arguments.force { FORCED } else { PATH };
    let answer = client.upload(path, file).await.map_err(doing("restoring"))?;
    let warnings: Vec<&str> = answer.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match format {
        OutputFormat::Json => print_json(&json!({"restored": true, "entries": snapshot.contents().entries, "warnings": warnings}))?,
        OutputFormat::Table => {
            let warnings: String = warnings.iter().map(|warning| format!("Warning: {warning}\n")).collect();
            let text = format!(
                "{warnings}Success! Restored the snapshot. The server is sealed, unless a key service unseals it: give the keys of the snapshot's vault."
            );
            print(&text)?;
        }
    }
    Ok(Exit::Success)
}
