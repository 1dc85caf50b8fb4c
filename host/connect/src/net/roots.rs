//! Whom to trust. The rule: the operator's `ca_cert` is trusted in place of the system's authorities, not beside them.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct RootsError {
    /// The file, or what the system keeps them in.
    pub path: String,
    /// What is wrong.
    pub cause: String,
}

/// The authorities of a file (PEM), or those of the system.
pub fn roots(ca_cert: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    match ca_cert {
        Some(path) => {
            let error = |cause: String| RootsError { path: path.display().to_string(), cause };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|cause| error(cause.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|cause| error(cause.to_string()))?;
                roots.add(certificate).map_err(|cause| error(cause.to_string()))?;
            }
            if roots.is_empty() {
                return Err(error("no certificate in PEM is in it".to_owned()));
            }
        }
        None => {
            // Some of a system's certificates may be unreadable: a server whose authority is missing is then refused.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let cause = "it has no trusted certificates: install them, or set ca_cert".to_owned();
                return Err(RootsError { path: "the system".to_owned(), cause });
            }
        }
    }
    Ok(roots)
}
