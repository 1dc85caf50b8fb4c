//! The command line. Flags are Vault's, and are taken with one dash as well as with two.

mod migrate;
mod operator;
mod plugin;
mod snapshot;

use crate::config::{Format, Level};
use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use migrate::MigrateArguments;
pub(crate) use operator::{
    GenerateRootArguments, InitArguments, MigrateSealArguments, OperatorCommand, RekeyArguments, RekeyTarget, UnsealArguments,
};
pub(crate) use plugin::{
    InspectArguments, ListArguments, NewArguments, PinArguments, PluginCommand, PluginKind, PullArguments, ReloadArguments, TestArguments,
    TrialFormat,
};
pub(crate) use snapshot::{ConvertArguments, InspectSnapshotArguments, RestoreArguments, SaveArguments, SnapshotCommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

const EXIT_CODES: &str = "Exit codes:
  0  it worked; for status: unsealed
  1  the command line, the configuration or a local file is wrong; for status: any error
  2  the server refused, or could not be started or reached; for status: sealed; for operator init -status: not initialized
  3  only migrate: all was copied but for entries that are named";

/// A secrets server whose storage is a sandboxed WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "coffer", version = VERSION.as_str(), after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The version of the binary, of the contract it runs and of its engine.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (contract cofferdam:backend {}; wasmtime {})",
        env!("CARGO_PKG_VERSION"),
        cofferdam_runtime::CONTRACT_VERSIONS.join(", "),
        env!("COFFER_WASMTIME_VERSION")
    )
});

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a server
    Server(ServerArguments),
    /// Show whether a server is sealed, and who leads
    Status(ClientArguments),
    /// Initialize, unseal and seal a server, have it step down, replace its keys, and make a root token
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Copy all that one storage or raft snapshot holds to another, offline
    Migrate(MigrateArguments),
    /// Log in to a server, and hand its secrets out on this machine, by a proxy and by files
    Proxy(Box<cofferdam_proxy::Arguments>),
    /// Save and restore all that a running server holds, and look at such files
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Put load on a server or on its storage, and report and compare what it did
    Bench(Box<cofferdam_benchmark::arguments::Arguments>),
    /// Look at components
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Debug, Args)]
#[command(
    after_help = "SIGHUP rereads the TLS certificates, opens the files of the audit devices again and takes over those of the configuration. SIGTERM and SIGINT end the server after the requests under way.

Environment: of each variable BAO_… counts before VAULT_…: API_ADDR, CLUSTER_ADDR, LOG_LEVEL, LOG_FORMAT, CONFIG_PATH, DEV_ROOT_TOKEN_ID,
DEV_LISTEN_ADDRESS. COFFER_CACHE_DIR names the directory for compiled components. For storage \"dynamodb\", as in Vault and before the
configuration: AWS_DYNAMODB_TABLE, _REGION, _ENDPOINT, _READ_CAPACITY, _WRITE_CAPACITY, _MAX_RETRIES, AWS_REGION, AWS_DEFAULT_REGION,
DYNAMODB_HA_ENABLED (true or false; anything else is an error). For the seal: BAO_SEAL_TYPE or VAULT_SEAL_TYPE (awskms or shamir; an
error if a stanza says otherwise); before the configuration AWSKMS_WRAPPER_KEY_ID, BAO_AWSKMS_SEAL_KEY_ID, VAULT_AWSKMS_SEAL_KEY_ID, AWSKMS_ENDPOINT,
AWS_KMS_ENDPOINT; after it AWS_REGION, AWS_DEFAULT_REGION. Credentials of the configuration come before those of the environment.

Exit codes: 0 ended by a signal, 1 wrong command line or configuration, 2 could not start."
)]
pub(crate) struct ServerArguments {
    /// Configuration file, or directory of *.hcl and *.json files; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// trace, debug, info, warn or error; comes over environment and configuration
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) log_level: Option<Level>,
    /// standard or json; comes over environment and configuration
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) log_format: Option<Format>,
    /// Start although the storage is older than this host's state file (state_path) says, or empty, and take it as it is from now on
    #[arg(long)]
    pub(crate) accept_rollback: bool,
    /// Append the log to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dev: DevArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// Start an initialized and unsealed server for trying out; not for production
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", conflicts_with = "config")]
    pub(crate) dev: bool,
    /// The root token of the dev server
    #[arg(long, value_name = "TOKEN")]
    pub(crate) dev_root_token_id: Option<String>,
    /// The address of the dev server [default: 127.0.0.1:8200]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) dev_listen_address: Option<String>,
    /// Do not write the dev server's root token to ~/.vault-token
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub(crate) dev_no_store_token: bool,
    /// Keep the dev server's data in this empty directory, rather than in one that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) dev_storage_path: Option<PathBuf>,
    /// Look for components in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dev_plugin_dir: Option<PathBuf>,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Table,
    /// One JSON value.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct FormatArguments {
    /// [default: table; BAO_FORMAT, VAULT_FORMAT]
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) format: Option<OutputFormat>,
}

