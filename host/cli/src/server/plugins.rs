//! The plugins of a running server: what they are and how they fare, for `sys/plugins`; and their reload, on SIGHUP and by the API.
//!
//! The rule: a reload reads the configuration again and looks for the files again, as a start does; of the configuration it takes the file, the
//! digest, `limits` (but for those of requests, which are the grants') and `pool` of a plugin. Whatever else of its stanza has changed needs a restart, and is said. What is refused changes nothing.

use super::generation::{Lasting, Running, lasting_of_seal, lasting_of_storage};
use super::seal::LateSeal;
use crate::component::{self, Found};
use crate::config::{Config, Plugin, Role, Seal, Storage};
use async_trait::async_trait;
use cofferdam_runtime::Component;
use cofferdam_server::{Reloaded, UnknownPlugin};
use cofferdam_supervisor::{Generation, OpenFailure, Phase, Replaced, Status, SupervisedSeal, SupervisedStorage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads the configuration again.
pub(super) type Reread = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// The configuration as it is now, for one reload: the next waits until this is dropped, so that an older one never comes after a newer.
pub(super) struct Again<'a> {
    _turn: tokio::sync::MutexGuard<'a, ()>,
    pub(super) config: Result<Arc<Config>, String>,
}

/// A seal under supervision.
pub(super) type SharedSeal = Arc<SupervisedSeal<LateSeal>>;

/// All plugins of a server. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Plugins(Arc<Inner>);

struct Inner {
    storage: Arc<SupervisedStorage<Running>>,
    seals: Vec<SharedSeal>,
    /// Its stanza at the start.
    started: Storage,
    reread: Reread,
    turn: tokio::sync::Mutex<()>,
}

/// The storage's name among plugins.
pub(super) fn name_of_storage(component: &str) -> String {
    name_of(Role::Storage, component)
}

/// A seal's.
pub(super) fn name_of_seal(seal: &Seal) -> String {
    name_of(Role::Seal, &seal.name)
}

fn name_of(role: Role, name: &str) -> String {
    format!("{role}/{name}")
}

impl Plugins {
    pub(super) fn new(started: Storage, reread: Reread, storage: Arc<SupervisedStorage<Running>>, seals: Vec<SharedSeal>) -> Self {
        Self(Arc::new(Inner { storage, seals, started, reread, turn: tokio::sync::Mutex::default() }))
    }

    /// Waits for the turn, and reads the configuration again.
    pub(super) async fn read_again(&self) -> Again<'_> {
        self.0.read_again().await
    }

    /// Reloads all. What came of it is in the log.
    pub(super) async fn reload_all(&self, again: Again<'_>) {
        Box::pin(self.0.reload(self.0.names(), again)).await;
    }
}

#[async_trait]
impl cofferdam_server::Plugins for Plugins {
    fn list(&self) -> Vec<Value> {
        let (name, storage) = (&self.0.started.component, self.0.storage.current());
        let open = Some((json!(storage.backend.about()), json!(storage.backend.stats())));
        let shown = Shown { kind: Role::Storage, name, origin: &storage.origin, component: &storage.component };
        let mut plugins = vec![listed(&shown, &self.0.storage.status(), open)];
        for seal in &self.0.seals {
            let current = seal.current();
            let LateSeal { settings, origin, component, .. } = &*current;
            let open = current.opened().map(|backend| (json!(backend.about()), json!(backend.stats())));
            let shown = Shown { kind: Role::Seal, name: &settings.name, origin, component };
            plugins.push(listed(&shown, &seal.status(), open));
        }
        plugins
    }

    async fn reload(&self, plugin: Option<&str>) -> Result<BTreeMap<String, Reloaded>, UnknownPlugin> {
        let names = self.0.names();
        let wanted: Vec<String> = match plugin {
            None => names,
            Some(plugin) => {
                let is = |name: &&String| *name == plugin || name.split_once('/').is_some_and(|(_, name)| name == plugin);
                let wanted: Vec<String> = names.iter().filter(is).cloned().collect();
                if wanted.is_empty() {
                    return Err(UnknownPlugin(names));
                }
                wanted
            }
        };
        let inner = self.0.clone();
        let named = wanted.clone();
        // It runs to its end, also when whoever asked for it has gone away.
        Ok(tokio::spawn(Box::pin(async move {
            let again = inner.read_again().await;
            inner.reload(named, again).await
        }))
        .await
        .unwrap_or_else(|error| {
            let reason = format!("the reload was cut off: {error}");
            wanted.into_iter().map(|name| (name, Reloaded::Refused { reason: reason.clone() })).collect()
        }))
    }

    fn troubles(&self) -> BTreeMap<String, String> {
        let storage = self.0.storage.status().trouble().map(|trouble| (name_of_storage(&self.0.started.component), trouble));
        let seal = |seal: &SharedSeal| Some((name_of_seal(&seal.current().settings), seal.status().trouble()?));
        storage.into_iter().chain(self.0.seals.iter().filter_map(seal)).collect()
    }

    fn storage_lost(&self) -> bool {
        self.0.storage.status().state == Phase::Quarantined
    }
}

impl Inner {
    fn names(&self) -> Vec<String> {
        let storage = name_of_storage(&self.started.component);
        std::iter::once(storage).chain(self.seals.iter().map(|seal| name_of_seal(&seal.current().settings))).collect()
    }

