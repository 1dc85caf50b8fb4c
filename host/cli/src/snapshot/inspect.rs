//! `coffer snapshot inspect`: what an archive says of itself, without any key.

use super::open;
use crate::args::{InspectSnapshotArguments, OutputFormat};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use cofferdam_snapshot::Snapshot;
use serde::Serialize;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The most prefixes that are told apart; the rest are counted together.
const MOST_PREFIXES: usize = 10_000;
const OTHERS: &str = "(others)";

/// What the entries below a prefix are together.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Sum {
    entries: u64,
    bytes: u64,
}

/// What was seen of the entries.
#[derive(Default)]
struct Seen {
    prefixes: BTreeMap<String, Sum>,
    /// The largest: the smallest of them first out.
    largest: BinaryHeap<Reverse<(u64, String)>>,
    seal: Option<String>,
}

impl Seen {
    fn take(&mut self, key: String, value: &[u8], largest: usize) {
        let bytes = u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX);
        let mut prefix = prefix(&key);
        if self.prefixes.len() >= MOST_PREFIXES && !self.prefixes.contains_key(prefix) {
            prefix = OTHERS;
        }
        let sum = self.prefixes.entry(prefix.to_owned()).or_default();
        sum.entries += 1;
        sum.bytes += bytes;
        if key == "core/seal-config" {
            let config: Value = serde_json::from_slice(value).unwrap_or_default();
            self.seal = config.get("type").and_then(Value::as_str).map(str::to_owned);
        }
        self.largest.push(Reverse((bytes, key)));
        if self.largest.len() > largest {
            self.largest.pop();
        }
    }
}

/// What tells one part of a store from another: the first segment, and for what belongs to mounts, tokens or namespaces the second.
fn prefix(key: &str) -> &str {
    let deep = ["auth/", "logical/", "sys/", "audit/", "namespaces/"].iter().any(|first| key.starts_with(first));
    let mut slashes = key.match_indices('/').map(|(at, _)| at);
    let end = if deep { slashes.nth(1) } else { slashes.next() };
    end.and_then(|at| key.get(..=at)).unwrap_or(key)
}

fn look(snapshot: &Snapshot, largest: usize) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    for entry in snapshot.entries().map_err(Failure::usage)? {
        let (key, value) = entry.map_err(Failure::usage)?;
        seen.take(key, &value, largest);
    }
    Ok(seen)
}

/// Shows it.
pub(super) fn run(arguments: &InspectSnapshotArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let snapshot = open(&arguments.file)?;
    let Seen { prefixes, largest, seal } = look(&snapshot, arguments.largest)?;
    let (meta, contents) = (snapshot.meta(), snapshot.contents());
    // Sorted: the largest first.
    let largest: Vec<(u64, String)> = largest.into_sorted_vec().into_iter().map(|Reverse(entry)| entry).collect();
    let seal = seal.unwrap_or_else(|| "-".to_owned());
    let sealed = snapshot.sealed_sums().is_some();
    match format {
        OutputFormat::Json => {
            let largest: Vec<Value> = largest.iter().map(|(bytes, key)| json!({"key": key, "bytes": bytes})).collect();
            print_json(&json!({
                "id": meta.id, "version": meta.version, "index": meta.index, "term": meta.term,
                "servers": meta.configuration.servers.iter().map(|server| &server.address).collect::<Vec<_>>(),
                "entries": contents.entries, "key_bytes": contents.key_bytes, "value_bytes": contents.value_bytes,
                "state_bytes": contents.state_bytes, "sorted": contents.sorted, "sha256": snapshot.digest(),
                "seal_type": seal, "sealed_sums": sealed, "prefixes": prefixes, "largest": largest,
            }))?;
        }
        OutputFormat::Table => {
            let rows = [
                ["ID", &meta.id],
                ["Version", &meta.version.to_string()],
                ["Index", &meta.index.to_string()],
                ["Term", &meta.term.to_string()],
                ["Seal Type", &seal],
                ["Sealed Sums", if sealed { "present" } else { "missing: restored with -force only" }],
                ["Entries", &contents.entries.to_string()],
                ["Bytes", &contents.state_bytes.to_string()],
                ["SHA-256", snapshot.digest()],
            ]
            .map(|row| row.map(str::to_owned));
            let mut text = table(["Key", "Value"], &rows);
            let mut rows: Vec<(&String, &Sum)> = prefixes.iter().collect();
            rows.sort_by_key(|(_, sum)| Reverse(sum.bytes));
            let rows: Vec<[String; 3]> =
                rows.iter().map(|(prefix, sum)| [shown(prefix), sum.entries.to_string(), sum.bytes.to_string()]).collect();
            text.push_str(&format!("\n{}", table(["Prefix", "Entries", "Bytes"], &rows)));
            let rows: Vec<[String; 2]> = largest.iter().map(|(bytes, key)| [shown(key), bytes.to_string()]).collect();
            text.push_str(&format!("\n{}", table(["Largest Entries", "Bytes"], &rows)));
            print(&text)?;
        }
    }
    Ok(Exit::Success)
}

/// A key for a terminal, on which it must not do anything.
fn shown(key: &str) -> String {
    key.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_summed_by_what_they_belong_to() {
        for (key, expected) in [
            ("core/mounts", "core/"),
            ("logical/uuid/a/b", "logical/uuid/"),
            ("sys/token/id/h1", "sys/token/"),
            ("sys/uiconfig", "sys/uiconfig"),
            ("lonely", "lonely"),
        ] {
            assert_eq!(prefix(key), expected);
        }
    }

    #[test]
    fn the_largest_are_named_and_the_seal_is_told() {
        let mut seen = Seen::default();
        for (key, size) in [("a/1", 5), ("a/2", 50), ("a/3", 20)] {
            seen.take(key.to_owned(), &vec![0; size], 2);
        }
        seen.take("core/seal-config".to_owned(), br#"{"type":"awskms"}"#, 2);
        assert_eq!(seen.seal.as_deref(), Some("awskms"));
        let largest: Vec<(u64, String)> = seen.largest.into_sorted_vec().into_iter().map(|Reverse(entry)| entry).collect();
        assert_eq!(largest, [(53, "a/2".to_owned()), (33, "core/seal-config".to_owned())]);
        assert_eq!(seen.prefixes["a/"], Sum { entries: 3, bytes: 84 });
        assert_eq!(shown("a\u{1b}[2J"), "a\\u{1b}[2J");
    }
}
