//! The operator's stanza, typed.
//!
//! The rule: nothing is guessed and nothing is ignored. A value that does not parse, and a name that the guest never asked for, are
//! `configuration` errors that name the setting.

use crate::{Error, Result, Setting};

/// The settings that a guest was given, taken out one by one.
///
/// Ask for every setting that the guest knows, then call [`Settings::finish`], which refuses what is left.
pub struct Settings {
    left: Vec<Setting>,
    known: Vec<&'static str>,
}

impl Settings {
    /// Takes the list as the host hands it to `open` and `attach`.
    pub fn new(settings: Vec<Setting>) -> Settings {
        Settings { left: settings, known: Vec::new() }
    }

    /// The text of the setting, or none if the stanza does not have it.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.left.iter().position(|setting| setting.name == name)?;
        Some(self.left.swap_remove(at).value)
    }

    /// The text of a setting that must be there and not be empty.
    pub fn required(&mut self, name: &'static str) -> Result<String> {
        self.text(name).filter(|value| !value.is_empty()).ok_or_else(|| Error::Configuration(format!("{name:?} must be set")))
    }

    /// A boolean as Vault reads it: `1`, `t`, `T`, `true`, `True`, `TRUE` and their opposites.
    pub fn boolean(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.text(name).as_deref() {
            None => Ok(default),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some(value) => Err(Error::Configuration(format!("{name:?} is {value:?}; it must be true or false"))),
        }
    }

    /// A whole number in decimal.
    pub fn number(&mut self, name: &'static str, default: u64) -> Result<u64> {
        self.text(name).map_or(Ok(default), |value| {
            value
                .parse()
                .map_err(|_| Error::Configuration(format!("{name:?} is {value:?}; it must be a whole number from 0 to {}", u64::MAX)))
        })
    }

    /// Refuses every setting that was not asked for, naming the nearest that was.
    pub fn finish(self) -> Result<()> {
        let Some(setting) = self.left.first() else { return Ok(()) };
        let nearest = self.known.iter().map(|known| (distance(known, &setting.name), *known)).min();
        let hint = match nearest {
            Some((far, known)) if far <= 2.max(known.len() / 3) => format!("did you mean {known:?}?"),
            Some(_) => format!("known are {:?}", self.known),
            None => "there are none".to_owned(),
        };
        Err(Error::Configuration(format!("unknown setting {:?}; {hint}", setting.name)))
    }
}

/// How many single characters must be put in, taken out or replaced to make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in std::iter::once('\0').chain(b.chars()).zip(row.iter_mut()) {
            if y == '\0' {
                *cell = left;
                continue;
            }
            left = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::new(pairs.iter().map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() }).collect())
    }

    fn text(error: Error) -> String {
        match error {
            Error::Configuration(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_typed_and_missing_ones_are_the_default() {
        let mut stanza = settings(&[("a", "1"), ("b", "F"), ("n", "17"), ("t", "x")]);
        assert!(stanza.boolean("a", false).unwrap());
        assert!(!stanza.boolean("b", true).unwrap());
        assert!(stanza.boolean("absent", true).unwrap());
        assert_eq!(stanza.number("n", 0).unwrap(), 17);
        assert_eq!(stanza.number("absent", 5).unwrap(), 5);
        assert_eq!(stanza.required("t").unwrap(), "x");
        stanza.finish().unwrap();
    }

    #[test]
    fn values_that_do_not_parse_are_named() {
        assert_eq!(text(settings(&[("fsync", "no")]).boolean("fsync", true).unwrap_err()), r#""fsync" is "no"; it must be true or false"#);
        assert!(text(settings(&[("n", "-1")]).number("n", 0).unwrap_err()).starts_with(r#""n" is "-1""#));
        assert_eq!(text(settings(&[("t", "")]).required("t").unwrap_err()), r#""t" must be set"#);
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest_known_one() {
        let mut stanza = settings(&[("fsnyc", "true")]);
        stanza.boolean("fsync", true).unwrap();
        stanza.boolean("table", true).unwrap();
        assert_eq!(text(stanza.finish().unwrap_err()), r#"unknown setting "fsnyc"; did you mean "fsync"?"#);
        let mut stanza = settings(&[("region", "x")]);
        stanza.boolean("fsync", true).unwrap();
        assert_eq!(text(stanza.finish().unwrap_err()), r#"unknown setting "region"; known are ["fsync"]"#);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("fsync", "fsnyc", 2), ("ä", "a", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a:?} {b:?}");
        }
    }
}