    /// Reads where files and names may be waited for.
    async fn read_again(&self) -> Again<'_> {
        let turn = self.turn.lock().await;
        let reread = self.reread.clone();
        let read = tokio::task::spawn_blocking(move || reread()).await.unwrap_or_else(|error| Err(error.to_string()));
        Again { _turn: turn, config: read.map(Arc::new) }
    }

    async fn reload(self: &Arc<Self>, wanted: Vec<String>, again: Again<'_>) -> BTreeMap<String, Reloaded> {
        let config =
            again.config.as_ref().map_err(|error| OpenFailure::refused(format!("the configuration cannot be read again: {error}")));
        let mut reloaded = BTreeMap::new();
        let storage = name_of_storage(&self.started.component);
        if wanted.contains(&storage) {
            reloaded.insert(storage, Box::pin(self.reload_storage(config.as_ref().copied())).await);
        }
        for seal in &self.seals {
            let name = name_of_seal(&seal.current().settings);
            if wanted.contains(&name) {
                reloaded.insert(name, Box::pin(reload_seal(seal, config.as_ref().copied())).await);
            }
        }
        reloaded
    }

    async fn reload_storage(&self, config: Result<&Arc<Config>, &OpenFailure>) -> Reloaded {
        let running = self.storage.current();
        let prepared = async {
            let config = config.map_err(Clone::clone)?;
            let stanza = &config.storage;
            unchanged(&lasting_of_storage(&self.started), &lasting_of_storage(stanza))?;
            let found = find(Role::Storage, stanza.component.clone(), stanza.plugin.clone(), config.clone()).await?;
            Ok::<_, OpenFailure>((found, stanza.limits.clone(), stanza.pool.clone()))
        };
        let (found, limits, pool) = match prepared.await {
            Ok(prepared) => prepared,
            Err(failure) => return said(self.storage.replace(|_| async { Err(failure) }).await),
        };
        if found.sha256 == running.sha256() && running.uses(&limits, &pool) && self.storage.status().state == Phase::Running {
            return same(&found.sha256);
        }
        said(self.storage.replace(|old| async move { Box::pin(old.beside(found, limits, pool)).await }).await)
    }
}

async fn reload_seal(seal: &SharedSeal, config: Result<&Arc<Config>, &OpenFailure>) -> Reloaded {
    let running = seal.current();
    let prepared = async {
        let config = config.map_err(Clone::clone)?;
        let stanza = config.seals.all().find(|stanza| stanza.name == running.settings.name);
        let stanza = stanza.ok_or_else(|| OpenFailure::refused("its stanza is gone from the configuration: restart the server"))?;
        unchanged(&lasting_of_seal(&running.settings), &lasting_of_seal(stanza))?;
        let found = find(Role::Seal, stanza.kind.clone(), stanza.plugin.clone(), config.clone()).await?;
        Ok::<_, OpenFailure>((found, stanza.clone()))
    };
    let (found, stanza) = match prepared.await {
        Ok(prepared) => prepared,
        Err(failure) => return said(seal.replace(|_| async { Err(failure) }).await),
    };
    let like = (&stanza.limits, &stanza.pool) == (&running.settings.limits, &running.settings.pool);
    if found.sha256 == running.sha256() && like && seal.status().state == Phase::Running {
        return same(&found.sha256);
    }
    said(seal.replace(|old| async move { Box::pin(old.beside(found, stanza)).await }).await)
}

/// Looks for the component as the start did. Reading and hashing it takes its time.
async fn find(role: Role, name: String, plugin: Option<Arc<Plugin>>, config: Arc<Config>) -> Result<Found, OpenFailure> {
    let found = tokio::task::spawn_blocking(move || {
        let policy = component::policy(&config).map_err(|error| error.to_string())?;
        component::find(role, &name, plugin.as_deref(), &policy)
    });
    found.await.unwrap_or_else(|error| Err(error.to_string())).map_err(OpenFailure::refused)
}

fn unchanged(before: &Lasting, now: &Lasting) -> Result<(), OpenFailure> {
    if before == now {
        return Ok(());
    }
    Err(OpenFailure::refused(
        "more of its stanza or plugin block has changed than path, sha256, pool, and of limits what bounds its instances (requests_per_second and \
         requests_per_call are of its grants): that takes a restart of the server",
    ))
}

fn same(sha256: &str) -> Reloaded {
    Reloaded::Unchanged { sha256: sha256.to_owned() }
}

fn said(replaced: Result<Replaced, OpenFailure>) -> Reloaded {
    match replaced {
        Ok(Replaced { from, to }) => Reloaded::Reloaded { from, to },
        Err(failure) => Reloaded::Refused { reason: failure.said().to_owned() },
    }
}

/// What is shown of every plugin.
struct Shown<'a> {
    kind: Role,
    name: &'a str,
    origin: &'a str,
    component: &'a Component,
}

/// A plugin as `sys/plugins` shows it. `open`: what the runtime says of it, once it is open.
fn listed(plugin: &Shown<'_>, status: &Status, open: Option<(Value, Value)>) -> Value {
    let (about, stats) = open.unwrap_or_default();
    json!({
        "plugin": name_of(plugin.kind, plugin.name),
        "kind": plugin.kind.to_string(),
        "name": plugin.name,
        "origin": plugin.origin,
        "sha256": plugin.component.inspect().sha256,
        "contract": plugin.component.inspect().contract,
        "world": plugin.component.inspect().world.to_string(),
        "status": status,
        "about": about,
        "stats": stats,
    })
}
