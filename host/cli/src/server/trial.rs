//! What `coffer plugin test` opens a component with: its stanza's settings, limits and grants, as a server would make them.
//!
//! The rule: a directory that may be written is never opened. A trial fills and empties its store, and what an operator keeps is none for trials.

use super::aws::{self, KeyBinding};
use super::grants::{self, Granted};
use super::logging;
use crate::config::{DirectoryAccess, Level, LogConfig, Plugin, Seal, Storage};
use crate::exit::Failure;
use cofferdam_aws::Providers;
use cofferdam_backend::Error;
use cofferdam_runtime::StorageConfig;

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
    logging::start(&LogConfig { level: Some(level), ..LogConfig::default() })
}

/// Of a storage.
pub(crate) async fn storage(stanza: &Storage, providers: &Providers) -> Result<Prepared, Failure> {
    let said = |error: &dyn std::fmt::Display| format!("{}: storage {:?}: {error}", stanza.place, stanza.kind);
    let mut granted = of_plugin(stanza.plugin.as_deref(), &stanza.kind, providers).await.map_err(|error| match error {
        Error::Configuration(message) => Failure::usage(message),
        error => Failure::failed(said(&error)),
    })?;
    if let Some(settings) = &stanza.dynamodb {
        granted.aws(aws::dynamodb(stanza, settings, None, providers).await?);
    }
    let mut config = StorageConfig::new(stanza.kind.clone());
    config.settings.clone_from(&stanza.settings);
    config.limits.clone_from(&stanza.limits);
    config.pool.clone_from(&stanza.pool);
    Ok(prepared(config, granted, stanza.path.is_some() || writes(stanza.plugin.as_deref())))
}

/// Of a seal.
pub(crate) async fn seal(seal: &Seal, providers: &Providers) -> Result<Prepared, Failure> {
    let failed = |error: Error| match error {
        Error::Configuration(message) => Failure::usage(message),
        error => Failure::failed(seal.origin.error(&aws::said(seal), error)),
    };
    let mut config = StorageConfig::new(seal.name.clone());
    config.limits.clone_from(&seal.limits);
    config.pool.clone_from(&seal.pool);
    let Some(awskms) = &seal.awskms else {
        let granted = of_plugin(seal.plugin.as_deref(), &seal.name, providers).await.map_err(failed)?;
        config.settings.clone_from(&seal.settings);
        return Ok(prepared(config, granted, writes(seal.plugin.as_deref())));
    };
    let KeyBinding { aws, region } = aws::kms(seal, awskms, providers).await.map_err(failed)?;
    let mut granted = Granted::default();
    granted.aws(aws);
    config.settings = awskms.settings(&region);
    Ok(prepared(config, granted, false))
}

fn prepared(mut config: StorageConfig, granted: Granted, directory: bool) -> Prepared {
    config.grants = granted.grants;
    Prepared { config, granted: granted.words, directory }
}

/// Whether the block grants a directory to write to.
fn writes(plugin: Option<&Plugin>) -> bool {
    plugin.and_then(|plugin| plugin.grants.directory.as_ref()).is_some_and(|grant| grant.access == DirectoryAccess::ReadWrite)
}

/// The grants of a block, without a directory to write to.
async fn of_plugin(plugin: Option<&Plugin>, backend: &str, providers: &Providers) -> Result<Granted, Error> {
    let mut plugin = plugin.cloned();
    if let Some(plugin) = plugin.as_mut().filter(|plugin| writes(Some(plugin))) {
        plugin.grants.directory = None;
    }
    grants::of_plugin(plugin.as_ref(), backend, None, providers).await
}
