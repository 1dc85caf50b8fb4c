//! The headers of a signed request, in the forms in which clients hand them in: a JSON object, that object in base 64 or as a text, or a list of
//! `name:value`.
//!
//! The rule: names get the one spelling that Go gives them, so that two spellings of a name are one header; a name or a value that could be more than one
//! header is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// More than any client signs.
const MOST: usize = 64;
const LONGEST: usize = 16 << 10;

/// What concerns a connection and not its request, and what is set here: not passed on.
const DROPPED: [&str; 12] = [
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Headers, each name once, in its usual spelling, with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(Vec<(String, Vec<String>)>);

impl Headers {
    /// Reads what a client handed in.
    pub(super) fn parse(value: &Value) -> Result<Headers, String> {
        let mut headers = Headers::default();
        match value {
            Value::Null => {}
            Value::Object(object) => headers.object(object)?,
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => {
                let decoded = STANDARD.decode(text).unwrap_or_else(|_| text.clone().into_bytes());
                let object: Map<String, Value> =
                    serde_json::from_slice(&decoded).map_err(|_| "expected a JSON object, or one in base 64".to_owned())?;
                headers.object(&object)?;
            }
            Value::Array(pairs) => {
                for pair in pairs {
                    let text = pair.as_str().unwrap_or_default();
                    let (name, value) = text.split_once(':').ok_or_else(|| format!("invalid key pair {text:?}"))?;
                    headers.add(name, value)?;
                }
            }
            Value::Bool(_) | Value::Number(_) => return Err("expected a JSON object, or one in base 64".to_owned()),
        }
        Ok(headers)
    }

    fn object(&mut self, object: &Map<String, Value>) -> Result<(), String> {
        let text = |name: &str, value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(format!("the value of {name:?} is neither a string nor a number")),
        };
        for (name, value) in object {
            match value {
                Value::Array(values) => {
                    for value in values {
                        self.add(name, &text(name, value)?)?;
                    }
                }
                single => self.add(name, &text(name, single)?)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !is_token(name) {
            return Err(format!("{name:?} is not the name of a header"));
        }
        let value = value.trim_matches([' ', '\t']);
        if value.len() > LONGEST || !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(format!("the value of {name:?} is not one of a header"));
        }
        if self.0.iter().map(|(_, values)| values.len()).sum::<usize>() >= MOST {
            return Err(format!("more than {MOST} headers"));
        }
        let name = canonical(name);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => self.0.push((name, vec![value.to_owned()])),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a header, by its usual spelling.
    pub(super) fn values(&self, name: &str) -> &[String] {
        self.0.iter().find(|(known, _)| known == name).map_or(&[], |(_, values)| values)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// What is passed on.
    pub(super) fn passed_on(&self) -> Vec<(String, String)> {
        let kept = self.0.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
        kept.flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone()))).collect()
    }
}

fn is_token(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&name.len()) && name.bytes().all(fit)
}

/// A name as Go spells it: a capital at the beginning and after each hyphen.
pub(super) fn canonical(name: &str) -> String {
    let mut begins = true;
    let spelt = name.chars().map(|c| {
        let c = if begins { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        begins = c == '-';
        c
    });
    spelt.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(value: &Value) -> Vec<(String, Vec<String>)> {
        Headers::parse(value).unwrap().0
    }

    #[test]
    fn every_form_says_the_same() {
        let object = json!({"content-type": "a/b", "X-AMZ-date": ["1", 2], "n": 3});
        let all = parsed(&object);
        let expected = [("Content-Type", vec!["a/b"]), ("N", vec!["3"]), ("X-Amz-Date", vec!["1", "2"])];
        for (name, values) in &expected {
            assert!(all.contains(&((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())), "{name}: {all:?}");
        }
        assert_eq!(all.len(), expected.len());
        assert_eq!(parsed(&json!(object.to_string())), all);
        assert_eq!(parsed(&json!(STANDARD.encode(object.to_string()))), all);
        let mut listed = parsed(&json!(["content-type: a/b", "n:3", "x-amz-date:1", "X-Amz-Date:2"]));
        listed.sort();
        assert_eq!(listed, {
            let mut all = all;
            all.sort();
            all
        });
        assert!(Headers::parse(&json!(null)).unwrap().is_empty() && Headers::parse(&json!("")).unwrap().is_empty());
    }

    #[test]
    fn what_could_be_more_than_a_header_is_refused() {
        for value in [
            json!({"a b": "x"}),
            json!({"": "x"}),
            json!({"a\r\nb": "x"}),
            json!({"a": "x\r\nb: y"}),
            json!({"a": "x\u{0}"}),
            json!({"a": "ä"}),
            json!({"a": true}),
            json!({"a": {"b": 1}}),
            json!({"a": [["x"]]}),
            json!({"a": null}),
            json!(["a"]),
            json!([":x"]),
            json!([1]),
            json!(7),
            json!("[1]"),
            json!("not base 64 {"),
            json!({"a": "x".repeat(LONGEST + 1)}),
            json!({"a": vec!["x"; MOST + 1]}),
        ] {
            assert!(Headers::parse(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn what_concerns_the_connection_is_not_passed_on() {
        let all = json!({
            "HOST": "x", "connection": "close", "transfer-encoding": "chunked", "content-length": 3, "te": "trailers", "upgrade": "h2c",
            "proxy-authorization": "x", "expect": "100-continue", "accept": "a", "x-amz-date": ["1"],
        });
        let mut passed = Headers::parse(&all).unwrap().passed_on();
        passed.sort();
        assert_eq!(passed, [("Accept".to_owned(), "a".to_owned()), ("X-Amz-Date".to_owned(), "1".to_owned())]);
    }

    proptest! {
        #[test]
        fn two_spellings_are_one_header(name in "[a-zA-Z0-9-]{1,12}", one in "[ -~]{0,8}", two in "[ -~]{0,8}") {
            let headers = parsed(&json!([format!("{name}:{one}"), format!("{}:{two}", name.to_ascii_uppercase())]));
            prop_assert_eq!(headers.len(), 1);
            prop_assert_eq!(&headers[0].1, &[one.trim_matches(' ').to_owned(), two.trim_matches(' ').to_owned()]);
            let spelt = canonical(&name);
            prop_assert_eq!(canonical(&spelt), spelt);
        }

        #[test]
        fn what_is_passed_on_has_no_line_break(text in "\\PC{0,24}|[\\r\\n:a-z]{0,12}") {
            for value in [json!(text), json!([text]), json!({ (text.as_str()): text })] {
                for (name, value) in Headers::parse(&value).map(|headers| headers.passed_on()).unwrap_or_default() {
                    prop_assert!(is_token(&name) && !value.contains(['\r', '\n', '\0']));
                }
            }
        }
    }
}
