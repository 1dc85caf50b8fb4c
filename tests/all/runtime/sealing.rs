use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_runtime::{
    Aws, AwsCall, AwsResponse, AwsSendError, BreachKind, Component, OpenError, SealBackend, SealConfig, Source, StorageConfig, World,
};

use super::{RUNTIME, path};
use crate::hostile::logged;

static SEALING: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("sealing"))).unwrap());

async fn open(mode: &str) -> Result<Arc<SealBackend>, OpenError> {
    configured(mode, |_| {}).await
}

async fn configured(mode: &str, change: impl FnOnce(&mut SealConfig)) -> Result<Arc<SealBackend>, OpenError> {
    let mut config = SealConfig::new("seal");
    config.settings = vec![("mode".to_owned(), mode.to_owned())];
    change(&mut config);
    RUNTIME.seal(&SEALING, config).await
}

/// What the guest makes of a key of 32 equal bytes.
fn turned(byte: u8) -> Vec<u8> {
    (1..=32).map(|at| byte ^ at).collect()
}

#[tokio::test]
async fn a_key_that_is_wrapped_unwraps_to_itself() {
    assert_eq!(SEALING.inspect().world, World::Seal);
    let seal = open("").await.unwrap();
    assert_eq!((seal.name(), seal.version()), ("sealing", "0.1.0"));
    let wrapped = seal.wrap(&[3; 32]).await.unwrap();
    assert_eq!(wrapped, Wrapped { blob: turned(3).into(), key_id: "key-1".to_owned() });
    let mut dek = [0; 32];
    seal.unwrap(&wrapped, &mut dek).await.unwrap();
    assert_eq!(dek, [3; 32]);
    assert_eq!(seal.unwrap_direct(&wrapped).await.unwrap().as_slice(), [3; 32]);
    assert_eq!(seal.key_id().await.unwrap(), "key-1");
    seal.health().await.unwrap();
    let other = Wrapped { key_id: "key-2".to_owned(), ..wrapped };
    assert!(matches!(seal.unwrap(&other, &mut dek).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn answers_of_a_seal_that_the_contract_does_not_allow_are_breaches() {
    let broken = |error: Error| assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{error}");
    broken(open("empty").await.unwrap().wrap(&[3; 32]).await.unwrap_err());
    let mut dek = [9; 32];
    let wrapped = Wrapped { blob: vec![1; 32].into(), key_id: "key-1".to_owned() };
    broken(open("short").await.unwrap().unwrap(&wrapped, &mut dek).await.unwrap_err());
    assert_eq!(dek, [9; 32], "nothing of a bad answer gets out");
    let OpenError::Guest { error, .. } = open("no-key").await.err().unwrap() else { panic!("the guest's fault was expected") };
    broken(error);
    assert!(matches!(open("ill").await.unwrap().health().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn what_is_no_key_is_unwrapped_only_when_that_is_asked_for() {
    let seal = open("").await.unwrap();
    for size in [1, 31, 33, 4096] {
        let blob = vec![7; size];
        let wrapped = Wrapped { blob: blob.into(), key_id: "key-1".to_owned() };
        let error = seal.unwrap(&wrapped, &mut [0; 32]).await.unwrap_err();
        assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{size}: {error}");
        assert_eq!(seal.unwrap_direct(&wrapped).await.unwrap().len(), size);
    }
}

#[tokio::test]
async fn what_the_contract_does_not_allow_to_be_stored_is_shown_to_no_guest() {
    let seal = open("").await.unwrap();
    let stored = |blob: usize, key_id: usize| Wrapped { blob: vec![1; blob].into(), key_id: "k".repeat(key_id) };
    for wrapped in [stored(0, 5), stored((16 << 10) + 1, 5), stored(32, 0), stored(32, (2 << 10) + 1)] {
        assert!(matches!(seal.unwrap(&wrapped, &mut [0; 32]).await, Err(Error::Corrupt(text)) if text.contains("a wrapped key has 1 to")));
        assert!(matches!(seal.unwrap_direct(&wrapped).await, Err(Error::Corrupt(text)) if text.contains("a wrapped key has 1 to")));
    }
}

/// A service that nobody should ask.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Aws for Silent {
    fn describe(&self) -> String {
        "no service".to_owned()
    }

    async fn send(&self, _: &mut AwsCall, operation: &str, _: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        panic!("{operation} was sent")
    }
}

#[tokio::test]
async fn a_seal_that_is_granted_a_service_and_does_not_ask_it_is_stopped() {
    let seal = configured("", |config| config.grants.aws = Some(Arc::new(Silent))).await.unwrap();
    let stopped = |error: Error, text: &str| {
        assert_eq!(BreachKind::of(&error), Some(BreachKind::Key), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    };
    stopped(seal.wrap(&[3; 32]).await.unwrap_err(), "the service has encrypted none");
    let wrapped = Wrapped { blob: turned(3).into(), key_id: "key-1".to_owned() };
    let mut dek = [9; 32];
    stopped(seal.unwrap(&wrapped, &mut dek).await.unwrap_err(), "the service has decrypted none");
    stopped(seal.unwrap_direct(&wrapped).await.unwrap_err(), "the service has decrypted none");
    assert_eq!(dek, [9; 32]);
    seal.health().await.unwrap();
}

#[tokio::test]
async fn an_instance_that_has_seen_a_key_serves_no_further_call() {
    let seal = configured("remembering", |config| config.pool.size = 1).await.unwrap();
    seal.health().await.unwrap();
    assert_eq!(seal.key_id().await.unwrap(), "key-1, and [\"health\"]", "instances remember");
    let wrapped = seal.wrap(&[3; 32]).await.unwrap();
    assert_eq!(seal.key_id().await.unwrap(), "key-1, and []");
    seal.unwrap(&wrapped, &mut [0; 32]).await.unwrap();
    assert_eq!(seal.key_id().await.unwrap(), "key-1, and []");
}

#[test]
fn what_a_seal_says_while_it_handles_a_key_is_not_kept() {
    let text = logged(async {
        let error = open("telling").await.unwrap().wrap(&[77; 32]).await.unwrap_err();
        assert!(matches!(&error, Error::Denied(text) if !text.contains("77")), "{error}");
        open("").await.unwrap().wrap(&[77; 32]).await.unwrap();
        open("").await.unwrap().key_id().await.unwrap();
    });
    assert!(text.contains("asked for the key's name"), "the log works: {text}");
    assert!(!text.contains("77"), "{text}");
}

#[tokio::test]
async fn a_seal_component_is_not_opened_as_a_storage() {
    let error = RUNTIME.storage(&SEALING, StorageConfig::new("main")).await.err().unwrap();
    assert!(error.to_string().contains("a storage backend is needed, this is seal-backend"), "{error}");
}
