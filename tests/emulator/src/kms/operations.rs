//! The operations that a seal needs: DescribeKey, Encrypt, Decrypt, with what else they take at AWS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::blob::{self, Blob};
use super::keys::{Caller, Key, Keys, Refusal};

/// The most bytes that Encrypt takes.
const PLAINTEXT: usize = 4096;
/// The most bytes that Decrypt takes.
const CIPHERTEXT: usize = 6144;

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

impl Keys {
    pub(super) fn operation(&mut self, caller: &Caller, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let keys = &*self;
        match operation {
            "DescribeKey" => {
                members(body, &["KeyId", "GrantTokens"])?;
                Ok(json!({"KeyMetadata": keys.metadata(keys.find(caller, text(body, "KeyId")?, operation)?)}))
            }
            "Encrypt" => keys.encrypt(caller, body),
            "Decrypt" => keys.decrypt(caller, body),
            _ => Err(Refusal::new("UnknownOperationException", operation)),
        }
    }

    fn encrypt(&self, caller: &Caller, body: &Value) -> Result<Value, Refusal> {
        members(body, &["KeyId", "Plaintext", "EncryptionAlgorithm", "EncryptionContext", "GrantTokens", "DryRun"])?;
        let key = self.find(caller, text(body, "KeyId")?, "Encrypt")?;
        let plain = bytes(body, "Plaintext", PLAINTEXT)?;
        usable(key, body)?;
        let sealed =
            key.materials.last_key_value().and_then(|(number, material)| blob::seal(&key.id, *number, material, &context(body), &plain));
        let sealed = sealed.ok_or_else(|| Refusal::new("KMSInternalException", "the cipher failed"))?;
        Ok(json!({"KeyId": key.arn(), "CiphertextBlob": STANDARD.encode(sealed), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
    }

    fn decrypt(&self, caller: &Caller, body: &Value) -> Result<Value, Refusal> {
        members(body, &["KeyId", "CiphertextBlob", "EncryptionAlgorithm", "EncryptionContext", "GrantTokens", "DryRun"])?;
        let sealed = bytes(body, "CiphertextBlob", CIPHERTEXT)?;
        let strange = || Refusal::new("InvalidCiphertextException", "");
        let Some(blob) = Blob::read(&sealed) else { return Err(strange()) };
        let key = match body.get("KeyId") {
            Some(_) => self.find(caller, text(body, "KeyId")?, "Decrypt")?,
            None => self.find(caller, blob.name, "Decrypt")?,
        };
        usable(key, body)?;
        if key.id != blob.name {
            return Err(Refusal::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ));
        }
        let plain = key.materials.get(&blob.generation).and_then(|material| blob.open(material, &context(body))).ok_or_else(strange)?;
        Ok(json!({
            "KeyId": key.arn(), "Plaintext": STANDARD.encode(plain), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "KeyMaterialId": format!("{:064x}", blob.generation),
        }))
    }
}

/// That the request has no members but these.
fn members(body: &Value, allowed: &[&str]) -> Result<(), Refusal> {
    let object = body.as_object().ok_or_else(|| Refusal::new("SerializationException", "an object is expected"))?;
    let unknown = object.keys().find(|name| !allowed.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(invalid(format!("the member {name} is not known here"))))
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(|| invalid(format!("{name} is missing")))
}

fn bytes(body: &Value, name: &str, most: usize) -> Result<Vec<u8>, Refusal> {
    let bytes = STANDARD.decode(text(body, name)?).map_err(|_| Refusal::new("SerializationException", format!("{name} is no base64")))?;
    if (1..=most).contains(&bytes.len()) { Ok(bytes) } else { Err(invalid(format!("{name} has {} bytes", bytes.len()))) }
}

/// As text with its members in order.
fn context(body: &Value) -> String {
    body.get("EncryptionContext").map(Value::to_string).unwrap_or_default()
}

/// Whether the key can do what is asked now.
fn usable(key: &Key, body: &Value) -> Result<(), Refusal> {
    let arn = key.arn();
    let refuse = |code, message: String| Err(Refusal::new(code, message));
    match key.state.as_str() {
        "Enabled" | "Updating" => {}
        "Disabled" => return refuse("DisabledException", format!("{arn} is disabled.")),
        "PendingDeletion" => return refuse("KMSInvalidStateException", format!("{arn} is pending deletion.")),
        "PendingImport" => return refuse("KMSInvalidStateException", format!("{arn} is pending import.")),
        state => return refuse("KMSInvalidStateException", format!("{arn} is in the state {state}.")),
    }
    let algorithm = body.get("EncryptionAlgorithm").is_some_and(|algorithm| algorithm != "SYMMETRIC_DEFAULT");
    if key.usage() != "ENCRYPT_DECRYPT" || algorithm {
        return refuse("InvalidKeyUsageException", format!("{arn} key usage is {} which is not valid for this operation.", key.usage()));
    }
    if body["DryRun"] == true {
        return refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.".to_owned());
    }
    Ok(())
}
