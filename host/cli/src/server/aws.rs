//! The grant `aws`: who may be asked, in whose name, for what. Built from the stanza; the guest sees none of it.
//!
//! The rule: what decides about access is said in the log at the start, each value with its origin, and never a secret; and all stanzas of
//! one process whose identities are equal share one provider of credentials.

use super::storage;
use crate::config::{Access, AwsGrant, AwsKms, DynamoDb, Plugin, Requests, Resource, Seal, Storage};
use crate::exit::Failure;
use cofferdam_aws::{CredentialsError, Egress, EgressError, EgressOptions, KeySpec, Providers, Proxies, RegionRule, Service, TableSpec};
use cofferdam_backend::{Error, Lease};
use cofferdam_runtime::Aws;
use std::sync::Arc;

/// The requests of a seal, a second and in one call, its repetitions included: a vault that is opened needs a few in all.
const KMS_PER_SECOND: u32 = 20;
const KMS_PER_CALL: u32 = 16;

/// The most bytes of a request to KMS and of its answer: the largest is a wrapped key of 6 KiB in base 64.
const KMS_BYTES: usize = 64 << 10;

/// The binding of a guest to its table, and nothing else.
pub(super) async fn dynamodb(
    stanza: &Storage,
    settings: &DynamoDb,
    lease: Option<Arc<Lease>>,
    providers: &Providers,
) -> Result<Arc<dyn Aws>, Failure> {
    let at = |error: CredentialsError| {
        let message = storage::said(stanza, &error);
        if matches!(error, CredentialsError::Configuration(_)) { Failure::usage(message) } else { Failure::failed(message) }
    };
    let access = &settings.access;
    for (key, value, origin) in &access.values {
        tracing::info!(storage = %stanza.kind, key, %value, %origin, "storage setting");
    }
    let (identity, configured) = (&access.identity, access.region.as_deref());
    let found = cofferdam_aws::region(RegionRule::DynamoDb, configured, identity, providers.sources()).await;
    let (region, origin) = found.map_err(|error| Failure::usage(access.error("region", error)))?;
    tracing::info!(storage = %stanza.kind, key = "region", value = %region, %origin, "storage setting in force");
    let credentials = providers.get(identity.clone(), &region).await.map_err(at)?;
    // Asked for here once, so that what is wrong with them is said plainly and not by way of the guest.
    credentials.get().await.map_err(at)?;
    let options = options(Service::DynamoDb, region, access, access.requests);
    let egress = Egress::new(&stanza.kind, options, credentials).map_err(|error| Failure::usage(unfit(&error, access)))?;
    Ok(cofferdam_aws::DynamoDb::new(settings.table.clone(), egress, lease))
}

/// A guest's binding to a key, and the region in which that is.
pub(super) struct KeyBinding {
    /// The grant.
    pub(super) aws: Arc<dyn Aws>,
    /// The region in force.
    pub(super) region: String,
}

/// The binding of a seal's guest to its key, and nothing else. What waiting may cure is [`Error::Unavailable`], all else a configuration's fault.
pub(super) async fn kms(seal: &Seal, settings: &AwsKms, providers: &Providers) -> Result<KeyBinding, Error> {
    let access = &settings.access;
    let trouble = |error: CredentialsError| match error {
        CredentialsError::Configuration(_) => configuration(seal.origin.error(&said(seal), error)),
        error => Error::Unavailable(error.to_string()),
    };
    let (identity, configured) = (&access.identity, access.region.as_deref());
    let (region, origin) =
        cofferdam_aws::region(RegionRule::Kms, configured, identity, providers.sources()).await.map_err(|error| match error {
            CredentialsError::Configuration(_) => configuration(access.error("region", error)),
            error => Error::Unavailable(error.to_string()),
        })?;
    tracing::info!(seal = %seal.name, key = "region", value = %region, %origin, "seal setting in force");
    settings.check_region(&region).map_err(configuration)?;
    let egress = egress(&seal.name, of_key(region.clone(), access), access, providers, trouble).await?;
    Ok(KeyBinding { aws: cofferdam_aws::Kms::new(key(settings), egress), region })
}

