//! HCL 1, the configuration language of Vault and OpenBao, and JSON, parsed into one syntax tree with positions.
//!
//! The rule: what the reference parser (hashicorp/hcl 1.0, as `bao` uses it) accepts is accepted with the same meaning, except where
//! its leniency hides a mistake (`a =` at the end of a file, a number that does not fit). Nothing is interpolated: `${…}` stays
//! literal text. No input can make the parser panic or overflow the stack: nesting is bounded by [`MAX_DEPTH`].
//!
//! ```
//! let policy = cofferdam_hcl::parse("path \"secret/*\" { capabilities = [\"read\"] }")?;
//! for item in policy.named("path") {
//!     assert_eq!(item.label(0), Some("secret/*"));
//!     let body = item.value.object()?;
//!     let capabilities = body.get("capabilities").unwrap().value.strings()?;
//!     assert_eq!(capabilities, ["read"]);
//! }
//! # Ok::<(), cofferdam_hcl::Error>(())
//! ```

mod ast;
mod duration;
mod flatten;
mod json;
mod lexer;
mod nearest;
mod number;
mod parser;
mod read;
mod strings;

pub use ast::{Item, Key, Kind, Number, Object, Pos, Value};
pub use duration::{format_duration, parse_duration, parse_size};
pub use nearest::nearest;
pub use read::parse_boolean;

/// Deepest nesting of objects and lists that is parsed.
pub const MAX_DEPTH: usize = 100;

/// Why a text could not be parsed, or a value not be read as what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pos}: {message}")]
pub struct Error {
    /// Where in the text.
    pub pos: Pos,
    /// What was found and what was expected.
    pub message: String,
}

impl Error {
    /// An error at `pos`.
    pub fn new(pos: Pos, message: impl Into<String>) -> Self {
        Self { pos, message: message.into() }
    }
}

/// The result of parsing or reading.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Parses HCL or JSON: JSON if the first character that is not white space is `{`, as Vault decides.
pub fn parse(text: &str) -> Result<Object> {
    if text.trim_start().starts_with('{') { parse_json(text) } else { parse_hcl(text) }
}

/// Parses bytes as [`parse`] does, after checking that they are UTF-8.
pub fn parse_bytes(bytes: &[u8]) -> Result<Object> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let pos = valid.iter().fold(Pos::START, |pos, byte| pos.after_byte(*byte));
            Err(Error::new(pos, "illegal UTF-8 encoding"))
        }
    }
}

/// Parses HCL 1.
pub fn parse_hcl(text: &str) -> Result<Object> {
    parser::parse(text)
}

/// Parses JSON. Its top level must be an object. Objects of objects become blocks with labels, as HCL's own JSON reader makes them:
/// `{"path": {"a/*": {…}}}` is the same tree as `path "a/*" { … }`.
pub fn parse_json(text: &str) -> Result<Object> {
    json::parse(text).map(flatten::flatten)
}

#[cfg(test)]
mod tests;
