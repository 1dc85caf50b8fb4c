//! `coffer plugin pin`: keeps the lock file of a plugin directory, or compares the directory with it.

use crate::args::{OutputFormat, PinArguments};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{or_dash, print, print_json, table};
use cofferdam_plugins::{Change, PinError, Pinned, State, Status};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `plugin pin`.
pub(super) fn run(arguments: &PinArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let config = super::configuration(&arguments.place.config, environment)?;
    let (directory, files) = match of_paths(&arguments.plugins)? {
        Some((directory, _)) if arguments.place.directory.is_some() || config.is_some() => {
            return Err(Failure::usage(format!(
                "{}: a file names its directory itself: leave --directory and --config out",
                directory.display()
            )));
        }
        Some(found) => found,
        None => {
            let directory = super::directory(arguments.place.directory.as_ref(), config.as_ref())?;
            (directory, arguments.plugins.iter().map(|name| file(name)).collect())
        }
    };
    if arguments.check {
        return check(&directory, format);
    }
    if arguments.remove {
        cofferdam_plugins::unpin(&directory, &files).map_err(failure)?;
        match format {
            OutputFormat::Json => print_json(&json!({"directory": directory, "removed": files}))?,
            OutputFormat::Table => print(&files.iter().map(|file| format!("{file} is not pinned any more\n")).collect::<String>())?,
        }
        return Ok(Exit::Success);
    }
    let pinned = cofferdam_plugins::pin(&directory, &files, &super::check).map_err(failure)?;
    match format {
        OutputFormat::Json => {
            let entry = |pin: &Pinned| {
                let (outcome, before) = match &pin.change {
                    Change::New => ("pinned", None),
                    Change::Unchanged => ("unchanged", None),
                    Change::From(before) => ("changed", Some(before)),
                };
                json!({"file": pin.file, "kind": pin.kind, "sha256": pin.sha256, "outcome": outcome, "before": before})
            };
            print_json(&json!({"directory": directory, "pinned": pinned.iter().map(entry).collect::<Vec<Value>>()}))?;
        }
        OutputFormat::Table if pinned.is_empty() => print(&format!("{} holds no .wasm file", directory.display()))?,
        OutputFormat::Table => {
            let outcome = |change| match change {
                Change::New => "pinned".to_owned(),
                Change::Unchanged => "unchanged".to_owned(),
                Change::From(before) => format!("changed from {before}"),
            };
            let rows: Vec<[String; 4]> =
                pinned.into_iter().map(|pin| [pin.file, pin.kind.to_string(), pin.sha256, outcome(pin.change)]).collect();
            print(&table(["File", "Kind", "SHA-256", "Outcome"], &rows))?;
        }
    }
    Ok(Exit::Success)
}

/// The file of a plugin of this name.
fn file(name: &str) -> String {
    if name.ends_with(".wasm") { name.to_owned() } else { format!("{name}.wasm") }
}

/// The directory and the files, if the operands are paths.
fn of_paths(operands: &[String]) -> Result<Option<(PathBuf, Vec<String>)>, Failure> {
    if !operands.iter().any(|operand| operand.contains('/')) {
        return Ok(None);
    }
    let mut found: Option<(PathBuf, Vec<String>)> = None;
    for operand in operands {
        let path = std::path::absolute(operand).map_err(Failure::usage)?;
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(Failure::usage(format!("{operand}: expected the name or the file of a plugin")));
        };
        match &mut found {
            None => found = Some((directory.to_owned(), vec![file(name)])),
            Some((first, files)) if first == directory => files.push(file(name)),
            Some((first, _)) => {
                return Err(Failure::usage(format!(
                    "{operand}: it is not in {}: pin the plugins of one directory at a time",
                    first.display()
                )));
            }
        }
    }
    Ok(found)
}

fn check(directory: &Path, format: OutputFormat) -> Outcome {
    let found = cofferdam_plugins::verify(directory).map_err(failure)?;
    let good = found.iter().all(|status| status.state == State::Pinned);
    match format {
        OutputFormat::Json => {
            let plugins: Vec<Value> = found.iter().map(entry).collect();
            print_json(&json!({"directory": directory, "plugins": plugins, "as_pinned": good}))?;
        }
        OutputFormat::Table if found.is_empty() => print(&format!("{} holds no plugin and no pin", directory.display()))?,
        OutputFormat::Table => {
            let rows: Vec<[String; 4]> = found
                .iter()
                .map(|status| [status.file.clone(), said(&status.state), or_dash(status.sha256.clone()), or_dash(status.pinned.clone())])
                .collect();
            print(&table(["File", "State", "SHA-256", "Pinned"], &rows))?;
        }
    }
    Ok(if good { Exit::Success } else { Exit::Failed })
}

fn entry(status: &Status) -> Value {
    let (state, detail) = match &status.state {
        State::Pinned => ("pinned", None),
        State::Changed(pinned) => ("changed", Some(pinned)),
        State::Missing => ("missing", None),
        State::Unpinned => ("unpinned", None),
        State::Refused(why) => ("refused", Some(why)),
    };
    json!({"file": status.file, "state": state, "detail": detail, "sha256": status.sha256, "kind": status.kind, "pinned": status.pinned})
}

fn said(state: &State) -> String {
    match state {
        State::Pinned => "as pinned".to_owned(),
        State::Changed(pinned) => format!("CHANGED: {pinned} is pinned"),
        State::Missing => "MISSING: it is pinned and not there".to_owned(),
        State::Unpinned => "NOT PINNED".to_owned(),
        State::Refused(why) => format!("REFUSED: {why}"),
    }
}

fn failure(error: PinError) -> Failure {
    match error {
        error @ PinError::Write { .. } => Failure::failed(error),
        error => Failure::usage(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{file, of_paths};

    fn operands(operands: &[&str]) -> Vec<String> {
        operands.iter().map(|operand| (*operand).to_owned()).collect()
    }

    #[test]
    fn a_plugin_is_named_or_its_file_is() {
        assert_eq!((file("etcd"), file("etcd.wasm")), ("etcd.wasm".to_owned(), "etcd.wasm".to_owned()));
        assert!(of_paths(&operands(&["etcd", "b.wasm"])).unwrap().is_none());
        let (directory, files) = of_paths(&operands(&["/p/etcd.wasm", "/p/b.wasm"])).unwrap().unwrap();
        assert_eq!((directory.to_str(), files), (Some("/p"), operands(&["etcd.wasm", "b.wasm"])));
        assert!(of_paths(&operands(&["/p/etcd.wasm", "/q/b.wasm"])).unwrap_err().message.contains("one directory at a time"));
        assert!(of_paths(&operands(&["/p/etcd.wasm", "b"])).is_err());
    }
}
