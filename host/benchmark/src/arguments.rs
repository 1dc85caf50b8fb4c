//! The command line. A flag has the name of the key of the file that it comes over, with hyphens or underscores.

use crate::compare::CompareArguments;
use crate::report::Mode;
use crate::review::ReviewArguments;
use crate::storage::StorageArguments;
use clap::{Args, Subcommand};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The arguments of `coffer bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do; without it, run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to run.
    #[command(flatten)]
    pub run: RunArguments,
}

/// The commands below `coffer bench`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put load on a server, as a file of vault-benchmark says, and report what it did: the same as no command
    Run(Box<RunArguments>),
    /// Show saved results
    Review(ReviewArguments),
    /// Compare two saved results, with a verdict on each figure
    Compare(CompareArguments),
    /// Put load on the storage of a server alone, without the server
    Storage(StorageArguments),
}

/// The arguments of `coffer bench run`. What is not given comes from the environment, then from the file.
#[derive(Debug, Default, Args)]
#[command(after_help = "Progress and log go to standard error, the report alone to standard output.

Environment, after the flags and before the file: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT, VAULT_BENCHMARK_LOG_LEVEL. For TLS
and time-outs, as for every command: VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_TLS_SERVER_NAME, VAULT_SKIP_VERIFY,
VAULT_CLIENT_TIMEOUT. Of each but the log level, BAO_… counts before VAULT_….

Exit codes: 0 the load ran (whatever the server answered), 1 wrong command line or file, 2 the server refused the tests or was not reached, or
the run was stopped.")]
pub struct RunArguments {
    /// File of the tests, as vault-benchmark takes it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Put load on the storage that the file, a server's configuration, names, and on no server: as `coffer bench storage` does
    #[arg(long, alias = "storage_probe")]
    pub storage_probe: bool,
    /// Run the load this many times, one after the other, so that results can be compared with confidence
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Write the results to this file as JSON, too, for review and compare
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write a page with charts to this file, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Give the figures to Prometheus while the load runs, at this address, such as 127.0.0.1:2112
    #[arg(long, alias = "metrics_address", value_name = "IP:PORT")]
    pub metrics_address: Option<SocketAddr>,
    /// terse, verbose or json [default: terse]
    #[arg(long, alias = "report_mode", value_enum, ignore_case = true)]
    pub report_mode: Option<Mode>,
    /// URL of the server [default: http://127.0.0.1:8200]
    #[arg(long, alias = "vault_addr", alias = "address", value_name = "URL")]
    pub vault_addr: Option<String>,
    /// Token that sets up the tests and is sent with each request; better in VAULT_TOKEN, since others can read a command line
    #[arg(long, alias = "vault_token", value_name = "TOKEN")]
    pub vault_token: Option<Token>,
    /// Namespace of the tests
    #[arg(long, alias = "vault_namespace", value_name = "NAME")]
    pub vault_namespace: Option<String>,
    /// How long the load lasts, such as 30s [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = cofferdam_hcl::parse_duration)]
    pub duration: Option<Duration>,
    /// Most requests in flight, each on a connection of its own [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub workers: Option<u32>,
    /// Requests per second, counted from when each is due; 0: each worker sends its next when its last is answered [default: 0]
    #[arg(long, value_name = "N")]
    pub rps: Option<u32>,
    /// Mount each test at a random name [default: true]
    #[arg(long, alias = "random_mounts", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub random_mounts: Option<bool>,
    /// Remove what the tests set up [default: false]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub cleanup: Option<bool>,
    /// trace, debug, info, warn or error [default: info]
    #[arg(long, alias = "log_level", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Have the server write an audit log to this file of its own; removed by cleanup
    #[arg(long, alias = "audit_path", value_name = "FILE")]
    pub audit_path: Option<String>,
    /// Words to keep with the results, as name=value,…
    #[arg(long, value_name = "WORDS")]
    pub annotate: Option<String>,
    /// JSON file with the addresses of several servers, each of which gets the load
    #[arg(long, alias = "cluster_json", value_name = "FILE")]
    pub cluster_json: Option<PathBuf>,
    /// Authorities to trust, as PEM, in place of the system's
    #[arg(long, alias = "ca_pem_file", value_name = "FILE")]
    pub ca_pem_file: Option<PathBuf>,
    /// Taken and ignored: nothing is profiled here
    #[arg(long, alias = "pprof_interval", value_name = "TIME", value_parser = cofferdam_hcl::parse_duration)]
    pub pprof_interval: Option<Duration>,
    /// Show these saved results, and run nothing
    #[arg(long, alias = "input_results", value_name = "FILE")]
    pub input_results: Option<PathBuf>,
    /// Send one request of each test before the load, and end if one fails
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub debug: Option<bool>,
    /// Taken; HTTP/1.1 is spoken in any case
    #[arg(long, alias = "disable_http2", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub disable_http2: Option<bool>,
}

/// A token of the command line, which is not printed.
#[derive(Clone)]
pub struct Token(pub(crate) Zeroizing<String>);

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, RunArguments};
    use clap::{Args as _, Command, FromArgMatches as _};

    #[test]
    fn a_token_is_not_printed() {
        let command = RunArguments::augment_args(Command::new("run"));
        let found = command.try_get_matches_from(["run", "--vault-token=hidden", "--workers=7"]).unwrap();
        let run = RunArguments::from_arg_matches(&found).unwrap();
        assert_eq!(run.vault_token.as_ref().unwrap().0.as_str(), "hidden");
        let shown = format!("{:?}", Arguments { command: None, run });
        assert!(shown.contains("workers: Some(7)") && !shown.contains("hidden"), "{shown}");
    }
}
