//! Names and passwords for registries: given by the caller, or as `docker login` keeps them.

use super::PullError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The variables that give a name and a password.
pub const VARIABLES: [&str; 2] = ["COFFER_REGISTRY_USERNAME", "COFFER_REGISTRY_PASSWORD"];

impl Credentials {
    /// Those of [`VARIABLES`], which are set both or neither.
    pub fn from_environment(value: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, PullError> {
        match VARIABLES.map(|name| value(name).filter(|value| !value.is_empty())) {
            [Some(username), Some(password)] => Ok(Some(Credentials { username, password })),
            [None, None] => Ok(None),
            _ => Err(PullError::Credentials(format!("{} and {} are needed both or neither", VARIABLES[0], VARIABLES[1]))),
        }
    }
}

/// Where docker keeps its configuration.
pub fn docker_config(value: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| value(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(directory.join("config.json"))
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// What docker's configuration has for a registry. A file that is not there has nothing; programs that keep passwords are not run.
pub(super) fn from_docker(path: &Path, registry: &str) -> Result<Option<Credentials>, PullError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PullError::Credentials(format!("{}: cannot be read: {error}", path.display()))),
    };
    // Not the parser's own words: they may show what it read.
    let malformed = |what: &str| PullError::Credentials(format!("{}: {what}: run `docker login {registry}` again", path.display()));
    let config: DockerConfig = serde_json::from_slice(&bytes).map_err(|_| malformed("not a configuration of docker (JSON)"))?;
    let Some(auth) = config.auths.iter().find(|(key, _)| is_for(key, registry)).map(|(_, auth)| auth) else { return Ok(None) };
    if let (Some(username), Some(password)) = (&auth.username, &auth.password) {
        return Ok(Some(Credentials { username: username.clone(), password: password.clone() }));
    }
    let Some(text) = auth.auth.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    let decoded = BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (username, password) = pair.ok_or_else(|| malformed("the entry of the registry is not base64 of NAME:PASSWORD"))?;
    Ok(Some(Credentials { username: username.to_owned(), password: password.to_owned() }))
}

/// Whether an entry of docker's is for the registry. It writes Docker Hub's as an address.
fn is_for(key: &str, registry: &str) -> bool {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = bare.split('/').next().unwrap_or(bare);
    host == registry || registry == "docker.io" && host == "index.docker.io"
}
