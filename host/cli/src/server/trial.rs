//! What `coffer plugin test` opens a component with: its stanza's settings, limits and grants, as a server would make them.
//!
//! The rule: a directory that may be written is never opened. A trial fills and empties its store, and what an operator keeps is none for trials.

use super::grants::Granted;
use super::{aws, logging, seal, storage};
use crate::config::{DirectoryAccess, Level, LogConfig, Plugin, Seal, Storage};
use crate::exit::Failure;
use cofferdam_aws::Providers;
use cofferdam_backend::Error;
use cofferdam_runtime::StorageConfig;
use cofferdam_trial::record::Player;
use std::sync::Arc;

/// A component's settings and grants.
pub(crate) struct Prepared {
    /// For the runtime.
    pub config: StorageConfig,
    /// What it is granted, a phrase for each.
    pub granted: Vec<String>,
    /// It would be granted a directory to write to.
    pub directory: bool,
}

/// Shows the log, the component's lines among it, on standard error.
pub(crate) fn log(level: Level) -> Result<(), Failure> {
    logging::start(&LogConfig { level: Some(level), ..LogConfig::default() }, None)
}

/// Of a storage.
pub(crate) async fn storage(stanza: &Storage, providers: &Providers) -> Result<Prepared, Failure> {
    let readable = Storage { path: None, plugin: readable(stanza.plugin.as_ref()), ..stanza.clone() };
    let granted = storage::granted(&readable, None, providers).await?;
    let mut config = StorageConfig::new(stanza.kind.clone());
    config.settings.clone_from(&stanza.settings);
    config.limits.clone_from(&stanza.limits);
    config.pool.clone_from(&stanza.pool);
    Ok(prepared(config, granted, stanza.path.is_some() || writes(stanza.plugin.as_deref())))
}

/// Of a seal.
pub(crate) async fn seal(seal: &Seal, providers: &Providers) -> Result<Prepared, Failure> {
    let readable = Seal { plugin: readable(seal.plugin.as_ref()), ..seal.clone() };
    let seal::Prepared { granted, settings } = seal::prepare(&readable, providers).await.map_err(|error| match error {
        Error::Configuration(message) => Failure::usage(message),
        error => Failure::failed(seal.origin.error(&aws::said(seal), error)),
    })?;
    let mut config = StorageConfig::new(seal.name.clone());
    config.settings = settings;
    config.limits.clone_from(&seal.limits);
    config.pool.clone_from(&seal.pool);
    Ok(prepared(config, granted, writes(seal.plugin.as_deref())))
}

/// Of a storage, with a recording in place of what its stanza and its plugin block grant it. Nothing is asked, and no secret is read.
pub(crate) async fn played_storage(stanza: &Storage, providers: &Providers, player: &Arc<Player>) -> Result<Prepared, Failure> {
    let bare = Storage { dynamodb: None, plugin: alone(stanza.plugin.as_ref()), ..stanza.clone() };
    let mut prepared = storage(&bare, providers).await?;
    played(&mut prepared, player, stanza.dynamodb.is_some(), stanza.plugin.as_deref());
    Ok(prepared)
}

/// Of a seal, the same.
pub(crate) async fn played_seal(stanza: &Seal, providers: &Providers, player: &Arc<Player>) -> Result<Prepared, Failure> {
    let settings = match &stanza.awskms {
        Some(awskms) => awskms.settings(awskms.access.region.as_deref().or(player.header().region.as_deref()).unwrap_or_default()),
        None => stanza.settings.clone(),
    };
    let bare = Seal { awskms: None, settings, plugin: alone(stanza.plugin.as_ref()), ..stanza.clone() };
    let mut prepared = seal(&bare, providers).await?;
    played(&mut prepared, player, stanza.awskms.is_some(), stanza.plugin.as_deref());
    Ok(prepared)
}

/// Puts the recording where grants would be.
fn played(prepared: &mut Prepared, player: &Arc<Player>, aws: bool, plugin: Option<&Plugin>) {
    let grants = plugin.map(|plugin| &plugin.grants);
    if aws || grants.is_some_and(|grants| grants.aws.is_some()) {
        let aws = player.aws();
        prepared.granted.push(format!("AWS: {}", aws.describe()));
        prepared.config.grants.aws = Some(aws);
    }
    if grants.is_some_and(|grants| !grants.http.is_empty()) {
        let http = player.http();
        prepared.granted.push(format!("HTTP requests: {}", http.describe()));
        prepared.config.grants.http = Some(http);
    }
}

/// The block without what leads out of this machine.
fn alone(plugin: Option<&Arc<Plugin>>) -> Option<Arc<Plugin>> {
    let mut plugin = plugin?.clone();
    let grants = &mut Arc::make_mut(&mut plugin).grants;
    grants.aws = None;
    grants.http = Vec::new();
    Some(plugin)
}

fn prepared(mut config: StorageConfig, granted: Granted, directory: bool) -> Prepared {
    config.grants = granted.grants;
    Prepared { config, granted: granted.words, directory }
}

/// Whether the block grants a directory to write to.
fn writes(plugin: Option<&Plugin>) -> bool {
    plugin.and_then(|plugin| plugin.grants.directory.as_ref()).is_some_and(|grant| grant.access == DirectoryAccess::ReadWrite)
}

/// The block without a directory to write to.
fn readable(plugin: Option<&Arc<Plugin>>) -> Option<Arc<Plugin>> {
    let mut plugin = plugin?.clone();
    if writes(Some(&plugin)) {
        Arc::make_mut(&mut plugin).grants.directory = None;
    }
    Some(plugin)
}
