//! The key grammar of the contract. What is not within it never reaches a backend.

use std::fmt;
use std::sync::Arc;

use crate::Error;

/// A key within the grammar: one or more segments joined by `/`, none empty, `.` or `..`, no control character.
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A folder: the root, or segments each followed by `/`.
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder(Arc<str>);

/// Why a text is no key or no folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct InvalidKey {
    text: String,
    reason: &'static str,
}

impl From<InvalidKey> for Error {
    fn from(invalid: InvalidKey) -> Error {
        Error::InvalidKey(invalid.to_string())
    }
}

fn check_segments(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty; a key has at least one segment");
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err("has an empty segment (a slash at an end, or two in a row)"),
            "." | ".." => return Err("has a segment . or .."),
            _ => {}
        }
    }
    Ok(())
}

fn invalid(text: &str, reason: &'static str) -> InvalidKey {
    InvalidKey { text: text.to_owned(), reason }
}

impl Key {
    /// Checks the text against the grammar.
    pub fn new(text: impl AsRef<str>) -> Result<Key, InvalidKey> {
        let text = text.as_ref();
        check_segments(text).map_err(|reason| invalid(text, reason))?;
        Ok(Key(text.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its folders, from the root's child down: `a/b/c` gives `a/`, `a/b/`.
    pub fn folders(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(at, _)| self.0.get(..=at))
    }

    /// The last segment.
    pub fn leaf(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl Folder {
    /// The folder above everything.
    pub fn root() -> Folder {
        Folder("".into())
    }

    /// Checks the text: empty for the root, else segments each followed by `/`.
    pub fn new(text: impl AsRef<str>) -> Result<Folder, InvalidKey> {
        let text = text.as_ref();
        if text.is_empty() {
            return Ok(Folder::root());
        }
        let segments = text.strip_suffix('/').ok_or_else(|| invalid(text, "is no folder: it does not end with a slash"))?;
        check_segments(segments).map_err(|reason| invalid(text, reason))?;
        Ok(Folder(text.into()))
    }

    /// The folder as text: empty, or with a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_within_the_grammar_are_taken() {
        for text in ["a", "a/b", "a b/c", "ä/ö", "...", "a/..b", "_x", "core/mounts", "{}\"'\\"] {
            assert_eq!(Key::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn keys_outside_the_grammar_are_refused() {
        for text in ["", "/", "/a", "a/", "a//b", ".", "a/./b", "..", "../a", "a/..", "a\nb", "a\u{85}", "\0"] {
            assert!(Key::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn folders_are_the_root_or_end_with_a_slash() {
        assert_eq!(Folder::new("").unwrap(), Folder::root());
        assert!(Folder::new("a/b/").is_ok());
        for text in ["/", "a", "a//", "./", "a/../"] {
            assert!(Folder::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn folders_of_a_key_run_from_the_root_down() {
        assert_eq!(Key::new("a/b/c").unwrap().folders().collect::<Vec<_>>(), ["a/", "a/b/"]);
        assert_eq!(Key::new("a").unwrap().folders().count(), 0);
        assert_eq!(Key::new("a/b/c").unwrap().leaf(), "c");
    }
}
