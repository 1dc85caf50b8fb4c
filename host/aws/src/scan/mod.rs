//! A strict reader of JSON, for what a guest wants to have signed.
//!
//! The rule: whatever passes has one meaning, whoever reads it. It is UTF-8 and exactly one JSON value, with nothing behind it; no object names
//! a member twice; no member's name holds an escape. So a check of the tree that is returned is a check of what the service will see. The
//! tree borrows from the body; strings are not decoded, since most are long base64 that nobody here looks into.

use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
mod tests;

/// The deepest nesting. A request of a service that is bound here has less than ten.
const DEPTH: usize = 40;

/// The most values of a body, all levels together: a bound on the memory of the tree. The largest request of DynamoDB has some 2,000.
const VALUES: usize = 1 << 15;

/// Objects up to this many members are searched for duplicates pair by pair.
const PAIRS: usize = 16;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// The number as written.
    Number(&'a str),
    String(Text<'a>),
    Array(Vec<Value<'a>>),
    /// The members in their order, no name twice.
    Object(Vec<(&'a str, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The text of a string that holds no escape.
    pub(crate) fn plain(&self) -> Option<&'a str> {
        match self {
            Value::String(text) => text.plain(),
            _ => None,
        }
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> Option<&[(&'a str, Value<'a>)]> {
        match self {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// An object's member.
    pub(crate) fn member(&self, name: &str) -> Option<&Value<'a>> {
        self.members()?.iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }
}

/// A JSON string as it stands in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// With its quotes.
    quoted: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The text, if it holds no escape.
    pub(crate) fn plain(self) -> Option<&'a str> {
        let inner = self.quoted.get(1..self.quoted.len().saturating_sub(1))?;
        (!self.escaped).then_some(inner)
    }

    /// The text that is meant.
    pub(crate) fn decoded(self) -> Option<Cow<'a, str>> {
        match self.plain() {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => serde_json::from_str::<String>(self.quoted).ok().map(Cow::Owned),
        }
    }
}

/// Why a body is refused. No text of the body is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    Encoding,
    /// Not JSON, at this byte.
    Grammar(usize),
    Duplicate,
    EscapedName,
    Trailing,
    TooDeep,
    TooMany,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::Encoding => write!(f, "the body is not UTF-8"),
            ScanError::Grammar(at) => write!(f, "the body is not JSON (byte {at})"),
            ScanError::Duplicate => write!(f, "the body names a member twice"),
            ScanError::EscapedName => write!(f, "the body has an escape in a member's name"),
            ScanError::Trailing => write!(f, "the body goes on after its value"),
            ScanError::TooDeep => write!(f, "the body is nested deeper than {DEPTH}"),
            ScanError::TooMany => write!(f, "the body holds more than {VALUES} values"),
        }
    }
}

/// Reads a body.
pub(crate) fn read(body: &[u8]) -> Result<Value<'_>, ScanError> {
    let text = std::str::from_utf8(body).map_err(|_| ScanError::Encoding)?;
    let mut reader = Reader { text, bytes: body, at: 0, values: 0 };
    reader.space();
    let value = reader.value(0)?;
    if reader.at == body.len() { Ok(value) } else { Err(ScanError::Trailing) }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn error(&self) -> ScanError {
        ScanError::Grammar(self.at)
    }

    fn pass(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(self.error());
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, ScanError> {
        if depth > DEPTH {
            return Err(ScanError::TooDeep);
        }
        self.values += 1;
        if self.values > VALUES {
            return Err(ScanError::TooMany);
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.error()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, ScanError> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(self.error());
        }
        self.at = end;
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, ScanError> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            if self.last(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, ScanError> {
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let name = match self.peek() {
                Some(b'"') => self.string()?.plain().ok_or(ScanError::EscapedName)?,
                _ => return Err(self.error()),
            };
            self.space();
            self.pass(b':')?;
            self.space();
            members.push((name, self.value(depth + 1)?));
            if self.last(b'}')? {
                break;
            }
        }
        if distinct(&members) { Ok(Value::Object(members)) } else { Err(ScanError::Duplicate) }
    }

    /// After an item: whether the list ends here; else it goes on behind a comma.
    fn last(&mut self, end: u8) -> Result<bool, ScanError> {
        self.space();
        let last = match self.peek() {
            Some(byte) if byte == end => true,
            Some(b',') => false,
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(last)
    }

    fn string(&mut self) -> Result<Text<'a>, ScanError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain_run(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.error()),
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).ok_or(ScanError::Grammar(start))?;
        Ok(Text { quoted, escaped })
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit()? {
                // Half a pair means no character.
                0xd800..=0xdbff => match self.unit()? {
                    0xdc00..=0xdfff => {}
                    _ => return Err(self.error()),
                },
                0xdc00..=0xdfff => return Err(self.error()),
                _ => {}
            },
            _ => return Err(self.error()),
        }
        Ok(())
    }

    /// One `\uXXXX`.
    fn unit(&mut self) -> Result<u32, ScanError> {
        match self.bytes.get(self.at..self.at + 6) {
            Some([b'\\', b'u', digits @ ..]) if digits.iter().all(u8::is_ascii_hexdigit) => {
                self.at += 6;
                Ok(digits.iter().fold(0, |unit, digit| unit * 16 + char::from(*digit).to_digit(16).unwrap_or_default()))
            }
            _ => Err(self.error()),
        }
    }

    fn number(&mut self) -> Result<Value<'a>, ScanError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.text.get(start..self.at).map(Value::Number).ok_or(ScanError::Grammar(start))
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.error()) } else { Ok(()) }
    }
}

/// How many bytes stand for themselves within a string, from here. Whole chunks are looked at together, which the compiler turns into vector code.
fn plain_run(bytes: &[u8]) -> usize {
    let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    let chunks = bytes.chunks_exact(32);
    let plain = chunks.take_while(|chunk| !chunk.iter().fold(false, |found, byte| found | special(byte))).count() * 32;
    let rest = bytes.get(plain..).unwrap_or_default();
    plain + rest.iter().position(special).unwrap_or(rest.len())
}

fn distinct(members: &[(&str, Value<'_>)]) -> bool {
    if members.len() <= PAIRS {
        let mut rest = members;
        while let Some(((name, _), others)) = rest.split_first() {
            if others.iter().any(|(other, _)| other == name) {
                return false;
            }
            rest = others;
        }
        return true;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair.first() != pair.last())
}
