//! The seal guest for KMS through the runtime and the real egress, on a KMS in memory and on Moto: what it asks for, what its errors say, which keys may
//! unwrap, and what a hostile guest in its place is refused.

mod e2e;
mod guest;
mod hostile;
mod record;

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_aws::{Egress, EgressOptions, KeySpec, Kms as Binding, Service};
use cofferdam_emulator::{Keys, Kms, NewKey};
use cofferdam_runtime::{Aws, Component, OpenError, SealBackend, SealConfig, Source};

use crate::dynamodb::credentials;
use crate::runtime::{RUNTIME, path};

/// The region of the key, unless a test says otherwise.
pub(crate) const REGION: &str = "eu-west-1";
/// A key to be wrapped.
pub(crate) const DEK: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";

static AWSKMS: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("awskms"))).unwrap());
static HOSTILE_SEAL: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("hostile_seal"))).unwrap());

/// A KMS with one key, which has the alias `alias/vault`.
pub(crate) async fn kms() -> (Kms, String) {
    let kms = Kms::start().await.unwrap();
    let arn = kms.create(NewKey::new(REGION));
    kms.alias("alias/vault", &arn);
    (kms, arn)
}

/// How a seal is opened.
#[derive(Clone)]
pub(crate) struct Opening<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) region: &'a str,
    pub(crate) previous: Option<&'a [&'a str]>,
    /// Instead of the guest of the release: the one that betrays keys in this way.
    pub(crate) hostile: Option<&'a str>,
    pub(crate) keys: Keys,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Opening { key_id: "alias/vault", region: REGION, previous: None, hostile: None, keys: Keys::any() }
    }
}

/// What lets a guest ask this KMS for this key.
pub(crate) async fn binding(endpoint: &str, opening: &Opening<'_>) -> Arc<Binding> {
    let options = EgressOptions {
        service: Service::Kms,
        endpoint: Some(endpoint.to_owned()),
        region: opening.region.to_owned(),
        ..EgressOptions::default()
    };
    let previous_key_ids = opening.previous.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let spec = KeySpec { key_id: opening.key_id.to_owned(), previous_key_ids };
    Binding::new(spec, Egress::new("seal", options, credentials(&opening.keys).await).unwrap())
}

/// Opens a seal on this KMS.
pub(crate) async fn open(endpoint: &str, opening: Opening<'_>) -> Result<Arc<SealBackend>, OpenError> {
    open_through(binding(endpoint, &opening).await, &opening).await
}

/// Opens a seal that sends through this.
pub(crate) async fn open_through(aws: Arc<dyn Aws>, opening: &Opening<'_>) -> Result<Arc<SealBackend>, OpenError> {
    let mut config = SealConfig::new("seal");
    config.grants.aws = Some(aws);
    config.pool.size = 1;
    let mut settings = vec![("kms_key_id", opening.key_id)];
    let component = match opening.hostile {
        Some(mode) => {
            settings.push(("mode", mode));
            &HOSTILE_SEAL
        }
        None => {
            settings.push(("region", opening.region));
            &AWSKMS
        }
    };
    config.settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    RUNTIME.seal(component, config).await
}

/// The guest of the release on the key of [`kms`].
pub(crate) async fn sealed(kms: &Kms) -> Arc<SealBackend> {
    open(kms.endpoint(), Opening::default()).await.unwrap()
}

/// The operations that KMS was asked for since it was last looked at.
pub(crate) fn asked(kms: &Kms) -> Vec<String> {
    kms.take().into_iter().map(|call| call.operation).collect()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
