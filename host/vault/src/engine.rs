//! What answers the requests below a mount.
//!
//! An engine sees its own paths only (the mount's path is taken off), its own part of the storage, and requests that the policies of their
//! token allow. It never sees the token's policies and checks none.

use std::time::Duration;

use async_trait::async_trait;

use crate::auth::{Login, LoginLease};
use crate::logical::{Error, Request, Response, Result};

/// The logic behind a mount.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Answers a request. `request.path` is relative to the mount. A mutation runs to its end even if its client goes away.
    async fn handle(&self, request: &Request) -> Result<Response>;

    /// Whether the entry that a write names exists, which makes the write an update and not a create. None: the engine does not tell, and
    /// the write counts as an update.
    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        let _ = request;
        Ok(None)
    }

    /// Whether the path, which is relative to the mount, is answered without a token: where a client logs in. A token that comes all the same is
    /// not looked at. Only on these paths an answer may have a [`Response::login`].
    fn unauthenticated(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Whom a login is for. Who gives wrong credentials for that one too often ([`Error::WrongCredentials`](crate::logical::Error::WrongCredentials)) is locked out.
    fn alias(&self, request: &Request) -> Option<String> {
        let _ = request;
        None
    }

    /// The mount was tuned: the times of its leases are these from now on, the one that counts if nobody says otherwise and the longest.
    fn tuned(&self, default_lease_ttl: Duration, max_lease_ttl: Duration) {
        let _ = (default_lease_ttl, max_lease_ttl);
    }

    /// Whether, and how long, a token may live on that a login here earned: the login as the engine would have it now. The token keeps its
    /// policies. The text of an [`Error::BadRequest`] says why not.
    async fn renew(&self, lease: &LoginLease) -> Result<Login> {
        let _ = lease;
        Err(Error::bad_request("lease is not renewable"))
    }
}
