//! Private authorities and client certificates.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A private authority, and a folder for what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key for a name, as files.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let paths = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&paths.0, certificate.pem()).unwrap();
        fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    /// A server of this name; with `clients`, one that wants a certificate of that authority.
    async fn server(&self, name: &str, clients: Option<&Authority>) -> Server {
        let (cert, key) = self.sign(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
                builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
        let config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
        Server::start_tls(TlsAcceptor::from(Arc::new(config))).await
    }
}

fn names() -> Arc<Names> {
    Arc::new(Names::default().with("etcd.example", &[&["127.0.0.1"]]).with("other.example", &[&["127.0.0.1"]]))
}

fn https(host: &str, server: &Server) -> Rule {
    Rule { addresses: vec!["127.0.0.0/8".parse().unwrap()], ..Rule::new(Scheme::Https, host, server.address.port()) }
}

async fn ask(grant: &HttpGrant, host: &str, server: &Server) -> Result<Response<Bytes>, HttpError> {
    send(grant, get(&format!("https://{host}:{}/", server.address.port()))).await
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_the_name_it_signed() {
    let authority = Authority::new();
    let server = authority.server("etcd.example", None).await;
    let ca_cert = Some(authority.path("ca.pem"));
    let grant = names().grant(Rule { ca_cert: ca_cert.clone(), ..https("etcd.example", &server) });
    assert_eq!(ask(&grant, "etcd.example", &server).await.unwrap().status(), 200);
    assert_eq!(server.requests()[0].header("host"), [format!("etcd.example:{}", server.address.port())]);

    // Another name at the same address, and another authority, are not.
    let fails = HttpError::Unreachable("TLS fails".to_owned());
    let grant = names().grant(Rule { ca_cert, ..https("other.example", &server) });
    assert_eq!(ask(&grant, "other.example", &server).await.unwrap_err(), fails);
    let stranger = Authority::new();
    let grant = names().grant(Rule { ca_cert: Some(stranger.path("ca.pem")), ..https("etcd.example", &server) });
    assert_eq!(ask(&grant, "etcd.example", &server).await.unwrap_err(), fails);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again_when_it_changes() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = authority.server("etcd.example", Some(&clients)).await;
    let ca_cert = Some(authority.path("ca.pem"));
    let without = names().grant(Rule { ca_cert: ca_cert.clone(), ..https("etcd.example", &server) });
    assert!(ask(&without, "etcd.example", &server).await.is_err());

    let (cert, key) = clients.sign("coffer");
    let grant = names().grant(Rule { client_cert: Some((cert.clone(), key.clone())), ca_cert, ..https("etcd.example", &server) });
    ask(&grant, "etcd.example", &server).await.unwrap();

    // Replaced by one that the server does not take: connections of the earlier identity serve no more.
    let (bad_cert, bad_key) = Authority::new().sign_into(&clients, "stranger");
    fs::rename(&bad_cert, &cert).unwrap();
    fs::rename(&bad_key, &key).unwrap();
    assert!(ask(&grant, "etcd.example", &server).await.is_err());
    // Half replaced, what was there before is kept; whole again, it counts.
    let (good_cert, good_key) = clients.sign("again");
    fs::rename(&good_cert, &cert).unwrap();
    assert!(ask(&grant, "etcd.example", &server).await.is_err());
    fs::rename(&good_key, &key).unwrap();
    ask(&grant, "etcd.example", &server).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

impl Authority {
    /// Certificate and key as files of another's folder.
    fn sign_into(&self, other: &Authority, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = self.sign(name);
        let paths = (other.path("moved.pem"), other.path("moved.key"));
        fs::copy(cert, &paths.0).unwrap();
        fs::copy(key, &paths.1).unwrap();
        paths
    }
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_their_key() {
    let authority = Authority::new();
    let (cert, key) = authority.sign("coffer");
    let (_, other) = authority.sign("other");
    let empty = authority.path("empty");
    fs::write(&empty, "").unwrap();
    let error = |client_cert: Option<(PathBuf, PathBuf)>, ca_cert: Option<PathBuf>, scheme: Scheme| -> GrantError {
        let rule = Rule { client_cert, ca_cert, ..Rule::new(scheme, "etcd.example", 443) };
        HttpGrant::new("tested", vec![rule], options()).map(|_| ()).unwrap_err()
    };
    let ca = || Some(authority.path("ca.pem"));
    let gone = || authority.path("none");
    assert_eq!(error(None, Some(gone()), Scheme::Https).key(), "ca_cert");
    assert_eq!(error(None, Some(empty.clone()), Scheme::Https).key(), "ca_cert");
    assert_eq!(error(None, ca(), Scheme::Http).key(), "ca_cert");
    assert_eq!(error(Some((gone(), key.clone())), ca(), Scheme::Https).key(), "client_cert.cert_file");
    assert_eq!(error(Some((empty.clone(), key.clone())), ca(), Scheme::Https).key(), "client_cert.cert_file");
    assert_eq!(error(Some((cert.clone(), gone())), ca(), Scheme::Https).key(), "client_cert.key_file");
    assert_eq!(error(Some((cert.clone(), empty)), ca(), Scheme::Https).key(), "client_cert.key_file");
    assert_eq!(error(Some((cert.clone(), other)), ca(), Scheme::Https).key(), "client_cert.key_file");
    assert_eq!(error(Some((cert, key)), None, Scheme::Http).key(), "client_cert");
}
