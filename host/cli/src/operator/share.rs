//! How shares are given to a server, and what a server's answers hold.
//!
//! The rule: a share, a token or a password from an answer is wiped when it is no longer needed, and printed only where it was asked for.

use crate::client::{Client, ClientError};
use crate::exit::Failure;
use crate::output::cell;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::Read;
use zeroize::Zeroizing;

/// Vault's number of shares where none is given, and how many of them are needed.
pub(super) const SHARES: u64 = 5;
pub(super) const THRESHOLD: u64 = 3;

/// What failed, for an error's text.
pub(super) fn doing(what: &str) -> impl Fn(ClientError) -> Failure + '_ {
    move |error| Failure::failed(format!("Error {what}: {error}"))
}

/// A secret from the command line, from standard input (`-`), or asked for without echo.
pub(super) fn secret(given: Option<&str>, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    match given {
        Some("-") => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::usage(format!("cannot read from standard input: {error}")))?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        Some(key) => Ok(Zeroizing::new(key.trim().to_owned())),
        None => rpassword::prompt_password(format!("{prompt} (will be hidden): ")).map(Zeroizing::new).map_err(|error| {
            Failure::usage(format!("cannot ask for it ({error}): give it as an argument, or `-` to read it from standard input"))
        }),
    }
}

/// The nonce of what is under way, for a share: the one given, or, where the share is asked for, the one that the server tells.
///
/// Who gives a share without looking at a prompt has to say for what.
pub(super) fn nonce(given: Option<&str>, share: Option<&str>, told: &str) -> Result<String, Failure> {
    match (given, share) {
        (Some(nonce), _) => Ok(nonce.to_owned()),
        (None, None) => Ok(told.to_owned()),
        (None, Some(_)) => Err(Failure::usage("missing nonce: give the one that --init printed, with --nonce")),
    }
}

/// The body of a share.
pub(super) fn body(share: &str, nonce: &str) -> Value {
    json!({"key": share, "nonce": nonce})
}

/// A field of an answer, whether that has an envelope or not.
pub(super) fn field<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    inner(answer).get(name)
}

/// A field as text; empty if it is not there.
pub(super) fn text(answer: &Value, name: &str) -> String {
    cell(field(answer, name)).unwrap_or_default()
}

/// A switch; false if it is not there.
pub(super) fn on(answer: &Value, name: &str) -> bool {
    field(answer, name).and_then(Value::as_bool) == Some(true)
}

/// What an answer holds without its envelope.
pub(super) fn inner(answer: &Value) -> &Value {
    answer.get("data").filter(|data| data.is_object()).unwrap_or(answer)
}

/// The texts of a list, taken out of the answer; none if it has no such list.
pub(super) fn take(answer: &mut Value, name: &str) -> Option<Zeroizing<Vec<String>>> {
    let inner = if answer.get("data").is_some_and(Value::is_object) { answer.get_mut("data")? } else { answer };
    match inner.get_mut(name).map(Value::take) {
        Some(Value::Array(values)) => Some(Zeroizing::new(
            values.into_iter().filter_map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect(),
        )),
        _ => None,
    }
}

/// Paths that do the same, the first without a token, the second with one.
pub(super) struct Paths {
    /// Authorised by shares alone; a server may have it closed.
    pub by_shares: &'static str,
    /// Wants a token besides.
    pub by_token: &'static str,
}

impl Paths {
    /// Asks how far what is under way is: at the path without a token, or, where that is closed, at the other one. Also gives the path that answered.
    pub(super) async fn status(&self, client: &Client, step: &str) -> Result<(&'static str, Value), ClientError> {
        let at = |base: &str| format!("{base}/{step}");
        let closed = match client.send(Method::GET, &at(self.by_shares), None).await {
            Err(closed @ ClientError::Refused { status: StatusCode::METHOD_NOT_ALLOWED, .. }) => closed,
            answer => return Ok((self.by_shares, answer?)),
        };
        match client.send(Method::GET, &at(self.by_token), None).await {
            // The first refusal tells how to do without a token.
            Err(ClientError::Refused { status: StatusCode::FORBIDDEN, .. }) => Err(closed),
            answer => Ok((self.by_token, answer?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{field, nonce, on, take, text};
    use serde_json::json;

    #[test]
    fn answers_are_read_with_and_without_an_envelope() {
        for mut answer in [
            json!({"n": 5, "started": true, "keys": ["a", "b"]}),
            json!({"data": {"n": 5, "started": true, "keys": ["a", "b"]}, "auth": null}),
        ] {
            assert_eq!((text(&answer, "n").as_str(), on(&answer, "started"), text(&answer, "no").as_str()), ("5", true, ""));
            assert_eq!(*take(&mut answer, "keys").unwrap(), ["a", "b"]);
            assert!(take(&mut answer, "keys").is_none() && field(&answer, "keys").is_some());
        }
    }

    #[test]
    fn a_share_that_is_not_asked_for_needs_its_nonce() {
        assert_eq!(nonce(None, None, "told").unwrap(), "told");
        assert_eq!(nonce(Some("given"), Some("share"), "told").unwrap(), "given");
        assert!(nonce(None, Some("-"), "told").unwrap_err().message.contains("--nonce"));
    }
}
