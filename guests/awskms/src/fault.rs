//! What KMS's refusals and the states of a key mean, as the contract's error: the case says who has to act, the text says what to do.

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_smithy_types::date_time::Format;
use cofferdam_guest::Error;
use cofferdam_guest_aws::{Fault, Refused, quoted};

use crate::sdk::Kms;

/// What was asked for, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The key, as it was named in the request.
    pub(crate) key: &'a str,
    pub(crate) region: &'a str,
    /// How long the host should wait if KMS asked for less, in milliseconds.
    pub(crate) delay: u32,
}

impl Asked<'_> {
    /// The error for the host.
    pub(crate) fn error(self, fault: Fault) -> Error {
        // A signature for another region is refused like a wrong one; the message tells them apart.
        if fault.message().contains("scoped to a valid region") {
            return Error::Configuration(format!(
                "wrong region: the endpoint is not one of \"region\" {:?}: {}",
                self.region,
                quoted(fault.message())
            ));
        }
        let operation = fault.operation;
        fault.settle::<Kms>(self.delay).unwrap_or_else(|refused| self.refusal(&refused, operation))
    }

    fn refusal(self, refused: &Refused, operation: &str) -> Error {
        let Asked { key, region, .. } = self;
        let said = refused.said();
        match refused.code.as_str() {
            _ if refused.is_denial() => {
                let permission = refused.permission().map_or_else(|| format!("kms:{operation}"), str::to_owned);
                Error::Denied(format!(
                    "the permission {permission} is missing on key {key:?} in region {region:?}: allow it in the key's policy or the identity's: {said}"
                ))
            }
            "NotFoundException" => Error::Configuration(format!(
                "KMS has no key {key:?} in region {region:?}: correct \"kms_key_id\", or \"region\" if the key is in another: {said}"
            )),
            "DisabledException" => Error::Denied(disabled(key)),
            "KMSInvalidStateException" => Error::Denied(format!("key {key:?} cannot be used in its present state: {said}")),
            "KeyUnavailableException" | "DependencyTimeoutException" | "KMSInternalException" => {
                Error::Unavailable(format!("{operation} with key {key:?}: {said}"))
            }
            "InvalidKeyUsageException" => Error::Configuration(format!("key {key:?} is not one for encryption: {said}")),
            "InvalidArnException" | "ValidationException" => {
                Error::Configuration(format!("KMS does not accept \"kms_key_id\" {key:?} ({operation}): {said}"))
            }
            "IncorrectKeyException" => Error::Corrupt(format!("the wrapped key was not made by key {key:?}, which it names: {said}")),
            "InvalidCiphertextException" => Error::Corrupt(format!("KMS does not know the wrapped key as one of key {key:?}: {said}")),
            _ => Error::Denied(format!("KMS refuses {operation} with key {key:?}: {said}")),
        }
    }

    /// Whether a described key can wrap and unwrap.
    pub(crate) fn fit(self, found: &KeyMetadata) -> Result<(), Error> {
        self.usage(found)?;
        self.state(found)
    }

    /// An emulator may leave out what the key is for.
    fn usage(self, found: &KeyMetadata) -> Result<(), Error> {
        let key = self.key;
        let usage = found.key_usage().filter(|usage| **usage != KeyUsageType::EncryptDecrypt).map(KeyUsageType::as_str);
        let spec = found.key_spec().filter(|spec| **spec != KeySpec::SymmetricDefault).map(KeySpec::as_str);
        let (what, is, needed) = match (usage, spec) {
            (Some(usage), _) => ("key usage", usage, "ENCRYPT_DECRYPT"),
            (None, Some(spec)) => ("key spec", spec, "SYMMETRIC_DEFAULT"),
            (None, None) => return Ok(()),
        };
        Err(Error::Configuration(format!("wrong {what}: key {key:?} has {is}; set \"kms_key_id\" to a key that has {needed}")))
    }

    fn state(self, found: &KeyMetadata) -> Result<(), Error> {
        let key = self.key;
        let denied = |text: String| Err(Error::Denied(text));
        match found.key_state() {
            // While its primary region is changed, a key encrypts and decrypts as ever.
            Some(KeyState::Enabled | KeyState::Updating) => Ok(()),
            None if found.enabled() => Ok(()),
            None | Some(KeyState::Disabled) => denied(disabled(key)),
            Some(KeyState::PendingDeletion) => {
                let date = found.deletion_date().and_then(|date| date.fmt(Format::DateTime).ok());
                let when = date.map(|date| format!(" on {date}")).unwrap_or_default();
                denied(format!(
                    "key {key:?} is pending deletion{when}; what it has wrapped is lost then: cancel the deletion (\"aws kms cancel-key-deletion\") and enable the key"
                ))
            }
            Some(KeyState::PendingReplicaDeletion) => denied(format!(
                "key {key:?} is pending deletion, which begins when its last replica is deleted: cancel the deletion (\"aws kms cancel-key-deletion\") and enable the key"
            )),
            Some(KeyState::PendingImport) => {
                denied(format!("key {key:?} has no key material (state PendingImport): import the same material again"))
            }
            Some(KeyState::Unavailable) => {
                denied(format!("key {key:?} is in a custom key store that is not connected (state Unavailable): connect the store"))
            }
            Some(KeyState::Creating) => Err(Error::Unavailable(format!("key {key:?} is still being created"))),
            Some(other) => denied(format!("key {key:?} is in the state {:?}; needed is Enabled", quoted(other.as_str()))),
        }
    }
}

fn disabled(key: &str) -> String {
    format!("key {key:?} is disabled: enable it (\"aws kms enable-key\"), or set \"kms_key_id\" to another")
}

/// After `open` no setting is to blame any more: an error of the same text that the contract allows there.
pub(crate) fn later(error: Error) -> Error {
    match error {
        Error::Configuration(text) => Error::Denied(text),
        other => other,
    }
}
