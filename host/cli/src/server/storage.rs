//! Opening the storage: the component, what it is granted (by its own stanza, or by its plugin block), and the lease of the server that may write.

use super::aws;
use super::generation::Running;
use super::grants::{self, Granted};
use super::plugins::name_of_storage;
use crate::component;
use crate::config::{Config, DirectoryAccess, Ha, Role, Storage};
use crate::exit::Failure;
use cofferdam_aws::Providers;
use cofferdam_backend::{Error, Key, Lease, Storage as _};
use cofferdam_journal::{Folder, Journaled, Options as JournalOptions, Place, recover};
use cofferdam_runtime::{Compiler, Component, Directory, OpenError, Runtime, RuntimeOptions, StorageConfig, World};
use cofferdam_supervisor::{Options, SupervisedStorage};
use cofferdam_vault::ha::HaOptions;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where an offline migration keeps its lock; outside the barrier.
const MIGRATION: &str = "core/migration";

/// What another generation of the storage has to read as the one before it does: every vault has it, and it seldom changes.
const PROBE: &str = "core/keyring";

/// The key by which the host keeps a journal in front of a storage in a directory.
const JOURNAL: &str = "journal";

/// The setting by which the filesystem guest leaves it to others to make its writes durable.
const FSYNC: &str = "fsync";

/// The setting by which it writes values over one another, which only a journal makes safe.
const IN_PLACE: &str = "in_place";

/// How long the end of a server may wait for the disk.
const CLOSING: Duration = Duration::from_secs(10);

/// The argument by which this program compiles a component for another of its kind, and does nothing else.
pub(crate) const COMPILE: &str = "compile-component";

/// A storage that is ready, and what is to be said of it.
pub(crate) struct Opened {
    /// The storage, under supervision.
    pub storage: Arc<SupervisedStorage<Running>>,
    /// What makes its writes durable, if the guest does not.
    journal: Option<Arc<Journaled>>,
    /// How several servers share it, if they do.
    pub ha: Option<HaOptions>,
    /// It acknowledges writes that a loss of power would lose.
    pub fsync_off: bool,
}

/// What runs the components of this process, storage and seals.
pub(crate) fn runtime() -> Result<Arc<Runtime>, Failure> {
    let mut options = RuntimeOptions::default();
    options.cache = cache_directory();
    // This very program, even when another lies at its path by now.
    options.compiler = Some(Compiler::new(PathBuf::from("/proc/self/exe"), &[COMPILE]));
    options.ours = component::digests().map(str::to_owned).collect();
    Runtime::new(options).map_err(Failure::failed)
}

/// Finds and compiles the component of the configured storage. Also says where it came from.
fn load(config: &Config, runtime: &Runtime) -> Result<(Component, String), Failure> {
    let stanza = &config.storage;
    let policy = component::policy(config).map_err(Failure::usage)?;
    let found = component::find(Role::Storage, &stanza.component, stanza.plugin.as_deref(), &policy)
        .map_err(|error| Failure::usage(said(stanza, &error)))?;
    let component = runtime.component(found.source).map_err(|error| Failure::failed(said(stanza, &error)))?;
    Ok((component, found.origin))
}

/// What a storage is granted. A directory is locked against another server as long as the grant lives.
pub(super) async fn granted(stanza: &Storage, lease: Option<Arc<Lease>>, providers: &Providers) -> Result<Granted, Failure> {
    let plugin = grants::of_plugin(stanza.plugin.as_deref(), &stanza.kind, lease.clone(), providers).await;
    let mut granted = plugin.map_err(|error| match error {
        Error::Configuration(message) => Failure::usage(message),
        error => Failure::failed(said(stanza, &error)),
    })?;
    if let Some(path) = &stanza.path {
        let directory = Directory::open(path, true).map_err(|error| Failure::failed(said(stanza, &error)))?;
        granted.directory(directory, DirectoryAccess::ReadWrite);
    }
    if let Some(settings) = &stanza.dynamodb {
        granted.aws(aws::dynamodb(stanza, settings, lease, providers).await?);
    }
    Ok(granted)
}

