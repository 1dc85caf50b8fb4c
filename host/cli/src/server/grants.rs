//! What a plugin block grants, made ready for the runtime: a directory opened, servers checked, a resource of AWS bound.
//!
//! The rule: what a grant allows is said in words for the log and the banner; whoever wrote what cannot be used is named.

use super::aws;
use crate::config::{DirectoryAccess, Plugin};
use cofferdam_aws::Providers;
use cofferdam_backend::{Error, Lease};
use cofferdam_http::{HttpGrant, Options};
use cofferdam_runtime::{Directory, Grants, Http};
use std::sync::Arc;

/// Grants, and what they allow in words.
#[derive(Clone, Default)]
pub(crate) struct Granted {
    /// For the runtime.
    pub grants: Grants,
    /// A phrase for each.
    pub words: Vec<String>,
}

impl Granted {
    /// All of it in a line.
    pub(crate) fn said(&self) -> String {
        if self.words.is_empty() { "nothing".to_owned() } else { self.words.join("; ") }
    }

    /// Adds a directory.
    pub(super) fn directory(&mut self, directory: Directory, access: DirectoryAccess) {
        let path = directory.path().display();
        self.words.push(match access {
            DirectoryAccess::ReadWrite => format!("directory {path}, seen as /data"),
            DirectoryAccess::ReadOnly => format!("directory {path}, seen as /data, read-only"),
        });
        self.grants.directory = Some(directory);
    }

    /// Adds a resource of AWS.
    pub(super) fn aws(&mut self, binding: Arc<dyn cofferdam_runtime::Aws>) {
        self.words.push(binding.describe());
        self.grants.aws = Some(binding);
    }
}

/// What the block of a plugin grants to the backend of this name. What waiting may cure is [`Error::Unavailable`], all else a configuration's fault.
pub(crate) async fn of_plugin(
    plugin: Option<&Plugin>,
    backend: &str,
    lease: Option<Arc<Lease>>,
    providers: &Providers,
) -> Result<Granted, Error> {
    let mut granted = Granted::default();
    let Some(plugin) = plugin else { return Ok(granted) };
    if let Some(grant) = &plugin.grants.directory {
        let opened = match grant.access {
            DirectoryAccess::ReadWrite => Directory::open(&grant.path, true),
            DirectoryAccess::ReadOnly => Directory::open_read_only(&grant.path),
        };
        let opened = opened.map_err(|error| Error::Configuration(format!("{}: grant \"directory\": {error}", grant.place)))?;
        granted.directory(opened, grant.access);
    }
    if !plugin.grants.http.is_empty() {
        let http = http(plugin, backend)?;
        granted.words.push(format!("HTTP requests to {}", http.describe()));
        granted.grants.http = Some(http);
    }
    if let Some(grant) = &plugin.grants.aws {
        granted.aws(aws::bound(plugin, grant, backend, lease, providers).await?);
    }
    Ok(granted)
}

fn http(plugin: &Plugin, backend: &str) -> Result<Arc<dyn Http>, Error> {
    let (requests, defaults) = (plugin.requests.unwrap_or_default(), Options::default());
    let options = Options {
        per_second: requests.per_second.unwrap_or(defaults.per_second),
        per_call: requests.per_call.unwrap_or(defaults.per_call),
        ..defaults
    };
    let rules = plugin.grants.http.iter().map(|grant| grant.rule.clone()).collect();
    match HttpGrant::new(backend, rules, options.clone()) {
        Ok(grant) => Ok(grant),
        Err(error) => {
            // The error names the key, and not which of the blocks it is of.
            let wrong = |grant: &&crate::config::HttpGrant| HttpGrant::new(backend, vec![grant.rule.clone()], options.clone()).is_err();
            let place = plugin.grants.http.iter().find(wrong).map_or(&plugin.place, |grant| &grant.place);
            Err(Error::Configuration(format!("{place}: grant \"http\": {error}")))
        }
    }
}
