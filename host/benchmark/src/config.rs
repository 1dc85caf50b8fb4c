//! What to run, and where: flags come over the environment, that over the file, that over what vault-benchmark does unless told.

mod cluster;
mod error;
mod fields;
mod file;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub(crate) use fields::Fields;

use crate::arguments::RunArguments;
use crate::kinds::Test;
use crate::report::Mode;
use clap::ValueEnum;
use cofferdam_connect::Address;
use file::File;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

const ADDRESS: &str = "http://127.0.0.1:8200";
const DURATION: Duration = Duration::from_secs(10);
const WORKERS: u32 = 10;
/// How long an answer may take, as for Vault's clients.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Everything.
    Trace,
    /// What is set up, too.
    Debug,
    /// What is done.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

/// All that a run is told.
pub struct Config {
    /// How much is logged.
    pub level: Level,
    /// Words for the log, of what was taken and means nothing here.
    pub warnings: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) save: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) task: Task,
}

/// What there is to do.
pub(crate) enum Task {
    /// Saved results are shown.
    Review(PathBuf),
    /// Load is put on servers.
    Run(Box<Settings>),
}

/// The load, and where it goes.
pub(crate) struct Settings {
    pub addresses: Vec<Address>,
    pub token: Zeroizing<String>,
    pub namespace: Option<String>,
    pub tls: cofferdam_connect::Settings,
    pub timeout: Duration,
    pub duration: Duration,
    pub workers: u32,
    pub rps: u32,
    pub repeat: u32,
    pub random_mounts: bool,
    pub cleanup: bool,
    pub debug: bool,
    pub audit_path: Option<String>,
    pub annotations: BTreeMap<String, String>,
    pub metrics_address: Option<SocketAddr>,
    pub tests: Vec<Test>,
}

/// The variables of the environment. Of `VAULT_…`, `BAO_…` counts before it.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads the file, and puts flags and environment over it.
    ///
    /// # Errors
    ///
    /// If one of them is wrong; the error says which, and what was expected.
    pub fn load(arguments: &RunArguments, variables: Variables<'_>) -> Result<Self, ConfigError> {
        let file = match &arguments.config {
            Some(path) => file::read(path)?,
            None if arguments.input_results.is_some() => File::default(),
            None => return Err(ConfigError::new("--config", "expected the file of the tests, such as --config=tests.hcl")),
        };
        let (level, mode) = (level(arguments, variables, &file)?, mode(arguments, &file)?);
        let mut warnings = Vec::new();
        if arguments.pprof_interval.or(file.pprof_interval).is_some_and(|interval| !interval.is_zero()) {
            warnings.push("pprof_interval is ignored: it asks for `vault debug`, which profiles Go programs".to_owned());
        }
        if arguments.disable_http2.or(file.disable_http2) == Some(false) {
            warnings.push("disable_http2 = false is ignored: HTTP/1.1 is spoken, each worker on a connection of its own".to_owned());
        }
        let task = match arguments.input_results.as_ref().or(file.input_results.as_ref()) {
            Some(results) => Task::Review(results.clone()),
            None => Task::Run(Box::new(settings(arguments, variables, file)?)),
        };
        Ok(Self { level, warnings, mode, save: arguments.save.clone(), html: arguments.html.clone(), task })
    }
}

