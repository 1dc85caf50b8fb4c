//! The file of `coffer migrate`: that of Vault's `operator migrate`, read strictly.
//!
//! The rule: each end is read as a server's storage would be, with the same blocks beside it, so that what a server opens the migration opens too. Two types are no
//! backends: `raft_snapshot`, a file, and `raft`, which is recognised so that it can be said what to do.

use super::files::{Block, Source};
use super::keys::{Scope, Verdict};
use super::{Builder, Config, ConfigError, Environment, Level, Purpose, aws, check_address, plugin, storage};
use cofferdam_hcl::{Item, Object, Value};
use std::path::{Path, PathBuf};

const SOURCE: &str = "storage_source";
const DESTINATION: &str = "storage_destination";
const SERVERS: &str = "it is a key of the server's configuration: a migration has none of it";

const TOP: &[(&str, Verdict)] = &[
    (SOURCE, Verdict::Repeatable),
    (DESTINATION, Verdict::Repeatable),
    ("cluster_addr", Verdict::Supported),
    ("plugin", Verdict::Repeatable),
    ("plugin_directory", Verdict::Supported),
    ("plugin_trusted_keys", Verdict::Supported),
    ("aws", Verdict::Supported),
    ("log_level", Verdict::Supported),
    ("storage", Verdict::Refused("name the ends storage_source and storage_destination")),
    ("listener", Verdict::Refused(SERVERS)),
    ("seal", Verdict::Refused("entries are copied as they are, under the seal that they are under: remove it")),
];

const SNAPSHOT: &[(&str, Verdict)] = &[("path", Verdict::Supported)];

/// What is migrated where.
#[derive(Debug)]
pub(crate) struct MigrationConfig {
    /// From here.
    pub source: MigrationEnd,
    /// To there.
    pub destination: MigrationEnd,
    /// `log_level`; the environment comes over it.
    pub level: Option<Level>,
    /// What was ignored, for the log.
    pub warnings: Vec<String>,
}

/// One end.
#[derive(Debug)]
pub(crate) enum MigrationEnd {
    /// A backend, in a configuration of its own.
    Storage(Box<Config>),
    /// The file of a raft snapshot.
    Snapshot(PathBuf),
    /// Integrated storage.
    Raft(Raft),
}

/// What is said of integrated storage.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Raft {
    /// `path`.
    pub path: Option<String>,
    /// `node_id`.
    pub node_id: Option<String>,
    /// `cluster_addr` of the top level.
    pub cluster_addr: Option<String>,
}

