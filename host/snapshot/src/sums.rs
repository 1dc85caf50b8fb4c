//! `SHA256SUMS`: a line for each member that counts, in any order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{META, STATE};

/// The digests of the two members, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) meta: String,
    pub(crate) state: String,
}

impl Sums {
    /// The text of a server, or what is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Sums, String> {
        let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8 text".to_owned())?;
        let mut found: BTreeMap<&str, &str> = BTreeMap::new();
        for (line, content) in text.lines().enumerate() {
            let (digest, name) = content
                .split_once("  ")
                .filter(|(digest, _)| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .ok_or_else(|| format!("line {}: a SHA-256 digest in hex, two spaces and a name expected", line + 1))?;
            if name != META && name != STATE {
                return Err(format!("line {}: list missing hash for {name:?}: there is no such member", line + 1));
            }
            if found.insert(name, digest).is_some() {
                return Err(format!("line {}: {name:?} is listed twice", line + 1));
            }
        }
        let mut take = |name: &str| found.remove(name).map(str::to_ascii_lowercase).ok_or_else(|| format!("file missing for {name:?}"));
        Ok(Sums { meta: take(META)?, state: take(STATE)? })
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (digest, name) in [(&self.meta, META), (&self.state, STATE)] {
            let _ = writeln!(text, "{digest}  {name}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_any_order_are_taken_and_nothing_else() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let sums = Sums::parse(format!("{b}  state.bin\n{a}  meta.json\n").as_bytes()).unwrap();
        assert_eq!(sums, Sums { meta: a.clone(), state: "b".repeat(64) });
        assert_eq!(Sums::parse(sums.text().as_bytes()).unwrap(), sums);
        for (text, word) in [
            (String::new(), "file missing for \"meta.json\""),
            (format!("{a}  meta.json\n"), "file missing for \"state.bin\""),
            (format!("{a}  meta.json\n{a}  meta.json\n"), "line 2"),
            (format!("{a}  other\n"), "\"other\""),
            (format!("{a} meta.json\n"), "line 1"),
            (format!("{}  meta.json\n", "g".repeat(64)), "line 1"),
        ] {
            let wrong = Sums::parse(text.as_bytes()).unwrap_err();
            assert!(wrong.contains(word), "{text:?}: {wrong}");
        }
        assert!(Sums::parse(b"\xff").is_err());
    }
}