/// The stanza and what is said of it.
pub(super) fn said(stanza: &Storage, error: &dyn std::fmt::Display) -> String {
    format!("{}: storage {:?}: {error}", stanza.place, stanza.kind)
}

/// Who makes the writes of a storage in a directory durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// The host, by a journal beside it, where that is possible and the configuration does not say otherwise.
    AsConfigured,
    /// The guest, if the configuration asks for it at all.
    ByGuest,
}

/// Opens the configured storage. What a crash left in its journal is in it then.
pub(crate) async fn open(config: &Config, runtime: &Arc<Runtime>, providers: &Providers, durable: Durable) -> Result<Opened, Failure> {
    let stanza = &config.storage;
    if stanza.settings.iter().any(|(name, _)| name == IN_PLACE) {
        return Err(Failure::usage(said(
            stanza,
            &format!("unknown key {IN_PLACE:?}: the host sets it where there is a journal; remove it"),
        )));
    }
    // Of the seals' directories, too: nothing is opened before.
    apart(config).map_err(Failure::usage)?;
    let (component, origin) = load(config, runtime)?;
    // By the component's name, as its plugin is called: `file` is another name of filesystem in stanzas only.
    let mut request = StorageConfig::new(stanza.component.clone());
    request.settings = stanza.settings.clone();
    request.limits = stanza.limits.clone();
    request.pool = stanza.pool.clone();
    let ha = ha(stanza, &component)?;
    let lease = ha.map(|ha| Lease::new(ha.fencing));
    request.lease.clone_from(&lease);
    let given = granted(stanza, lease.clone(), providers).await?;
    request.grants = given.grants.clone();
    let directory = given.grants.directory.as_ref().filter(|_| stanza.path.is_some());
    let wanted = wants_journal(stanza)?;
    request.settings.retain(|(name, _)| name != JOURNAL);
    let meant = directory.filter(|_| wanted != Some(false) && durable == Durable::AsConfigured);
    let journaled = meant.is_some_and(|directory| component::released(&component.inspect().sha256).is_some() && directory.syncs_whole());
    if let Some(directory) = meant.filter(|_| !journaled) {
        let text = format!(
            "{JOURNAL}: it needs the filesystem guest that came with this program, and a directory on a local ext4, XFS or tmpfs with nothing mounted below it ({})",
            directory.path().display()
        );
        if wanted == Some(true) {
            return Err(Failure::usage(said(stanza, &format!("{text}: remove the key, and every file is synced by itself"))));
        }
        tracing::info!("every file of the storage is synced by itself: {text}");
    }
    if journaled {
        request.settings.retain(|(name, _)| name != FSYNC);
        request.settings.push((FSYNC.to_owned(), "false".to_owned()));
        request.settings.push((IN_PLACE.to_owned(), "true".to_owned()));
    }
    let unopened = |error: OpenError| {
        let text = said(stanza, &component::unopened(Role::Storage, &stanza.component, component.inspect(), &given.grants, &error));
        if matches!(error, OpenError::MissingGrant { .. }) { Failure::usage(text) } else { Failure::failed(text) }
    };
    let backend = runtime.storage(&component, request.clone()).await.map_err(unopened)?;
    let running = Running::new(component, origin, given.said(), backend, request, runtime.clone());
    let probe = Key::new(PROBE).map_err(Failure::failed)?;
    let storage = Arc::new(SupervisedStorage::new(name_of_storage(&stanza.component), running, probe, Options::default()));
    let journal = match directory {
        Some(directory) => journal(directory, &storage, journaled).await.map_err(|error| Failure::failed(said(stanza, &error)))?,
        None => None,
    };
    let ha = ha.zip(lease).and_then(|(ha, lease)| Some(HaOptions { lock: storage.lock()?, lease, times: ha.times }));
    let opened = Opened { storage, journal, ha, fsync_off: fsync_off(stanza) };
    let running = opened.storage.current();
    let inspection = running.component.inspect();
    tracing::info!(
        storage = %stanza.kind,
        component = %opened.name(),
        origin = %running.origin,
        sha256 = %inspection.sha256,
        contract = %inspection.contract,
        granted = %running.granted,
        "storage opened"
    );
    Ok(opened)
}

