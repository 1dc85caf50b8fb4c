//! `listener "tcp"`: the address, its TLS and its bounds.

use super::files::{Block, Source};
use super::keys::Scope;
use super::{ConfigError, Place, schema};
use cofferdam_hcl::{Object, Pos, Value};
use cofferdam_server::{ListenerConfig, TlsConfig, TlsVersion};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// Vault's bound on a request where none is configured.
pub(crate) const REQUEST_DURATION: Duration = Duration::from_secs(90);

/// Vault's bound on a request's body where none is configured.
pub(crate) const REQUEST_SIZE: u64 = 32 << 20;

/// A listener as the server wants it.
#[derive(Debug, Clone)]
pub(crate) struct Listener(pub(crate) ListenerConfig);

/// A listener whose request time may still come from the top level.
pub(super) struct Draft {
    address: Address,
    tls: Option<TlsConfig>,
    max_request_size: u64,
    max_request_duration: Option<Duration>,
    unauthenticated_metrics: bool,
    disable_unauthed_rekey_endpoints: bool,
    disable_unauthed_generate_root_endpoints: bool,
}

/// Where it listens; what a name stands for is asked when the listener is wanted.
enum Address {
    Known(SocketAddr),
    Written(String, Place),
}

impl From<Listener> for Draft {
    fn from(Listener(config): Listener) -> Self {
        Self {
            address: Address::Known(config.address),
            tls: config.tls,
            max_request_size: config.max_request_size,
            max_request_duration: Some(config.max_request_duration),
            unauthenticated_metrics: config.unauthenticated_metrics,
            disable_unauthed_rekey_endpoints: config.disable_unauthed_rekey_endpoints,
            disable_unauthed_generate_root_endpoints: config.disable_unauthed_generate_root_endpoints,
        }
    }
}

impl Draft {
    pub(super) fn finish(self, request_duration: Duration) -> Result<Listener, ConfigError> {
        let address = match self.address {
            Address::Known(address) => address,
            Address::Written(text, place) => resolve(&text).map_err(|message| wrong(place, &message))?,
        };
        Ok(Listener(ListenerConfig {
            address,
            tls: self.tls,
            max_request_size: self.max_request_size,
            max_request_duration: self.max_request_duration.unwrap_or(request_duration),
            unauthenticated_metrics: self.unauthenticated_metrics,
            disable_unauthed_rekey_endpoints: self.disable_unauthed_rekey_endpoints,
            disable_unauthed_generate_root_endpoints: self.disable_unauthed_generate_root_endpoints,
        }))
    }
}

fn wrong(place: Place, message: &str) -> ConfigError {
    ConfigError::new(place, format!("address: {message}"))
}

pub(super) fn read(file: &Source, block: &Block<'_>, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let body = block.body;
    let kind = &block.label.text;
    if !kind.eq_ignore_ascii_case("tcp") {
        return Err(file.at(block.label.pos, format!("listener {kind:?}: no such type; supported is \"tcp\"")));
    }
    Scope { file, name: "in listener \"tcp\"", keys: schema::LISTENER }.check(body, warnings)?;
    let address = match file.value(body, "address", Value::string)? {
        Some((text, place)) => match parts(&text) {
            Ok(_) => Address::Written(text, place),
            Err(message) => return Err(wrong(place, &message)),
        },
        None => Address::Known(SocketAddr::from(([127, 0, 0, 1], 8200))),
    };
    let max_request_size = match file.value(body, "max_request_size", Value::integer)? {
        Some((size, place)) if size < 0 => {
            return Err(ConfigError::new(place, "max_request_size: a listener without a limit is not supported: set a size in bytes"));
        }
        Some((size, _)) if size > 0 => size.unsigned_abs(),
        _ => REQUEST_SIZE,
    };
    let duration = file.value(body, "max_request_duration", Value::duration)?;
    Ok(Draft {
        address,
        tls: tls(file, body, block.label.pos, warnings)?,
        max_request_size,
        max_request_duration: duration.map(|(time, _)| time).filter(|time| !time.is_zero()),
        unauthenticated_metrics: metrics(file, body, warnings)?,
        disable_unauthed_rekey_endpoints: closed(file, body, "disable_unauthed_rekey_endpoints")?,
        disable_unauthed_generate_root_endpoints: closed(file, body, "disable_unauthed_generate_root_endpoints")?,
    })
}

