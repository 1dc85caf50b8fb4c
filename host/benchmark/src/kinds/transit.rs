//! `transit_encrypt`, `transit_decrypt`, `transit_sign`, `transit_verify`: one key, and one payload that is the same in each request.

use super::{Site, random_bytes};
use crate::client::{ApiError, Plan};
use crate::config::{ConfigError, Fields};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub(super) const KEYS: &[&str] = &["payload_len", "context_len", "keys", "sign", "verify", "encrypt", "decrypt"];

const KEY: &[&str] = &[
    "name",
    "convergent_encryption",
    "derived",
    "exportable",
    "allow_plaintext_backup",
    "type",
    "key_size",
    "auto_rotate_period",
    "managed_key_name",
    "managed_key_id",
    "parameter_set",
    "hybrid_key_type_ec",
    "hybrid_key_type_pqc",
];

const SIGN: &[&str] = &[
    "name",
    "key_version",
    "hash_algorithm",
    "input",
    "signature",
    "hmac",
    "reference",
    "batch_input",
    "context",
    "prehashed",
    "signature_algorithm",
    "marshaling_algorithm",
    "salt_length",
];

const ENCRYPT: &[&str] = &[
    "name",
    "plaintext",
    "ciphertext",
    "associated_data",
    "context",
    "key_version",
    "nonce",
    "reference",
    "batch_input",
    "type",
    "convergent_encryption",
    "partial_failure_response_code",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Encrypt,
    Decrypt,
    Sign,
    Verify,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
        }
    }
}

type Body = Map<String, Value>;

pub(crate) struct Transit {
    action: Action,
    payload: usize,
    context: usize,
    key_name: String,
    key: Body,
    /// What the block of the action says, and the key that it names.
    name: String,
    request: Body,
}

impl Transit {
    pub(super) fn read(action: Action, config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        let length = |name: &str, default: u32| {
            let count = config.map(|config| config.count(name, 1)).transpose()?.flatten().unwrap_or(default);
            Ok::<_, ConfigError>(usize::try_from(count).unwrap_or(usize::MAX))
        };
        let block = |name: &str, keys: &[&str]| match config.map(|config| config.block(name, keys)).transpose()?.flatten() {
            Some(block) => {
                block.name("name")?;
                block.json()
            }
            None => Ok(Body::new()),
        };
        let mut key = block("keys", KEY)?;
        key.entry("type").or_insert_with(|| json!("rsa-2048"));
        let mut request = Body::new();
        // The blocks of the other actions are read as well: a mistake in one is a mistake.
        for (other, keys) in [(Action::Encrypt, ENCRYPT), (Action::Decrypt, ENCRYPT), (Action::Sign, SIGN), (Action::Verify, SIGN)] {
            let found = block(other.name(), keys)?;
            if other == action {
                request = found;
            }
        }
        if matches!(action, Action::Sign | Action::Verify) {
            for (name, value) in [("hash_algorithm", "sha2-256"), ("signature_algorithm", "pss"), ("marshaling_algorithm", "asn1")] {
                request.entry(name).or_insert_with(|| json!(value));
            }
        }
        Ok(Self {
            action,
            payload: length("payload_len", 128)?,
            context: length("context_len", 32)?,
            key_name: name_of(&mut key),
            key,
            name: name_of(&mut request),
            request,
        })
    }

    pub(super) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        let mount = site.mount("transit", json!({"config": {"max_lease_ttl": "87600h"}})).await?;
        site.api.call("POST", &format!("{mount}/keys/{}", self.key_name), Some(&Value::Object(self.key.clone()))).await?;
        let payload = json!(STANDARD.encode(random_bytes(self.payload)));
        let mut request = self.request.clone();
        if self.key.get("derived").is_some_and(|derived| *derived == json!(true)) && !request.contains_key("context") {
            request.insert("context".to_owned(), json!(STANDARD.encode(random_bytes(self.context))));
        }
        let batch = request.contains_key("batch_input");
        let path = |action: Action| format!("{mount}/{}/{}", action.name(), self.name);
        match self.action {
            _ if batch => {}
            Action::Encrypt => {
                request.entry("plaintext").or_insert(payload);
            }
            Action::Sign => {
                request.entry("input").or_insert(payload);
            }
            Action::Decrypt => {
                let mut body = json!({"plaintext": payload});
                if let (Some(body), Some(context)) = (body.as_object_mut(), request.get("context")) {
                    body.insert("context".to_owned(), context.clone());
                }
                let ciphertext = site.api.text("POST", &path(Action::Encrypt), Some(&body), "ciphertext").await?;
                request.insert("ciphertext".to_owned(), json!(ciphertext.as_str()));
            }
            Action::Verify => {
                request.entry("input").or_insert(payload);
                let body = Value::Object(request.clone());
                let signature = site.api.text("POST", &path(Action::Sign), Some(&body), "signature").await?;
                request.insert("signature".to_owned(), json!(signature.as_str()));
            }
        }
        let body = Zeroizing::new(Value::Object(request).to_string());
        Ok(Plan::new("POST", &path(self.action), body))
    }
}

/// The name of the key that a block says.
fn name_of(block: &mut Body) -> String {
    match block.remove("name") {
        Some(Value::String(name)) if !name.is_empty() => name,
        _ => "test".to_owned(),
    }
}
