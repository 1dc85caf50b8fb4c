//! Opening the two ends.

use crate::config::{Config, MigrationConfig, MigrationEnd};
use crate::exit::Failure;
use crate::server::{Durable, open_storage};
use cofferdam_aws::Providers;
use cofferdam_migrate::{End, Held};
use cofferdam_runtime::Runtime;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens an end. One that is only read has to be there: a mistyped name must not become an empty storage.
pub(super) async fn open(end: &MigrationEnd, must_exist: bool, runtime: &Arc<Runtime>, providers: &Providers) -> Result<End, Failure> {
    match end {
        MigrationEnd::Storage(config) => {
            if let Some(path) = config.storage.path.as_ref().filter(|path| must_exist && !path.exists()) {
                return Err(Failure::usage(format!("{}: path: there is no directory {}", config.storage.place, path.display())));
            }
            let opened = open_storage(config, runtime, providers, Durable::ByGuest).await?;
            let backend = Arc::clone(&opened.storage.current().backend);
            Ok(End { name: name(config), held: Held::Storage(backend) })
        }
        MigrationEnd::Snapshot(path) => {
            let directory = directory_of(path);
            let real = std::fs::canonicalize(directory)
                .map_err(|error| Failure::usage(format!("raft_snapshot: the directory {} cannot be used: {error}", directory.display())))?;
            let file = path.file_name().ok_or_else(|| Failure::usage(format!("raft_snapshot: {} names no file", path.display())))?;
            let path = real.join(file);
            Ok(End { name: format!("raft_snapshot {}", path.display()), held: Held::Snapshot(path) })
        }
        MigrationEnd::Raft(_) => Err(Failure::usage("raft is no end that can be opened")),
    }
}

/// What another run recognises the end by. Settings of plugins are not shown: only whoever wrote the plugin knows what they hold.
pub(crate) fn name(config: &Config) -> String {
    let storage = &config.storage;
    if let Some(path) = &storage.path {
        return format!("{} {}", storage.component, real(path).display());
    }
    if let Some(dynamodb) = &storage.dynamodb {
        let access = &dynamodb.access;
        let region = access.region.as_deref().unwrap_or("of the environment");
        let endpoint = access.endpoint.as_ref().map(|endpoint| format!(" at {}", endpoint)).unwrap_or_default();
        return format!("dynamodb table {} region {region}{endpoint}", dynamodb.table.name);
    }
    let settings: String = storage.settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let digest = cofferdam_plugins::sha256(settings.as_bytes());
    format!("{} settings {}", storage.component, digest.get(..16).unwrap_or(&digest))
}

/// Where a file is.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses ends that lie in one another: what is written to the one would be read from the other.
pub(super) fn apart(config: &MigrationConfig) -> Result<(), Failure> {
    let directory = |end: &MigrationEnd| match end {
        MigrationEnd::Storage(config) => config.storage.path.as_deref().map(real),
        _ => None,
    };
    let file = |end: &MigrationEnd| match end {
        MigrationEnd::Snapshot(path) => Some(real(directory_of(path))),
        _ => None,
    };
    let (source, destination) = (&config.source, &config.destination);
    let within = match (directory(source), directory(destination), file(source), file(destination)) {
        (Some(one), Some(other), ..) if one.starts_with(&other) || other.starts_with(&one) => Some((one, other)),
        (Some(one), _, _, Some(other)) | (_, Some(one), Some(other), _) if other.starts_with(&one) => Some((one, other)),
        _ => None,
    };
    match within {
        Some((one, other)) => Err(Failure::usage(format!(
            "storage_source and storage_destination must not hold one another: {} and {}: choose another directory",
            one.display(),
            other.display()
        ))),
        None => Ok(()),
    }
}
