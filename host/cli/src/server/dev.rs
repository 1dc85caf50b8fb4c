//! The dev server: initialised, unsealed, kv v2 at `secret/`, on a directory that is gone afterwards. For trying out.

use crate::args::DevArguments;
use crate::client::token_file;
use crate::config::{Config, Environment, Listener, Storage};
use crate::exit::Failure;
use crate::output;
use cofferdam_server::ListenerConfig;
use cofferdam_vault::core::{Core, InitRequest, UnsealRequest};
use cofferdam_vault::logical::{Operation, Request, Response};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// What the dev flags and variables ask for.
pub(crate) struct Dev {
    root_token: Option<Zeroizing<String>>,
    address: SocketAddr,
    store_token: bool,
    plugin_directory: Option<PathBuf>,
    directory: Place,
}

/// Where the data is.
enum Place {
    /// Removed at the end.
    Temporary(TempDir),
    /// The operator's; was empty.
    Kept(PathBuf),
}

/// What only the dev server shows.
pub(crate) struct Made {
    unseal_key: Zeroizing<String>,
    root_token: Zeroizing<String>,
}

/// The dev flags mean nothing without `--dev`, and whoever gives them believes otherwise.
pub(crate) fn refuse_flags(arguments: &DevArguments) -> Result<(), Failure> {
    let given = [
        ("--dev-root-token-id", arguments.dev_root_token_id.is_some()),
        ("--dev-listen-address", arguments.dev_listen_address.is_some()),
        ("--dev-no-store-token", arguments.dev_no_store_token),
        ("--dev-storage-path", arguments.dev_storage_path.is_some()),
        ("--dev-plugin-dir", arguments.dev_plugin_dir.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} works only together with --dev"))),
        None => Ok(()),
    }
}

impl Dev {
    /// Reads the flags, else the environment, and prepares the directory.
    pub(crate) fn new(arguments: &DevArguments, environment: &Environment) -> Result<Self, Failure> {
        let token = arguments.dev_root_token_id.as_deref().or_else(|| environment.value("DEV_ROOT_TOKEN_ID"));
        let address =
            arguments.dev_listen_address.as_deref().or_else(|| environment.value("DEV_LISTEN_ADDRESS")).unwrap_or("127.0.0.1:8200");
        let address = crate::config::resolve(address).map_err(|message| Failure::usage(format!("--dev-listen-address: {message}")))?;
        let directory = match &arguments.dev_storage_path {
            Some(path) => {
                refuse_used(path)?;
                Place::Kept(path.clone())
            }
            None => Place::Temporary(
                TempDir::with_prefix("coffer-dev-")
                    .map_err(|error| Failure::failed(format!("cannot make a temporary directory: {error}")))?,
            ),
        };
        Ok(Self {
            root_token: token.filter(|token| !token.is_empty()).map(|token| Zeroizing::new(token.to_owned())),
            address,
            store_token: !arguments.dev_no_store_token,
            plugin_directory: arguments.dev_plugin_dir.clone(),
            directory,
        })
    }

    /// The configuration of a dev server.
    pub(crate) fn config(&self, environment: &Environment) -> Result<Config, Failure> {
        let (path, settings) = match &self.directory {
            // What is removed at the end need not survive a loss of power.
            Place::Temporary(directory) => (directory.path(), vec![("fsync".to_owned(), "false".to_owned())]),
            Place::Kept(path) => (path.as_path(), Vec::new()),
        };
        let listener = ListenerConfig {
            address: self.address,
            tls: None,
            max_request_size: crate::config::REQUEST_SIZE,
            max_request_duration: crate::config::REQUEST_DURATION,
            unauthenticated_metrics: true,
            disable_unauthed_rekey_endpoints: false,
            disable_unauthed_generate_root_endpoints: false,
        };
        let api_addr = format!("http://{}", self.address);
        let storage = Storage::dev(path.to_owned(), settings);
        let config = Config::dev(storage, Listener(listener), api_addr, self.plugin_directory.clone(), environment);
        match config.map_err(Failure::usage)? {
            config if config.seals.active.is_empty() => Ok(config),
            _ => Err(Failure::usage(
                "--dev: a dev server unseals itself with a key share, without any other seal: unset VAULT_SEAL_TYPE and BAO_SEAL_TYPE",
            )),
        }
    }

