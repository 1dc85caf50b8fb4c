//! The arguments of `coffer plugin`.

use super::{ClientArguments, FormatArguments};
use crate::config::Level;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Show what a component is, what it asks for, and a configuration block for it; nothing of it is run
    Inspect(InspectArguments),
    /// Show what a running server runs and how it fares; or the components of this binary and of a plugin directory, and what vouches for each
    List(ListArguments),
    /// Have a running server look for its plugins again, and replace those that have changed
    Reload(ReloadArguments),
    /// Keep the digests of plugins in the lock file beside them: what is neither pinned nor signed does not load
    Pin(PinArguments),
    /// Fetch a component by its digest from an OCI registry into the plugin directory
    Pull(PullArguments),
    /// Try a component in the sandbox, and report
    Test(TestArguments),
    /// Make a project for a backend of your own, which builds and passes every check before anything is filled in
    New(NewArguments),
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The component, a .wasm file
    pub(crate) file: PathBuf,
    /// Say whether it would load with this configuration
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "directory")]
    pub(crate) config: Vec<PathBuf>,
    /// Say whether it would load with this plugin directory, no key trusted
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "With --address, BAO_ADDR or VAULT_ADDR and neither DIR nor --config, the server is asked; its token needs read on sys/plugins."
)]
pub(crate) struct ListArguments {
    /// The plugin directory
    #[arg(value_name = "DIR", conflicts_with_all = ["config", "address"])]
    pub(crate) directory: Option<PathBuf>,
    /// Take the plugin directory, pins and trusted keys from this configuration
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "address")]
    pub(crate) config: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

impl ListArguments {
    /// Whether no files were named.
    pub(crate) fn asks_server(&self) -> bool {
        self.directory.is_none() && self.config.is_empty()
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "The token needs update and sudo on sys/plugins/reload. SIGHUP does the same for all plugins of a server, also of a standby. What is \
refused changes nothing; the reason is in the answer, and in the log with more."
)]
pub(crate) struct ReloadArguments {
    /// The plugin, as coffer plugin list names it (storage/etcd) [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) plugin: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Where the plugins are that a command changes.
#[derive(Debug, Args)]
pub(crate) struct PlaceArguments {
    /// The plugin directory
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) directory: Option<PathBuf>,
    /// Take the plugin directory from this configuration
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The lock file is coffer-plugins.lock in the plugin directory. --check changes nothing and ends with exit code 2 if a plugin is not \
as it was pinned."
)]
pub(crate) struct PinArguments {
    /// Names of plugins in the directory (etcd for etcd.wasm), or their files
    #[arg(value_name = "NAME|FILE", required_unless_present_any = ["all", "check"], conflicts_with_all = ["all", "check"])]
    pub(crate) plugins: Vec<String>,
    /// Pin every .wasm file of the directory
    #[arg(long, conflicts_with_all = ["check", "remove"])]
    pub(crate) all: bool,
    /// Compare the directory with its lock file
    #[arg(long, conflicts_with = "remove")]
    pub(crate) check: bool,
    /// Take plugins out of the lock file
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Credentials come from COFFER_REGISTRY_USERNAME and COFFER_REGISTRY_PASSWORD, else from docker's configuration file.

Nothing of the registry is believed: REF names a digest, and what comes is checked against it."
)]
pub(crate) struct PullArguments {
    /// HOST/REPOSITORY@sha256:DIGEST; of HOST/REPOSITORY:TAG the digest is said, and nothing fetched
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// What the plugin is to be called [default: the last part of the repository's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Pin it in the directory's lock file
    #[arg(long)]
    pub(crate) pin: bool,
    /// Overwrite another content of that name
    #[arg(long)]
    pub(crate) force: bool,
    /// A minisign signature to put beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Trust these authorities (PEM) and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Speak plain HTTP with another machine
    #[arg(long)]
    pub(crate) insecure: bool,
    /// A host to which the registry may send for a token with the credentials; may be given several times
    #[arg(long, value_name = "HOST")]
    pub(crate) token_host: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// How a trial's report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrialFormat {
    /// For people.
    Table,
    /// One JSON value.
    Json,
    /// JUnit's XML, for CI systems.
    Junit,
}

#[derive(Debug, Args)]
#[command(
    after_help = "What keeps its entries in a directory is given a fresh temporary one, and needs no configuration. Other components need --config with \
their stanza and plugin block; of the rest of a server's configuration nothing is needed. A store behind a grant must be empty, and what was written is removed \
at the end. No pin is needed: what the component can reach is what you grant it.

With --replay the configuration needs the same stanza and the names of the same grants, and no secret of them is read. Checks of which there can be no recording \
are skipped, with the reason.

Exit codes: 0 every check passed, 1 wrong command line or configuration, 2 a check failed, or nothing could be tried."
)]
pub(crate) struct TestArguments {
    /// The component, a .wasm file
    pub(crate) file: PathBuf,
    /// Take its stanza and plugin block from this configuration; FILE is what is tried, whatever path it names
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Only this section or check, or those whose names begin with what stands before a *; may be given several times
    #[arg(long, value_name = "SECTION|ID", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How the report is written
    #[arg(long, value_enum, ignore_case = true, default_value = "table")]
    pub(crate) format: TrialFormat,
    /// Write the report to this file, and show the table
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Draw every random choice from this number, as a report names it [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Fewer entries and rounds, for a first look or a slow service
    #[arg(long)]
    pub(crate) quick: bool,
    /// Work in a store that holds other things, below a folder of a random name
    #[arg(long)]
    pub(crate) force: bool,
    /// Write its traffic by the grants aws and http to this new file for --replay, without credentials and keys; look at it before you publish it
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub(crate) record: Option<PathBuf>,
    /// Play back a recording in place of what is granted: no network, no credentials; seed and amount come from it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "quick", "force"])]
    pub(crate) replay: Option<PathBuf>,
    /// Show the log from this level on, the component's lines among it: trace, debug, info, warn or error
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) log_level: Option<Level>,
}

/// What a new plugin is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    /// Keeps entries.
    Storage,
    /// Wraps keys.
    Seal,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The project has the SDK and the contract in it, and is built with cargo from crates.io alone. Its README.md says what to fill in."
)]
pub(crate) struct NewArguments {
    /// What the plugin is to be called: a-z, 0-9 and -; the project is made in a directory of that name
    pub(crate) name: String,
    /// What it is to be
    #[arg(long, value_enum)]
    pub(crate) kind: PluginKind,
    /// The language of the project; there is a template for rust
    #[arg(long, default_value = "rust")]
    pub(crate) language: String,
}
