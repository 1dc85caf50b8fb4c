//! What answers the requests below a mount.
//!
//! An engine sees its own paths only (the mount's path is taken off), its own part of the storage, and requests that the policies of their
//! token allow. It never sees the token's policies and checks none.

use async_trait::async_trait;

use crate::logical::{Request, Response, Result};

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
}