    /// Makes the vault, unseals it, sets the root token and mounts `secret/`.
    pub(crate) async fn initialize(&self, core: &Arc<Core>) -> Result<Made, Failure> {
        let fail = |error: cofferdam_vault::logical::Error| Failure::failed(format!("cannot initialize the dev server: {error}"));
        let made = core.initialize(InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() }).await.map_err(fail)?;
        let key =
            made.keys_base64.first().cloned().ok_or_else(|| Failure::failed("cannot initialize the dev server: no unseal key was made"))?;
        core.unseal(UnsealRequest { key: key.clone(), ..UnsealRequest::default() }).await.map_err(fail)?;
        let mut token = made.root_token.clone();
        if let Some(wanted) = &self.root_token {
            let data = json!({"id": wanted.as_str(), "policies": ["root"], "no_parent": true, "no_default_policy": true});
            let created = request(core, Operation::Update, "auth/token/create", data, &token).await.map_err(fail)?;
            let chosen = created
                .auth
                .map(|auth| auth.client_token)
                .ok_or_else(|| Failure::failed("cannot initialize the dev server: no root token was made"))?;
            request(core, Operation::Update, "auth/token/revoke-self", json!({}), &token).await.map_err(fail)?;
            token = chosen;
        }
        let mount = json!({"type": "kv", "description": "key/value secret storage", "options": {"version": "2"}});
        request(core, Operation::Update, "sys/mounts/secret", mount, &token).await.map_err(fail)?;
        if self.store_token {
            store(&token)?;
        }
        Ok(Made { unseal_key: key, root_token: token })
    }

    /// Prints how to reach the server, its unseal key and its root token.
    pub(crate) fn announce(&self, made: &Made, address: SocketAddr) -> Result<(), Failure> {
        let data = match &self.directory {
            Place::Temporary(directory) => format!("Its data is in {} and is removed when it ends.", directory.path().display()),
            Place::Kept(path) => format!("Its data is in {} and stays there.", path.display()),
        };
        let stored = if self.store_token { "The root token is stored in ~/.vault-token, where clients find it.\n" } else { "" };
        let text = Zeroizing::new(format!(
            "\nWARNING! This is a dev server: one unseal key, a root token on the screen, no TLS.\n{data}\n{stored}\n\
             Tell clients where it is:\n\n    $ export VAULT_ADDR='http://{address}'\n\n\
             Unseal Key: {}\nRoot Token: {}\n\nNever use a dev server in production!\n",
            *made.unseal_key, *made.root_token
        ));
        output::print(&text)
    }
}

/// The dev server starts only on an empty directory: it has no key for a vault that is already there.
fn refuse_used(path: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!(
                "--dev-storage-path {}: the directory is not empty; a dev server starts on an empty one. To use a vault again, configure storage \"filesystem\" with this path",
                path.display()
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::usage(format!("--dev-storage-path {}: cannot be listed: {error}", path.display()))),
    }
}

async fn request(
    core: &Arc<Core>,
    operation: Operation,
    path: &str,
    data: Value,
    token: &Zeroizing<String>,
) -> cofferdam_vault::logical::Result<Response> {
    let data = if let Value::Object(fields) = data { fields } else { Default::default() };
    core.handle(Request {
        id: "dev".to_owned(),
        operation,
        path: path.to_owned(),
        data,
        token: Some(token.clone()),
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    })
    .await
}

/// Writes the token beside its place and moves it there, so that nobody reads half a token.
fn store(token: &str) -> Result<(), Failure> {
    let path = token_file().ok_or_else(|| Failure::failed("cannot store the root token: HOME is not set; use --dev-no-store-token"))?;
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, token)
        .and_then(|()| std::fs::rename(&beside, &path))
        .map_err(|error| Failure::failed(format!("cannot store the root token in {}: {error}; use --dev-no-store-token", path.display())))
}

#[cfg(test)]
mod tests {
    use super::refuse_used;

    #[test]
    fn only_an_empty_or_missing_directory_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert!(refuse_used(directory.path()).is_ok());
        assert!(refuse_used(&directory.path().join("missing")).is_ok());
        std::fs::write(directory.path().join("_file"), "").unwrap();
        assert!(refuse_used(directory.path()).unwrap_err().message.contains("not empty"));
    }
}
