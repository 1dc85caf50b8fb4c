//! TLS of a listener: certificates from files, reread on demand without a lost connection.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// The oldest version of TLS that a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and later.
    #[default]
    V12,
    /// 1.3 only.
    V13,
}

/// Where a listener's certificates are.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate chain, leaf first, as PEM.
    pub cert_file: PathBuf,
    /// Its private key, as PEM (PKCS #8, PKCS #1 or SEC 1).
    pub key_file: PathBuf,
    /// Authorities whose client certificates are accepted, as PEM. None: clients are not asked for one.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client without a certificate is refused.
    pub require_client_cert: bool,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
}

/// Why a listener's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("{}: {what} expected: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key were read but do not fit.
    #[error("{} and {} cannot be used together: {reason}", .cert.display(), .key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The client authorities cannot be used.
    #[error("{}: {reason}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |reason: String| TlsError::File { path: path.clone(), what: "PEM certificates", reason };
    let read =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| fail(error.to_string()))?;
    if read.is_empty() { Err(fail("the file holds none".to_owned())) } else { Ok(read) }
}

fn load(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&config.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file).map_err(|error| TlsError::File {
        path: config.key_file.clone(),
        what: "a PEM private key",
        reason: error.to_string(),
    })?;
    let versions: &[&SupportedProtocolVersion] = match config.min_version {
        TlsVersion::V12 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let pair =
        |error: rustls::Error| TlsError::Pair { cert: config.cert_file.clone(), key: config.key_file.clone(), reason: error.to_string() };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(pair)?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let fail = |reason: String| TlsError::Authorities { path: path.clone(), reason };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| fail(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if config.require_client_cert { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| fail(error.to_string()))?)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(pair)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// The TLS settings that new connections get.
#[derive(Debug)]
pub(crate) struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Result<Tls, TlsError> {
        let current = RwLock::new(load(&config)?);
        Ok(Tls { config, current })
    }

    /// Reads the files again. On an error the settings stay as they were.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.config)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
