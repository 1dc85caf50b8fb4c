//! The guest's side: component, credentials, egress and binding put together as the server does.

use std::sync::Arc;

use anyhow::Result;
use cofferdam_aws::{Credentials, Egress, EgressOptions, Identity, KeySpec, Kms, Service, Sources};
use cofferdam_backend::Seal;
use cofferdam_runtime::{Component, Runtime, SealConfig};

use super::{ACCESS_KEY, ALIAS, REGION, SECRET_KEY};

/// Opens the guest on the endpoint.
pub(super) async fn open(runtime: &Runtime, component: &Component, endpoint: &str, instances: usize) -> Result<Arc<dyn Seal>> {
    let identity =
        Identity { access_key: Some(ACCESS_KEY.to_owned().into()), secret_key: Some(SECRET_KEY.to_owned().into()), ..Identity::default() };
    let credentials = Credentials::open(identity, REGION, &Sources::system()).await?;
    let options =
        EgressOptions { endpoint: Some(endpoint.to_owned()), region: REGION.to_owned(), service: Service::Kms, ..EgressOptions::default() };
    let egress = Egress::new("bench", options, credentials)?;
    let mut config = SealConfig::new("bench");
    config.settings = [("kms_key_id", ALIAS), ("region", REGION)].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    config.grants.aws = Some(Kms::new(KeySpec { key_id: ALIAS.to_owned(), previous_key_ids: None }, egress));
    config.pool.size = instances;
    Ok(runtime.seal(component, config).await?)
}
