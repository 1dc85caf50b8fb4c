//! The characters and tokens of HCL 1. Every refusal of the reference scanner (NUL, an unterminated string, comment or heredoc, an
//! illegal escape, a byte order mark) is one here.

use crate::{Error, Pos, Result, strings};
use std::str::Chars;

/// The text that is left, and where it starts.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    rest: Chars<'a>,
    pos: Pos,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), pos: Pos::START }
    }

    pub(crate) fn pos(&self) -> Pos {
        self.pos
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.rest.as_str()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    pub(crate) fn peek_second(&self) -> Option<char> {
        let mut ahead = self.rest.clone();
        ahead.next();
        ahead.next()
    }

    /// Takes one character. NUL is illegal everywhere.
    pub(crate) fn bump(&mut self) -> Result<Option<char>> {
        let pos = self.pos;
        let Some(c) = self.rest.next() else { return Ok(None) };
        match c {
            '\0' => return Err(Error::new(pos, "unexpected null character (0x00)")),
            '\n' => self.pos = Pos { line: pos.line.saturating_add(1), column: 1 },
            _ => self.pos.column = pos.column.saturating_add(1),
        }
        Ok(Some(c))
    }

    /// Takes characters while `wanted` holds.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> Result<&'a str> {
        let start = self.rest();
        let mut length = 0;
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            self.bump()?;
            length += c.len_utf8();
        }
        Ok(start.get(..length).unwrap_or_default())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Ident(String),
    Text(String),
    Number(String),
    Bool(bool),
    Assign,
    Comma,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    End,
}

impl Token {
    /// How messages name it.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Ident(name) => format!("the name {name:?}"),
            Self::Text(_) => "a string".to_owned(),
            Self::Number(number) => format!("the number {number}"),
            Self::Bool(value) => format!("{value}"),
            Self::Assign => "'='".to_owned(),
            Self::Comma => "','".to_owned(),
            Self::OpenBrace => "'{'".to_owned(),
            Self::CloseBrace => "'}'".to_owned(),
            Self::OpenBracket => "'['".to_owned(),
            Self::CloseBracket => "']'".to_owned(),
            Self::End => "the end of the text".to_owned(),
        }
    }
}

fn starts_name(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn continues_name(c: char) -> bool {
    starts_name(c) || c.is_ascii_digit() || c == '-' || c == '.'
}

/// Takes the next token, and where it starts.
pub(crate) fn next(cursor: &mut Cursor<'_>) -> Result<(Token, Pos)> {
    blank(cursor)?;
    let pos = cursor.pos();
    let Some(c) = cursor.peek() else { return Ok((Token::End, pos)) };
    if starts_name(c) {
        let name = cursor.take_while(continues_name)?;
        let token = match name {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            _ => Token::Ident(name.to_owned()),
        };
        return Ok((token, pos));
    }
    let digit_follows = cursor.peek_second().is_some_and(|c| c.is_ascii_digit());
    if c.is_ascii_digit() || (matches!(c, '-' | '.') && digit_follows) {
        return Ok((Token::Number(number(cursor)?), pos));
    }
    cursor.bump()?;
    let token = match c {
        '"' => Token::Text(strings::quoted(cursor, pos)?),
        '<' if cursor.peek() == Some('<') => {
            cursor.bump()?;
            Token::Text(strings::heredoc(cursor, pos)?)
        }
        '=' => Token::Assign,
        ',' => Token::Comma,
        '{' => Token::OpenBrace,
        '}' => Token::CloseBrace,
        '[' => Token::OpenBracket,
        ']' => Token::CloseBracket,
        '\u{feff}' => return Err(Error::new(pos, "illegal byte order mark: save the file as UTF-8 without one")),
        '\'' => return Err(Error::new(pos, "illegal character '\\'': strings stand between double quotes")),
        other => return Err(Error::new(pos, format!("illegal character {other:?}"))),
    };
    Ok((token, pos))
}

/// Skips white space and comments.
fn blank(cursor: &mut Cursor<'_>) -> Result<()> {
    loop {
        cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))?;
        let pos = cursor.pos();
        match (cursor.peek(), cursor.peek_second()) {
            (Some('#'), _) | (Some('/'), Some('/')) => {
                cursor.take_while(|c| c != '\n')?;
            }
            (Some('/'), Some('*')) => {
                cursor.bump()?;
                cursor.bump()?;
                loop {
                    cursor.take_while(|c| c != '*')?;
                    if cursor.bump()?.is_none() {
                        return Err(Error::new(pos, "comment not terminated: expected */"));
                    }
                    if cursor.peek() == Some('/') {
                        cursor.bump()?;
                        break;
                    }
                }
            }
            (Some('/'), _) => return Err(Error::new(pos, "expected // or /* for a comment, found a single '/'")),
            _ => return Ok(()),
        }
    }
}

/// A number, kept as written. A letter right behind it is refused: `ttl = 12h` would otherwise be 12 and a key `h`.
fn number(cursor: &mut Cursor<'_>) -> Result<String> {
    let pos = cursor.pos();
    let mut text = String::new();
    if cursor.peek() == Some('-') {
        cursor.bump()?;
        text.push('-');
    }
    let digits = cursor.take_while(|c| c.is_ascii_digit())?;
    text.push_str(digits);
    match cursor.peek() {
        Some(x @ ('x' | 'X')) if digits == "0" => {
            cursor.bump()?;
            text.push(x);
            let hex = cursor.take_while(|c| c.is_ascii_hexdigit())?;
            if hex.is_empty() {
                return Err(Error::new(pos, "illegal hexadecimal number: expected digits after 0x"));
            }
            text.push_str(hex);
        }
        follower => {
            let float = matches!(follower, Some('.' | 'e' | 'E'));
            if digits.len() > 1 && digits.starts_with('0') && !float && digits.contains(['8', '9']) {
                return Err(Error::new(pos, format!("illegal octal number {digits}: a number that starts with 0 has the digits 0 to 7")));
            }
            fraction_and_exponent(cursor, &mut text)?;
        }
    }
    if let Some(c) = cursor.peek().filter(|c| starts_name(*c) || *c == '.') {
        return Err(Error::new(
            cursor.pos(),
            format!("unexpected {c:?} after the number {text}: a value with a unit is written as a string"),
        ));
    }
    Ok(text)
}

fn fraction_and_exponent(cursor: &mut Cursor<'_>, text: &mut String) -> Result<()> {
    if cursor.peek() == Some('.') {
        cursor.bump()?;
        text.push('.');
        text.push_str(cursor.take_while(|c| c.is_ascii_digit())?);
    }
    if let Some(e @ ('e' | 'E')) = cursor.peek() {
        cursor.bump()?;
        text.push(e);
        if let Some(sign @ ('+' | '-')) = cursor.peek() {
            cursor.bump()?;
            text.push(sign);
        }
        let digits = cursor.take_while(|c| c.is_ascii_digit())?;
        if digits.is_empty() {
            return Err(Error::new(cursor.pos(), format!("expected digits in the exponent of {text}")));
        }
        text.push_str(digits);
    }
    Ok(())
}
