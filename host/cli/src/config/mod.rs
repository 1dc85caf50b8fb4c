//! The configuration of `coffer server`: Vault's file, read strictly.
//!
//! The rule: a key is supported, or known and ignored with a warning where ignoring it cannot weaken safety, or an error. An unknown
//! key is an error. Every error names file, line and column, the key, what was expected and what to do.
//!
//! Several files are merged as Vault merges them: of a scalar the last file's counts, of the two lease times the greatest, of
//! switches `true`; listeners add up. Within one file a repeated attribute is an error. Environment variables come over the files.

mod audit;
mod aws;
mod dynamodb;
mod environment;
mod error;
mod files;
mod ha;
mod keys;
mod listener;
mod lockout;
mod migrate;
mod nearest;
mod origin;
mod plugin;
mod pool;
mod schema;
mod seal;
mod storage;
mod telemetry;
#[cfg(test)]
mod tests;

use crate::config::keys::Scope;
pub(crate) use aws::{Access, Requests};
use cofferdam_hcl::{Item, Object};
use cofferdam_vault::audit::AuditOptions;
use cofferdam_vault::lockout::LockoutOptions;
pub(crate) use dynamodb::DynamoDb;
pub(crate) use environment::Environment;
pub(crate) use error::{ConfigError, Place};
pub(crate) use files::{load, look};
pub(crate) use listener::{Listener, REQUEST_DURATION, REQUEST_SIZE, resolve};
pub(crate) use migrate::{MigrationConfig, MigrationEnd, Raft, load_migration};
pub(crate) use nearest::nearest;
pub(crate) use plugin::{AwsGrant, DirectoryAccess, Grants, HttpGrant, Plugin, Resource, Role, is_builtin};
pub(crate) use seal::{AwsKms, Seal, Seals};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use storage::{Ha, Storage};
pub(crate) use telemetry::{Sampling, Traces};

/// What the operator configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What was read, and the directories that were named for it.
    pub files: Vec<PathBuf>,
    /// Where the data is.
    pub storage: Storage,
    /// What unseals it.
    pub seals: Seals,
    /// The file of this host in which is kept what the storage must not be older than.
    pub state_path: Option<(PathBuf, Place)>,
    /// At least one; none for who only looks.
    pub listeners: Vec<Listener>,
    /// A dev server: nothing has to vouch for a plugin.
    pub dev: bool,
    /// Where `.wasm` files are looked for.
    pub plugin_directory: Option<PathBuf>,
    /// Keys whose signatures vouch for plugins, or files that hold one; with their places.
    pub plugin_trusted_keys: Vec<(String, Place)>,
    /// The plugin blocks, also those of no stanza.
    pub plugins: Vec<Arc<Plugin>>,
    /// `log_level`, `log_format`, `log_file`.
    pub log: LogConfig,
    /// Where the process writes its id.
    pub pid_file: Option<PathBuf>,
    /// The address that clients are told.
    pub api_addr: Option<String>,
    /// The address that other servers would be told.
    pub cluster_addr: Option<String>,
    /// The name written at initialisation.
    pub cluster_name: Option<String>,
    /// Lease time of tokens that ask for none.
    pub default_lease_ttl: Duration,
    /// Longest lease time.
    pub max_lease_ttl: Duration,
    /// Whether stored entries are cached, as ciphertext.
    pub cache: bool,
    /// When clients are locked out that log in with wrong credentials.
    pub lockout: LockoutOptions,
    /// Where requests are recorded.
    pub audit: AuditOptions,
    /// Where traces are sent.
    pub traces: Option<Traces>,
    /// What was ignored, for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// The configuration of a dev server; the environment comes over it as over a file's.
    pub(crate) fn dev(
        storage: Storage,
        listener: Listener,
        api_addr: String,
        plugin_directory: Option<PathBuf>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let listeners = vec![listener::Draft::from(listener)];
        let builder =
            Builder { storage: Some(storage.into()), listeners, api_addr: Some(api_addr), plugin_directory, ..Builder::default() };
        Ok(Self { dev: true, ..builder.finish(environment, "dev server", Purpose::Serve)? })
    }
}

/// How the server logs. None is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// `log_level`.
    pub level: Option<Level>,
    /// `log_format`.
    pub format: Option<Format>,
    /// `log_file`: appended to. None logs to standard error.
    pub file: Option<PathBuf>,
}

/// Log levels, by Vault's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    #[value(alias = "err")]
    Error,
}

/// Log formats, by Vault's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines for people.
    Standard,
    /// One JSON object a line.
    Json,
}

