//! The audit devices as they are stored: two tables of mount entries, `core/audit` and, for those of one cluster, `core/local-audit`.

use crate::crypto;
use crate::logical::Result;
use crate::mounts::{Entry, Table};
use crate::view::View;

use super::Declared;

/// Where the tables are.
const KEYS: [&str; 2] = ["core/audit", "core/local-audit"];
/// The `table` member of a device that was made through the API.
pub(super) const API: &str = "audit";
/// The `table` member of a device of a configuration.
pub(super) const CONFIGURED: &str = "audit-config";

/// The tables.
pub(super) struct Tables([Table; 2]);

impl Tables {
    /// Reads both; one that is not there is empty.
    pub(super) async fn load(root: &View) -> Result<Tables> {
        let mut tables = [Table::audit(), Table::audit()];
        for (key, table) in KEYS.into_iter().zip(&mut tables) {
            if let Some(stored) = root.get(key).await? {
                *table = Table::decode(key, &stored)?;
            }
        }
        Ok(Tables(tables))
    }

    /// All devices.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(Table::entries)
    }

    /// The device at a path, which ends with a slash.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries().find(|entry| entry.path == path)
    }

    /// Adds and stores.
    pub(super) async fn add(&mut self, root: &View, entry: Entry) -> Result<()> {
        let [shared, local] = &self.0;
        let (key, old) = if entry.local { ("core/local-audit", local) } else { ("core/audit", shared) };
        let mut table = old.clone();
        table.entries_mut().push(entry);
        self.store(root, key, table).await
    }

    /// Removes and stores.
    pub(super) async fn remove(&mut self, root: &View, path: &str) -> Result<()> {
        for (at, key) in KEYS.into_iter().enumerate() {
            let Some(mut table) = self.0.get(at).filter(|table| table.entries().iter().any(|entry| entry.path == path)).cloned() else {
                continue;
            };
            table.entries_mut().retain(|entry| entry.path != path);
            self.store(root, key, table).await?;
        }
        Ok(())
    }

    /// What is stored is in force, and nothing else.
    async fn store(&mut self, root: &View, key: &str, table: Table) -> Result<()> {
        root.put(key, &table.encode()?).await?;
        let [shared, local] = &mut self.0;
        *(if key == "core/audit" { shared } else { local }) = table;
        Ok(())
    }
}

/// A new device's entry.
pub(super) fn entry(table: &str, path: &str, declared: &Declared) -> Result<Entry> {
    Ok(Entry {
        table: table.to_owned(),
        path: path.to_owned(),
        kind: declared.kind.clone(),
        description: declared.description.clone(),
        uuid: crypto::uuid(),
        accessor: format!("audit_{}_{}", declared.kind, hex::encode(crypto::random::<4>()?)),
        options: Some(declared.options.clone()),
        local: declared.local,
        namespace_id: "root".to_owned(),
        ..Entry::default()
    })
}

/// What of a stored device is not as the configuration has it.
pub(super) fn difference(stored: &Entry, declared: &Declared) -> Option<&'static str> {
    if stored.kind != declared.kind {
        Some("type")
    } else if stored.description != declared.description {
        Some("description")
    } else if stored.local != declared.local {
        Some("value of local")
    } else if *stored.options.as_ref().unwrap_or(&Default::default()) != declared.options {
        Some("set of options")
    } else {
        None
    }
}
