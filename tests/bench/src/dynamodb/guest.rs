//! The guest's side: component, credentials, egress and binding put together as the server does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cofferdam_aws::{Credentials, DynamoDb, Egress, EgressOptions, Identity, Sources, TableSpec};
use cofferdam_backend::{BootInstant, Fence, Fencing, Key, Lease, Storage};
use cofferdam_runtime::{Component, Runtime, StorageConfig};

use super::endpoint::TABLE;
use super::{ACCESS_KEY, REGION, SECRET_KEY};

/// Longer than any run.
const LEASE: Duration = Duration::from_secs(3600);

/// Opens the guest on the endpoint, holding a lease as the one leader does.
pub(super) async fn open(
    runtime: &Runtime,
    component: &Component,
    endpoint: &str,
    fencing: Fencing,
    in_flight: usize,
) -> Result<Arc<dyn Storage>> {
    let lease = Lease::new(fencing);
    lease.begin(Fence { key: Key::new("core/lock")?, identity: "bench".to_owned() }, BootInstant::now().after(LEASE));
    let identity =
        Identity { access_key: Some(ACCESS_KEY.to_owned().into()), secret_key: Some(SECRET_KEY.to_owned().into()), ..Identity::default() };
    let credentials = Credentials::open(identity, REGION, &Sources::system()).await?;
    let options = EgressOptions { endpoint: Some(endpoint.to_owned()), region: REGION.to_owned(), ..EgressOptions::default() };
    let egress = Egress::new("bench", options, credentials)?;
    // What the server makes of a stanza that says nothing but the table's name.
    let table = TableSpec::new(TABLE);
    let mut config = StorageConfig::new("bench");
    config.settings = vec![("table".to_owned(), TABLE.to_owned())];
    config.grants.aws = Some(DynamoDb::new(table, egress, Some(Arc::clone(&lease))));
    config.lease = Some(lease);
    config.pool.size = in_flight;
    Ok(runtime.storage(component, config).await?)
}
