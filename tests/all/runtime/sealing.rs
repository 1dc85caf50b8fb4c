use std::sync::{Arc, LazyLock};

use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_runtime::{BreachKind, Component, OpenError, SealBackend, SealConfig, Source, StorageConfig, World};

use super::{RUNTIME, path};
use crate::hostile::logged;

static SEALING: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("sealing"))).unwrap());

async fn open(mode: &str) -> Result<Arc<SealBackend>, OpenError> {
    let mut config = SealConfig::new("seal");
    config.settings = vec![("mode".to_owned(), mode.to_owned())];
    RUNTIME.seal(&SEALING, config).await
}

#[tokio::test]
async fn a_key_that_is_wrapped_unwraps_to_itself() {
    assert_eq!(SEALING.inspect().world, World::Seal);
    let seal = open("").await.unwrap();
    assert_eq!((seal.name(), seal.version()), ("sealing", "0.1.0"));
    let wrapped = seal.wrap(&[3; 32]).await.unwrap();
    assert_eq!(wrapped, Wrapped { blob: vec![!3; 32].into(), key_id: "key-1".to_owned() });
    let mut dek = [0; 32];
    seal.unwrap(&wrapped, &mut dek).await.unwrap();
    assert_eq!(dek, [3; 32]);
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
