//! The floor: a native program with the same SDK, its own default HTTP client, and the same requests.

use anyhow::{Context, Result};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::EncryptionAlgorithmSpec;

use super::{ACCESS_KEY, ALIAS, REGION, SECRET_KEY};

/// A client of the key.
pub(super) struct Native {
    client: Client,
    /// The key's ARN, which a Decrypt names.
    key: String,
}

impl Native {
    pub(super) fn new(endpoint: &str, key: &str) -> Self {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "bench"))
            .build();
        Self { client: Client::from_conf(config), key: key.to_owned() }
    }

    pub(super) async fn wrap(&self, dek: &[u8]) -> Result<Blob> {
        let request = self.client.encrypt().key_id(ALIAS).plaintext(Blob::new(dek));
        let answer = request.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault).send().await?;
        answer.ciphertext_blob.context("Encrypt answered without a CiphertextBlob")
    }

    pub(super) async fn unwrap(&self, blob: &Blob) -> Result<Vec<u8>> {
        let request = self.client.decrypt().key_id(&self.key).ciphertext_blob(blob.clone());
        let answer = request.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault).send().await?;
        Ok(answer.plaintext.context("Decrypt answered without a Plaintext")?.into_inner())
    }

    pub(super) async fn describe(&self) -> Result<()> {
        let answer = self.client.describe_key().key_id(ALIAS).send().await?;
        answer.key_metadata.context("DescribeKey answered without KeyMetadata").map(drop)
    }
}
