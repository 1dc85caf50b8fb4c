//! The four tables together, and the mounts that every vault has.

use std::sync::Arc;

use super::entry::{Config, Entry, ROOT_NAMESPACE};
use super::table::{Place, Table};
use crate::barrier::Barrier;
use crate::logical::Result;
use crate::view::View;

/// The mounts that every vault has: table, path, type, description, request headers that pass through.
const REQUIRED: [(Place, &str, &str, &str, &[&str]); 4] = [
    (Place::Mounts, "sys/", "system", "system endpoints used for control, policy and debugging", &["Accept"]),
    (Place::Mounts, "identity/", "identity", "identity store", &["Authorization"]),
    (Place::LocalMounts, "cubbyhole/", "cubbyhole", "per-token private secret storage", &[]),
    (Place::Auth, "token/", "token", "token based credentials", &[]),
];

/// The mount tables.
#[derive(Clone)]
pub(crate) struct Tables {
    /// All of the storage, until the next seal.
    root: View,
    /// In the order of [`Place::ALL`].
    tables: [Table; 4],
}

impl Tables {
    /// Loads all tables. Mounts that every vault has and members that every mount has are added where they are missing, and tables where
    /// anything was added are stored: so a first boot, and a boot after one that was cut off, are the same.
    pub(crate) async fn load(barrier: &Arc<Barrier>) -> Result<Tables> {
        let root = View::new(barrier.clone(), "");
        let mut tables = Tables { root: root.clone(), tables: Place::ALL.map(Table::new) };
        for place in Place::ALL {
            let loaded = Table::load(&root, place).await?;
            let mut changed = loaded.is_none();
            let mut table = loaded.unwrap_or_else(|| Table::new(place));
            if !table.entries().is_empty() {
                for entry in table.entries_mut() {
                    changed |= entry.complete(place.kind())?;
                }
            }
            for entry in tables.missing(place, &table)? {
                table.entries_mut().push(entry);
                changed = true;
            }
            if changed {
                table.store(&root, place).await?;
            }
            *tables.table_mut(place) = table;
        }
        Ok(tables)
    }

    fn table_mut(&mut self, place: Place) -> &mut Table {
        let [mounts, local_mounts, auth, local_auth] = &mut self.tables;
        match place {
            Place::Mounts => mounts,
            Place::LocalMounts => local_mounts,
            Place::Auth => auth,
            Place::LocalAuth => local_auth,
        }
    }

    /// Those of the required mounts that belong in this table and are neither in it nor in one that is loaded already (old releases of
    /// Vault kept `cubbyhole/` among the mounts that are not local).
    fn missing(&self, place: Place, table: &Table) -> Result<Vec<Entry>> {
        let mut missing = Vec::new();
        for (_, path, kind, description, headers) in REQUIRED.iter().filter(|required| required.0 == place) {
            let there = |entry: &Entry| entry.table == place.kind() && entry.path == *path && entry.namespace_id == ROOT_NAMESPACE;
            if self.entries().chain(table.entries()).any(there) {
                continue;
            }
            let mut entry = Entry::new(place.kind(), path, kind, description)?;
            entry.local = place == Place::LocalMounts;
            entry.seal_wrap = *kind == "system";
            let headers: Vec<String> = headers.iter().map(|name| (*name).to_owned()).collect();
            entry.config = Config { passthrough_request_headers: (!headers.is_empty()).then_some(headers), ..Config::default() };
            missing.push(entry);
        }
        Ok(missing)
    }

    /// All mounts of the root namespace. Those of others, which a foreign table may hold, stay in the table and out of service.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(Table::entries).filter(|entry| entry.namespace_id == ROOT_NAMESPACE)
    }

    /// The path of the first mount that lies above this one, or below it, or is the same.
    pub(crate) fn conflict(&self, api_path: &str) -> Option<String> {
        self.entries().map(Entry::api_path).find(|taken| taken.starts_with(api_path) || api_path.starts_with(taken.as_str()))
    }

    /// Adds a mount and stores its table.
    pub(crate) async fn add(&mut self, entry: Entry) -> Result<()> {
        let place = Place::of(&entry);
        self.change(place, |entries| entries.push(entry)).await
    }

    /// Puts a changed mount in place of the one with its uuid, and stores the table.
    pub(crate) async fn replace(&mut self, entry: Entry) -> Result<()> {
        let place = Place::of(&entry);
        self.change(place, |entries| {
            if let Some(old) = entries.iter_mut().find(|old| old.uuid == entry.uuid) {
                *old = entry;
            }
        })
        .await
    }

    /// Takes a mount out and stores its table.
    pub(crate) async fn remove(&mut self, entry: &Entry) -> Result<()> {
        self.change(Place::of(entry), |entries| entries.retain(|other| other.uuid != entry.uuid)).await
    }

    /// What is in memory changes only once it is stored.
    async fn change(&mut self, place: Place, change: impl FnOnce(&mut Vec<Entry>)) -> Result<()> {
        let root = self.root.clone();
        let table = self.table_mut(place);
        let mut changed = table.clone();
        change(changed.entries_mut());
        changed.store_after(table, &root, place).await?;
        *table = changed;
        Ok(())
    }
}
