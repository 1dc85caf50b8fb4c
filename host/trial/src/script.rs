//! What a check did, a line for each operation, as a person would write it down. Of many lines the last are kept: they are what led to the failure.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use cofferdam_backend::Operation;

use crate::case::{Ended, held};

/// The lines that are kept.
const LINES: usize = 100;
/// The bytes of a value that are shown, and the names of a listing.
const SHOWN: usize = 16;
/// The longest key or name that is shown whole, in characters.
const NAME: usize = 100;

/// The operations of a check so far.
#[derive(Default)]
pub struct Script(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    kept: VecDeque<String>,
    dropped: u64,
}

impl Script {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        held(&self.0)
    }

    /// Adds a line.
    pub fn note(&self, line: impl Into<String>) {
        let mut lines = self.lock();
        if lines.kept.len() == LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back(line.into());
    }

    /// Adds a step with what came of it; an error ends the check.
    pub(crate) fn came<T>(&self, step: &str, result: Result<T, String>, shown: impl FnOnce(&T) -> String) -> Result<T, Ended> {
        match result {
            Ok(value) => {
                self.note(format!("{step}{}", shown(&value)));
                Ok(value)
            }
            Err(error) => {
                self.note(format!("{step} -> error {error}"));
                Err(Ended::failed(format!("{step}: expected no error, found {error}")))
            }
        }
    }

    /// Forgets everything, for a run that begins anew.
    pub fn clear(&self) {
        *self.lock() = Lines::default();
    }

    /// The lines.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lock();
        let dropped = (lines.dropped > 0).then(|| format!("(… {} earlier operations)", lines.dropped));
        dropped.into_iter().chain(lines.kept.iter().cloned()).collect()
    }
}

/// A key, folder or name: as it is if it is plain, else in quotes with escapes; the root as `/`.
pub(crate) fn name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | ',' | '[' | ']' | '=' | '(' | ')');
    if text.is_empty() {
        return "/".to_owned();
    }
    let count = text.chars().count();
    if count > NAME {
        let begin: String = text.chars().take(SHOWN).collect();
        return format!("{begin:?}… ({} bytes)", text.len());
    }
    if text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

/// A value: as text if it is some, else in hexadecimal; with its length.
pub(crate) fn value(bytes: &[u8]) -> String {
    let (shown, more) = bytes.split_at_checked(SHOWN).map_or((bytes, false), |(shown, rest)| (shown, !rest.is_empty()));
    let length = if bytes.len() == 1 { "1 byte".to_owned() } else { format!("{} bytes", bytes.len()) };
    let mut text = String::new();
    match std::str::from_utf8(bytes) {
        Ok(plain) if !more && plain.chars().all(|c| c.is_ascii_graphic() || c == ' ') => text = format!("{plain:?}"),
        _ => {
            text.push_str("0x");
            for byte in shown {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
    if more {
        text.push('…');
    }
    format!("{text} ({length})")
}

/// A value that may be missing.
pub(crate) fn found(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(|| "none".to_owned(), |bytes| value(bytes))
}

/// Names of a listing.
pub(crate) fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(SHOWN).map(|one| name(one.as_ref())).collect();
    let more = all.len().saturating_sub(shown.len());
    if more > 0 { format!("[{}, … {more} more]", shown.join(", ")) } else { format!("[{}]", shown.join(", ")) }
}

/// The operations of a batch.
pub(crate) fn operations(all: &[Operation]) -> String {
    let one = |operation: &Operation| match operation {
        Operation::Put(key, bytes) => format!("put {} = {}", name(key.as_str()), value(bytes)),
        Operation::Delete(key) => format!("delete {}", name(key.as_str())),
    };
    let shown: Vec<String> = all.iter().take(SHOWN).map(one).collect();
    let more = all.len().saturating_sub(shown.len());
    format!("{}{}", shown.join("; "), if more > 0 { format!("; … {more} more") } else { String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_names_are_readable_and_short() {
        assert_eq!(value(&[0, 255]), "0x00ff (2 bytes)");
        assert_eq!(value(b""), "\"\" (0 bytes)");
        assert_eq!(value(b"t"), "\"t\" (1 byte)");
        assert_eq!(value(&[7; 60_000]), "0x07070707070707070707070707070707… (60000 bytes)");
        assert_eq!(name("a/b-c._x"), "a/b-c._x");
        assert_eq!(name(""), "/");
        assert_eq!(name("a b\u{202e}"), "\"a b\\u{202e}\"");
        assert!(name(&"x".repeat(5_000)).len() < 60);
        assert_eq!(names(&["b", "c/"]), "[b, c/]");
        assert_eq!(names(&vec!["b"; 18]).matches('b').count(), 16);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let script = Script::default();
        for number in 0..LINES + 3 {
            script.note(number.to_string());
        }
        let lines = script.lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (LINES + 1, "(… 3 earlier operations)", "3"));
        script.clear();
        assert!(script.lines().is_empty());
    }
}
