//! The mounts: which engine answers where, and how that changes.
//!
//! Every change is one write of one table, done before it is in force; what a change does besides (making a new engine's first entries,
//! deleting an old one's data) is arranged around that write so that a cut at any point leaves either the old state, or the new, or one
//! that the next unseal completes. Changes happen one at a time.

mod change;
mod engines;
mod entry;
mod logins;
mod router;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use crate::logical::{Error, Result};

pub(crate) use change::{Created, Tune};
pub(crate) use engines::Engines;
pub(crate) use entry::{Entry, ROOT_NAMESPACE, options_value, seconds};
pub(crate) use router::{Handler, Mount, Routes};
pub(crate) use table::Table;
pub(crate) use tables::Tables;

/// A mount, held in service, and the part of a path below it.
pub(crate) type Entered = (Arc<Mount>, tokio::sync::OwnedRwLockReadGuard<()>, String);

/// A mount as it was found, and the part of a path below it.
pub(crate) struct Found {
    mount: Arc<Mount>,
    rest: String,
}

impl Found {
    /// Whether the path is answered without a token.
    pub(crate) fn unauthenticated(&self) -> bool {
        matches!(&self.mount.handler, Handler::Engine(engine) if engine.unauthenticated(&self.rest))
    }
}

/// The mounts of an unsealed vault.
pub(crate) struct Mounts {
    engines: Engines,
    /// Held through a change.
    tables: tokio::sync::Mutex<Tables>,
    routes: RwLock<Arc<Routes>>,
}

impl Mounts {
    /// Puts all mounts of the tables in service, and finishes deletions that were cut off. One that cannot be finished
    /// keeps no vault sealed: its mount stays marked and refused, and the next unseal tries again.
    pub(crate) async fn open(tables: Tables, engines: Engines) -> Result<Mounts> {
        let mut routes = Routes::default();
        let mut unfinished = Vec::new();
        for entry in tables.entries() {
            if entry.unmounting() {
                unfinished.push(entry.clone());
            }
            routes.insert(engines.open_or_refuse(entry).await?);
        }
        let mounts = Mounts { engines, tables: tokio::sync::Mutex::new(tables), routes: RwLock::new(Arc::new(routes)) };
        for entry in unfinished {
            tracing::info!(mount = entry.accessor, "finishing the deletion of a mount");
            let mut tables = mounts.tables.lock().await;
            if let Err(error) = mounts.finish_disable(&mut tables, &entry).await {
                tracing::error!(mount = entry.accessor, %error, "the deletion of a mount could not be finished; the next unseal tries again");
            }
        }
        Ok(mounts)
    }

    /// The version that the API shows for every engine.
    pub(crate) fn running_version(&self) -> &str {
        &self.engines.running_version
    }

    /// The mounts as they are now.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_routes(&self, change: impl FnOnce(&mut Routes)) {
        let mut slot = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut slot));
    }

    /// The mount at exactly this path of the API, which ends with a slash.
    pub(crate) fn at(&self, api_path: &str) -> Option<Arc<Mount>> {
        self.routes().get(api_path).cloned()
    }

    /// The mount that answers a path, ready to be used until the guard is dropped, and the part of the path below it.
    pub(crate) async fn enter(&self, path: &str) -> Option<Entered> {
        self.enter_found(path, self.find(path)).await
    }

    /// The same for who has looked already, and takes what was found for a hint.
    pub(crate) async fn enter_found(&self, path: &str, mut found: Option<Found>) -> Option<Entered> {
        loop {
            let Found { mount, rest } = found?;
            let guard = mount.gate.clone().read_owned().await;
            // The mount may have been taken out of service meanwhile.
            if self.at(&mount.entry.api_path()).is_some_and(|now| Arc::ptr_eq(&now, &mount)) {
                return Some((mount, guard, rest));
            }
            found = self.find(path);
        }
    }

    /// The mount that answers a path as the mounts are now.
    pub(crate) fn find(&self, path: &str) -> Option<Found> {
        let routes = self.routes();
        let (mount, rest) = routes.find(path)?;
        Some(Found { mount: mount.clone(), rest: rest.to_owned() })
    }

    /// Puts a mount in service in place of the one at its path. If it cannot be opened, it is refused until it is tuned or the next unseal.
    async fn serve(&self, entry: &Entry) -> Result<()> {
        let (mount, opened) = match self.engines.open_or_refuse(entry).await {
            Ok(mount) => (mount, Ok(())),
            Err(error) => (self.engines.refused(entry, "it was changed, and could not be opened since: tune it to try again"), Err(error)),
        };
        self.swap(&entry.api_path(), Some(mount)).await;
        opened
    }

    /// Takes a mount out of service in favour of `next`, after the requests within it are done. Without a next one the path is free.
    async fn swap(&self, api_path: &str, next: Option<Mount>) {
        let old = self.at(api_path);
        // New requests see the next mount; those that hold the old one's gate finish first.
        self.change_routes(|routes| {
            routes.remove(api_path);
            if let Some(next) = next {
                routes.insert(next);
            }
        });
        if let Some(old) = old {
            drop(old.gate.clone().write_owned().await);
        }
    }
}

/// The error of a path that no mount answers.
pub(crate) fn no_route(path: &str) -> Error {
    Error::NoRoute(format!("no handler for route {path:?}. route entry not found."))
}
