//! Quoted strings and heredocs.
//!
//! Inside `${…}` a quote does not end the string and a newline is allowed, and the text is taken as it stands, escapes included:
//! that is what HCL 1 does for the interpolation that its users resolve later. Here nobody resolves it.

use crate::lexer::Cursor;
use crate::{Error, Pos, Result};

/// The rest of a quoted string, after the opening quote at `start`.
pub(crate) fn quoted(cursor: &mut Cursor<'_>, start: Pos) -> Result<String> {
    let unterminated = || Error::new(start, "literal not terminated: expected a closing '\"' on the same line");
    let mut bytes = Vec::new();
    let mut braces = 0_u32;
    loop {
        let pos = cursor.pos();
        let c = cursor.bump()?.ok_or_else(unterminated)?;
        match c {
            '"' if braces == 0 => break,
            '\n' if braces == 0 => return Err(unterminated()),
            '$' if braces == 0 && cursor.peek() == Some('{') => {
                cursor.bump()?;
                bytes.extend_from_slice(b"${");
                braces = 1;
                continue;
            }
            '{' if braces > 0 => braces = braces.saturating_add(1),
            '}' if braces > 0 => braces -= 1,
            '\\' => {
                let before = cursor.rest();
                let value = escape(cursor, pos)?;
                if braces == 0 {
                    bytes.extend_from_slice(&value);
                } else {
                    let taken = before.len().saturating_sub(cursor.rest().len());
                    bytes.push(b'\\');
                    bytes.extend_from_slice(before.as_bytes().get(..taken).unwrap_or_default());
                }
                continue;
            }
            _ => {}
        }
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| Error::new(start, "the escapes of this string give bytes that are not UTF-8"))
}

/// The bytes of an escape, after its backslash at `pos`. `\x` and octal escapes give a byte, `\u` and `\U` a character.
fn escape(cursor: &mut Cursor<'_>, pos: Pos) -> Result<Vec<u8>> {
    let illegal =
        || Error::new(pos, "illegal char escape: expected \\\\ \\\" \\a \\b \\f \\n \\r \\t \\v, \\101, \\x41, \\u0041 or \\U00000041");
    let byte = match cursor.bump()?.ok_or_else(illegal)? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        digit @ '0'..='7' => {
            let first = digit.to_digit(8).ok_or_else(illegal)?;
            let value = first * 64 + digits(cursor, 2, 8).ok_or_else(illegal)?;
            u8::try_from(value).map_err(|_| illegal())?
        }
        'x' => u8::try_from(digits(cursor, 2, 16).ok_or_else(illegal)?).map_err(|_| illegal())?,
        letter @ ('u' | 'U') => {
            let value = digits(cursor, if letter == 'u' { 4 } else { 8 }, 16).ok_or_else(illegal)?;
            let c = char::from_u32(value).ok_or_else(illegal)?;
            return Ok(c.encode_utf8(&mut [0; 4]).as_bytes().to_vec());
        }
        _ => return Err(illegal()),
    };
    Ok(vec![byte])
}

/// Exactly `count` digits of `radix`.
fn digits(cursor: &mut Cursor<'_>, count: u32, radix: u32) -> Option<u32> {
    let mut value = 0_u32;
    for _ in 0..count {
        let digit = cursor.peek()?.to_digit(radix)?;
        cursor.bump().ok()?;
        value = value.checked_mul(radix)?.checked_add(digit)?;
    }
    Some(value)
}

/// A heredoc, after its `<<` at `start`: everything between the line of the anchor and the line that holds only the anchor, which
/// may be indented and must end in a newline. `<<-` takes the anchor line's indentation off every line, if every line has it.
pub(crate) fn heredoc(cursor: &mut Cursor<'_>, start: Pos) -> Result<String> {
    let dash = cursor.peek() == Some('-');
    if dash {
        cursor.bump()?;
    }
    let anchor = cursor.take_while(|c| c == '_' || c.is_alphanumeric())?;
    match cursor.bump()? {
        _ if anchor.is_empty() => return Err(Error::new(start, "zero-length heredoc anchor: expected a name right after <<")),
        Some('\n') => {}
        _ => {
            return Err(Error::new(start, "invalid characters in heredoc anchor: expected letters, digits or _, then the end of the line"));
        }
    }
    let mut lines: Vec<&str> = Vec::new();
    loop {
        let line = cursor.take_while(|c| c != '\n')?;
        if cursor.bump()?.is_none() {
            return Err(Error::new(start, format!("heredoc not terminated: expected a line {anchor}, ended by a newline")));
        }
        let indent = line.strip_suffix('\r').unwrap_or(line).strip_suffix(anchor).filter(|indent| indent.chars().all(char::is_whitespace));
        if let Some(indent) = indent {
            return Ok(body(&lines, indent, dash));
        }
        lines.push(line);
    }
}

fn body(lines: &[&str], indent: &str, dash: bool) -> String {
    let unindented: Option<Vec<&str>> = if dash { lines.iter().map(|line| line.strip_prefix(indent)).collect() } else { None };
    let mut text = String::new();
    for line in unindented.as_deref().unwrap_or(lines) {
        text.push_str(line);
        text.push('\n');
    }
    if !dash {
        // The reference keeps the white space before an indented closing anchor.
        text.push_str(indent);
    }
    text
}
