//! TLS towards the service: rustls on aws-lc-rs.

use std::path::Path;
use std::sync::Arc;

use cofferdam_connect::net;
use rustls::ClientConfig;

use super::options::EgressError;

/// What connections are made with.
pub(super) fn config(ca_cert: Option<&Path>) -> Result<Arc<ClientConfig>, EgressError> {
    let roots = net::roots(ca_cert).map_err(|error| EgressError::Authorities { path: error.path, cause: error.cause })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
