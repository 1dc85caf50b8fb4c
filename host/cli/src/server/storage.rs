//! Opening the storage: the component, what it is granted (a directory, a table), and the lease of the server that may write.

use super::aws;
use crate::component;
use crate::config::{Config, Ha, Storage};
use crate::exit::Failure;
use cofferdam_aws::Providers;
use cofferdam_backend::{Key, Lease};
use cofferdam_runtime::{Component, Directory, Runtime, RuntimeOptions, StorageConfig, World};
use cofferdam_vault::ha::HaOptions;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where an offline migration keeps its lock; outside the barrier.
const MIGRATION: &str = "core/migration";

/// A storage that is ready, and what is to be said of it.
pub(crate) struct Opened {
    /// The storage.
    pub storage: Arc<dyn cofferdam_backend::Storage>,
    /// How several servers share it, if they do.
    pub ha: Option<HaOptions>,
    /// Its component.
    pub component: Component,
    /// Where the component came from, in words.
    pub origin: String,
    /// What it was granted, in words.
    pub granted: String,
    /// It acknowledges writes that a loss of power would lose.
    pub fsync_off: bool,
}

/// What runs the components of this process, storage and seals.
pub(crate) fn runtime() -> Result<Arc<Runtime>, Failure> {
    let mut options = RuntimeOptions::default();
    options.cache = cache_directory();
    Runtime::new(options).map_err(Failure::failed)
}

/// Opens the configured storage. Its directory is locked against another server as long as the storage lives.
pub(crate) async fn open(config: &Config, runtime: &Runtime, providers: &Providers) -> Result<Opened, Failure> {
    let stanza = &config.storage;
    let said = |error: &dyn std::fmt::Display| format!("{}: storage {:?}: {error}", stanza.place, stanza.kind);
    let at = |error: &dyn std::fmt::Display| Failure::failed(said(error));
    let found = component::find(&stanza.component, config.plugin_directory.as_deref()).map_err(|error| Failure::usage(said(&error)))?;
    let component = runtime.component(found.source).map_err(|error| at(&error))?;
    let mut request = StorageConfig::new(stanza.kind.clone());
    request.settings = stanza.settings.clone();
    request.limits = stanza.limits.clone();
    request.pool = stanza.pool.clone();
    let ha = ha(stanza, &component)?;
    let lease = ha.map(|ha| Lease::new(ha.fencing));
    request.lease.clone_from(&lease);
    let mut granted = "nothing".to_owned();
    if let Some(path) = &stanza.path {
        let directory = Directory::open(path, true).map_err(|error| at(&error))?;
        granted = format!("directory {}, seen as /data", path.display());
        request.grants.directory = Some(directory);
    }
    if let Some(settings) = &stanza.dynamodb {
        let binding = aws::dynamodb(stanza, settings, lease.clone(), providers).await?;
        granted = binding.describe();
        request.grants.aws = Some(binding);
    }
    let storage = runtime.storage(&component, request).await.map_err(|error| at(&error))?;
    let inspection = component.inspect();
    let ha = ha.zip(lease).and_then(|(ha, lease)| Some(HaOptions { lock: storage.lock()?, lease, times: ha.times }));
    let opened = Opened { storage, ha, origin: found.origin, granted, fsync_off: fsync_off(stanza), component: component.clone() };
    tracing::info!(
        storage = %stanza.kind,
        component = %opened.name(),
        origin = %opened.origin,
        sha256 = %inspection.sha256,
        contract = %inspection.contract,
        granted = %opened.granted,
        "storage opened"
    );
    if found.replaces_embedded {
        tracing::warn!(file = %opened.origin, "the component in plugin_directory is used in place of the embedded one");
    }
    Ok(opened)
}

/// What the stanza says of several servers. A component without a lock cannot tell which of them may write.
fn ha<'a>(stanza: &'a Storage, component: &Component) -> Result<Option<&'a Ha>, Failure> {
    match &stanza.ha {
        Some(ha) if component.inspect().world != World::StorageHa => {
            let message = format!(
                "the component {} has no lock (it exports no cofferdam:backend/lock), so several servers cannot share its storage: \
                 set ha_enabled to false, or use a component that has one",
                component.name()
            );
            Err(Failure::usage(ha.origin.error("ha_enabled", message)))
        }
        ha => Ok(ha.as_ref()),
    }
}

impl Opened {
    /// The name and version that the component gives itself.
    pub(crate) fn name(&self) -> String {
        let descriptor = self.storage.descriptor();
        format!("{} {}", descriptor.name, descriptor.version)
    }
}

fn fsync_off(storage: &Storage) -> bool {
    storage.settings.iter().any(|(name, value)| name == "fsync" && cofferdam_hcl::parse_boolean(value) == Some(false))
}

/// Where compiled components are kept; the runtime checks that nobody else can write there. The first that is set of
/// `COFFER_CACHE_DIR`, `CACHE_DIRECTORY` (which systemd sets), `XDG_CACHE_HOME`, `HOME`.
fn cache_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("COFFER_CACHE_DIR") {
        return Some(PathBuf::from(path));
    }
    if let Some(path) = set("CACHE_DIRECTORY") {
        // Several directories are separated by colons.
        return std::env::split_paths(&path).next();
    }
    let parent = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    if let Err(error) = std::fs::create_dir_all(&parent) {
        tracing::warn!(path = %parent.display(), %error, "compiled components are not kept: no cache directory; set COFFER_CACHE_DIR");
        return None;
    }
    Some(parent.join("coffer"))
}

/// Refuses to serve a store that an offline migration is copying, since it would miss what is written meanwhile.
pub(crate) async fn refuse_migration(storage: &dyn cofferdam_backend::Storage) -> Result<(), Failure> {
    let key = Key::new(MIGRATION).map_err(Failure::failed)?;
    let mut warned = false;
    loop {
        match storage.get(&key).await {
            Ok(None) => return Ok(()),
            Ok(Some(lock)) => {
                let lock: Option<Value> = serde_json::from_slice(&lock).ok();
                let start = lock.as_ref().and_then(|lock| lock.get("start")).and_then(Value::as_str).unwrap_or("at an unknown time");
                return Err(Failure::failed(format!(
                    "storage migration in progress (started: {start}): start the server when it has ended; \
                     if it was interrupted, remove its lock with `bao operator migrate -reset` (or `vault operator migrate -reset`)"
                )));
            }
            Err(error) => {
                if !warned {
                    tracing::warn!(%error, "cannot read whether a storage migration is in progress; trying again every 2 s");
                    warned = true;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}
