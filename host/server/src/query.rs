//! Query strings, read as HTML forms encode them.

use cofferdam_vault::logical::Fields;
use serde_json::Value;

/// The parameters in their order.
pub(crate) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    query
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The parameters as fields: text, or a list of texts where a name stands more than once.
pub(crate) fn fields(pairs: Vec<(String, String)>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    fields
}

/// Go's `strconv.ParseBool`, by which Vault reads `list`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A path without its percent encoding; none if it is not UTF-8, since two such paths must not become one.
pub(crate) fn path(text: &str) -> Option<String> {
    String::from_utf8(bytes(text, false)).ok()
}

/// A form's text. Bytes that are no UTF-8 become replacement characters.
fn decode(text: &str) -> String {
    String::from_utf8(bytes(text, true)).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Undoes percent encoding; a stray `%` stays as it is.
fn bytes(text: &str, form: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' if form => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
                if let (Some(high), Some(low)) = digits {
                    bytes.push(high << 4 | low);
                    rest = ahead;
                } else {
                    bytes.push(byte);
                }
            }
            _ => bytes.push(byte),
        }
    }
    bytes
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_repeated_ones_become_a_list() {
        let read = fields(pairs(Some("a=1&b=x%2Fy+z&a=2&c")));
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"a":["1","2"],"b":"x/y z","c":""}"#);
        assert!(fields(pairs(None)).is_empty());
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        assert_eq!(path("100%").as_deref(), Some("100%"));
        assert_eq!(path("%zz%41").as_deref(), Some("%zzA"));
        assert_eq!(path("a+b").as_deref(), Some("a+b"));
        assert_eq!(path("%c3%a4").as_deref(), Some("ä"));
    }

    #[test]
    fn a_path_that_is_not_utf_8_is_no_path() {
        assert_eq!(path("a%ff"), None);
        assert_eq!(path("a%c3"), None);
    }
}
