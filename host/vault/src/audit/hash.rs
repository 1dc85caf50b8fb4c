//! What stands for a secret in an entry: `hmac-sha256:` and the HMAC of the text under the device's salt.
//!
//! The rule: of data every text is hashed, at any depth; names of members, numbers and truth values are not. Plain stay the members
//! that the mount's operator named, and times that the server itself made. (OpenBao leaves every text plain that reads as a time; one that a
//! client sent is hashed here.)

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::crypto;
use crate::logical::{Fields, Result};
use crate::view::View;

/// Where a device's salt is, below its part of the storage.
const SALT: &str = "salt";

/// Members of an answer below which a client's texts stand.
const CLIENTS: [&str; 3] = ["data", "custom_metadata", "meta"];

/// The key of a device's hashes.
pub(super) struct Salt(Zeroizing<Vec<u8>>);

impl Salt {
    /// The stored one, or a new one.
    pub(super) async fn of(view: &View) -> Result<Salt> {
        Ok(Salt(view.get_or_make(SALT).await?))
    }

    /// What stands for a text.
    pub(super) fn hash(&self, text: &str) -> String {
        format!("hmac-sha256:{}", hex::encode(crypto::hmac_sha256(&self.0, &[text.as_bytes()])))
    }
}

/// How the data of one entry is hashed.
pub(super) struct Hasher<'a> {
    pub(super) salt: &'a Salt,
    /// Members whose texts stay plain.
    pub(super) plain: &'a [String],
    /// Times stay plain, except below the members that clients fill.
    pub(super) times: bool,
}

impl Hasher<'_> {
    /// The same data with every secret replaced.
    pub(super) fn fields(&self, fields: &Fields) -> Fields {
        fields.iter().map(|(name, value)| (name.clone(), self.value(name, value, self.times))).collect()
    }

    fn value(&self, name: &str, value: &Value, times: bool) -> Value {
        let times = times && !CLIENTS.contains(&name);
        match value {
            Value::String(text) if self.plain.iter().any(|plain| plain == name) || (times && is_time(text)) => text.as_str().into(),
            Value::String(text) => self.salt.hash(text).into(),
            Value::Array(values) => values.iter().map(|value| self.value(name, value, times)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.value(name, value, times))).collect::<Fields>().into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

fn is_time(text: &str) -> bool {
    // Cheap first: a time begins with its year, month and day.
    text.len() >= 20 && text.as_bytes().get(4) == Some(&b'-') && OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn salt() -> Salt {
        Salt(Zeroizing::new(b"ec3fb655-8215-4adf-7af9-f8ba49d3ab79".to_vec()))
    }

    fn hashed(value: Value, plain: &[&str], times: bool) -> Value {
        let plain: Vec<String> = plain.iter().map(|name| (*name).to_owned()).collect();
        let Value::Object(fields) = value else { panic!("{value}") };
        Hasher { salt: &salt(), plain: &plain, times }.fields(&fields).into()
    }

    #[test]
    fn a_hash_is_openbaos() {
        // Salt and answer of sys/audit-hash of an OpenBao 2.7.2.
        assert_eq!(salt().hash("hello"), "hmac-sha256:fbbcd94c8c2e909f63763e7a1e8bd91e8671de57d19e99077e7e9cd62e4584e3");
    }

    #[test]
    fn every_text_is_hashed_at_any_depth_and_nothing_else() {
        let of = |text: &str| salt().hash(text);
        let found = hashed(
            json!({"a": "x", "n": 1.5, "t": true, "z": null, "l": ["y", {"b": ""}, 2], "keep": ["p", {"keep": "q"}]}),
            &["keep"],
            false,
        );
        let wanted = json!({"a": of("x"), "n": 1.5, "t": true, "z": null, "l": [of("y"), {"b": of("")}, 2], "keep": ["p", {"keep": "q"}]});
        assert_eq!(found, wanted);
    }

    #[test]
    fn only_times_of_the_server_stay_plain() {
        let time = "2026-11-22T09:46:19.615225085Z";
        let data = json!({"created_time": time, "data": {"k": time}, "meta": {"custom_metadata": time}, "versions": {"1": {"created_time": time}}});
        let of = salt().hash(time);
        let all = json!({"created_time": of, "data": {"k": of}, "meta": {"custom_metadata": of}, "versions": {"1": {"created_time": of}}});
        let servers =
            json!({"created_time": time, "data": {"k": of}, "meta": {"custom_metadata": of}, "versions": {"1": {"created_time": time}}});
        assert_eq!(hashed(data.clone(), &[], false), all);
        assert_eq!(hashed(data, &[], true), servers);
        assert!(is_time("2026-11-22T09:46:19+02:00") && !is_time("2026-11-22") && !is_time("1234-but-not-a-time-at-all"));
    }
}
