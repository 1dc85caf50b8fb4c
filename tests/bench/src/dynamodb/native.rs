//! The floor: a native program with the same SDK, its own default HTTP client, and the same requests.

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::endpoint::{SIZE, TABLE};
use super::{ACCESS_KEY, REGION, SECRET_KEY};

/// A client of a table in Vault's layout.
#[derive(Clone)]
pub(super) struct Native(Client);

/// The SDK with all that it brings.
pub(crate) fn sdk(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "bench"))
        .build();
    Client::from_conf(config)
}

impl Native {
    pub(super) fn new(endpoint: &str) -> Self {
        Self(sdk(endpoint))
    }

    pub(super) async fn get(&self, path: &str, key: &str) -> Result<()> {
        let request = self.0.get_item().table_name(TABLE).consistent_read(true);
        let request = request.key("Path", AttributeValue::S(path.to_owned())).key("Key", AttributeValue::S(key.to_owned()));
        let item = request.send().await?.item.context("the item is lost")?;
        let value = item.get("Value").and_then(|value| value.as_b().ok()).context("the item has no value")?;
        ensure!(value.as_ref().len() == SIZE, "the value has {} bytes", value.as_ref().len());
        Ok(())
    }

    pub(super) async fn put(&self, path: &str, key: &str, value: &Bytes) -> Result<()> {
        let request = self.0.put_item().table_name(TABLE);
        let request = request.item("Path", AttributeValue::S(path.to_owned())).item("Key", AttributeValue::S(key.to_owned()));
        request.item("Value", AttributeValue::B(Blob::new(value.to_vec()))).send().await?;
        Ok(())
    }
}
