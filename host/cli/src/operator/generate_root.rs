//! `coffer operator generate-root`: a root token where there is none, by shares of the unseal or the recovery key.
//!
//! The rule: the token travels combined with a one-time password that only who began it knows, and is put together here and nowhere else.

use super::share::{Paths, body, doing, inner, nonce, on, secret, text};
use crate::args::{GenerateRootArguments, OutputFormat};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{or, print, print_json, table};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::Method;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const PATHS: Paths = Paths { by_shares: "sys/generate-root", by_token: "sys/generate-root-token" };

/// `operator generate-root`.
pub(crate) async fn run(arguments: &GenerateRootArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    if let (Some(encoded), Some(otp)) = (&arguments.decode, &arguments.otp) {
        let token = decode(&secret(Some(encoded.as_str()), "Encoded Token")?, otp)?;
        match format {
            OutputFormat::Json => print_json(&json!({"token": *token}))?,
            OutputFormat::Table => print(&token)?,
        }
        return Ok(Exit::Success);
    }
    if arguments.otp.is_some() && !arguments.init {
        return Err(Failure::usage("--otp belongs to --init or --decode"));
    }
    let client = Client::new(&arguments.client, environment)?;
    let (base, status) = PATHS.status(&client, "attempt").await.map_err(doing("getting root generation status"))?;
    if arguments.generate_otp {
        return password(&status, format);
    }
    let attempt = format!("{base}/attempt");
    if arguments.init {
        let mut body = Map::new();
        body.extend(arguments.otp.as_ref().map(|otp| ("otp".to_owned(), Value::String(otp.to_string()))));
        let begun = client.send(Method::PUT, &attempt, Some(&Value::Object(body))).await.map_err(doing("initializing root generation"))?;
        return show(&begun, format);
    }
    if arguments.cancel {
        client.send(Method::DELETE, &attempt, None).await.map_err(doing("canceling root generation"))?;
        match format {
            OutputFormat::Json => print_json(&json!({"canceled": true}))?,
            OutputFormat::Table => print("Success! Root token generation canceled (if it was started)")?,
        }
        return Ok(Exit::Success);
    }
    if arguments.status {
        return show(&status, format);
    }
    if !on(&status, "started") {
        return Err(Failure::usage("no root generation is in progress: begin one with coffer operator generate-root --init"));
    }
    let share = arguments.key.as_ref().map(|key| key.as_str());
    let nonce = nonce(arguments.nonce.as_deref(), share, &text(&status, "nonce"))?;
    if share.is_none() {
        eprintln!("Operation nonce: {nonce}");
    }
    let share = secret(share, "Unseal or Recovery Key")?;
    let given = client.send(Method::PUT, &format!("{base}/update"), Some(&body(&share, &nonce))).await;
    show(&given.map_err(doing("posting key"))?, format)
}

fn show(status: &Value, format: OutputFormat) -> Outcome {
    match format {
        OutputFormat::Json => print_json(inner(status))?,
        OutputFormat::Table => print(&table(["Key", "Value"], &rows(status)))?,
    }
    Ok(Exit::Success)
}

fn rows(status: &Value) -> Vec<[String; 2]> {
    let mut rows = vec![
        ["Nonce", &or(text(status, "nonce"), "n/a")],
        ["Started", &text(status, "started")],
        ["Progress", &format!("{}/{}", text(status, "progress"), text(status, "required"))],
        ["Complete", &text(status, "complete")],
    ]
    .into_iter()
    .map(|row| row.map(str::to_owned))
    .collect::<Vec<_>>();
    let encoded = Some(text(status, "encoded_token")).filter(|text| !text.is_empty()).unwrap_or_else(|| text(status, "encoded_root_token"));
    for (key, value) in [("Encoded Token", encoded), ("OTP", text(status, "otp"))] {
        if !value.is_empty() {
            rows.push([key.to_owned(), value]);
        }
    }
    // Zero is no length, but the answer to a share.
    if let Some(length) = Some(text(status, "otp_length")).filter(|length| !matches!(length.as_str(), "" | "0")) {
        rows.push(["OTP Length".to_owned(), length]);
    }
    rows
}

/// A password as long as the server's tokens.
fn password(status: &Value, format: OutputFormat) -> Outcome {
    let length = inner(status).get("otp_length").and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| (1..=1024).contains(length)).ok_or_else(|| {
        Failure::failed(
            "the server's answer has no otp_length: it does not say how long its tokens are; begin with --init and without --otp",
        )
    })?;
    let otp = cofferdam_vault::crypto::random_base62(length).map(Zeroizing::new).map_err(Failure::failed)?;
    match format {
        OutputFormat::Json => print_json(&json!({"otp": *otp, "otp_length": length}))?,
        OutputFormat::Table => print(&otp)?,
    }
    Ok(Exit::Success)
}

/// The token: the bytes of both, XORed.
fn decode(encoded: &str, otp: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| Failure::usage("--decode: expected the encoded token in base 64"))?;
    if bytes.len() != otp.len() {
        let message = format!("--otp has {} characters, and the encoded token {}: they do not belong together", otp.len(), bytes.len());
        return Err(Failure::usage(message));
    }
    let token: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.iter().zip(otp.as_bytes()).map(|(one, other)| one ^ other).collect());
    match std::str::from_utf8(&token) {
        Ok(token) if token.chars().all(|c| c.is_ascii_graphic()) => Ok(Zeroizing::new(token.to_owned())),
        _ => Err(Failure::usage("--otp and the encoded token do not belong together: the result is no token")),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, rows};
    use serde_json::json;

    #[test]
    fn what_openbao_encoded_is_decoded() {
        let (token, otp, encoded) = ("s.Uck4j7zLBW5p6fCwpqLw3ahl", "b3mEhlee8u8iqF1z6h0mZdouK3", "ER04JgNYD1JCOXo+RDYHHHUfQBwWE1wUI18");
        assert_eq!(*decode(encoded, otp).unwrap(), token);
        assert_eq!(*decode(&format!("{encoded}="), otp).unwrap(), token);
        for (encoded, otp, message) in [
            ("!", "a", "expected the encoded token in base 64"),
            (encoded, "short", "--otp has 5 characters, and the encoded token 26"),
            ("gICA", "abc", "the result is no token"),
        ] {
            let error = decode(encoded, otp).unwrap_err().message;
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn the_rows_are_vaults() {
        let keys =
            |status: serde_json::Value| -> Vec<String> { rows(&status).into_iter().map(|[key, value]| format!("{key}={value}")).collect() };
        let begun =
            json!({"data": {"nonce": "n", "started": true, "progress": 0, "required": 3, "complete": false, "otp": "o", "otp_length": 28}});
        assert_eq!(keys(begun), ["Nonce=n", "Started=true", "Progress=0/3", "Complete=false", "OTP=o", "OTP Length=28"]);
        let done = json!({"nonce": "n", "started": true, "progress": 3, "required": 3, "complete": true, "encoded_token": "e", "encoded_root_token": "e",
            "otp": "", "otp_length": 0});
        assert_eq!(keys(done), ["Nonce=n", "Started=true", "Progress=3/3", "Complete=true", "Encoded Token=e"]);
    }
}