/// Reads the file.
pub(crate) fn load_migration(path: &Path, environment: &Environment) -> Result<MigrationConfig, ConfigError> {
    let whole = |message: String| ConfigError::whole(path.display().to_string(), message);
    if path.is_dir() {
        return Err(whole("location is a directory, not a file".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let file = Source { file: path.to_owned() };
    let root = cofferdam_hcl::parse_bytes(&bytes).map_err(|error| file.error(error))?;
    let mut warnings = Vec::new();
    Scope { file: &file, name: "at the top level", keys: TOP }.check(&root, &mut warnings)?;
    let [source, destination] = [SOURCE, DESTINATION].map(|name| end(&file, &root, name, environment));
    let (mut source, mut destination) = (source?, destination?);
    warnings.extend(said(&mut source, &mut destination));
    let mut builder = Builder::default();
    builder.log.level = file.parsed(&root, "log_level", Level::parse)?;
    environment.apply(&mut builder)?;
    Ok(MigrationConfig { source, destination, level: builder.log.level, warnings })
}

/// The warnings of the ends: that a plugin is not used only if neither uses it.
fn said(source: &mut MigrationEnd, destination: &mut MigrationEnd) -> Vec<String> {
    match (source, destination) {
        (MigrationEnd::Storage(one), MigrationEnd::Storage(other)) => {
            let others = std::mem::take(&mut other.warnings);
            std::mem::take(&mut one.warnings).into_iter().filter(|warning| others.contains(warning)).collect()
        }
        (MigrationEnd::Storage(one), _) | (_, MigrationEnd::Storage(one)) => std::mem::take(&mut one.warnings),
        _ => Vec::new(),
    }
}

fn end(file: &Source, root: &Object, name: &str, environment: &Environment) -> Result<MigrationEnd, ConfigError> {
    let exactly = format!("exactly one {name:?} block is required");
    let items: Vec<&Item> = root.named(name).collect();
    let [item] = items.as_slice() else {
        return Err(match items.get(1) {
            Some(second) => file.at(second.pos, exactly),
            None => ConfigError::whole(file.file.display().to_string(), exactly),
        });
    };
    let blocks = file.blocks(item, &format!("a type, as in {name} \"filesystem\" {{ … }}"))?;
    let [block] = blocks.as_slice() else { return Err(file.at(item.pos, exactly)) };
    match block.label.text.to_ascii_lowercase().as_str() {
        "raft_snapshot" => snapshot(file, block, name).map(MigrationEnd::Snapshot),
        "raft" if name == SOURCE => {
            let message = "storage_source \"raft\": the files of integrated storage are not read: save a snapshot of the running cluster (bao operator raft snapshot save FILE, \
                 or vault …), and migrate from storage_source \"raft_snapshot\" { path = \"FILE\" }";
            Err(file.at(block.label.pos, message))
        }
        "raft" => raft(file, root, block).map(MigrationEnd::Raft),
        _ => backend(file, root, item, environment).map(|config| MigrationEnd::Storage(Box::new(config))),
    }
}

fn snapshot(file: &Source, block: &Block<'_>, name: &str) -> Result<PathBuf, ConfigError> {
    let scope = format!("in {name} \"raft_snapshot\"");
    Scope { file, name: &scope, keys: SNAPSHOT }.check(block.body, &mut Vec::new())?;
    match file.value(block.body, "path", Value::string)? {
        Some((path, place)) if path.is_empty() => Err(ConfigError::new(place, "path: expected a file, found an empty string")),
        Some((path, _)) => Ok(PathBuf::from(path)),
        None => Err(file.at(block.label.pos, format!("{name}: path is missing: set it to the snapshot's file"))),
    }
}

/// Its other keys are not checked: whoever writes them is told another way.
fn raft(file: &Source, root: &Object, block: &Block<'_>) -> Result<Raft, ConfigError> {
    let cluster_addr = file.value(root, "cluster_addr", Value::string)?.filter(|(address, _)| !address.is_empty());
    if let (Some(item), Some((address, _))) = (root.get("cluster_addr"), &cluster_addr) {
        check_address(address).map_err(|message| file.error(item.error(message)))?;
    }
    let text =
        |name: &str| -> Result<Option<String>, ConfigError> { Ok(file.value(block.body, name, Value::setting)?.map(|(text, _)| text)) };
    Ok(Raft { path: text("path")?, node_id: text("node_id")?, cluster_addr: cluster_addr.map(|(address, _)| address) })
}

fn backend(file: &Source, root: &Object, item: &Item, environment: &Environment) -> Result<Config, ConfigError> {
    // What reading warns of is a server's affair.
    let mut read = Vec::new();
    let mut builder = Builder { storage: Some(storage::read(file, item, &mut read)?), ..Builder::default() };
    if let Some(item) = root.get("aws") {
        builder.aws = aws::read(file, item, &mut read)?;
    }
    builder.plugins = plugin::read(file, root, &[], &mut read)?;
    builder.plugin_trusted_keys = plugin::trusted_keys(file, root)?;
    builder.plugin_directory = file.value(root, "plugin_directory", Value::string)?.map(|(path, _)| PathBuf::from(path));
    let name = file.file.display().to_string();
    let mut config = Config { files: vec![file.file.clone()], ..builder.finish(environment, &name, Purpose::Migrate)? };
    // No server may run: there is nobody to lead.
    config.storage.ha = None;
    Ok(config)
}