impl Level {
    /// Reads a level's name in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text.trim(), true)
            .map_err(|_| format!("expected trace, debug, info, warn or error, found {text:?}"))
    }
}

impl Format {
    /// Reads a format's name in any case.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text.trim(), true).map_err(|_| format!("expected standard or json, found {text:?}"))
    }
}

/// Vault's lease time where none is configured: 32 days.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(32 * 24 * 3600);

/// Collects what the files say, one after the other.
#[derive(Default)]
struct Builder {
    storage: Option<storage::Draft>,
    aws: aws::Aws,
    listeners: Vec<listener::Draft>,
    seals: Vec<seal::Draft>,
    state_path: Option<(PathBuf, Place)>,
    plugin_directory: Option<PathBuf>,
    plugin_trusted_keys: Option<Vec<(String, Place)>>,
    plugins: Vec<plugin::Draft>,
    log: LogConfig,
    pid_file: Option<PathBuf>,
    api_addr: Option<String>,
    cluster_addr: Option<String>,
    cluster_name: Option<String>,
    default_lease_ttl: Option<(Duration, Place)>,
    max_lease_ttl: Option<(Duration, Place)>,
    request_duration: Option<Duration>,
    disable_cache: Option<bool>,
    lockout: lockout::Draft,
    /// The environment says so.
    no_lockout: bool,
    audit: audit::Draft,
    telemetry: telemetry::Draft,
    warnings: Vec<String>,
}

/// What a configuration is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To serve.
    Serve,
    /// To look at what a server has: names of listeners are not looked up.
    Look,
    /// To migrate: nothing is served, and neither listeners nor seals are wanted.
    Migrate,
}

impl Builder {
    fn file(&mut self, file: &files::Source, root: &Object) -> Result<(), ConfigError> {
        let scope = Scope { file, name: "at the top level", keys: schema::TOP };
        scope.check(root, &mut self.warnings)?;
        let storages: Vec<&Item> = root.named("storage").chain(root.named("backend")).collect();
        if let [_, second, ..] = storages.as_slice() {
            return Err(file.error(second.error("only one storage block is allowed: remove all but one")));
        }
        for item in &storages {
            self.storage = Some(storage::read(file, item, &mut self.warnings)?);
        }
        if let Some(item) = root.get("aws") {
            self.aws = aws::read(file, item, &mut self.warnings)?;
        }
        for item in root.named("listener") {
            for block in file.blocks(item, "a listener's type, as in listener \"tcp\" { … }")? {
                self.listeners.push(listener::read(file, &block, &mut self.warnings)?);
            }
        }
        for item in root.named("seal") {
            self.seals.extend(seal::read(file, item, &mut self.warnings)?);
        }
        let plugins = plugin::read(file, root, &self.plugins, &mut self.warnings)?;
        self.plugins.extend(plugins);
        self.lockout.read(file, root, &mut self.warnings)?;
        self.audit.read(file, root, &mut self.warnings)?;
        if let Some(item) = root.get("telemetry") {
            self.telemetry.read(file, item, &mut self.warnings)?;
        }
        self.scalars(file, root)
    }

    fn scalars(&mut self, file: &files::Source, root: &Object) -> Result<(), ConfigError> {
        let text = |name: &str| {
            file.value(root, name, |value| value.string()).map(|found| found.map(|(text, _)| text).filter(|text| !text.is_empty()))
        };
        let duration = |name: &str| file.value(root, name, |value| value.duration());
        replace(&mut self.plugin_directory, text("plugin_directory")?.map(PathBuf::from));
        replace(&mut self.plugin_trusted_keys, plugin::trusted_keys(file, root)?);
        replace(&mut self.log.file, text("log_file")?.map(PathBuf::from));
        let state_path = file.value(root, "state_path", |value| value.string())?.filter(|(path, _)| !path.is_empty());
        replace(&mut self.state_path, state_path.map(|(path, place)| (PathBuf::from(path), place)));
        replace(&mut self.pid_file, text("pid_file")?.map(PathBuf::from));
        replace(&mut self.api_addr, text("api_addr")?);
        replace(&mut self.cluster_addr, text("cluster_addr")?);
        replace(&mut self.cluster_name, text("cluster_name")?);
        for (name, address) in [("api_addr", &self.api_addr), ("cluster_addr", &self.cluster_addr)] {
            if let (Some(item), Some(address)) = (root.get(name), address) {
                check_address(address).map_err(|message| file.error(item.error(message)))?;
            }
        }
        replace(&mut self.log.level, file.parsed(root, "log_level", Level::parse)?);
        replace(&mut self.log.format, file.parsed(root, "log_format", Format::parse)?);
        replace(&mut self.request_duration, duration("default_max_request_duration")?.map(|(time, _)| time).filter(|time| !time.is_zero()));
        replace(&mut self.disable_cache, file.value(root, "disable_cache", |value| value.boolean())?.map(|(off, _)| off));
        // Vault takes the greatest of several files' lease times.
        greatest(&mut self.default_lease_ttl, duration("default_lease_ttl")?);
        greatest(&mut self.max_lease_ttl, duration("max_lease_ttl")?);
        Ok(())
    }

