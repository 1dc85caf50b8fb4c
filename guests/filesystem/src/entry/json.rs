//! The little of JSON that an entry's file needs: one object, of which one member matters.

/// How deep a value that is skipped may be nested.
const DEPTH: u32 = 32;

/// The member `Value`.
#[derive(Debug, PartialEq)]
pub(super) enum Member {
    /// It is `null`.
    Null,
    /// It is this text, without escapes.
    Text(Vec<u8>),
}

/// Finds the member `Value` (in any case, the last if several, as Go does) of the object that the text is.
pub(super) fn value(text: &[u8]) -> Result<Member, String> {
    let mut reader = Reader { rest: text, length: text.len() };
    let mut found = None;
    reader.expect_byte(b'{')?;
    if !reader.take_byte(b'}') {
        loop {
            let name = reader.string()?;
            reader.expect_byte(b':')?;
            if name.eq_ignore_ascii_case(b"Value") {
                found = Some(reader.member()?);
            } else {
                reader.skip(DEPTH)?;
            }
            if !reader.take_byte(b',') {
                break;
            }
        }
        reader.expect_byte(b'}')?;
    }
    reader.space();
    if !reader.rest.is_empty() {
        return Err(reader.wrong("the end"));
    }
    found.ok_or_else(|| "it has no member \"Value\"".to_owned())
}

struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl Reader<'_> {
    fn wrong(&self, wanted: &str) -> String {
        format!("at byte {} {wanted} was expected", self.length - self.rest.len())
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes the byte if it comes next, after white space.
    fn take_byte(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect_byte(&mut self, byte: u8) -> Result<(), String> {
        if self.take_byte(byte) { Ok(()) } else { Err(self.wrong(&format!("'{}'", char::from(byte)))) }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        self.expect_byte(b'"')?;
        let mut text = Vec::new();
        loop {
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => self.escape(&mut text)?,
                Some(0..=0x1f) | None => return Err(self.wrong("the end of a string")),
                Some(byte) => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), String> {
        let byte = match self.next() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.next().and_then(|digit| char::from(digit).to_digit(16));
                    code = code * 16 + digit.ok_or_else(|| self.wrong("a hexadecimal digit"))?;
                }
                // A surrogate stands in no name or value that matters here.
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.wrong("an escape")),
        };
        text.push(byte);
        Ok(())
    }

    fn member(&mut self) -> Result<Member, String> {
        self.space();
        if let Some(rest) = self.rest.strip_prefix(b"null") {
            self.rest = rest;
            return Ok(Member::Null);
        }
        self.string().map(Member::Text)
    }

    /// Passes over a value of any kind.
    fn skip(&mut self, depth: u32) -> Result<(), String> {
        let deeper = depth.checked_sub(1).ok_or_else(|| self.wrong("less nesting"))?;
        self.space();
        match self.rest.first() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.skip_members(b'{', b'}', deeper, true),
            Some(b'[') => self.skip_members(b'[', b']', deeper, false),
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                while let [b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z', rest @ ..] = self.rest {
                    self.rest = rest;
                }
                Ok(())
            }
            _ => Err(self.wrong("a value")),
        }
    }

    fn skip_members(&mut self, open: u8, close: u8, depth: u32, named: bool) -> Result<(), String> {
        self.expect_byte(open)?;
        if self.take_byte(close) {
            return Ok(());
        }
        loop {
            if named {
                self.string()?;
                self.expect_byte(b':')?;
            }
            self.skip(depth)?;
            if !self.take_byte(b',') {
                return self.expect_byte(close);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_is_found_among_others() {
        let text = br#"{"a":[1,-2.5e3,{"Value":"no"},[]],"b":{"c":null,"d":{}},"vALUE":"ye\u0073","e":true}"#;
        assert_eq!(value(text), Ok(Member::Text(b"yes".to_vec())));
        assert_eq!(value(br#"{"Value":"a","Value":null}"#), Ok(Member::Null));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(value(b"{}").unwrap_err(), "it has no member \"Value\"");
        assert_eq!(value(b"{\"a\":1,}").unwrap_err(), "at byte 7 '\"' was expected");
        assert_eq!(value(b"{\"Value\":\"a\"} x").unwrap_err(), "at byte 14 the end was expected");
        assert!(value(b"{\"Value\":\"\\q\"}").is_err());
        assert!(value(b"{\"Value\":\"\\u12g4\"}").is_err());
        assert!(value(b"{\"Value\":").is_err());
        let deep = [b"{\"a\":".as_slice(), "[".repeat(100_000).as_bytes()].concat();
        assert!(value(&deep).unwrap_err().ends_with("less nesting was expected"));
    }
}
