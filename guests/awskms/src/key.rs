//! The key, and what is done with it: each step one request, whose answer goes back as it is.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kms::operation::decrypt::DecryptInput;
use aws_sdk_kms::operation::describe_key::DescribeKeyInput;
use aws_sdk_kms::operation::encrypt::EncryptInput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{EncryptionAlgorithmSpec, KeyMetadata};
use cofferdam_guest::seal::Wrapped;
use cofferdam_guest::{Error, Result};
use cofferdam_guest_aws::{Fault, Patience, Transport, World};

use crate::arn::{self, Arn};
use crate::fault::{Asked, later};
use crate::options::Options;
use crate::sdk::Kms;

/// Two retries: whoever unseals or looks after health comes again, and knows when.
const PATIENCE: Patience = Patience { retries: 2, time: Duration::from_secs(10) };

/// The key, as one instance sees it.
#[derive(Debug)]
pub(crate) struct Key {
    transport: Transport<Kms>,
    options: Options,
}

impl Key {
    pub(crate) fn new(options: Options, world: Arc<dyn World>) -> Key {
        Key { transport: Transport::new(world), options }
    }

    /// Begins a call of the contract.
    pub(crate) fn begin(&self) {
        self.transport.begin(PATIENCE);
    }

    fn asked<'a>(&'a self, key: &'a str) -> Asked<'a> {
        Asked { key, region: &self.options.region, delay: self.transport.delay() }
    }

    fn error(&self, fault: Fault) -> Error {
        self.asked(&self.options.key_id).error(fault)
    }

    /// What KMS says of the key, and the ARN in it.
    fn describe(&self) -> Result<(KeyMetadata, String)> {
        let request = DescribeKeyInput::builder().key_id(&self.options.key_id).build();
        let answer = self.transport.exchange(request, |_| ()).map_err(|fault| self.error(fault))?;
        let found = answer.key_metadata.ok_or_else(|| Error::Unavailable("DescribeKey: the answer describes no key".to_owned()))?;
        let arn = found.arn.clone().ok_or_else(|| Error::Unavailable("DescribeKey: the answer names no ARN".to_owned()))?;
        Ok((found, arn))
    }

    /// Makes sure that the key is there and can be used. Returns its ARN.
    pub(crate) fn open(&self) -> Result<String> {
        let Options { key_id, region } = &self.options;
        let (found, arn) = self.describe()?;
        if let Some(other) = Arn::parse(&arn).map(|arn| arn.region).filter(|found| found != region) {
            return Err(Error::Configuration(format!(
                "wrong region: the endpoint answers for {other:?}, but \"region\" is {region:?}: set \"region\" = {other:?}, or correct \"endpoint\""
            )));
        }
        self.asked(key_id).fit(&found)?;
        cofferdam_guest::info!("\"kms_key_id\" {key_id:?} is the key {arn:?}");
        Ok(arn)
    }

    /// The ARN of the key that is used now: an alias may have been given another.
    pub(crate) fn id(&self) -> Result<String> {
        self.describe().map(|(_, arn)| arn).map_err(later)
    }

    /// Whether KMS answers and the key can be used.
    pub(crate) fn health(&self) -> Result<()> {
        let check = || self.asked(&self.options.key_id).fit(&self.describe()?.0);
        check().map_err(later)
    }

    /// Has the DEK encrypted.
    pub(crate) fn wrap(&self, dek: Vec<u8>) -> Result<Wrapped> {
        let request = EncryptInput::builder()
            .key_id(&self.options.key_id)
            .plaintext(Blob::new(dek))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .build();
        let answer = self.transport.exchange(request, |_| ()).map_err(|fault| later(self.error(fault)))?;
        match (answer.ciphertext_blob, answer.key_id) {
            (Some(blob), Some(key_id)) => Ok(Wrapped { blob: blob.into_inner(), key_id }),
            _ => Err(Error::Unavailable("Encrypt: the answer has no CiphertextBlob or no KeyId".to_owned())),
        }
    }

    /// Has a wrapped DEK decrypted by the key that it names.
    pub(crate) fn unwrap(&self, wrapped: Wrapped) -> Result<Vec<u8>> {
        let Wrapped { blob, key_id } = wrapped;
        let key = arn::local(&key_id, &self.options.region);
        let request = DecryptInput::builder()
            .key_id(&*key)
            .ciphertext_blob(Blob::new(blob))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .build();
        let answer = self.transport.exchange(request, |_| ()).map_err(|fault| later(self.asked(&key).error(fault)))?;
        let plaintext = answer.plaintext.ok_or_else(|| Error::Unavailable("Decrypt: the answer has no Plaintext".to_owned()))?;
        Ok(plaintext.into_inner())
    }
}