fn key(settings: &AwsKms) -> KeySpec {
    KeySpec { key_id: settings.key_id.clone(), previous_key_ids: settings.previous_key_ids.clone() }
}

/// How a key is reached: a seal sends few requests, and small ones.
fn of_key(region: String, access: &Access) -> EgressOptions {
    let requests = Requests {
        per_second: access.requests.per_second.or(Some(KMS_PER_SECOND)),
        per_call: access.requests.per_call.or(Some(KMS_PER_CALL)),
    };
    EgressOptions { max_request_bytes: KMS_BYTES, max_response_bytes: KMS_BYTES, ..options(Service::Kms, region, access, requests) }
}

/// The binding that a plugin's grant names. What waiting may cure is [`Error::Unavailable`], all else a configuration's fault.
pub(super) async fn bound(
    plugin: &Plugin,
    grant: &AwsGrant,
    backend: &str,
    lease: Option<Arc<Lease>>,
    providers: &Providers,
) -> Result<Arc<dyn Aws>, Error> {
    let access = &grant.access;
    let said = |error: &dyn std::fmt::Display| format!("{}: grant \"aws\": {error}", grant.place);
    let trouble = |error: CredentialsError| match error {
        CredentialsError::Configuration(_) => Error::Configuration(said(&error)),
        error => Error::Unavailable(said(&error)),
    };
    for (key, value, origin) in &access.values {
        tracing::info!(plugin = %plugin.name, key, %value, %origin, "plugin setting");
    }
    let region = access.region.clone().unwrap_or_default();
    let options = match &grant.resource {
        Resource::Table(_) => options(Service::DynamoDb, region, access, access.requests),
        Resource::Key { .. } => of_key(region, access),
    };
    let egress = egress(backend, options, access, providers, trouble).await?;
    let operations = grant.operations.clone();
    Ok(match &grant.resource {
        Resource::Table(name) => cofferdam_aws::DynamoDb::restricted(TableSpec::new(name.clone()), egress, lease, operations),
        Resource::Key { arn, previous } => {
            let key = KeySpec { key_id: arn.clone(), previous_key_ids: Some(previous.clone()) };
            cofferdam_aws::Kms::restricted(key, egress, operations)
        }
    })
}

/// What signs and sends for the backend of this name. `trouble`: what is said of credentials that cannot be had.
async fn egress(
    name: &str,
    options: EgressOptions,
    access: &Access,
    providers: &Providers,
    trouble: impl Fn(CredentialsError) -> Error,
) -> Result<Egress, Error> {
    let credentials = providers.get(access.identity.clone(), &options.region).await.map_err(&trouble)?;
    // Asked for here once, so that what is wrong with them is said plainly and not by way of the guest.
    credentials.get().await.map_err(&trouble)?;
    Egress::new(name, options, credentials).map_err(|error| configuration(unfit(&error, access)))
}

/// A seal's stanza in words.
pub(super) fn said(seal: &Seal) -> String {
    format!("seal {:?}", seal.kind)
}

fn configuration(error: impl ToString) -> Error {
    Error::Configuration(error.to_string())
}

fn options(service: Service, region: String, access: &Access, requests: Requests) -> EgressOptions {
    let defaults = EgressOptions::default();
    let rate = requests.per_second.unwrap_or(defaults.rate);
    EgressOptions {
        endpoint: access.endpoint.clone(),
        region,
        service,
        ca_cert: access.ca_cert.clone(),
        proxies: Proxies::system(),
        rate,
        burst: rate,
        sends_per_call: requests.per_call.unwrap_or(defaults.sends_per_call),
        ..defaults
    }
}

