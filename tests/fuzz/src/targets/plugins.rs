//! What stands beside a component, and what a registry says of one.

use cofferdam_plugins::pull::{Layers, Reference};
use cofferdam_plugins::{Lock, Signature, TrustedKey};

use super::{JSON, texts};
use crate::Target;

pub(super) const LOCK_FILE: Target = Target { name: "lock_file", run: lock_file, seeds: locks, words: JSON };
pub(super) const SIGNATURE: Target = Target { name: "signature", run: signature, seeds: signatures, words: SIGNATURE_WORDS };
pub(super) const REGISTRY: Target = Target { name: "registry", run: registry, seeds: registries, words: REGISTRY_WORDS };

const SIGNATURE_WORDS: &[&str] =
    &["untrusted comment: ", "trusted comment: ", "file:", "\t", "timestamp:1", "hashed", "RWQ", "RUS", "\n", "="];
const REGISTRY_WORDS: &[&str] = &[
    "oci://",
    "@sha256:",
    ":1",
    "localhost",
    "localhost:5000/",
    "ghcr.io/",
    "docker.io/",
    "\"mediaType\":",
    "\"size\":-1",
    "\"layers\":[",
    "\"schemaVersion\":1",
    "application/wasm",
    "sha512:",
    "\"annotations\":{}",
];

const COMPONENT: &[u8] = include_bytes!("../../../../host/plugins/fixtures/etcd.wasm");
const KEY: &str = include_str!("../../../../host/plugins/fixtures/minisign.pub");
const SIGNED: &str = include_str!("../../../../host/plugins/fixtures/etcd.wasm.minisig");
const LEGACY: &str = include_str!("../../../../host/plugins/fixtures/etcd.wasm.legacy.minisig");

fn lock_file(bytes: &[u8]) {
    let Ok(lock) = Lock::parse(bytes) else { return };
    let again = lock.to_text().map(|text| Lock::parse(text.as_bytes()));
    assert!(again.is_ok_and(|again| again == Ok(lock)), "a lock file that was written is read as another");
}

/// A signature of the fixture; only itself may be one.
fn signature(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = TrustedKey::parse(text).map(|key| key.id().len());
    }
    let (Ok(signature), Some(key)) = (Signature::parse(bytes), TrustedKey::parse(KEY)) else { return };
    if signature.verify(&[key], "etcd.wasm", COMPONENT).is_ok() {
        // What follows the first line, which nobody reads, is the signer's; but for what is no part of a line.
        let read = String::from_utf8_lossy(bytes);
        let signed: Vec<&str> = read.lines().skip(1).map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let known = |text: &'static str| text.lines().skip(1).map(str::trim_end).collect::<Vec<_>>();
        assert!(signed == known(SIGNED) || signed == known(LEGACY), "another signature than the signer's counts");
    }
}

/// A reference, and a manifest.
fn registry(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(reference) = Reference::parse(text)
    {
        let _ = (reference.digest(), reference.tag(), reference.repository());
        assert!(!reference.registry().is_empty(), "{text:?} has no host");
        assert!(Reference::parse(&reference.to_string()).is_ok(), "{reference} cannot be read again");
    }
    if let Ok(layers) = Layers::parse(bytes) {
        assert!(layers.component.digest.len() == 71, "a digest of {} characters", layers.component.digest.len());
    }
}

fn locks() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"version":1,"plugins":{"etcd.wasm":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","kind":"storage","pinned":"2026-11-22T10:00:00Z"}}}"#,
        r#"{"version":1,"plugins":{}}"#,
        r#"{"version":2}"#,
    ])
}

fn signatures() -> Vec<Vec<u8>> {
    texts(&[SIGNED, LEGACY, KEY, KEY.lines().nth(1).unwrap_or_default()])
}

fn registries() -> Vec<Vec<u8>> {
    texts(&[
        "registry.example.org/plugins/etcd@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "oci://localhost:5000/a/b:1.0",
        "docker.io/x:y@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[{"mediaType":"application/wasm","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":123,"annotations":{"org.opencontainers.image.title":"etcd.wasm"}}]}"#,
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:aa","size":7}]}"#,
    ])
}