/// Whether writes are to go through a journal of the host's: never without a directory, nor where they need not be durable; none if the stanza leaves it to
/// what is possible.
fn wants_journal(stanza: &Storage) -> Result<Option<bool>, Failure> {
    if stanza.path.is_none() {
        return Ok(Some(false));
    }
    let Some((_, value)) = stanza.settings.iter().find(|(name, _)| name == JOURNAL) else {
        return Ok(fsync_off(stanza).then_some(false));
    };
    let wrong = |text: &str| Failure::usage(said(stanza, &format!("{JOURNAL}: {text}")));
    let wanted = cofferdam_hcl::parse_boolean(value).ok_or_else(|| wrong(&format!("expected true or false, found {value:?}")))?;
    if wanted && fsync_off(stanza) {
        return Err(wrong(
            "a journal is there to make writes durable, and fsync = \"false\" says that they need not be: remove one of the two",
        ));
    }
    Ok(Some(wanted))
}

/// Applies what a crash left in the journal of the directory; begins a new one if one is wanted.
async fn journal(
    directory: &Directory,
    storage: &Arc<SupervisedStorage<Running>>,
    wanted: bool,
) -> Result<Option<Arc<Journaled>>, Box<dyn std::error::Error + Send + Sync>> {
    let place: Arc<dyn Place> =
        Arc::new(Folder::new(directory.reserved()?, directory.path().join(".cofferdam").display().to_string(), directory.clone()));
    if wanted {
        return Ok(Some(Arc::new(Journaled::open(storage.clone(), place, JournalOptions::default()).await?)));
    }
    recover(storage.as_ref(), &place).await?;
    Ok(None)
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
    /// What the vault keeps its entries in.
    pub(crate) fn entries(&self) -> Arc<dyn cofferdam_backend::Storage> {
        match &self.journal {
            Some(journal) => journal.clone(),
            None => self.storage.clone(),
        }
    }

    /// Sees all to the disk. A journal that cannot be emptied in time is applied at the next start.
    pub(crate) async fn close(&self) {
        if let Some(journal) = &self.journal
            && tokio::time::timeout(CLOSING, journal.close()).await.is_err()
        {
            tracing::warn!("the journal of the storage could not be emptied in time: it is applied again at the next start");
        }
    }

    /// The name and version that the component gives itself.
    pub(crate) fn name(&self) -> String {
        let descriptor = self.storage.descriptor();
        format!("{} {}", descriptor.name, descriptor.version)
    }
}

fn fsync_off(storage: &Storage) -> bool {
    storage.settings.iter().any(|(name, value)| name == FSYNC && cofferdam_hcl::parse_boolean(value) == Some(false))
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

/// Refuses a configuration that grants a guest what the host trusts, or what another guest keeps.
pub(super) fn apart(config: &Config) -> Result<(), String> {
    super::apart::check(config, cache_directory().as_deref())
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
                // It stands at a destination until the copy was compared; removing it would make half a copy pass for a store.
                let half = lock.as_ref().is_some_and(|lock| lock.pointer("/cofferdam/destination").is_some());
                let cure = if half {
                    "this is its destination, and not all has arrived: run the same coffer migrate again, which goes on where it stopped"
                } else {
                    "if it was interrupted, run it again or remove its lock with `coffer migrate --config FILE --reset` (or `bao operator migrate -reset`, \
                     `vault operator migrate -reset`)"
                };
                return Err(Failure::failed(format!(
                    "storage migration in progress (started: {start}): start the server when it has ended; {cure}"
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
