//! The grammar of HCL 1 over its tokens.
//!
//! Newlines mean nothing: items follow each other on one line, with one comma between them or none.

use crate::lexer::{self, Cursor, Token};
use crate::{Error, Item, Key, Kind, MAX_DEPTH, Number, Object, Pos, Result, Value};

pub(crate) fn parse(text: &str) -> Result<Object> {
    let text = text.replace("\r\n", "\n");
    let mut parser = Parser::new(&text)?;
    let items = parser.items(0)?;
    match parser.token {
        Token::End => Ok(Object { items, pos: Pos::START }),
        ref token => Err(Error::new(parser.pos, format!("expected a key, found {}", token.described()))),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    token: Token,
    pos: Pos,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let mut cursor = Cursor::new(text);
        let (token, pos) = lexer::next(&mut cursor)?;
        Ok(Self { cursor, token, pos })
    }

    /// Takes the current token and reads the next.
    fn take(&mut self) -> Result<Token> {
        let (token, pos) = lexer::next(&mut self.cursor)?;
        self.pos = pos;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn wrong<T>(&self, expected: &str) -> Result<T> {
        Err(Error::new(self.pos, format!("expected {expected}, found {}", self.token.described())))
    }

    /// Items up to what cannot start one: a closing brace or the end, which the caller checks.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while !matches!(self.token, Token::End | Token::CloseBrace) {
            items.push(self.item(depth)?);
            if self.token == Token::Comma {
                self.take()?;
            }
        }
        Ok(items)
    }

    fn item(&mut self, depth: usize) -> Result<Item> {
        let pos = self.pos;
        let mut keys = Vec::new();
        while let Token::Ident(text) | Token::Text(text) = &self.token {
            keys.push(Key { text: text.clone(), pos: self.pos });
            self.take()?;
        }
        let value = match (&self.token, keys.as_slice()) {
            (_, []) => return self.wrong("a key (a name or a quoted string)"),
            (Token::Assign, [_]) => {
                self.take()?;
                self.value(depth)?
            }
            (Token::Assign, [.., last]) => {
                return Err(Error::new(self.pos, format!("a block with labels takes no '=': expected '{{' after {:?}", last.text)));
            }
            (Token::OpenBrace, _) => self.object(depth)?,
            (_, [.., last]) => return self.wrong(&format!("'=' or '{{' after the key {:?}", last.text)),
        };
        Ok(Item { keys, value, pos })
    }

    fn deeper(&self, depth: usize) -> Result<usize> {
        if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(Error::new(self.pos, format!("nested deeper than {MAX_DEPTH} levels"))) }
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        let depth = self.deeper(depth)?;
        let pos = self.pos;
        self.take()?;
        let items = self.items(depth)?;
        if self.token != Token::CloseBrace {
            return self.wrong(&format!("'}}' for the '{{' of {pos}"));
        }
        self.take()?;
        Ok(Value { kind: Kind::Object(Object { items, pos }), pos })
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        let pos = self.pos;
        let kind = match &self.token {
            Token::OpenBrace => return self.object(depth),
            Token::OpenBracket => return self.list(depth),
            Token::Text(text) => Kind::String(text.clone()),
            Token::Number(text) => Kind::Number(Number(text.clone())),
            Token::Bool(value) => Kind::Bool(*value),
            Token::Ident(name) => {
                return Err(Error::new(pos, format!("expected a value, found the name {name:?}: a string is written \"{name}\"")));
            }
            Token::Assign | Token::Comma | Token::CloseBrace | Token::CloseBracket | Token::End => return self.wrong("a value"),
        };
        self.take()?;
        Ok(Value { kind, pos })
    }

    /// Commas separate the values; the reference ignores surplus ones, and so does this.
    fn list(&mut self, depth: usize) -> Result<Value> {
        let depth = self.deeper(depth)?;
        let pos = self.pos;
        self.take()?;
        let mut values = Vec::new();
        let mut separated = true;
        loop {
            match self.token {
                Token::CloseBracket => break,
                Token::Comma => {
                    self.take()?;
                    separated = true;
                }
                _ if separated => {
                    values.push(self.value(depth)?);
                    separated = false;
                }
                _ => return self.wrong(&format!("',' or ']' in the list of {pos}")),
            }
        }
        self.take()?;
        Ok(Value { kind: Kind::List(values), pos })
    }
}