/// Flags of every command that talks to a server. Not given, they come from the environment, `BAO_…` before `VAULT_…`.
#[derive(Debug, Args)]
#[command(after_help = "The token comes from BAO_TOKEN or VAULT_TOKEN, else from ~/.vault-token.")]
pub(crate) struct ClientArguments {
    /// URL of the server [default: https://127.0.0.1:8200; BAO_ADDR, VAULT_ADDR]
    #[arg(long, value_name = "URL")]
    pub(crate) address: Option<String>,
    /// Authorities to trust, as PEM, in place of the system's [BAO_CACERT, VAULT_CACERT]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Certificate to show, as PEM [BAO_CLIENT_CERT, VAULT_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Its key, as PEM [BAO_CLIENT_KEY, VAULT_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// Name that the server's certificate must have [BAO_TLS_SERVER_NAME, VAULT_TLS_SERVER_NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Do not check the server's certificate: anybody could be the server [BAO_SKIP_VERIFY, VAULT_SKIP_VERIFY]
    #[arg(long)]
    pub(crate) tls_skip_verify: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// The arguments with Vault's single-dash long flags (`-dev`, `-config=x`) given their second dash. After `--` nothing changes.
pub(crate) fn normalized(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut flags = true;
    arguments
        .into_iter()
        .map(|argument| {
            flags &= argument != "--";
            match argument.to_str() {
                Some(text) if flags && is_long_flag(text) => format!("-{text}").into(),
                _ => argument,
            }
        })
        .collect()
}

/// One dash, then a name of two letters or more. A digit only where an underscore shows that it is no value (`-n5`).
fn is_long_flag(text: &str) -> bool {
    let Some(name) = text.strip_prefix('-').map(|rest| rest.split('=').next().unwrap_or(rest)) else { return false };
    let fits = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '_') || (c.is_ascii_digit() && name.contains('_'));
    name.len() > 1 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Command, OperatorCommand, normalized};
    use clap::{CommandFactory, Parser};

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::try_parse_from(normalized(line.split_whitespace().map(Into::into))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_take_one_dash_or_two() {
        for line in [
            "coffer server -dev -dev-root-token-id=root -dev-listen-address 127.0.0.1:1 -log-level=Debug -dev-no-store-token",
            "coffer server --dev --dev-root-token-id root --dev-listen-address=127.0.0.1:1 --log-level DEBUG --dev-no-store-token=true",
        ] {
            let Ok(Arguments { command: Command::Server(server) }) = parse(line) else { panic!("{line}") };
            assert!(server.dev.dev && server.dev.dev_no_store_token, "{line}");
            assert_eq!(server.dev.dev_root_token_id.as_deref(), Some("root"));
            assert_eq!(server.dev.dev_listen_address.as_deref(), Some("127.0.0.1:1"));
            assert_eq!(server.log_level, Some(crate::config::Level::Debug));
        }
    }

    #[test]
    fn short_flags_and_operands_keep_their_dash() {
        let Ok(Arguments { command: Command::Operator(OperatorCommand::Init(init)) }) =
            parse("coffer operator init -n 3 -t=2 -format=json")
        else {
            panic!()
        };
        assert_eq!((init.key_shares, init.key_threshold), (Some(3), Some(2)));
        let Ok(Arguments { command: Command::Operator(OperatorCommand::Unseal(unseal)) }) = parse("coffer operator unseal -") else {
            panic!()
        };
        assert_eq!(unseal.key.as_ref().map(|key| key.as_str()), Some("-"));
        assert_eq!(normalized(["-dev".into(), "--".into(), "-dev".into()]), ["--dev", "--", "-dev"]);
        assert_eq!(
            normalized(["-n5".into(), "-disable_http2".into(), "-vault_addr=x".into()]),
            ["-n5", "--disable_http2", "--vault_addr=x"]
        );
    }

    #[test]
    fn several_configurations_are_kept_in_order() {
        let Ok(Arguments { command: Command::Server(server) }) = parse("coffer server -config a -config=b --config c") else { panic!() };
        assert_eq!(server.config, ["a", "b", "c"].map(std::path::PathBuf::from));
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        assert!(parse("coffer server -dev -config=a").unwrap_err().contains("cannot be used with"));
        assert!(parse("coffer operator unseal -reset abc").unwrap_err().contains("cannot be used with"));
        for line in [
            "generate-root -init -status",
            "generate-root -status -otp=x",
            "generate-root -cancel share",
            "generate-root -init -nonce=x",
            "rekey -init -cancel",
            "rekey -status share",
            "unseal -reset -migrate",
        ] {
            assert!(parse(&format!("coffer operator {line}")).unwrap_err().contains("cannot be used with"), "{line}");
        }
        assert!(parse("coffer operator generate-root -decode=x").unwrap_err().contains("--otp"));
        assert!(parse("coffer operator rekey -key-shares=3").unwrap_err().contains("--init"));
        assert!(parse("coffer operator rekey -target=both").unwrap_err().contains("recovery"));
        assert!(parse("coffer serve").unwrap_err().contains("server"));
        assert!(parse("coffer status -adress=x").unwrap_err().contains("--address"));
    }
}
