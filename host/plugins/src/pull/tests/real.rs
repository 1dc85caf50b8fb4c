//! The reference implementation of a registry, which takes what the usual client pushes.

use super::*;
use cofferdam_emulator::{Registry, RegistryOptions};
use minisign::KeyPair;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use std::collections::BTreeMap;

/// Pushes an artifact of these layers (type, title, content) with a tag.
async fn push(registry: &Registry, layers: &[(&str, &str, &[u8])], auth: RegistryAuth, ca: Option<&str>) -> String {
    // What this client takes its cryptography from.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificates = ca.map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.as_bytes().to_vec() });
    let protocol = if ca.is_some() { ClientProtocol::Https } else { ClientProtocol::Http };
    let config = ClientConfig { protocol, extra_root_certificates: certificates.into_iter().collect(), ..ClientConfig::default() };
    let client = oci_client::Client::try_from(config).unwrap();
    let tagged = format!("{}/plugins/etcd:1.0", registry.host());
    let layer = |(media_type, title, content): &(&str, &str, &[u8])| {
        let title = BTreeMap::from([("org.opencontainers.image.title".to_owned(), (*title).to_owned())]);
        ImageLayer::new(content.to_vec(), (*media_type).to_owned(), Some(title))
    };
    let layers: Vec<ImageLayer> = layers.iter().map(layer).collect();
    let config = Config::new(b"{}".to_vec(), "application/vnd.wasm.config.v0+json".to_owned(), None);
    client.push(&tagged.parse().unwrap(), &layers, config, &auth, None).await.unwrap();
    tagged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_comes_with_its_signature_and_may_run() {
    let Some(registry) = Registry::start(RegistryOptions::default()).unwrap() else { return };
    let author = KeyPair::generate_unencrypted_keypair().unwrap();
    let signature = minisign::sign(None, &author.sk, std::io::Cursor::new(BYTES), Some("file:etcd.wasm"), None).unwrap().into_string();
    let layers = [("application/wasm", "etcd.wasm", BYTES), ("text/plain", "etcd.wasm.minisig", signature.as_bytes())];
    let tagged = push(&registry, &layers, RegistryAuth::Anonymous, None).await;
    let (directory, options) = ground();
    assert!(matches!(pull(&tagged, &options, &component).await, Err(PullError::NoDigest { .. })));
    let reference = resolve(&tagged, &options).await.unwrap();
    let pulled = pull(&reference, &options, &component).await.unwrap();
    assert_eq!((pulled.sha256, pulled.reference), (sha256(BYTES), reference.clone()));
    assert_eq!(names(&directory), ["etcd.wasm", "etcd.wasm.minisig"]);
    let keys = vec![crate::TrustedKey::parse(&author.pk.to_base64()).unwrap()];
    let policy = crate::Policy { directory: Some(directory.path().to_owned()), trusted_keys: keys, ..crate::Policy::default() };
    let found = crate::find(&crate::Request::named(Kind::Storage, "etcd"), &policy).unwrap();
    assert!(matches!(found.trust, crate::Trust::Signed { .. }), "{:?}", found.trust);
    let other = format!("{}@sha256:{}", reference.split_once('@').unwrap().0, sha256(b"other"));
    assert!(matches!(pull(&other, &options, &component).await, Err(PullError::Answer { status: 404, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_password_over_tls() {
    let files = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    fs::write(&cert_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let options = RegistryOptions { password: true, tls: Some((&cert_file, &key_file)) };
    let Some(registry) = Registry::start(options).unwrap() else { return };
    let (username, password) = Registry::user();
    let auth = RegistryAuth::Basic(username.to_owned(), password.to_owned());
    let tagged =
        push(&registry, &[("application/vnd.wasm.content.layer.v1+wasm", "etcd.wasm", BYTES)], auth, Some(&certificate.pem())).await;
    let (directory, mut options) = ground();
    options.ca_cert = Some(cert_file);
    let error = resolve(&tagged, &options).await.unwrap_err();
    assert!(matches!(error, PullError::Answer { status: 401, .. }) && error.to_string().contains("COFFER_REGISTRY_USERNAME"), "{error}");
    options.credentials = Some(Credentials { username: username.to_owned(), password: "wrong".to_owned() });
    assert!(matches!(resolve(&tagged, &options).await, Err(PullError::Answer { status: 401, .. })));
    options.credentials = Some(Credentials { username: username.to_owned(), password: password.to_owned() });
    let reference = resolve(&tagged, &options).await.unwrap();
    options.name = Some("renamed".to_owned());
    pull(&reference, &options, &component).await.unwrap();
    assert_eq!(names(&directory), ["renamed.wasm"]);
    // An authority that nobody named is not trusted.
    let stranger = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&stranger).unwrap();
    fs::write(&key_file, stranger.pem()).unwrap();
    options.ca_cert = Some(key_file);
    assert!(matches!(resolve(&tagged, &options).await, Err(PullError::Transfer { .. })));
}
