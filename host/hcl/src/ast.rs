//! The syntax tree: objects with ordered items, each with its keys, its value and where it stands.

use std::fmt;

/// A place in a text: line and column, both from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Pos {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place after `byte` of UTF-8 text: continuation bytes take no column.
    pub(crate) fn after_byte(self, byte: u8) -> Self {
        match byte {
            b'\n' => Self { line: self.line.saturating_add(1), column: 1 },
            0x80..=0xbf => self,
            _ => Self { column: self.column.saturating_add(1), ..self },
        }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One key of an item: an identifier or a quoted string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its text, unquoted.
    pub text: String,
    /// Where it starts.
    pub pos: Pos,
}

/// `keys… = value`, or `keys… { … }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The name, then the labels of a block; never empty. `storage "file" { }` has the keys `storage` and `file`.
    pub keys: Vec<Key>,
    /// What it holds.
    pub value: Value,
    /// Where its first key starts.
    pub pos: Pos,
}

impl Item {
    /// The first key.
    pub fn name(&self) -> &str {
        self.keys.first().map_or("", |key| key.text.as_str())
    }

    /// The key after the name at `index`: `label(0)` of `storage "file" { }` is `file`.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.keys.get(index.saturating_add(1)).map(|key| key.text.as_str())
    }
}

/// What stands between braces, and the top level of a text: items in the order written. Repeated names are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The items, in the order written.
    pub items: Vec<Item>,
    /// Where it starts.
    pub pos: Pos,
}

impl Object {
    /// Every item whose first key is `name`, whatever its case, as HCL 1 compares names.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.name().eq_ignore_ascii_case(name))
    }

    /// The last item whose first key is `name`, whatever its case: of a repeated attribute the last counts, as in HCL 1.
    pub fn get(&self, name: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.name().eq_ignore_ascii_case(name))
    }
}

/// A number as written. HCL 1 and JSON keep no more than its text until somebody wants a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(pub(crate) String);

impl Number {
    /// As written: `0755`, `-1`, `1.5e3`.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool(bool),
    /// A number, kept as written.
    Number(Number),
    /// A quoted string or a heredoc, its escapes resolved.
    String(String),
    /// `[…]`.
    List(Vec<Value>),
    /// `{…}`.
    Object(Object),
    /// `null`, which only JSON has.
    Null,
}

/// A value and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it starts.
    pub pos: Pos,
}
