//! etcd's JSON gateway: a request, its answer, and what an answer's error means to the host. Bytes travel as base64, 64-bit numbers as text, and what is
//! empty or zero is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::http::{self, HttpError, Response};
use cofferdam_guest::{Error, Result};
use serde_json::{Value, json};

use crate::options;

/// The most of an answer's words that go to the log.
const WORDS: usize = 300;

/// A key with its value.
pub(crate) struct Pair {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// How a range is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    /// The most keys.
    pub(crate) limit: usize,
    /// Without values.
    pub(crate) keys_only: bool,
}

/// Part of a range, by its keys.
pub(crate) struct Found<T> {
    pub(crate) found: Vec<T>,
    /// Whether the range holds more.
    pub(crate) more: bool,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// The answer is over the grant's size: less at a time may do.
    TooLarge(String),
    /// Anything else.
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::TooLarge(text) => Error::Exhausted(format!("{text}: let the grant take larger answers")),
            Failure::Other(error) => error,
        }
    }
}

/// The keys from one on, up to another that is not among them; none means one key alone.
pub(crate) fn range(from: &[u8], to: Option<&[u8]>, reading: Reading) -> std::result::Result<Found<Pair>, Failure> {
    let body = json!({
        "key": encode(from), "range_end": encode(to.unwrap_or_default()), "limit": reading.limit, "keys_only": reading.keys_only,
    });
    let answer = ask("range", &body)?;
    pairs(&answer).map_err(Failure::Other)
}

/// The same without values.
pub(crate) fn keys(from: &[u8], to: &[u8], limit: usize) -> Result<Found<Vec<u8>>> {
    let Found { found, more } = range(from, Some(to), Reading { limit, keys_only: true })?;
    Ok(Found { found: found.into_iter().map(|pair| pair.key).collect(), more })
}

/// Does all of `then` in one step if every comparison holds, else nothing. Returns whether they held.
pub(crate) fn transact(compare: &[Value], then: &[Value]) -> Result<bool> {
    let answer = ask("txn", &json!({ "compare": compare, "success": then }))?;
    Ok(answer.get("succeeded").and_then(Value::as_bool).unwrap_or_default())
}

/// The operation that stores a value.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Value {
    json!({ "request_put": { "key": encode(key), "value": encode(value) } })
}

/// The comparison that a key has this value.
pub(crate) fn equals(key: &[u8], value: &[u8]) -> Value {
    json!({ "key": encode(key), "target": "VALUE", "result": "EQUAL", "value": encode(value) })
}

/// Asks the endpoints in turn until one takes the request.
fn ask(operation: &str, body: &Value) -> std::result::Result<Value, Failure> {
    let body = body.to_string();
    let mut last = HttpError::Unreachable("no endpoint is set".to_owned());
    for (number, endpoint) in options::endpoints() {
        let url = format!("{endpoint}/v3/kv/{operation}");
        match http::send_within(options::timeout(), "POST", &url, &[("content-type", "application/json")], body.as_bytes()) {
            Ok(answer) => {
                options::prefer(number);
                return read(answer).map_err(Failure::Other);
            }
            // Nothing was taken up there.
            Err(error @ HttpError::Unreachable(_)) => last = error,
            Err(HttpError::TooLarge(text)) => return Err(Failure::TooLarge(text)),
            Err(error) => {
                // It may hang: the next call begins elsewhere.
                options::prefer(number + 1);
                return Err(Failure::Other(error.into()));
            }
        }
    }
    Err(Failure::Other(last.into()))
}

fn read(answer: Response) -> Result<Value> {
    let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, parsed) {
        (200, Some(value)) => Ok(value),
        (status, parsed) => Err(failed(status, parsed.as_ref(), answer.header("retry-after"))),
    }
}

