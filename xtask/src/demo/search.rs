//! Looking for what must not be somewhere, with a look for what must be there, so that finding nothing means something.

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is looked for: names, and bytes.
#[derive(Default)]
pub(super) struct Search(Vec<(String, Vec<u8>)>);

impl Search {
    /// Looks for a text, as it is, in hex and in base 64.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.bytes(name, text.as_bytes());
    }

    /// Looks for what a text in base 64 stands for, also as it is, in hex and in base 64.
    pub(super) fn base64(&mut self, name: &str, text: &str) -> Result<()> {
        self.bytes(name, &STANDARD.decode(text)?);
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let forms = [("", bytes.to_vec()), (" in hex", hex::encode(bytes).into()), (" in base 64", STANDARD.encode(bytes).into())];
        self.0.extend(forms.map(|(form, bytes)| (format!("{name}{form}"), bytes)));
    }

    /// Nothing of it is in any of these; `control` is in one of them at least.
    pub(super) fn finds_nothing_in<'a>(&self, places: impl IntoIterator<Item = (&'a str, &'a [u8])>, control: &str) -> Result<()> {
        let mut controlled = false;
        for (place, bytes) in places {
            for (name, wanted) in &self.0 {
                ensure!(!contains(bytes, wanted), "{place} shows {name}");
            }
            controlled |= contains(bytes, control.as_bytes());
        }
        ensure!(controlled, "{control:?} is nowhere either: the search does not find what is there");
        Ok(())
    }
}

/// Whether these bytes are in there.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_and_a_search_that_finds_nothing_at_all_fails() {
        let mut search = Search::default();
        search.text("the token", "s.abc");
        search.base64("the key", "AAEC/w==").unwrap();
        let look = |bytes: &[u8]| search.finds_nothing_in([("the log", &b"control"[..]), ("the store", bytes)], "control");
        look(b"anything else").unwrap();
        for (shown, said) in [
            (&b"x s.abc x"[..], "the store shows the token"),
            (b"732e616263", "the store shows the token in hex"),
            (b"cy5hYmM=", "the store shows the token in base 64"),
            (&[9, 0, 1, 2, 255], "the store shows the key"),
            (b"000102ff", "the store shows the key in hex"),
        ] {
            assert_eq!(look(shown).unwrap_err().to_string(), said);
        }
        let blind = search.finds_nothing_in([("the log", &b"nothing"[..])], "control").unwrap_err();
        assert!(blind.to_string().contains("is nowhere either"));
    }
}
