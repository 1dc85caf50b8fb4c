//! The grant `aws`: who may be asked, in whose name, for what. Built from the stanza; the guest sees none of it.
//!
//! The rule: what decides about access is said in the log at the start, each value with its origin, and never a secret.

use crate::config::{DynamoDb, Storage};
use crate::exit::Failure;
use cofferdam_aws::{CredentialsError, Egress, EgressError, EgressOptions, Providers, Proxies, RegionRule, Service, Sources};
use cofferdam_backend::Lease;
use cofferdam_runtime::Aws;
use std::sync::Arc;

/// The binding of a guest to its table, and nothing else.
pub(super) async fn dynamodb(stanza: &Storage, settings: &DynamoDb, lease: Option<Arc<Lease>>) -> Result<Arc<dyn Aws>, Failure> {
    let at = |error: CredentialsError| {
        let message = format!("{}: storage {:?}: {error}", stanza.place, stanza.kind);
        if matches!(error, CredentialsError::Configuration(_)) { Failure::usage(message) } else { Failure::failed(message) }
    };
    for (key, value, origin) in &settings.values {
        tracing::info!(storage = %stanza.kind, key, %value, %origin, "storage setting");
    }
    let providers = Providers::new(Sources::system());
    let (identity, configured) = (&settings.identity, settings.region.as_deref());
    let found = cofferdam_aws::region(RegionRule::DynamoDb, configured, identity, providers.sources()).await;
    let (region, origin) = found.map_err(|error| Failure::usage(settings.error("region", error)))?;
    tracing::info!(storage = %stanza.kind, key = "region", value = %region, %origin, "storage setting in force");
    let credentials = providers.get(identity.clone(), &region).await.map_err(at)?;
    // Asked for here once, so that what is wrong with them is said plainly and not by way of the guest.
    credentials.get().await.map_err(at)?;
    let egress = Egress::new(&stanza.kind, options(settings, region), credentials).map_err(|error| unfit(settings, &error))?;
    Ok(cofferdam_aws::DynamoDb::new(settings.table.clone(), egress, lease))
}

fn options(settings: &DynamoDb, region: String) -> EgressOptions {
    let defaults = EgressOptions::default();
    let rate = settings.requests.per_second.unwrap_or(defaults.rate);
    EgressOptions {
        endpoint: settings.endpoint.clone(),
        region,
        service: Service::DynamoDb,
        ca_cert: settings.ca_cert.clone(),
        proxies: Proxies::system(),
        rate,
        burst: rate,
        sends_per_call: settings.requests.per_call.unwrap_or(defaults.sends_per_call),
        ..defaults
    }
}

/// What the egress cannot do with the settings; whoever set the value is named.
fn unfit(settings: &DynamoDb, error: &EgressError) -> Failure {
    let key = match error {
        EgressError::Endpoint(_) => "endpoint",
        EgressError::Region(_) => "region",
        EgressError::Authorities { .. } => "ca_cert",
        other => return Failure::usage(other),
    };
    let message = error.to_string();
    Failure::usage(settings.error(key, message.strip_prefix(&format!("{key}: ")).unwrap_or(&message)))
}
