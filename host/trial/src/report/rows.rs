//! Figures that are rows: for people aligned columns, for programs an object for each row, whose keys name the units.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

/// Rows of texts and numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What stands in them.
    pub columns: Vec<Column>,
    /// Each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name for programs, with its unit: `p50_us`.
    pub key: &'static str,
    /// Its name for people: `p50 µs`.
    pub title: &'static str,
}

/// What stands in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// Nothing that is known.
    None,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Cell {
        Cell::Number(number(count))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Cell {
        Cell::Number(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Cell {
        cell.map_or(Cell::None, Into::into)
    }
}

/// A count as a report has it. None is so large that it loses a digit.
pub(crate) fn number(count: u64) -> f64 {
    // Exact: each half fits.
    let half = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    half(count >> 32) * 4_294_967_296.0 + half(count & 0xffff_ffff)
}

/// Three digits say enough of what is measured; what is counted stays whole.
pub(crate) fn shown(number: f64) -> String {
    match number.abs() {
        size if number.fract() == 0.0 || size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

impl Cell {
    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(number) => shown(*number),
            Cell::None => "-".to_owned(),
        }
    }
}

impl Table {
    /// A table with no rows yet; each column by its names for programs and for people.
    pub fn new(columns: &[(&'static str, &'static str)]) -> Table {
        Table { columns: columns.iter().map(|&(key, title)| Column { key, title }).collect(), rows: Vec::new() }
    }

    /// The lines for people, the titles first: texts from the left, numbers to the right.
    pub(super) fn lines(&self) -> Vec<String> {
        let titles = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let rows: Vec<Vec<String>> =
            std::iter::once(titles).chain(self.rows.iter().map(|row| row.iter().map(Cell::shown).collect())).collect();
        let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let is_text = |at: usize| self.rows.iter().all(|row| matches!(row.get(at), Some(Cell::Text(_))));
        let columns: Vec<(usize, bool)> = (0..self.columns.len()).map(|at| (width(at), is_text(at))).collect();
        let line = |row: &Vec<String>| {
            let cell = |(cell, &(width, text)): (&String, &(usize, bool))| {
                if text { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            };
            row.iter().zip(&columns).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }

    /// A name and a text for each row: its texts, and the rest of it.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let pair = |row: &Vec<Cell>| {
            let texts: Vec<&str> =
                row.iter().filter_map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None }).collect();
            let numbers = self.columns.iter().zip(row).filter_map(|(column, cell)| match cell {
                Cell::Number(number) => Some(format!("{}={}", column.key, shown(*number))),
                _ => None,
            });
            let numbers = numbers.collect::<Vec<_>>().join(" ");
            (texts.join(" ").trim_end().to_owned(), if numbers.is_empty() { "-".to_owned() } else { numbers })
        };
        self.rows.iter().map(pair).collect()
    }
}

/// A row with its columns.
struct Row<'a>(&'a [Column], &'a [Cell]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, cell) in self.0.iter().zip(self.1) {
            match cell {
                Cell::Text(text) => map.serialize_entry(column.key, text)?,
                Cell::Number(number) if number.is_finite() => map.serialize_entry(column.key, &((number * 100.0).round() / 100.0))?,
                _ => map.serialize_entry(column.key, &())?,
            }
        }
        map.end()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in &self.rows {
            rows.serialize_element(&Row(&self.columns, row))?;
        }
        rows.end()
    }
}
