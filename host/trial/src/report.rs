//! What came of a trial: for people as a table, for programs as JSON, for CI systems as JUnit.

mod junit;
mod rows;
mod table;

use std::time::Duration;

use serde::Serialize;

pub use self::rows::{Cell, Column, Table};
pub(crate) use self::rows::{number, shown};
use crate::case::{Options, Sheet};
use crate::subject::Info;

/// A report on one subject.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was tried.
    pub subject: Info,
    /// What every random choice of the run was drawn from.
    pub seed: u64,
    /// Whether fewer entries and rounds were tried.
    pub quick: bool,
    /// The recording that stood in the place of the service, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_back: Option<PlayedBack>,
    /// What was tried of it.
    pub sections: Vec<Section>,
    /// Why what the trial wrote is still there, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<String>,
    /// How long all of it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
}

/// What a trial was played back from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlayedBack {
    /// The file.
    pub file: String,
    /// The digest of the component that it was recorded with.
    pub sha256: String,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// Checks and figures that belong together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Section {
    /// Its name: one word in lower case.
    pub name: String,
    /// What was checked.
    pub checks: Vec<Check>,
    /// What was measured or seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
}

/// One check and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name, the same in every version: `SECTION/what-is-checked`.
    pub id: String,
    /// What must be so, as a sentence.
    pub title: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is so.
    Passed,
    /// It is not so.
    Failed {
        /// What was expected, and what was found.
        what: String,
        /// The operations that lead there, one a line.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        script: Vec<String>,
    },
    /// It does not apply: the backend does not claim the feature.
    Skipped {
        /// Why.
        why: String,
    },
}

/// Something that was measured or seen, with no judgement.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name, the same in every version: `SECTION/what-it-is`.
    pub id: String,
    /// What it is, in words.
    pub title: String,
    /// Its value.
    pub value: Value,
    /// Its unit; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// A value of a figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Rows, as the times of each operation.
    Table(Table),
}

fn millis<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Outcome {
    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Skipped { .. } => "skipped",
        }
    }
}

impl Report {
    /// A report with no sections yet.
    pub fn new(subject: Info, options: &Options) -> Report {
        let Options { seed, quick, ref played_back, .. } = *options;
        Report { subject, seed, quick, played_back: played_back.clone(), sections: Vec::new(), left_behind: None, took: Duration::ZERO }
    }

    /// Adds a section that has ended, unless nothing of it was wanted.
    pub fn add(&mut self, sheet: Sheet<'_>) {
        let (section, opened) = sheet.into_section();
        if let Some((name, version)) = opened {
            self.subject.name = Some(name);
            self.subject.version = Some(version);
        }
        if !section.checks.is_empty() || !section.figures.is_empty() {
            self.sections.push(section);
        }
    }

    /// All checks.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.sections.iter().flat_map(|section| &section.checks)
    }

    /// Whether there were checks, none failed, not all were skipped, and nothing is left behind.
    pub fn passed(&self) -> bool {
        let failed = self.checks().any(|check| matches!(check.outcome, Outcome::Failed { .. }));
        !failed && self.left_behind.is_none() && self.checks().any(|check| check.outcome == Outcome::Passed)
    }

    /// Why it has not passed although no check failed, if so.
    pub fn nothing_tried(&self) -> Option<&'static str> {
        let mut outcomes = self.checks().map(|check| &check.outcome).peekable();
        match outcomes.peek() {
            None => Some("no check was run"),
            Some(_) => outcomes
                .all(|outcome| matches!(outcome, Outcome::Skipped { .. }))
                .then_some("every check was skipped, so that nothing is known of the component"),
        }
    }

    /// The report as JSON, indented.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("passed".to_owned(), self.passed().into());
        }
        serde_json::to_string_pretty(&value).map(|text| text + "\n")
    }

    /// The report as JUnit's XML: a suite for each section.
    pub fn junit(&self) -> Result<String, String> {
        junit::write(self)
    }

    /// The report as text for people.
    pub fn table(&self) -> String {
        table::write(self)
    }
}

#[cfg(test)]
mod tests;