/// `BAO_<name>`, else `VAULT_<name>`, with the name of the one that was found.
fn variable(variables: Variables<'_>, name: &str) -> Option<(String, String)> {
    ["BAO_", "VAULT_"].iter().find_map(|prefix| {
        let name = format!("{prefix}{name}");
        let value = variables(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

fn level(arguments: &RunArguments, variables: Variables<'_>, file: &File) -> Result<Level, ConfigError> {
    const NAME: &str = "VAULT_BENCHMARK_LOG_LEVEL";
    let flag = arguments.log_level.clone().map(|level| ("--log-level", level));
    let environment = || variables(NAME).filter(|value| !value.is_empty()).map(|level| (NAME, level));
    let given = flag.or_else(environment).or_else(|| file.log_level.clone().map(|level| ("log_level", level)));
    given.map_or(Ok(Level::Info), |(place, text)| {
        Level::from_str(&text, true)
            .map_err(|_| ConfigError::new(place, format!("expected trace, debug, info, warn or error, found {text:?}")))
    })
}

fn mode(arguments: &RunArguments, file: &File) -> Result<Mode, ConfigError> {
    match (arguments.report_mode, &file.report_mode) {
        (Some(mode), _) => Ok(mode),
        (None, None) => Ok(Mode::Terse),
        (None, Some(text)) => Mode::from_str(text, true)
            .map_err(|_| ConfigError::new("report_mode", format!("report_mode must be one of terse, verbose, or json, found {text:?}"))),
    }
}

fn settings(arguments: &RunArguments, variables: Variables<'_>, file: File) -> Result<Settings, ConfigError> {
    if file.tests.is_empty() {
        let path = arguments.config.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        return Err(ConfigError::new(path, "has no test: expected test \"approle_auth\" \"NAME\" { weight = 100 }, or others"));
    }
    let random_mounts = arguments.random_mounts.or(file.random_mounts).unwrap_or(true);
    let cleanup = arguments.cleanup.or(file.cleanup).unwrap_or(false);
    if cleanup && !random_mounts {
        let message = "cleanup can only be enabled when random mounts is enabled: set random_mounts, or remove cleanup";
        return Err(ConfigError::new("cleanup", message));
    }
    let duration = arguments.duration.or(file.duration).unwrap_or(DURATION);
    if duration.is_zero() {
        return Err(ConfigError::new("duration", "expected a time that is longer than nothing, such as 30s"));
    }
    let cluster = arguments.cluster_json.as_ref().or(file.cluster_json.as_ref()).map(|path| cluster::read(path)).transpose()?;
    let flag = arguments.vault_addr.clone().map(|address| ("--vault-addr".to_owned(), address));
    let single = flag
        .or_else(|| variable(variables, "ADDR"))
        .or(file.vault_addr.map(|address| ("vault_addr".to_owned(), address)))
        .unwrap_or_else(|| ("the default address".to_owned(), ADDRESS.to_owned()));
    let addresses = match &cluster {
        Some(cluster) => cluster.vault_addrs.iter().map(|address| address_of("cluster_json", address)).collect::<Result<_, _>>()?,
        None => vec![address_of(&single.0, &single.1)?],
    };
    let token = arguments
        .vault_token
        .clone()
        .map(|token| token.0)
        .or_else(|| variable(variables, "TOKEN").map(|(_, token)| Zeroizing::new(token)))
        .or(file.vault_token)
        .or_else(|| cluster.map(|cluster| cluster.token))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| ConfigError::new("vault_token", "must specify one of the following: cluster_json, vault_token, or $VAULT_TOKEN"))?;
    let namespace = arguments.vault_namespace.clone().or_else(|| variable(variables, "NAMESPACE").map(|(_, name)| name));
    let namespace = namespace.or(file.vault_namespace).filter(|name| !name.is_empty());
    for (name, value) in [("vault_token", Some(token.as_str())), ("vault_namespace", namespace.as_deref())] {
        if !value.unwrap_or_default().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::new(name, "has characters that no header can carry: expected letters, digits and signs"));
        }
    }
    Ok(Settings {
        addresses,
        token,
        namespace,
        tls: tls(arguments.ca_pem_file.clone(), variables, file.ca_pem_file)?,
        timeout: timeout(variables)?,
        duration,
        workers: arguments.workers.or(file.workers).unwrap_or(WORKERS),
        rps: arguments.rps.or(file.rps).unwrap_or(0),
        repeat: arguments.repeat.max(1),
        random_mounts,
        cleanup,
        debug: arguments.debug.or(file.debug).unwrap_or(false),
        audit_path: arguments.audit_path.clone().or(file.audit_path).filter(|path| !path.is_empty()),
        annotations: annotations(arguments.annotate.as_deref().or(file.annotate.as_deref()))?,
        metrics_address: arguments.metrics_address,
        tests: file.tests,
    })
}

fn address_of(place: &str, address: &str) -> Result<Address, ConfigError> {
    Address::parse(address).map_err(|message| ConfigError::new(place, message))
}

fn tls(flag: Option<PathBuf>, variables: Variables<'_>, file: Option<PathBuf>) -> Result<cofferdam_connect::Settings, ConfigError> {
    let path = |name: &str| variable(variables, name).map(|(_, path)| PathBuf::from(path));
    let skip_verify = match variable(variables, "SKIP_VERIFY") {
        None => false,
        Some((name, text)) => {
            cofferdam_hcl::parse_boolean(&text).ok_or_else(|| ConfigError::new(name, format!("expected true or false, found {text:?}")))?
        }
    };
    Ok(cofferdam_connect::Settings {
        ca_cert: flag.or_else(|| path("CACERT")).or(file),
        ca_path: path("CAPATH"),
        client_cert: path("CLIENT_CERT"),
        client_key: path("CLIENT_KEY"),
        server_name: variable(variables, "TLS_SERVER_NAME").map(|(_, name)| name),
        skip_verify,
    })
}

fn timeout(variables: Variables<'_>) -> Result<Duration, ConfigError> {
    let Some((name, text)) = variable(variables, "CLIENT_TIMEOUT") else { return Ok(TIMEOUT) };
    let timeout = cofferdam_hcl::parse_duration(&text).map_err(|message| ConfigError::new(name, message))?;
    Ok(if timeout.is_zero() { TIMEOUT } else { timeout })
}

fn annotations(text: Option<&str>) -> Result<BTreeMap<String, String>, ConfigError> {
    let pairs = text.unwrap_or_default().split(',').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ConfigError::new("annotate", format!("should contain comma-separated list of name=value pairs, found {pair:?}"))),
    });
    pairs.collect()
}
