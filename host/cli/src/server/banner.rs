//! What the server prints on standard output when it is ready: its configuration, and who stores its data.

use super::logging;
use super::seal::{self, LateSeal};
use super::storage::Opened;
use crate::config::{Config, Level};
use crate::exit::Failure;
use crate::output;
use cofferdam_backend::Fencing;
use cofferdam_runtime::World;
use cofferdam_server::{ListenerConfig, TlsVersion};
use std::net::SocketAddr;
use std::time::Duration;

/// Prints it.
pub(crate) fn print(config: &Config, storage: &Opened, seals: &seal::Opened, addresses: &[SocketAddr]) -> Result<(), Failure> {
    let running = storage.storage.current();
    let inspection = running.component.inspect();
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |key: &str, value: String| rows.push((key.to_owned(), value));
    if let Some(address) = &config.api_addr {
        row("Api Address", address.clone());
    }
    if let Some(address) = &config.cluster_addr {
        row("Cluster Address", address.clone());
    }
    for (index, (listener, address)) in config.listeners.iter().zip(addresses).enumerate() {
        row(&format!("Listener {}", index + 1), listener_line(&listener.0, *address));
    }
    row("Seal Type", seals.options.seals.first().map_or("shamir", |seal| seal.kind.as_str()).to_owned());
    for seal in &seals.active {
        let seal = seal.current();
        row(&format!("Seal {}", seal.settings.name), seal_line(&seal));
    }
    if let Some(seal) = &seals.disabled {
        row("Seal Given Up", seal_line(&seal.current()));
    }
    row("Log Level", logging::name(config.log.level.unwrap_or(Level::Info)).to_owned());
    row("Storage", config.storage.kind.clone());
    row("HA", availability(config, storage));
    row("Storage Component", format!("{} ({}, contract {})", storage.name(), running.origin, inspection.contract));
    row("Component SHA-256", inspection.sha256.clone());
    row("Component Grants", running.granted.clone());
    if storage.fsync_off {
        row("Durability", "fsync is OFF: a loss of power loses acknowledged writes".to_owned());
    }
    row("Version", format!("Cofferdam v{} (wasmtime {})", env!("CARGO_PKG_VERSION"), env!("COFFER_WASMTIME_VERSION")));
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0) + 4;
    let lines: String = rows.iter().map(|(key, value)| format!("{key:>width$}: {value}\n")).collect();
    let log = config
        .log
        .file
        .as_ref()
        .map_or("Log data follows on standard error.".to_owned(), |file| format!("Log data goes to {}.", file.display()));
    output::print(&format!("==> Cofferdam server configuration:\n\n{lines}\n==> Cofferdam server started! {log}\n"))
}

fn seal_line(seal: &LateSeal) -> String {
    let component = seal.name().unwrap_or_else(|| format!("{}, not open yet", seal.settings.kind));
    let inspection = seal.component.inspect();
    let granted = seal.granted().unwrap_or_else(|| match &seal.settings.awskms {
        Some(awskms) => format!("the KMS key {}, not asked yet", awskms.key_id),
        None => "what its plugin block names, not used yet".to_owned(),
    });
    format!("{component} ({}, contract {}, SHA-256 {}); granted: {granted}", seal.origin, inspection.contract, inspection.sha256)
}

fn availability(config: &Config, storage: &Opened) -> String {
    match (&config.storage.ha, &storage.ha) {
        (Some(ha), Some(options)) => {
            let fencing = match ha.fencing {
                Fencing::Lease => "lease",
                Fencing::Strict => "strict",
            };
            let (ttl, renew) = (go_duration(options.times.ttl), go_duration(options.times.renew));
            format!("enabled (lock lives {ttl}, renewed every {renew}, fencing: {fencing}); this server waits for the lock once unsealed")
        }
        _ if storage.storage.current().component.inspect().world == World::StorageHa => {
            "disabled (ha_enabled is not set: run one server only)".to_owned()
        }
        _ => "not available: run one server only".to_owned(),
    }
}

fn listener_line(listener: &ListenerConfig, address: SocketAddr) -> String {
    let tls = match &listener.tls {
        None => "disabled".to_owned(),
        Some(tls) => {
            let version = match tls.min_version {
                TlsVersion::V12 => "1.2",
                TlsVersion::V13 => "1.3",
            };
            let clients = match (&tls.client_ca_file, tls.require_client_cert) {
                (None, _) => "",
                (Some(_), false) => ", client certificates verified if shown",
                (Some(_), true) => ", client certificates required",
            };
            format!("enabled, {version} and later{clients}")
        }
    };
    let duration = go_duration(listener.max_request_duration);
    format!(
        "tcp (addr: \"{address}\", max_request_duration: \"{duration}\", max_request_size: \"{}\", tls: \"{tls}\")",
        listener.max_request_size
    )
}

/// A duration as Vault prints it: `1m30s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        _ if duration.subsec_nanos() > 0 => format!("{}s", duration.as_secs_f64()),
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::go_duration;
    use std::time::Duration;

    #[test]
    fn durations_are_printed_as_vault_prints_them() {
        for (millis, text) in [(90_000, "1m30s"), (5_000, "5s"), (3_600_000, "1h0m0s"), (1_500, "1.5s")] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
