//! The part of the core that exists only while the vault is unsealed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Options;
use super::boot::{self, Cluster};
use super::kept::Kept;
use crate::audit::Audit;
use crate::auth::aws::sts::NoSts;
use crate::barrier::Barrier;
use crate::identity::Identities;
use crate::lease::clock::Clock;
use crate::lockout::Lockouts;
use crate::logical::{Error, Result};
use crate::measure;
use crate::mounts::{Engines, Mounts, Tables};
use crate::setting::Setting;
use crate::token::{Backend, Cubbyhole, Parts};
use crate::view::View;
use crate::{cors, policy, token};

/// Everything that answers requests.
pub(crate) struct Active {
    pub(crate) cluster: Cluster,
    pub(crate) mounts: Arc<Mounts>,
    pub(crate) policies: Arc<policy::Store>,
    pub(crate) tokens: Arc<token::Store>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) cors: Setting<cors::Cors>,
    pub(crate) lockouts: Lockouts,
    /// What of the store is kept for another server.
    pub(crate) kept: Kept,
    /// Moves of mounts that were asked for, by their ids: from, to. They are done by the time the id is known.
    pub(crate) remounts: Mutex<BTreeMap<String, (String, String)>>,
}

impl Active {
    /// Opens all that an unsealed vault has, and makes what is missing of it. The barrier is unsealed.
    pub(crate) async fn open(barrier: &Arc<Barrier>, options: &Options) -> Result<Active> {
        measure::time("vault_core_post_unseal", Box::pin(Active::opened(barrier, options))).await
    }

    async fn opened(barrier: &Arc<Barrier>, options: &Options) -> Result<Active> {
        let tables = Tables::load(barrier).await?;
        let view = |prefix: &str| View::new(barrier.clone(), prefix);
        let audit = Arc::new(Box::pin(Audit::open(view(""), options.audit.clone())).await?);
        let cluster = boot::cluster(barrier, options.cluster_name.as_deref()).await?;
        let clock = Clock::default();
        let policies = Arc::new(policy::Store::new(view("sys/policy/"), clock.clone()));
        policies.ensure_defaults().await?;
        let cubbyhole = tables.entries().find(|entry| entry.kind == "cubbyhole");
        let cubbyhole = cubbyhole.ok_or_else(|| Error::Internal("there is no cubbyhole mount".to_owned()))?;
        let identities = tables.entries().find(|entry| entry.table == "mounts" && entry.kind == "identity");
        let identities = identities.filter(|entry| !entry.uuid.is_empty()).map(|entry| view(&entry.storage_prefix()));
        let ttls = tables.entries().find(|entry| entry.api_path() == "auth/token/").map(|entry| entry.config.clone()).unwrap_or_default();
        let (default_lease_ttl, max_lease_ttl) = ttls.lease_ttls(options.default_lease_ttl, options.max_lease_ttl);
        let tokens = token::Store::open(Parts {
            barrier: barrier.clone(),
            policies: policies.clone(),
            identities: Identities::new(identities),
            cubbyhole: Cubbyhole::new(view(&cubbyhole.storage_prefix()), cubbyhole.uuid.as_str()),
            default_lease_ttl,
            max_lease_ttl,
            clock: clock.clone(),
        })
        .await?;
        let engines = Engines {
            root: view(""),
            token: Arc::new(Backend::new(tokens.clone())),
            cubbyhole: tokens.cubbyhole(),
            tokens: tokens.clone(),
            default_lease_ttl: options.default_lease_ttl,
            max_lease_ttl: options.max_lease_ttl,
            sts: options.sts.clone().unwrap_or_else(|| Arc::new(NoSts)),
            running_version: format!("v{}+builtin.cofferdam", options.version),
        };
        let mounts = Arc::new(Mounts::open(tables, engines).await?);
        let logins: Arc<dyn token::Logins> = mounts.clone();
        tokens.set_logins(Arc::downgrade(&logins));
        let kept = Kept::find(&view(""), &mounts.routes()).await?;
        let lockouts = Lockouts::load(&view(""), clock, options.lockout, &mounts.routes()).await?;
        let cors = Setting::load(view(cors::VIEW), cors::KEY).await?;
        tokens.start();
        Ok(Active { cluster, mounts, policies, tokens, audit, cors, lockouts, kept, remounts: Mutex::default() })
    }

    /// Stops timers. The keys are wiped by the caller.
    pub(crate) async fn close(&self) {
        self.tokens.stop();
    }
}
