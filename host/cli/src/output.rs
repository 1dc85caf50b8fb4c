//! What commands print: tables for people, JSON for programs.

use crate::args::{FormatArguments, OutputFormat};
use crate::config::Environment;
use crate::exit::Failure;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;

impl FormatArguments {
    /// The flag, else the environment, else a table.
    pub(crate) fn resolve(&self, environment: &Environment) -> Result<OutputFormat, Failure> {
        match (self.format, environment.get("FORMAT")) {
            (Some(format), _) => Ok(format),
            (None, Some((name, text))) => <OutputFormat as clap::ValueEnum>::from_str(text, true)
                .map_err(|_| Failure::usage(format!("{name}: expected table or json, found {text:?}"))),
            (None, None) => Ok(OutputFormat::Table),
        }
    }
}

/// Prints text that must not be lost, such as a new vault's keys: an output that is closed is an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("cannot write to standard output: {error}")))
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
    print(&text)
}

/// A value as a cell shows it: a text as it is, and nothing for null.
pub(crate) fn cell(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    }
}

/// A dash for nothing.
pub(crate) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// What stands in place of an empty text.
pub(crate) fn or(text: String, none: &str) -> String {
    if text.is_empty() { none.to_owned() } else { text }
}

/// Columns as wide as their widest cell, four spaces between them, a rule below the head, as Vault's tables.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|name| name.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut one = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            one.push_str(&format!("{cell:<width$}    "));
        }
        text.push_str(one.trim_end());
        text.push('\n');
    };
    line(head);
    let rules = head.map(|name| "-".repeat(name.chars().count()));
    line(rules.each_ref().map(String::as_str));
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let rows = [["Seal Type".to_owned(), "shamir".to_owned()], ["Sealed".to_owned(), "false".to_owned()]];
        assert_eq!(table(["Key", "Value"], &rows), "Key          Value\n---          -----\nSeal Type    shamir\nSealed       false\n");
    }
}
