//! The two ends of a migration.

use std::path::PathBuf;
use std::sync::Arc;

use cofferdam_backend::Storage;

/// One end.
#[derive(Clone)]
pub struct End {
    /// What it is, so that another run recognises it: the type and the place, no secret.
    pub name: String,
    /// Where the entries are.
    pub held: Held,
}

/// Where entries are.
#[derive(Clone)]
pub enum Held {
    /// In a backend.
    Storage(Arc<dyn Storage>),
    /// In a raft snapshot's file.
    Snapshot(PathBuf),
}

impl End {
    pub(crate) fn storage(&self) -> Option<&Arc<dyn Storage>> {
        match &self.held {
            Held::Storage(storage) => Some(storage),
            Held::Snapshot(_) => None,
        }
    }
}
