//! Request bodies: JSON objects of bounded size, whatever their Content-Type says.

use bytes::Bytes;
use cofferdam_vault::logical::Fields;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

/// The most values in one body, and so the most memory that parsing it takes: some 60 MiB, before any token is checked.
const MOST_VALUES: usize = 500_000;

/// Why a body cannot be used.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// Over the listener's limit.
    TooLarge,
    /// The connection broke off.
    Cut,
    /// No JSON object; the text says why.
    Malformed(String),
}

/// Reads the whole body, at most `limit` bytes of it.
pub(crate) async fn read(mut body: Incoming, limit: u64) -> Result<Bytes, BodyError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(&mut body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body, most).await;
            Err(BodyError::TooLarge)
        }
        Err(_) => Err(BodyError::Cut),
    }
}

/// Takes in the rest of a body that is too large, at most as much again: a client that still sends when its connection is closed never gets to
/// reading the answer.
async fn discard(mut body: Incoming, mut most: usize) {
    while most > 0 {
        let Some(Ok(frame)) = body.frame().await else { return };
        most = most.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// The fields of a JSON object. No bytes at all are an object without fields, as Vault takes them.
pub(crate) fn fields(bytes: &[u8]) -> Result<Fields, BodyError> {
    if bytes.is_empty() {
        return Ok(Fields::new());
    }
    if values(bytes) > MOST_VALUES {
        return Err(BodyError::Malformed(format!("more than {MOST_VALUES} values")));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Fields::new()),
        Ok(_) => Err(BodyError::Malformed("an object is expected".to_owned())),
        Err(error) => Err(BodyError::Malformed(match error.classify() {
            serde_json::error::Category::Eof => "unexpected end of JSON input".to_owned(),
            _ => format!("not valid JSON at line {} column {}", error.line(), error.column()),
        })),
    }
}

/// How many values the text holds at most: each follows a comma, a colon, an opening bracket, or the beginning.
fn values(bytes: &[u8]) -> usize {
    let (mut inside, mut escaped, mut count) = (false, false, 1);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b',' | b'[' | b'{' | b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_body_and_null_have_no_fields() {
        assert!(fields(b"").unwrap().is_empty());
        assert!(fields(b"null").unwrap().is_empty());
    }

    #[test]
    fn a_body_of_too_many_values_is_refused_before_it_is_parsed() {
        let many = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count));
        assert!(fields(many(1000).as_bytes()).is_ok());
        assert!(matches!(fields(many(MOST_VALUES).as_bytes()), Err(BodyError::Malformed(_))));
        assert_eq!(values(br#"{"a":"x,y:[{\",","b":[1,2]}"#), 7);
    }

    #[test]
    fn numbers_are_kept_to_the_digit() {
        let read = fields(br#"{"n":12345678901234567890123,"f":1.10}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"f":1.10,"n":12345678901234567890123}"#);
    }

    #[test]
    fn anything_but_an_object_is_refused_without_repeating_it() {
        for text in ["[1]", "\"hunter2\"", "{\"a\":hunter2}", "{"] {
            let Err(BodyError::Malformed(why)) = fields(text.as_bytes()) else { panic!("{text}") };
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
