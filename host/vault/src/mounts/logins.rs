//! What mounts have to do with logins: which of their paths are answered without a token, and what they say of the tokens that result.

use async_trait::async_trait;

use super::entry::Entry;
use super::router::Handler;
use super::{Mounts, no_route};
use crate::auth::{Login, LoginLease};
use crate::logical::{Error, Result, one_error};
use crate::token::{Logins, Source};

impl Mounts {
    /// What a mount says of the tokens of its logins.
    pub(crate) fn source(&self, entry: &Entry) -> Source {
        let (default_ttl, max_ttl) = self.engines.lease_ttls(entry);
        Source {
            path: entry.path.clone(),
            kind: entry.kind.clone(),
            accessor: entry.accessor.clone(),
            token_type: entry.config.token_type(),
            default_ttl,
            max_ttl,
        }
    }
}

#[async_trait]
impl Logins for Mounts {
    async fn renew(&self, path: &str, lease: &LoginLease) -> Result<(Login, Source)> {
        let (mount, _within, _) = self.enter(path).await.ok_or_else(|| no_route(path))?;
        match &mount.handler {
            Handler::Engine(engine) => {
                let login = engine.renew(lease).await.map_err(|error| match error {
                    // Nothing that the client can change.
                    Error::BadRequest(text) => Error::Refused(one_error(format_args!("failed to renew entry: {text}"))),
                    other => other,
                })?;
                Ok((login, self.source(&mount.entry)))
            }
            Handler::Refused(reason) => Err(Error::BadRequest(format!("{:?} cannot be used: {reason}", mount.entry.api_path()))),
            Handler::System => Err(no_route(path)),
        }
    }
}
