//! JSON as Go's encoder writes it, which is how both engines store a secret.
//!
//! The rule: keys sorted by bytes, no spaces, numbers as they came (only `1E5` and `1e5` become `1e+5`), and `<`, `>`, `&`, U+2028 and U+2029 escaped.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Encodes an object.
pub(super) fn object(fields: &Map<String, Value>) -> Zeroizing<Vec<u8>> {
    let mut out = Out(Zeroizing::new(Vec::with_capacity(512)));
    out.object(fields);
    out.0
}

struct Out(Zeroizing<Vec<u8>>);

impl Out {
    fn push(&mut self, bytes: &[u8]) {
        // A growing vector leaves its old bytes behind unwiped: move by hand.
        if self.0.capacity() - self.0.len() < bytes.len() {
            let mut larger = Zeroizing::new(Vec::with_capacity((self.0.len() + bytes.len()) * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.push(b"null"),
            Value::Bool(true) => self.push(b"true"),
            Value::Bool(false) => self.push(b"false"),
            Value::Number(number) => self.push(number.as_str().as_bytes()),
            Value::String(text) => self.string(text),
            Value::Array(values) => {
                self.push(b"[");
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        self.push(b",");
                    }
                    self.value(value);
                }
                self.push(b"]");
            }
            Value::Object(fields) => self.object(fields),
        }
    }

    fn object(&mut self, fields: &Map<String, Value>) {
        // Some crate may ask serde_json to keep the order of insertion; what is stored is sorted in any case.
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        self.push(b"{");
        for (n, (name, value)) in sorted.into_iter().enumerate() {
            if n > 0 {
                self.push(b",");
            }
            self.string(name);
            self.push(b":");
            self.value(value);
        }
        self.push(b"}");
    }

    fn string(&mut self, text: &str) {
        self.push(b"\"");
        let mut rest = text;
        while let Some(at) = rest.find(|c| escape(c).is_some()) {
            let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.push(plain.as_bytes());
            let mut characters = after.chars();
            if let Some(escaped) = characters.next().and_then(escape) {
                match escaped {
                    Escape::Short(letter) => self.push(&[b'\\', letter]),
                    Escape::Long(code) => self.push(format!("\\u{code:04x}").as_bytes()),
                }
            }
            rest = characters.as_str();
        }
        self.push(rest.as_bytes());
        self.push(b"\"");
    }
}

enum Escape {
    Short(u8),
    Long(u32),
}

fn escape(c: char) -> Option<Escape> {
    Some(match c {
        '"' | '\\' => Escape::Short(c as u8),
        '\n' => Escape::Short(b'n'),
        '\r' => Escape::Short(b'r'),
        '\t' => Escape::Short(b't'),
        '\u{8}' => Escape::Short(b'b'),
        '\u{c}' => Escape::Short(b'f'),
        '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => Escape::Long(c.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str) -> String {
        let fields: Map<String, Value> = serde_json::from_str(text).unwrap();
        String::from_utf8(object(&fields).to_vec()).unwrap()
    }

    #[test]
    fn numbers_stay_as_they_came() {
        let text = r#"{"a":1.10,"b":12345678901234567890123,"c":-0,"d":1e+5,"e":1e-3,"f":0.000}"#;
        assert_eq!(encode(text), text);
        // The one exception: the parser writes exponents in one way.
        assert_eq!(encode(r#"{"a":1E5}"#), r#"{"a":1e+5}"#);
    }

    #[test]
    fn keys_are_sorted_at_every_depth_and_spaces_are_gone() {
        assert_eq!(encode(r#"{ "b": [1, {"z": 1, "y": {}}], "a": null, "B": true }"#), r#"{"B":true,"a":null,"b":[1,{"y":{},"z":1}]}"#);
    }

    /// As stored by bao 2.7.2 for the same request.
    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            encode(r#"{"a<":"<>&\u2028\u2029\u00e9\u0001\u007f/\/\n\t\r\b\f\"\\"}"#),
            "{\"a\\u003c\":\"\\u003c\\u003e\\u0026\\u2028\\u2029\u{e9}\\u0001\u{7f}//\\n\\t\\r\\b\\f\\\"\\\\\"}"
        );
    }

    #[test]
    fn an_object_longer_than_the_first_buffer_is_whole() {
        let text = format!(r#"{{"a":"{}","b":"{}"}}"#, "x".repeat(3_000), "y".repeat(3_000));
        assert_eq!(encode(&text), text);
    }
}
