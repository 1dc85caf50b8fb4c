//! TLS towards the service: rustls on aws-lc-rs. The rule: the operator's `ca_cert` is trusted in place of the system's authorities, not beside them.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::options::EgressError;

/// What connections are made with.
pub(super) fn config(ca_cert: Option<&Path>) -> Result<Arc<ClientConfig>, EgressError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots(ca_cert)?).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(ca_cert: Option<&Path>) -> Result<RootCertStore, EgressError> {
    let mut roots = RootCertStore::empty();
    let error = |path: String| move |cause: String| EgressError::Authorities { path, cause };
    match ca_cert {
        Some(path) => {
            let error = || error(path.display().to_string());
            let certificates = CertificateDer::pem_file_iter(path).map_err(|cause| error()(cause.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|cause| error()(cause.to_string()))?;
                roots.add(certificate).map_err(|cause| error()(cause.to_string()))?;
            }
            if roots.is_empty() {
                return Err(error()("no certificate in PEM is in it".to_owned()));
            }
        }
        None => {
            // Some of a system's certificates may be unreadable: a server whose authority is missing is then refused.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(error("the system".to_owned())("it has no trusted certificates: install them, or set ca_cert".to_owned()));
            }
        }
    }
    Ok(roots)
}
