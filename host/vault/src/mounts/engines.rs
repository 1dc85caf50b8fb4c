//! Which engines there are, and how a mount gets one.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::router::{Handler, Mount};
use crate::auth::approle::AppRole;
use crate::auth::aws::Aws;
use crate::auth::aws::sts::Sts;
use crate::engine::Engine;
use crate::kv;
use crate::logical::{Error, Result};
use crate::token;
use crate::view::View;

/// Makes engines for mounts.
pub(crate) struct Engines {
    /// All of the storage, until the next seal.
    pub(crate) root: View,
    /// The engine of `auth/token/`.
    pub(crate) token: Arc<dyn Engine>,
    /// The engine of `cubbyhole/`.
    pub(crate) cubbyhole: Arc<dyn Engine>,
    /// The tokens, of which those of a mount's logins go with it.
    pub(crate) tokens: Arc<token::Store>,
    /// How long a lease lives if nobody says otherwise.
    pub(crate) default_lease_ttl: Duration,
    /// How long a lease may live.
    pub(crate) max_lease_ttl: Duration,
    /// The way to AWS's STS.
    pub(crate) sts: Arc<dyn Sts>,
    /// The version that the mounts' engines have, as `v1.2.3+builtin.cofferdam`.
    pub(crate) running_version: String,
}

impl Engines {
    /// The mount in service.
    pub(super) async fn open(&self, entry: &Entry) -> Result<Mount> {
        if entry.unmounting() {
            let reason = "its deletion is not finished, and the server's log says why: the next unseal tries again, or delete it again";
            return Ok(self.refused(entry, reason));
        }
        if entry.tainted {
            return Ok(self.refused(entry, "another server was moving it: move or delete it again"));
        }
        let (label, handler) = match (entry.table.as_str(), entry.kind.as_str()) {
            ("mounts", "system") => ("system", Handler::System),
            ("mounts", "cubbyhole") => ("cubbyhole", Handler::Engine(self.cubbyhole.clone())),
            ("auth", "token") => ("token", Handler::Engine(self.token.clone())),
            ("mounts", "kv" | "generic") => ("kv", self.kv(entry).await?),
            ("auth", "approle") => {
                let (_, max) = self.lease_ttls(entry);
                let method = AppRole::open(self.root.sub(&entry.storage_prefix()), self.tokens.clock(), max).await?;
                ("approle", Handler::Engine(Arc::new(method)))
            }
            ("auth", "aws") => {
                let view = self.root.sub(&entry.storage_prefix());
                ("aws", Handler::Engine(Arc::new(Aws::new(view, self.sts.clone()))))
            }
            ("mounts", "identity") => {
                return Ok(self.refused(entry, "this server does not offer the API of identities; it reads them for policies"));
            }
            (_, kind) => return Ok(self.refused(entry, &format!("this server does not offer engines of type {kind:?}"))),
        };
        Ok(Mount { entry: entry.clone(), handler, label, gate: Arc::default(), meters: Arc::default() })
    }

    async fn kv(&self, entry: &Entry) -> Result<Handler> {
        let view = self.root.sub(&entry.storage_prefix());
        match entry.kv_version() {
            None | Some("1") => Ok(self.kv_v1(entry)),
            Some("2") => {
                let engine = kv::v2::Kv::new(view, &entry.backend_aware_uuid);
                engine.setup().await?;
                Ok(Handler::Engine(Arc::new(engine)))
            }
            Some(other) => Ok(Handler::Refused(format!("this server does not know version {other:?} of the kv engine"))),
        }
    }

    fn kv_v1(&self, entry: &Entry) -> Handler {
        let view = self.root.sub(&entry.storage_prefix());
        Handler::Engine(Arc::new(kv::v1::Kv::new(view, self.lease_ttls(entry).0)))
    }

    /// How long a lease of the mount lives if nobody says otherwise, and at most.
    pub(super) fn lease_ttls(&self, entry: &Entry) -> (Duration, Duration) {
        entry.config.lease_ttls(self.default_lease_ttl, self.max_lease_ttl)
    }

    /// The same, except that a mount whose stored state is damaged is refused, and not a reason to stay sealed.
    pub(super) async fn open_or_refuse(&self, entry: &Entry) -> Result<Mount> {
        match self.open(entry).await {
            Err(Error::Damaged(reason)) => {
                tracing::error!(mount = entry.accessor, reason, "a mount cannot be opened");
                Ok(self.refused(entry, "what it stored is damaged; the server's log says more"))
            }
            opened => opened,
        }
    }

    /// The mount with changed settings. kv v1 is made anew with them; other engines are told of the times and go on.
    pub(super) fn retuned(&self, mount: &Mount, entry: Entry) -> Mount {
        let handler = match (&mount.handler, entry.kv_version()) {
            (Handler::Engine(_), Some("1")) => self.kv_v1(&entry),
            (handler, _) => {
                if let Handler::Engine(engine) = handler {
                    let (default, max) = self.lease_ttls(&entry);
                    engine.tuned(default, max);
                }
                handler.clone()
            }
        };
        Mount { entry, handler, ..mount.clone() }
    }

    /// The mount out of service.
    pub(super) fn refused(&self, entry: &Entry, reason: &str) -> Mount {
        Mount {
            entry: entry.clone(),
            handler: Handler::Refused(reason.to_owned()),
            label: "refused",
            gate: Arc::default(),
            meters: Arc::default(),
        }
    }

    /// Deletes what a mount stored.
    pub(super) async fn clear(&self, entry: &Entry) -> Result<()> {
        // Without its uuid the prefix would be that of all mounts.
        if entry.uuid.is_empty() {
            return Err(Error::Damaged(format!("the mount {:?} has no uuid", entry.accessor)));
        }
        self.root.sub(&entry.storage_prefix()).clear().await
    }
}
