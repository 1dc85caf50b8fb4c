//! The file: a line of JSON for what the recording is of, one for each check, and behind that one for each of its requests.
//!
//! The rule: it is written when all is known, whole or not at all, for this user alone, and over nothing; it is read strictly, and an error names the line.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::Exchange;
use super::is_word;

/// The version of this form.
pub(super) const VERSION: u32 = 1;

/// What a recording is of, and what has to be the same to play it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the file's form.
    pub version: u32,
    /// The component's SHA-256, in hexadecimal. Another component may be tried with the same recording.
    pub sha256: String,
    /// Its world.
    pub world: String,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// What random choices were drawn from.
    pub seed: u64,
    /// Whether fewer entries and rounds were tried.
    pub quick: bool,
    /// The patterns of the checks that were wanted.
    pub only: Vec<String>,
    /// What the checks took for the time of day, in seconds since 1970.
    pub time: u64,
    /// The folder of the store in which it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The names of the settings that the component was given, without their values.
    pub settings: Vec<String>,
    /// The grants whose traffic this is.
    pub grants: Vec<String>,
    /// The region of AWS, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The largest body of a request by `http`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request: Option<u64>,
}

impl Header {
    /// What the checks take for the time of day.
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.time)).unwrap_or(UNIX_EPOCH)
    }
}

/// A check of which there is a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Take {
    /// What it came to.
    pub(super) outcome: String,
    /// Some of its requests were under way at the same time.
    pub(super) together: bool,
    pub(super) exchanges: Vec<Exchange>,
}

/// A check, and its recording or why there is none.
pub(super) type Kept = (String, Result<Take, String>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Recording(Header),
    Check(Check),
    Exchange(Exchange),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    outcome: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    together: bool,
    #[serde(default)]
    exchanges: usize,
}

/// The file's text; none if a line holds what must not be there.
pub(super) fn lines(
    header: &Header,
    kept: &[Kept],
    forbidden: impl Fn(&[u8]) -> bool,
    out: &mut impl std::io::Write,
) -> Result<(), String> {
    let mut line = |line: &Line| {
        let text = serde_json::to_vec(line).map_err(|error| error.to_string())?;
        if forbidden(&text) {
            return Err(
                "a secret of the configuration or a key of the seal is in what was sent or answered, in a place from which it cannot be taken".to_owned()
            );
        }
        out.write_all(&text).and_then(|()| out.write_all(b"\n")).map_err(|error| error.to_string())
    };
    line(&Line::Recording(header.clone()))?;
    for (id, take) in kept {
        match take {
            Err(why) => {
                let left_out = Some(why.clone());
                line(&Line::Check(Check { id: id.clone(), left_out, outcome: String::new(), together: false, exchanges: 0 }))?;
            }
            Ok(Take { outcome, together, exchanges }) => {
                let (outcome, together) = (outcome.clone(), *together);
                line(&Line::Check(Check { id: id.clone(), left_out: None, outcome, together, exchanges: exchanges.len() }))?;
                exchanges.iter().try_for_each(|exchange| line(&Line::Exchange(exchange.clone())))?;
            }
        }
    }
    Ok(())
}

/// Writes a new file.
pub(super) fn write(path: &Path, header: &Header, kept: &[Kept], forbidden: impl Fn(&[u8]) -> bool) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: not written: {error}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It is this user's alone from the beginning, and gone if anything fails.
    let file = tempfile::Builder::new().prefix(".coffer-recording-").tempfile_in(folder).map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(file);
    lines(header, kept, forbidden, &mut out).map_err(|error| failed(&error))?;
    let file = out.into_inner().map_err(|error| failed(&error.error()))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    file.persist_noclobber(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<(Header, Vec<Kept>), String> {
    let file = std::fs::File::open(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    parse(path, BufReader::new(file))
}

/// Reads a file's text; errors name the file so.
pub(super) fn parse(path: &Path, text: impl BufRead) -> Result<(Header, Vec<Kept>), String> {
    let mut header = None;
    let mut kept: Vec<Kept> = Vec::new();
    let mut seen = HashSet::new();
    // The check that is being read, and how many requests it still has.
    let mut open: Option<(String, Take, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let at = |what: &dyn std::fmt::Display| format!("{}, line {}: {what}", path.display(), number + 1);
        let line = line.map_err(|error| at(&format!("cannot be read: {error}")))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| at(&wrong(&line, &error)))?;
        match (line, &mut open, &header) {
            (Line::Recording(found), None, None) if found.version == VERSION => header = Some(found),
            (Line::Recording(found), None, None) => return Err(at(&of_version(found.version.into()))),
            (Line::Check(Check { id, .. }), None, Some(_)) if !seen.insert(id.clone()) => {
                return Err(at(&format!("{id} is in it a second time: the file was put together from others")));
            }
            (Line::Check(Check { id, left_out: Some(why), outcome, together: false, exchanges: 0 }), None, Some(_))
                if outcome.is_empty() =>
            {
                kept.push((id, Err(why)));
            }
            (Line::Check(Check { id, left_out: None, outcome, together, exchanges }), None, Some(_)) if is_word(&outcome) => {
                open = Some((id, Take { outcome, together, exchanges: Vec::new() }, exchanges));
            }
            (Line::Check(Check { id, .. }), None, Some(_)) => {
                return Err(at(&format!("what is said of {id} is no check's: expected why it is left out, or what it came to")));
            }
            (Line::Exchange(exchange), Some((id, take, _)), Some(_)) => {
                if let Some(fault) = exchange.fault() {
                    return Err(at(&format!("a request of {id} cannot be played back: {fault}")));
                }
                take.exchanges.push(exchange);
            }
            _ => return Err(at(&"this line has no place here: the file was cut or put together from others")),
        }
        if let Some((id, take, _)) = open.take_if(|(_, take, count)| take.exchanges.len() == *count) {
            kept.push((id, Ok(take)));
        }
    }
    match (header, open) {
        (Some(header), None) => Ok((header, kept)),
        (None, _) => Err(format!("{}: empty, not a recording", path.display())),
        (Some(_), Some((id, take, count))) => {
            Err(format!("{}: cut short: {id} has {} of its {count} requests", path.display(), take.exchanges.len()))
        }
    }
}

/// What is wrong with a line that is none. One of another version may hold what this one does not know.
fn wrong(line: &str, error: &serde_json::Error) -> String {
    let any: Value = serde_json::from_str(line).unwrap_or_default();
    let version = any.get("recording").and_then(|header| header.get("version")).and_then(Value::as_u64);
    match version.filter(|version| *version != u64::from(VERSION)) {
        Some(version) => of_version(version),
        None if line.trim().is_empty() => "it is empty, and no line of a recording is".to_owned(),
        None => {
            // The line in it is always the first.
            let (text, column) = (error.to_string(), error.column());
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            format!("not a line of a recording: {what}, at character {column}")
        }
    }
}

fn of_version(version: u64) -> String {
    format!("a recording of version {version}; this coffer reads version {VERSION}: make it anew with --record")
}