    fn finish(mut self, environment: &Environment, files: &str, purpose: Purpose) -> Result<Config, ConfigError> {
        let offline = purpose == Purpose::Migrate;
        environment.apply(&mut self)?;
        let missing = |what: &str| Err(ConfigError::whole(files, what));
        let Some(storage) = self.storage else {
            return missing("no storage is configured: add storage \"filesystem\" { path = \"/var/lib/coffer\" }");
        };
        let api_addr = self.api_addr.or_else(|| storage.redirect_addr.clone());
        let cluster_addr = self.cluster_addr.or_else(|| storage.cluster_addr.clone());
        let plugins = plugin::finish(self.plugins, &self.aws)?;
        let files_of_plugins = plugin::Files { plugins: &plugins, directory: self.plugin_directory.as_deref() };
        let storage = storage.finish(&self.aws, environment, &files_of_plugins)?;
        let of_seals = if offline { &Environment::default() } else { environment };
        let seals = seal::finish(self.seals, &self.aws, of_seals, &files_of_plugins)?;
        self.warnings.extend(plugin::idle(&plugins, &storage, &seals));
        if let (Some(ha), None, false) = (&storage.ha, &api_addr, offline) {
            let message = "api_addr is missing: standbys send clients to it; set it, or VAULT_API_ADDR, to the address at which clients reach this server";
            return Err(ha.origin.error("ha_enabled", message));
        }
        if self.listeners.is_empty() && !offline {
            return missing("no listener is configured: add listener \"tcp\" { address = \"127.0.0.1:8200\" … }");
        }
        let max = self.max_lease_ttl.as_ref().map_or(LEASE_TTL, |(time, _)| *time);
        let default = match &self.default_lease_ttl {
            Some((time, place)) if *time > max => {
                let message = format!(
                    "default_lease_ttl: {} s is longer than max_lease_ttl, which is {} s: lower one or raise the other",
                    time.as_secs(),
                    max.as_secs()
                );
                return Err(ConfigError::new(place.clone(), message));
            }
            Some((time, _)) => *time,
            None => LEASE_TTL.min(max),
        };
        let request_duration = self.request_duration.unwrap_or(listener::REQUEST_DURATION);
        let drafts = self.listeners.into_iter().filter(|_| purpose == Purpose::Serve);
        let listeners = drafts.map(|draft| draft.finish(request_duration)).collect::<Result<_, _>>()?;
        Ok(Config {
            files: Vec::new(),
            storage,
            seals,
            state_path: self.state_path,
            listeners,
            dev: false,
            plugin_directory: self.plugin_directory,
            plugin_trusted_keys: self.plugin_trusted_keys.unwrap_or_default(),
            plugins,
            log: self.log,
            pid_file: self.pid_file,
            api_addr,
            cluster_addr,
            cluster_name: self.cluster_name,
            default_lease_ttl: default,
            max_lease_ttl: max,
            cache: !self.disable_cache.unwrap_or(false),
            lockout: self.lockout.finish(self.no_lockout),
            audit: self.audit.finish()?,
            traces: self.telemetry.finish(environment)?,
            warnings: self.warnings,
        })
    }
}

fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

/// Zero means the default, as in Vault.
fn greatest(old: &mut Option<(Duration, Place)>, new: Option<(Duration, Place)>) {
    if let Some(new) = new.filter(|(time, _)| !time.is_zero())
        && old.as_ref().is_none_or(|(old, _)| *old < new.0)
    {
        *old = Some(new);
    }
}

/// An address that others are told: a URL with a host.
fn check_address(address: &str) -> Result<(), String> {
    let wrong = || format!("expected an address such as https://vault.example.com:8200, found {address:?}");
    if address.contains("{{") {
        return Err(format!("templates such as {address:?} are not evaluated: write the address"));
    }
    let uri: http::Uri = address.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(()),
        _ => Err(wrong()),
    }
}
