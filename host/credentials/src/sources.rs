//! The surroundings: the one place where credentials and regions are looked up in the process's environment.
//!
//! The rule: what is not in [`Sources`] is not looked at. An empty variable counts as unset, as in Vault.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::CredentialsError;
use crate::imds::Imds;

/// The variables that are read. Vault's SDK takes the second names of the key pair too.
pub(crate) mod variable {
    pub(crate) const ACCESS_KEY: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"];
    pub(crate) const SECRET_KEY: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"];
    pub(crate) const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
    pub(crate) const PROFILE: &str = "AWS_PROFILE";
    pub(crate) const CREDENTIALS_FILE: &str = "AWS_SHARED_CREDENTIALS_FILE";
    pub(crate) const CONFIG_FILE: &str = "AWS_CONFIG_FILE";
    pub(crate) const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    pub(crate) const ROLE_ARN: &str = "AWS_ROLE_ARN";
    pub(crate) const ROLE_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
    pub(crate) const CONTAINER_RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    pub(crate) const CONTAINER_FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    pub(crate) const CONTAINER_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    pub(crate) const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    pub(crate) const IMDS_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
    pub(crate) const IMDS_ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    pub(crate) const IMDS_MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    pub(crate) const STS_ENDPOINT: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
}

type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where credentials may come from. Clones share the client of the instance metadata, and what its last attempt told.
#[derive(Clone)]
pub struct Sources {
    variables: Variables,
    proxies: bool,
    imds: Arc<Imds>,
}

impl Sources {
    /// This process's environment, with its proxies.
    pub fn system() -> Sources {
        let variables = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Sources::new(Arc::new(variables), true)
    }

    /// These variables in place of the environment, and no proxy.
    pub fn of<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Sources {
        let map: HashMap<String, String> = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Sources::new(Arc::new(move |name| map.get(name).cloned()), false)
    }

    fn new(variables: Variables, proxies: bool) -> Sources {
        let imds = Arc::new(Imds::default());
        Sources { variables, proxies, imds }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.trim().is_empty())
    }

    /// The first of these that is set, with its name.
    pub(crate) fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, String)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// A path, in which `~/` is the home directory.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, CredentialsError> {
        let Some(rest) = text.strip_prefix("~/") else { return Ok(PathBuf::from(text)) };
        match self.get("HOME") {
            Some(home) => Ok(PathBuf::from(home).join(rest)),
            None => Err(CredentialsError::Configuration(format!("{text}: HOME is not set, so give the whole path"))),
        }
    }

    /// A file of `~/.aws`, if there is a home directory.
    pub(crate) fn in_home(&self, name: &str) -> Option<PathBuf> {
        Some(PathBuf::from(self.get("HOME")?).join(".aws").join(name))
    }

    /// Whether the process's proxy variables apply (to STS; never to metadata and container endpoints).
    pub(crate) fn proxies(&self) -> bool {
        self.proxies
    }

    pub(crate) fn imds(&self) -> &Imds {
        &self.imds
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variables hold keys.
        f.debug_struct("Sources").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}
