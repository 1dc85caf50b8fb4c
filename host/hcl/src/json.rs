//! JSON into the same tree. Positions are kept, and so are repeated members, in the order written. A comma
//! after the last element is accepted, and a raw tab in a string, as the reference does; its further leniencies (no comma at all,
//! anything after the end) are not.

use crate::lexer::Cursor;
use crate::{Error, Item, Key, Kind, MAX_DEPTH, Number, Object, Pos, Result, Value};

pub(crate) fn parse(text: &str) -> Result<Object> {
    let mut cursor = Cursor::new(text);
    blank(&mut cursor)?;
    let value = value(&mut cursor, 0)?;
    blank(&mut cursor)?;
    match (cursor.peek(), value.kind) {
        (Some(c), _) => Err(Error::new(cursor.pos(), format!("expected the end of the text, found {c:?}"))),
        (None, Kind::Object(object)) => Ok(object),
        (None, _) => Err(Error::new(value.pos, "expected an object at the top level")),
    }
}

fn blank(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))?;
    Ok(())
}

fn wrong<T>(cursor: &Cursor<'_>, expected: &str) -> Result<T> {
    let found = cursor.peek().map_or("the end of the text".to_owned(), |c| format!("{c:?}"));
    Err(Error::new(cursor.pos(), format!("expected {expected}, found {found}")))
}

fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value> {
    let pos = cursor.pos();
    if depth > MAX_DEPTH {
        return Err(Error::new(pos, format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let kind = match cursor.peek() {
        Some('{') => Kind::Object(object(cursor, depth)?),
        Some('[') => Kind::List(list(cursor, depth)?),
        Some('"') => Kind::String(string(cursor)?),
        Some('-' | '0'..='9') => Kind::Number(number(cursor)?),
        Some(c) if c.is_ascii_lowercase() => match cursor.take_while(|c| c.is_ascii_alphanumeric())? {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            word => return Err(Error::new(pos, format!("expected a JSON value, found {word:?}"))),
        },
        _ => return wrong(cursor, "a JSON value"),
    };
    Ok(Value { kind, pos })
}

fn object(cursor: &mut Cursor<'_>, depth: usize) -> Result<Object> {
    let pos = cursor.pos();
    let mut items = Vec::new();
    cursor.bump()?;
    loop {
        blank(cursor)?;
        if cursor.peek() == Some('}') {
            cursor.bump()?;
            return Ok(Object { items, pos });
        }
        let pos = cursor.pos();
        if cursor.peek() != Some('"') {
            return wrong(cursor, "a member name in double quotes");
        }
        let key = Key { text: string(cursor)?, pos };
        blank(cursor)?;
        if cursor.peek() != Some(':') {
            return wrong(cursor, &format!("':' after the member name {:?}", key.text));
        }
        cursor.bump()?;
        blank(cursor)?;
        let value = value(cursor, depth + 1)?;
        items.push(Item { keys: vec![key], value, pos });
        if !another(cursor, '}')? {
            return Ok(Object { items, pos });
        }
    }
}

fn list(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    cursor.bump()?;
    loop {
        blank(cursor)?;
        if cursor.peek() == Some(']') {
            cursor.bump()?;
            return Ok(values);
        }
        values.push(value(cursor, depth + 1)?);
        if !another(cursor, ']')? {
            return Ok(values);
        }
    }
}

/// Takes a comma (another element follows) or `close` (none does).
fn another(cursor: &mut Cursor<'_>, close: char) -> Result<bool> {
    blank(cursor)?;
    match cursor.peek() {
        Some(',') => {
            cursor.bump()?;
            Ok(true)
        }
        Some(c) if c == close => {
            cursor.bump()?;
            Ok(false)
        }
        _ => wrong(cursor, &format!("',' or '{close}'")),
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number> {
    let pos = cursor.pos();
    let text = cursor.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))?;
    if well_formed(text) { Ok(Number(text.to_owned())) } else { Err(Error::new(pos, format!("expected a JSON number, found {text:?}"))) }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn well_formed(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

fn string(cursor: &mut Cursor<'_>) -> Result<String> {
    let start = cursor.pos();
    cursor.bump()?;
    let mut text = String::new();
    loop {
        let pos = cursor.pos();
        match cursor.bump()? {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escape(cursor, pos)?),
            Some(c) if c >= ' ' || c == '\t' => text.push(c),
            Some(c) => return Err(Error::new(pos, format!("illegal control character {c:?} in a string"))),
            None => return Err(Error::new(start, "string not terminated: expected a closing '\"'")),
        }
    }
}

fn escape(cursor: &mut Cursor<'_>, pos: Pos) -> Result<char> {
    let illegal = || Error::new(pos, "illegal escape in a JSON string");
    Ok(match cursor.bump()?.ok_or_else(illegal)? {
        '"' => '"',
        '\\' => '\\',
        '/' => '/',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(cursor).ok_or_else(illegal)?;
            let code = if (0xd800..0xdc00).contains(&first) {
                // The first half of a surrogate pair; the second must follow.
                if cursor.bump()? != Some('\\') || cursor.bump()? != Some('u') {
                    return Err(illegal());
                }
                let second = unit(cursor).filter(|unit| (0xdc00..0xe000).contains(unit)).ok_or_else(illegal)?;
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            } else {
                first
            };
            char::from_u32(code).ok_or_else(illegal)?
        }
        _ => return Err(illegal()),
    })
}

fn unit(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + cursor.peek()?.to_digit(16)?;
        cursor.bump().ok()?;
    }
    Some(value)
}
