//! TLS to the server: which authorities are trusted, and which certificate is shown.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the operator said about TLS.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Authorities in place of the system's: a PEM file.
    pub ca_cert: Option<PathBuf>,
    /// The same: a directory of PEM files, read only where no file is named.
    pub ca_path: Option<PathBuf>,
    /// The certificate to show.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate must have, if not the host's.
    pub server_name: Option<String>,
    /// Do not check the server's certificate.
    pub skip_verify: bool,
}

/// Makes TLS connections to one host.
#[derive(Clone)]
pub struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    /// Reads the files; errors name them.
    pub fn new(settings: &Settings, host: &str) -> Result<Self, String> {
        let name = settings.server_name.clone().unwrap_or_else(|| host.to_owned());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if settings.skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
        } else {
            builder.with_root_certificates(roots(settings)?)
        };
        let config = match (&settings.client_cert, &settings.client_key) {
            (Some(cert), Some(key)) => {
                let key_der =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: a PEM private key expected: {error}", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(cert)?, key_der)
                    .map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err("of a client certificate and its key, both are needed or neither".to_owned()),
        };
        let name = ServerName::try_from(name.clone()).map_err(|_| format!("{name:?} is neither a DNS name nor an IP address"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The handshake.
    pub async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| {
            // What `openssl req -x509` makes unless told otherwise.
            let hint = if error.to_string().contains("CaUsedAsEndEntity") {
                " (the server shows an authority's certificate: make it one with basicConstraints CA:FALSE)"
            } else {
                ""
            };
            format!("TLS: {error}{hint}")
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{}: PEM certificates expected, found none", path.display())),
        Err(error) => Err(format!("{}: PEM certificates expected: {error}", path.display())),
    }
}

fn roots(settings: &Settings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let files = match (&settings.ca_cert, &settings.ca_path) {
        (Some(path), _) => vec![path.clone()],
        (None, Some(directory)) => files_in(directory)?,
        // A system may have none, and some that cannot be read: a server whose authority is missing is then refused.
        (None, None) => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        }
    };
    for path in files {
        for certificate in certificates(&path)? {
            roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(roots)
}

fn files_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error: io::Error| format!("{}: a directory of PEM certificates expected: {error}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        // Through links: directories of authorities are made of them.
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!("{}: a directory of PEM certificates expected, found no file in it", directory.display()));
    }
    files.sort_unstable();
    Ok(files)
}

/// Accepts any certificate, but still checks that the server has its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Connector, Settings};

    fn opened(ca_cert: Option<&std::path::Path>, ca_path: &std::path::Path) -> Result<(), String> {
        let settings = Settings { ca_cert: ca_cert.map(Into::into), ca_path: Some(ca_path.to_owned()), ..Settings::default() };
        Connector::new(&settings, "localhost").map(|_| ())
    }

    #[test]
    fn a_directory_of_authorities_is_read_unless_a_file_is_named_and_errors_name_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let error = opened(None, dir.path()).unwrap_err();
        assert!(error.contains("found no file") && error.contains(&dir.path().display().to_string()), "{error}");
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        fs::write(dir.path().join("a.pem"), &authority).unwrap();
        opened(None, dir.path()).unwrap();
        fs::write(dir.path().join("b.pem"), "no certificate").unwrap();
        let error = opened(None, dir.path()).unwrap_err();
        assert!(error.contains("b.pem"), "{error}");
        opened(Some(&dir.path().join("a.pem")), dir.path()).unwrap();
        let missing = dir.path().join("missing");
        assert!(opened(None, &missing).unwrap_err().contains("missing"));
    }
}