/// `host:port`; the host may be left out, which means all addresses of the machine, and may be a name.
pub(crate) fn resolve(address: &str) -> Result<SocketAddr, String> {
    let (host, port) = parts(address)?;
    let mut found = (host, port).to_socket_addrs().map_err(|error| format!("{host:?} cannot be resolved: {error}"))?;
    found.next().ok_or_else(|| format!("{host:?} has no address"))
}

fn parts(address: &str) -> Result<(&str, u16), String> {
    if address.contains("{{") {
        return Err(format!("templates such as {address:?} are not evaluated: write the address"));
    }
    let Some((host, port)) = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')) else {
        return Err(format!("expected HOST:PORT, such as \"127.0.0.1:8200\" or \"[::1]:8200\", found {address:?}"));
    };
    let port: u16 = port.parse().map_err(|_| format!("expected a port number after the last ':', found {address:?}"))?;
    let host = match host {
        "" => "::",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    Ok((host, port))
}

fn tls(file: &Source, body: &Object, listener: Pos, warnings: &mut Vec<String>) -> Result<Option<TlsConfig>, ConfigError> {
    if file.switch(body, "tls_disable")? {
        return Ok(None);
    }
    let path = |name: &str| {
        file.value(body, name, Value::string)
            .map(|found| found.map(|(text, _)| PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
    };
    let needed = |name: &str| {
        path(name)?.ok_or_else(|| {
            file.at(listener, format!("listener \"tcp\": {name} is missing: set tls_cert_file and tls_key_file, or tls_disable = true"))
        })
    };
    let (cert_file, key_file) = (needed("tls_cert_file")?, needed("tls_key_file")?);
    let min_version = match file.parsed(body, "tls_min_version", version)? {
        Some((number, TlsVersion::V12)) if number < 12 => {
            warnings
                .push(format!("{}: tls_min_version in listener \"tcp\" is raised to tls12: nothing older is spoken", file.place(listener)));
            TlsVersion::V12
        }
        Some((_, version)) => version,
        None => TlsVersion::V12,
    };
    if let Some((number, _)) = file.parsed(body, "tls_max_version", version)?
        && number < 13
    {
        let pos = body.get("tls_max_version").map_or(listener, |item| item.pos);
        return Err(file.at(pos, "tls_max_version: TLS 1.3 cannot be turned off: remove it or set \"tls13\""));
    }
    let mut client_ca_file = path("tls_client_ca_file")?;
    let require_client_cert = file.switch(body, "tls_require_and_verify_client_cert")?;
    if file.switch(body, "tls_disable_client_certs")? {
        if require_client_cert {
            return Err(file.at(
                listener,
                "listener \"tcp\": tls_disable_client_certs and tls_require_and_verify_client_cert exclude each other: remove one",
            ));
        }
        client_ca_file = None;
    }
    if require_client_cert && client_ca_file.is_none() {
        return Err(file.at(
            listener,
            "listener \"tcp\": tls_require_and_verify_client_cert needs tls_client_ca_file: the authorities of the system are not used",
        ));
    }
    Ok(Some(TlsConfig { cert_file, key_file, client_ca_file, require_client_cert, min_version }))
}

fn version(text: &str) -> Result<(u8, TlsVersion), String> {
    match text {
        "tls10" => Ok((10, TlsVersion::V12)),
        "tls11" => Ok((11, TlsVersion::V12)),
        "tls12" => Ok((12, TlsVersion::V12)),
        "tls13" => Ok((13, TlsVersion::V13)),
        other => Err(format!("expected tls12 or tls13, found {other:?}")),
    }
}

/// Whether what this switch closes is closed. It is open unless configured, as in Vault, which has no such switch; OpenBao has it closed.
fn closed(file: &Source, body: &Object, name: &str) -> Result<bool, ConfigError> {
    Ok(file.value(body, name, Value::boolean)?.is_some_and(|(closed, _)| closed))
}

fn metrics(file: &Source, body: &Object, warnings: &mut Vec<String>) -> Result<bool, ConfigError> {
    let Some((item, inner)) = body.get("telemetry").map(|item| (item, item.value.object())) else { return Ok(false) };
    let inner = inner.map_err(|error| file.at(error.pos, format!("{}: {}", item.name(), error.message)))?;
    Scope { file, name: "in telemetry of listener \"tcp\"", keys: schema::LISTENER_TELEMETRY }.check(inner, warnings)?;
    file.switch(inner, "unauthenticated_metrics_access")
}
