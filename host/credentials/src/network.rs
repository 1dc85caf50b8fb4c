//! Connectors for what this module asks over the network.
//!
//! The rule: metadata and container endpoints are reached directly, whatever proxies the environment names, since a proxy would see the
//! credentials in the clear. STS is reached as everything else of AWS is.

use std::time::Duration;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn};

const CONNECT: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_secs(5);

/// How the SDK waits.
pub(crate) fn sleep() -> SharedAsyncSleep {
    SharedAsyncSleep::new(TokioSleep::new())
}

fn builder() -> ConnectorBuilder {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(READ).build();
    Connector::builder().connector_settings(settings).sleep_impl(TokioSleep::new())
}

/// http and https, by no proxy.
pub(crate) fn direct() -> SharedHttpConnector {
    SharedHttpConnector::new(builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build())
}

/// http alone, by no proxy: the instance metadata.
pub(crate) fn plain() -> SharedHttpClient {
    client(SharedHttpConnector::new(builder().build_http()))
}

/// http and https, by the environment's proxies if they apply.
pub(crate) fn outward(proxies: bool) -> SharedHttpClient {
    let proxy = if proxies { ProxyConfig::from_env() } else { ProxyConfig::disabled() };
    let connector = builder().proxy_config(proxy).tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
    client(SharedHttpConnector::new(connector))
}

fn client(connector: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |_, _| connector.clone())
}
