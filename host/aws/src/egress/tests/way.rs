//! The way to the service: TLS and proxies.

use std::io::Write as _;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::server::{Server, ok};
use super::*;
use crate::egress::{EgressError, Proxies};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a server of this name accepts connections with.
fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn only_the_operators_authority_and_the_right_name_are_trusted() {
    let (ours, other) = (authority(), authority());
    let (ours_file, other_file) = (file(&ours.pem()), file(&other.pem()));
    let server = Server::start_tls(acceptor(&ours, "localhost"), |_, _| ok()).await;
    let port = server.address.port();
    let over = |host: &str, file: Option<&tempfile::NamedTempFile>| {
        let ca_cert = file.map(|file| file.path().to_owned());
        EgressOptions { ca_cert, ..options(&format!("https://{host}:{port}")) }
    };
    let aws = bound(over("localhost", Some(&ours_file)), None).await;
    get(&aws).await.unwrap();
    get(&aws).await.unwrap();
    assert_eq!(server.requests()[1].header("host"), format!("localhost:{port}"));
    assert_eq!(server.requests()[1].connection, server.requests()[0].connection);
    for options in [over("localhost", Some(&other_file)), over("127.0.0.1", Some(&ours_file))] {
        let aws = bound(options, None).await;
        assert!(matches!(put(&aws).await, Err(AwsSendError::Unreachable(text)) if text == "TLS fails"));
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_ca_cert_without_a_certificate_is_an_error_at_once() {
    let missing = std::path::PathBuf::from("/nonexistent/ca.pem");
    let empty = file("nothing\n");
    for path in [missing, empty.path().to_owned()] {
        let options = EgressOptions { ca_cert: Some(path.clone()), ..options("https://localhost") };
        let error = Egress::new("test", options, credentials().await).unwrap_err();
        assert!(matches!(&error, EgressError::Authorities { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

/// A proxy for one connection, which it makes to this server whatever it is asked for. Returns what it was asked.
async fn proxy(to: std::net::SocketAddr) -> (std::net::SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxying = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let mut onward = TcpStream::connect(to).await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut socket, &mut onward).await });
        String::from_utf8(head).unwrap()
    });
    (address, proxying)
}

#[tokio::test]
async fn a_proxy_makes_a_tunnel_and_sees_only_where_it_leads() {
    let ours = authority();
    let trusted = file(&ours.pem());
    let server = Server::start_tls(acceptor(&ours, "dynamodb.eu-west-1.amazonaws.com"), |_, _| ok()).await;
    let (address, proxying) = proxy(server.address).await;
    let proxies = Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| format!("http://user:pass@{address}")));
    let options =
        EgressOptions { region: "eu-west-1".to_owned(), ca_cert: Some(trusted.path().to_owned()), proxies, ..EgressOptions::default() };
    let aws = bound(options, None).await;
    put(&aws).await.unwrap();
    put(&aws).await.unwrap();
    let asked = proxying.await.unwrap();
    assert!(asked.starts_with("CONNECT dynamodb.eu-west-1.amazonaws.com:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{asked}");
    assert!(!asked.contains(SESSION) && !asked.contains("AKID"), "{asked}");
    assert_eq!(server.requests()[0].header("host"), "dynamodb.eu-west-1.amazonaws.com");
    assert!(server.requests()[0].headers.get("proxy-authorization").is_none());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_no_connection() {
    let server = Server::start(|_, _| ok()).await;
    let proxies = Proxies::from_variables(|name| (name == "HTTP_PROXY").then(|| server.url()));
    // To the server, a CONNECT is a request like any other, which it does not serve as a tunnel.
    let refusing = Server::start(|_, _| super::server::json(407, "")).await;
    let refusing = Proxies::from_variables(|name| (name == "HTTP_PROXY").then(|| refusing.url()));
    assert_ne!(proxies, refusing);
    let aws = bound(
        EgressOptions { proxies: refusing, connect_timeout: std::time::Duration::from_millis(500), ..options("http://dynamodb.test:8000") },
        None,
    )
    .await;
    assert!(matches!(get(&aws).await, Err(AwsSendError::Unreachable(_))));
    // What is on this machine is reached directly.
    let aws = bound(
        EgressOptions { proxies: Proxies::from_variables(|_| Some("http://127.0.0.1:1".to_owned())), ..options(&server.url()) },
        None,
    )
    .await;
    get(&aws).await.unwrap();
}

#[tokio::test]
async fn nothing_secret_is_in_what_debug_shows() {
    let aws = bound(options("http://127.0.0.1:1"), Some(held(Fencing::Strict, std::time::Duration::from_secs(5)))).await;
    let shown = format!("{aws:#?} {}", aws.describe());
    for secret in [SECRET, SESSION, "AKIDEXAMPLE"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("http://127.0.0.1:1 (eu-west-1)"), "{shown}");
}