/// What an error means to the host. Codes are gRPC's.
fn failed(status: u16, answer: Option<&Value>, retry_after: Option<&str>) -> Error {
    let code = answer.and_then(|answer| answer.get("code")).and_then(Value::as_u64);
    let words = answer.and_then(|answer| answer.get("error").or_else(|| answer.get("message"))).and_then(Value::as_str).unwrap_or_default();
    let text = format!("etcd answers {status}: {}", words.chars().take(WORDS).collect::<String>());
    let says = |part: &str| words.contains(part);
    match (code, status) {
        _ if says("database space exceeded") => Error::Exhausted(format!("{text}: compact and defragment it, then disarm the alarm")),
        _ if says("request is too large") || says("too many operations") => {
            Error::Exhausted(format!("{text}: etcd runs with a smaller --max-request-bytes or --max-txn-ops than by default"))
        }
        _ if says("user name is empty") || says("authentication is not enabled") => Error::Denied(text),
        _ if says("too many requests") => Error::Throttled(0),
        (Some(7 | 16), _) | (_, 401 | 403) => Error::Denied(text),
        (None, 429) => {
            Error::Throttled(retry_after.and_then(|seconds| seconds.parse::<u32>().ok()).unwrap_or_default().saturating_mul(1000))
        }
        (None, 404) => Error::Denied(format!("{text}: the JSON gateway is not there (--enable-grpc-gateway)")),
        _ => Error::Unavailable(text),
    }
}

fn pairs(answer: &Value) -> Result<Found<Pair>> {
    let more = answer.get("more").and_then(Value::as_bool).unwrap_or_default();
    let listed = answer.get("kvs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pair = |pair: &Value| Ok(Pair { key: decode(pair.get("key"))?, value: decode(pair.get("value"))? });
    Ok(Found { found: listed.iter().map(pair).collect::<Result<_>>()?, more })
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn decode(value: Option<&Value>) -> Result<Vec<u8>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    decoded.ok_or_else(|| Error::Unavailable("etcd's answer is not the JSON of its v3 API".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> Error {
        read(Response { status, headers: vec![("retry-after".to_owned(), b"2".to_vec())], body: body.into() }).unwrap_err()
    }

    #[test]
    fn pairs_are_read_with_what_is_left_out() {
        let answer = json!({"kvs": [{"key": "YQ==", "value": "Yg=="}, {"key": "Yw=="}], "more": true});
        let Found { found, more } = pairs(&answer).unwrap();
        let found: Vec<_> = found.iter().map(|pair| (pair.key.as_slice(), pair.value.as_slice())).collect();
        assert_eq!((found, more), (vec![(&b"a"[..], &b"b"[..]), (b"c", b"")], true));
        let empty = pairs(&json!({"header": {}})).unwrap();
        assert!(empty.found.is_empty() && !empty.more);
        for broken in [json!({"kvs": [{"key": 1}]}), json!({"kvs": [{"key": "*"}]})] {
            assert!(pairs(&broken).is_err());
        }
    }

    #[test]
    fn an_error_tells_the_host_what_to_do() {
        assert!(matches!(error(503, r#"{"error":"etcdserver: no leader","code":14}"#), Error::Unavailable(_)));
        assert!(matches!(error(400, r#"{"error":"etcdserver: user name is empty","code":3}"#), Error::Denied(_)));
        assert!(matches!(error(403, r#"{"error":"etcdserver: permission denied","code":7}"#), Error::Denied(_)));
        assert!(matches!(error(401, r#"{"error":"etcdserver: invalid auth token","code":16}"#), Error::Denied(_)));
        assert!(matches!(error(429, r#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#), Error::Exhausted(_)));
        assert!(matches!(error(429, r#"{"error":"etcdserver: too many requests","code":8}"#), Error::Throttled(0)));
        assert!(matches!(error(429, "slow down"), Error::Throttled(2000)));
        assert!(matches!(error(404, "404 page not found"), Error::Denied(_)));
        assert!(matches!(error(200, "not json"), Error::Unavailable(_)));
        assert!(matches!(error(502, ""), Error::Unavailable(_)));
    }
}
