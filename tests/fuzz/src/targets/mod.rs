//! The targets, with what they begin from.

#[cfg(feature = "guests")]
mod guests;
mod plugins;
mod requests;
mod settings;
mod snapshot;
mod stored;

use crate::Target;

/// All.
pub const TARGETS: &[Target] = &[
    settings::CONFIGURATION,
    settings::POLICY,
    settings::AUDIT_SETTINGS,
    requests::BODY,
    requests::ADDRESS,
    requests::HEADERS,
    requests::KV_FIELDS,
    requests::SHARES,
    requests::TOKENS,
    requests::AWS_LOGINS,
    requests::STS_ANSWERS,
    stored::BARRIER_FRAME,
    stored::KEYRING,
    stored::MOUNT_TABLE,
    stored::TOKEN_ENTRIES,
    stored::TOKEN_MESSAGES,
    stored::KV_MESSAGES,
    stored::KV_NAMES,
    stored::SEAL_ENTRIES,
    stored::JOURNAL,
    snapshot::ARCHIVE,
    snapshot::MEMBERS,
    plugins::LOCK_FILE,
    plugins::SIGNATURE,
    plugins::REGISTRY,
    #[cfg(feature = "guests")]
    guests::COMPONENT,
    #[cfg(feature = "guests")]
    guests::DYNAMODB_REQUEST,
    #[cfg(feature = "guests")]
    guests::KMS_REQUEST,
    #[cfg(feature = "guests")]
    guests::AWS_ANSWER,
    #[cfg(feature = "guests")]
    guests::HTTP_ADDRESS,
    #[cfg(feature = "guests")]
    guests::RECORDING,
];

/// What JSON is made of, beyond the words that are tried everywhere.
const JSON: &[&str] =
    &["{\"a\":1}", "[1,2]", "\"a\":", ",\"a\":{}", "\"$serde_json::private::Number\"", "\"1h30m\"", "1e5", "-1", "null", "\"\\u00e4\""];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The texts of a JSON object's members, out of base 64: entries as a real server stored them.
fn entries(text: &str) -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    let all: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let members = all.get("entries").and_then(serde_json::Value::as_object).into_iter().flatten();
    let decoded = members.filter_map(|(name, value)| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok()?;
        Some((name.clone(), bytes))
    });
    decoded.collect()
}
