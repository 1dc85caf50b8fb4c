//! TLS listeners: certificates of clients, and certificates that change while the server runs.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{Running, listener};
use crate::{TlsConfig, TlsVersion};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for localhost and its key.
fn issue(authority: &Authority, dir: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let paths = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    std::fs::write(&paths.0, certificate.pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

fn trusting(authority: &Authority, own: Option<&(std::path::PathBuf, std::path::PathBuf)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    }
}

fn config(files: &(std::path::PathBuf, std::path::PathBuf)) -> TlsConfig {
    TlsConfig {
        cert_file: files.0.clone(),
        key_file: files.1.clone(),
        client_ca_file: None,
        require_client_cert: false,
        min_version: TlsVersion::V12,
    }
}

#[tokio::test]
async fn changed_certificates_are_taken_up_and_broken_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (authority(), authority());
    let files = issue(&old, dir.path(), "server");
    let running = Running::start(listener(Some(config(&files)))).await;
    let works = async |authority: &Authority| {
        running
            .client
            .clone()
            .tls(trusting(authority, None))
            .try_send("GET", "sys/init", None, "")
            .await
            .is_ok_and(|reply| reply.status == 200)
    };
    assert!(works(&old).await && !works(&new).await);

    std::fs::write(&files.0, "no certificate").unwrap();
    let errors = running.reload.certificates();
    assert!(errors.len() == 1 && errors[0].to_string().contains("server.crt"), "{errors:?}");
    assert!(works(&old).await, "a broken file must leave the listener as it was");

    issue(&new, dir.path(), "server");
    assert!(running.reload.certificates().is_empty());
    assert!(works(&new).await && !works(&old).await);
    running.stop().await;
}

#[tokio::test]
async fn a_listener_that_requires_client_certificates_refuses_others() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(), authority());
    let files = issue(&ours, dir.path(), "server");
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, ours.pem()).unwrap();
    let tls = TlsConfig { client_ca_file: Some(ca), require_client_cert: true, min_version: TlsVersion::V13, ..config(&files) };
    let running = Running::start(listener(Some(tls))).await;
    let status = async |own: Option<&(std::path::PathBuf, std::path::PathBuf)>| {
        running.client.clone().tls(trusting(&ours, own)).try_send("GET", "sys/init", None, "").await.map(|reply| reply.status).ok()
    };
    let good = issue(&ours, dir.path(), "good");
    let bad = issue(&theirs, dir.path(), "bad");
    assert_eq!(status(Some(&good)).await, Some(200));
    assert_eq!(status(Some(&bad)).await, None);
    assert_eq!(status(None).await, None);
    running.stop().await;
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority();
    let (one, other) = (issue(&authority, dir.path(), "one"), issue(&authority, dir.path(), "other"));
    let error = crate::tls::Tls::new(config(&(one.0, other.1))).unwrap_err().to_string();
    assert!(error.contains("one.crt") && error.contains("other.key"), "{error}");
}
