//! A listener with TLS: real clients trust it by its authority, and SIGHUP loads a new certificate without a restart.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use super::process::{Server, bao, coffer, finish, free_port, text, until};

const LIMIT: Duration = Duration::from_secs(180);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut about = CertificateParams::new(Vec::new()).unwrap();
    about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(about, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a new certificate for 127.0.0.1, and its key, where the listener reads them.
fn issue(authority: &Authority, dir: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// Asks for the health over TLS; the certificate that was shown and the answer.
fn ask(authority: &Authority, port: u16) -> std::io::Result<(CertificateDer<'static>, String)> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut stream = Stream::new(&mut client, &mut socket);
    stream.write_all(b"GET /v1/sys/health?uninitcode=200 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // The end without a closing alert is an error to rustls and none to us: the answer is whole by its length.
    let _ = stream.read_to_end(&mut answer);
    let shown = client.peer_certificates().and_then(|chain| chain.first()).cloned().unwrap();
    Ok((shown.into_owned(), String::from_utf8_lossy(&answer).into_owned()))
}

/// A server whose one listener speaks TLS only.
fn start(dir: &Path, port: u16) -> Server {
    let text = format!(
        "storage \"filesystem\" {{ path = \"{0}/data\" }}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
         tls_cert_file = \"{0}/cert.pem\"\n  tls_key_file = \"{0}/key.pem\"\n}}\napi_addr = \"https://127.0.0.1:{port}\"\n",
        dir.display()
    );
    let config = dir.join("coffer.hcl");
    fs::write(&config, text).unwrap();
    Server::spawn(coffer().args(["server", "--config"]).arg(&config), &format!("https://127.0.0.1:{port}"), dir.join("log"), None)
}

#[test]
fn clients_reach_a_tls_listener_and_sighup_changes_its_certificate() {
    let (dir, port, authority) = (tempfile::tempdir().unwrap(), free_port(), authority());
    let first = issue(&authority, dir.path());
    let mut server = start(dir.path(), port);
    until("the listener", &server, || ask(&authority, port).is_ok());
    let (shown, answer) = ask(&authority, port).unwrap();
    assert_eq!(shown, first);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"initialized\":false"), "{answer}");

    let root = dir.path().join("root.pem");
    fs::write(&root, authority.pem()).unwrap();
    let status = |trusted: bool| {
        let mut command = Command::new(bao());
        command.args(["status", "-format=json"]).env("BAO_ADDR", &server.address).env("HOME", dir.path());
        if trusted {
            command.env("BAO_CACERT", &root);
        }
        finish(&mut command, LIMIT)
    };
    assert!(text(&status(true)).contains("\"initialized\": false"));
    assert!(text(&status(false)).contains("certificate"), "a client that does not know the authority was served");

    let second = issue(&authority, dir.path());
    server.signal("HUP");
    until("the new certificate", &server, || ask(&authority, port).is_ok_and(|(shown, _)| shown == second));

    fs::write(dir.path().join("cert.pem"), "no certificate").unwrap();
    server.signal("HUP");
    until("the refusal of a broken certificate in the log", &server, || server.log().contains("cert.pem"));
    assert_eq!(ask(&authority, port).unwrap().0, second, "a broken file must leave the certificate as it was");
    server.stop();
}

#[test]
fn plain_http_on_a_tls_listener_is_no_way_in() {
    let (dir, port, authority) = (tempfile::tempdir().unwrap(), free_port(), authority());
    issue(&authority, dir.path());
    let server = start(dir.path(), port);
    until("the listener", &server, || ask(&authority, port).is_ok());
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("initialized"), "{}", String::from_utf8_lossy(&answer));
}