/// What the egress cannot do with the settings; whoever set the value is named.
fn unfit(error: &EgressError, access: &Access) -> String {
    let message = error.to_string();
    let key = match error {
        EgressError::Endpoint(_) => "endpoint",
        EgressError::Region(_) => "region",
        EgressError::Authorities { .. } => "ca_cert",
        _ => return message,
    };
    access.error(key, message.strip_prefix(&format!("{key}: ")).unwrap_or(&message)).to_string()
}

#[cfg(test)]
mod tests {
    use super::kms;
    use crate::config::{self, Environment, Seal};
    use cofferdam_aws::{Providers, Sources};
    use cofferdam_backend::Error;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";
    const KEYS: &str = "access_key = \"AKIA\" secret_key = \"SECRET\"";

    fn seal(stanza: &str) -> Seal {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.hcl");
        let text = format!(
            "seal \"awskms\" {{ {stanza} }}\nstorage \"file\" {{ path = \"/d\" }}\nlistener \"tcp\" {{ address = \"127.0.0.1:1\" tls_disable = true }}"
        );
        std::fs::write(&path, text).unwrap();
        let config = config::load(&[path], &Environment::default()).unwrap();
        config.seals.active.into_iter().next().unwrap()
    }

    async fn bind(stanza: &str, variables: &[(&str, &str)]) -> Result<(String, String), Error> {
        let providers = Providers::new(Sources::of(variables.iter().copied()));
        let seal = seal(stanza);
        kms(&seal, seal.awskms.as_ref().unwrap(), &providers).await.map(|binding| (binding.region, binding.aws.describe()))
    }

    #[tokio::test]
    async fn the_region_of_the_stanza_comes_before_the_environments() {
        let stanza = format!("kms_key_id = \"{KEY}\" {KEYS} endpoint = \"http://127.0.0.1:9\"");
        let both = format!("{stanza} region = \"eu-west-1\"");
        let (region, described) = bind(&both, &[("AWS_REGION", "us-west-2")]).await.unwrap();
        assert_eq!(region, "eu-west-1");
        assert!(described.contains(KEY) && !described.contains("SECRET"), "{described}");
        assert_eq!(bind(&stanza, &[("AWS_REGION", "eu-west-1")]).await.unwrap().0, "eu-west-1");
        // The key's own region decides nothing: it has to be that of the address.
        let Err(Error::Configuration(message)) = bind(&stanza, &[("AWS_REGION", "us-west-2")]).await else { panic!() };
        assert!(message.contains("is one of region eu-west-1, and the region is us-west-2") && message.contains("c.hcl:1:30"), "{message}");
    }

    #[tokio::test]
    async fn what_waiting_does_not_cure_is_a_fault_of_the_configuration() {
        let region = [("AWS_REGION", "eu-west-1")];
        for (stanza, named) in [
            (format!("kms_key_id = \"k\" {KEYS} endpoint = \"http://169.254.169.254\""), "endpoint: "),
            (format!("kms_key_id = \"k\" {KEYS} ca_cert = \"/no/such/file\""), "ca_cert: "),
            (format!("kms_key_id = \"k\" {KEYS} region = \"not a region\""), "region: "),
            ("kms_key_id = \"k\" web_identity_token_file = \"/w\"".to_owned(), "seal \"awskms\": "),
        ] {
            match bind(&stanza, &region).await {
                Err(Error::Configuration(message)) => assert!(message.contains(named), "{message}"),
                other => panic!("{stanza}: {other:?}"),
            }
        }
        // Metadata that do not answer may answer later.
        let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
        let none = bind("kms_key_id = \"k\"", &[region[0], metadata]).await;
        assert!(matches!(none, Err(Error::Unavailable(_))), "{none:?}");
        let nowhere = bind(&format!("kms_key_id = \"k\" {KEYS}"), &[metadata]).await;
        assert!(matches!(nowhere, Err(Error::Unavailable(_))), "{nowhere:?}");
    }
}
