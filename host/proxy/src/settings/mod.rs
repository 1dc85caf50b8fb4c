//! What the operator said: flags over environment over the configuration file.
//!
//! The rule: every mistake of a start is found before anything is sent, and all are told at once, each with the name of what set it.

mod arguments;
mod environment;
mod error;
mod file;
mod load;
mod lookup;
mod parse;
mod secrets;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cofferdam_connect::Address;
use cofferdam_credentials::CallerEndpoint;
use zeroize::Zeroizing;

pub use arguments::Arguments;
pub use environment::Environment;
pub use error::SettingsError;

/// Everything that a start needs to know.
#[derive(Debug)]
pub struct Settings {
    /// The server that is logged in to and proxied to.
    pub address: Address,
    /// TLS to it.
    pub tls: cofferdam_connect::Settings,
    /// What holds for the crate's own requests, and not for proxied ones.
    pub own: Own,
    /// The path of the auth method, without `auth/` and without slashes at its ends.
    pub mount: String,
    /// How to log in.
    pub login: Login,
    /// How long before its expiry a token counts as expired.
    pub grace: Duration,
    /// Files, proxy or both.
    pub mode: Mode,
    /// The secrets that are written to files; no two go to one file.
    pub secrets: Vec<Secret>,
    /// The mode of those files.
    pub secret_file_mode: u32,
    /// Whether the files are kept fresh: none says no; zero says by their leases, and those without one every five minutes; else at least this often.
    pub watch: Option<Duration>,
    /// Where requests are taken.
    pub listen: Listen,
    /// The cache; none without a TTL.
    pub cache: Option<Cache>,
    /// `host:port` of the Lambda runtime API, if this is an extension.
    pub lambda: Option<String>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// In which form.
    pub log_format: LogFormat,
    /// What is set and has no effect, in words for the log.
    pub warnings: Vec<String>,
}

/// What holds for logins, renewals and secret files, and not for proxied requests.
#[derive(Clone, Debug)]
pub struct Own {
    /// The namespace they go to.
    pub namespace: Option<String>,
    /// The time for one request with its repetitions.
    pub timeout: Duration,
    /// How often a request is repeated that met a failure of the server.
    pub retries: u32,
    /// Requests a second, and how many may come at once.
    pub rate: Option<(f64, u32)>,
}

/// How to log in.
pub enum Login {
    /// By AWS's word on who runs this.
    Aws(AwsLogin),
    /// By a role's id and a secret id.
    AppRole {
        /// The role's id.
        role_id: Zeroizing<String>,
        /// The file with the secret id, read at each login; none for roles that are bound otherwise.
        secret_id_file: Option<PathBuf>,
    },
    /// With a token that somebody else got.
    Token(Zeroizing<String>),
    /// With the token of a file, read again when the one there was has ended.
    TokenFile(PathBuf),
}

/// The AWS login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLogin {
    /// The role of the auth method.
    pub role: String,
    /// Which server the login is for: the header `X-Vault-AWS-IAM-Server-ID`.
    pub server_id: Option<String>,
    /// A role to assume before.
    pub assumed_role_arn: Option<String>,
    /// The STS that the signature is for.
    pub sts: CallerEndpoint,
}

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Files and proxy.
    #[default]
    Default,
    /// Only files.
    File,
    /// Only the proxy.
    Proxy,
}

impl Mode {
    /// Whether secrets are written to files.
    pub fn writes_files(self) -> bool {
        self != Mode::Proxy
    }

    /// Whether requests are taken.
    pub fn serves(self) -> bool {
        self != Mode::File
    }
}

/// A secret that is written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its path below `/v1/`.
    pub path: String,
    /// The file.
    pub file: PathBuf,
    /// What named it, for messages.
    pub name: String,
}

/// Where requests are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At an address.
    Tcp(SocketAddr),
    /// At a unix socket.
    Unix(PathBuf),
}

/// The cache of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is kept.
    pub ttl: Duration,
    /// Whether requests need not ask for it.
    pub enabled: bool,
    /// The bytes of all that is kept.
    pub size: u64,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// All.
    Trace,
    /// For the search of faults.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may need somebody.
    Warn,
    /// What failed.
    Error,
    /// Nothing.
    Off,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Standard,
    /// One JSON object a line.
    Json,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Login::Aws(_) => "Aws",
            Login::AppRole { .. } => "AppRole",
            Login::Token(_) => "Token",
            Login::TokenFile(_) => "TokenFile",
        })
    }
}
