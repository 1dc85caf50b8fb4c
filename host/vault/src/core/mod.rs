//! The core: one vault on one storage, from sealed to unsealed and back, and the way of every request through it.
//!
//! Where several servers share the storage ([`crate::ha`]), an unsealed core is active or stands by.
//!
//! Rules it keeps: a change of state (init, unseal, seal) happens one at a time, and to its end even if the client goes away; a request that
//! began before a seal is waited for, a bounded time; whatever is missing in the storage after an interrupted init or boot is made at the next
//! unseal, so that no cut leaves a vault that cannot be opened.

mod active;
mod auto;
mod boot;
mod generate_root;
mod ha;
mod health;
mod kept;
mod offline;
mod pipeline;
mod rekey;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;
mod types;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::Storage;
use tracing::Instrument;
use zeroize::Zeroizing;

use crate::audit::AuditOptions;
use crate::auth::aws::sts::Sts;
use crate::barrier::{Barrier, DEFAULT_CACHE_BYTES};
use crate::ha::{Guard, Ha, HaOptions};
use crate::lockout::LockoutOptions;
use crate::logical::{Error, Result};
use crate::measure;
use crate::seal::SealOptions;
use crate::seal::config::SHAMIR;
use crate::unseal::Unsealer;
use snapshot::Lined;

pub use crate::ha::Elsewhere;
pub(crate) use active::Active;
use auto::{Auto, Tasks};
pub(crate) use boot::{CLUSTER, Cluster};
pub use generate_root::{DecodeTokenRequest, GenerateRootRequest, GenerateRootStatus, decode_token};
pub use offline::SealMigration;
pub(crate) use rekey::share;
pub use rekey::{
    RekeyAnswer, RekeyRequest, RekeyResult, RekeyStatus, ShareRequest, Target, VerifyAnswer, VerifyResult, VerifyStatus, Words,
};
pub use snapshot::Restored;
pub(crate) use snapshot::{CUT, MARKER_PATH};
pub use types::{Health, InitRequest, InitResult, Leader, Leadership, SealStatus, UnsealRequest};

/// How long a seal waits for the requests under way. Past it their next access to the storage fails.
pub(crate) const SEAL_GRACE: Duration = Duration::from_secs(10);

/// The lengths of an unseal key's share in bytes: a key of 128 bits, up to one of 256 bits and a share's coordinate.
const SHARE_LENGTHS: std::ops::RangeInclusive<usize> = 16..=33;

/// What the operator sets, and what the server says of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a lease lives if nobody asks for another time; 768 h as Vault has it.
    pub default_lease_ttl: Duration,
    /// How long a lease may live; 768 h as Vault has it.
    pub max_lease_ttl: Duration,
    /// The address that clients use, empty if not set.
    pub api_addr: String,
    /// The address that other servers use, empty if not set.
    pub cluster_addr: String,
    /// The name of the cluster, if the operator chose one; else one is made up at init.
    pub cluster_name: Option<String>,
    /// The name of the storage's stanza, for `sys/seal-status`.
    pub storage_type: String,
    /// The server's version, as `1.2.3`.
    pub version: String,
    /// When the server was built, RFC 3339; may be empty.
    pub build_date: String,
    /// Whether entries read are kept, as ciphertext and bounded, so that they need not be read again.
    pub cache: bool,
    /// What makes this server one of several on its storage; none if it is alone.
    pub ha: Option<HaOptions>,
    /// What the vault is sealed by.
    pub seal: SealOptions,
    /// When clients are locked out that log in with wrong credentials.
    pub lockout: LockoutOptions,
    /// Where requests are recorded.
    pub audit: AuditOptions,
    /// The way to AWS's STS, which logins by the aws auth method are checked with; none if there is none.
    pub sts: Option<Arc<dyn Sts>>,
}

/// One vault on one storage. Made sealed; every method may be called at any time and from any task.
///
/// One that is unsealed and shares its storage contends and leads until [`Core::shutdown`], even if nobody else holds it.
pub struct Core {
    options: Options,
    pub(crate) barrier: Arc<Barrier>,
    unsealer: Unsealer,
    /// The storage below the barrier.
    lined: Arc<Lined>,
    /// Held while a snapshot is taken or restored.
    snapshots: tokio::sync::Mutex<()>,
    auto: Arc<Auto>,
    /// What runs beside the requests, and ends with the core.
    tasks: Tasks,
    ha: Option<Arc<Ha>>,
    /// None while sealed, and on a standby.
    active: RwLock<Option<Arc<Active>>>,
    /// Held shared by every request, exclusively by a seal.
    pub(crate) requests: Arc<tokio::sync::RwLock<()>>,
    /// Held through a change of state.
    state: tokio::sync::Mutex<()>,
}

impl Core {
    /// A sealed vault on the storage. Touches nothing yet.
    pub fn new(storage: Arc<dyn Storage>, options: Options) -> Arc<Core> {
        let ha = options.ha.clone().map(Ha::new);
        let storage: Arc<dyn Storage> = match &ha {
            Some(ha) => Arc::new(Guard::new(storage, ha.clone())),
            None => storage,
        };
        let lined = Arc::new(Lined::new(storage));
        let barrier = Barrier::with_cache(lined.clone(), if options.cache { DEFAULT_CACHE_BYTES } else { 0 });
        let unsealer = Unsealer::new(barrier.clone(), ha.is_some(), options.seal.clone());
        Arc::new(Core {
            options,
            unsealer,
            lined,
            snapshots: tokio::sync::Mutex::default(),
            auto: Arc::default(),
            tasks: Tasks::default(),
            barrier,
            ha,
            active: RwLock::new(None),
            requests: Arc::default(),
            state: tokio::sync::Mutex::new(()),
        })
    }

    /// What the operator set.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What answers requests: only while unsealed, and only on the active server.
    pub(crate) fn active(&self) -> Result<Arc<Active>> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (&self.ha, active) {
            (None, active) => active.ok_or(Error::Sealed),
            (Some(ha), Some(active)) if ha.leased() => Ok(active),
            (Some(ha), _) => Err(if ha.running() { Error::Standby } else { Error::Sealed }),
        }
    }

    /// Whether it is sealed. A standby is not.
    pub(crate) fn sealed(&self) -> bool {
        match &self.ha {
            None => self.active().is_err(),
            Some(ha) => !ha.running(),
        }
    }

    pub(crate) fn set_active(&self, active: Option<Arc<Active>>) -> Option<Arc<Active>> {
        std::mem::replace(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner), active)
    }

    pub(crate) fn unsealer(&self) -> &Unsealer {
        &self.unsealer
    }

    /// `GET sys/seal-status`.
    pub async fn seal_status(&self) -> Result<SealStatus> {
        let state = self.unsealer.status().await?;
        let cluster = self.cluster();
        Ok(SealStatus {
            kind: state.kind,
            initialized: state.initialized,
            sealed: self.sealed(),
            t: state.threshold,
            n: state.shares,
            progress: state.progress.into(),
            nonce: state.nonce,
            recovery_seal: state.recovery,
            recovery_seal_type: state.recovery.then(|| SHAMIR.to_owned()),
            version: self.options.version.clone(),
            commit_date: self.options.build_date.clone(),
            build_date: self.options.build_date.clone(),
            migration: state.migration,
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
            storage_type: self.options.storage_type.clone(),
            warnings: self.warnings(),
        })
    }

    /// What is wrong with the seal, in words for clients: the error's case, nothing of its text.
    fn warnings(&self) -> Vec<String> {
        let trouble = self.auto.trouble().map(|trouble| format!("the vault cannot unseal itself: {}", trouble.case));
        trouble.into_iter().chain(self.unsealer.seal_warnings()).collect()
    }

    /// `GET sys/init`: whether there is a vault in the storage.
    pub async fn initialized(&self) -> Result<bool> {
        self.unsealer.initialized().await
    }

    /// `GET sys/health`.
    pub async fn health(&self) -> Result<Health> {
        let (sealed, cluster) = (self.sealed(), self.cluster());
        let mode = if sealed { "unknown" } else { "disabled" };
        Ok(Health {
            initialized: !sealed || self.initialized().await?,
            sealed,
            standby: self.active().is_err(),
            replication_performance_mode: mode,
            replication_dr_mode: mode,
            server_time_utc: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            version: self.options.version.clone(),
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
        })
    }

    fn cluster(&self) -> Option<Cluster> {
        match self.active() {
            Ok(active) => Some(active.cluster.clone()),
            Err(_) if self.sealed() => None,
            Err(_) => self.ha.as_ref()?.cluster(),
        }
    }

    /// `PUT sys/init`: makes a vault, and seals it again.
    ///
    /// Runs to its end even if the caller goes away. [`Error::BadRequest`] if there is one already, or the numbers are wrong.
    pub async fn initialize(self: &Arc<Self>, request: InitRequest) -> Result<InitResult> {
        let core = self.clone();
        to_the_end(async move { core.initialize_now(&request).await }).await
    }

    async fn initialize_now(self: &Arc<Self>, request: &InitRequest) -> Result<InitResult> {
        let _state = self.state.lock().await;
        if self.initialized().await? {
            return Err(Error::bad_request("Vault is already initialized"));
        }
        let shares = request.shares(self.unsealer.is_auto().then(|| self.seal_kind()))?;
        let hold = match &self.ha {
            Some(ha) => Some(ha.hold(&self.barrier).await?),
            None => None,
        };
        let made = async {
            if hold.is_some() {
                self.barrier.storage().forget();
                // Another server may have been faster.
                if self.initialized().await? {
                    return Err(Error::bad_request("Vault is already initialized"));
                }
            }
            self.first_boot(shares.0, shares.1).await
        };
        let made = made.await;
        // As Vault does it: what init leaves is sealed. After a failure this also gives up what was begun.
        self.unsealer.seal();
        if let Some(hold) = hold {
            hold.release(&self.barrier).await;
        }
        if made.is_ok() && self.unsealer.is_auto() {
            self.auto.want(true);
            if let Err(error) = self.unseal_by_service().await {
                tracing::warn!(%error, "the new vault could not be unsealed at once; this is tried again");
            }
        }
        made
    }

    async fn first_boot(&self, shares: i64, threshold: i64) -> Result<InitResult> {
        let shares = self.unsealer.prepare(shares, threshold).await?;
        let active = Active::open(&self.barrier, &self.options).await?;
        let root_token = active.tokens.create_root().await;
        active.close().await;
        let (_, root_token) = root_token?;
        self.unsealer.commit().await?;
        tracing::info!(shares = shares.len(), threshold, "vault initialized");
        let keys: Vec<_> = shares.iter().map(|share| Zeroizing::new(hex::encode(share.expose()))).collect();
        let keys_base64: Vec<_> = shares.iter().map(|share| Zeroizing::new(STANDARD.encode(share.expose()))).collect();
        Ok(if self.unsealer.is_auto() {
            InitResult {
                keys: Vec::new(),
                keys_base64: Vec::new(),
                recovery_keys: Some(keys),
                recovery_keys_base64: Some(keys_base64),
                root_token,
            }
        } else {
            InitResult { keys, keys_base64, recovery_keys: None, recovery_keys_base64: None, root_token }
        })
    }

    /// The type of the seal that is configured.
    fn seal_kind(&self) -> &str {
        self.options.seal.seals.first().map_or(SHAMIR, |seal| &seal.kind)
    }

    /// `PUT sys/unseal`: takes a share; with enough of them, opens the vault.
    ///
    /// Runs to its end even if the caller goes away. [`Error::BadRequest`] for a share that cannot be one, and when the shares together are wrong.
    pub async fn unseal(self: &Arc<Self>, request: UnsealRequest) -> Result<SealStatus> {
        let core = self.clone();
        measure::time("vault_core_unseal", to_the_end(async move { core.unseal_now(&request).await })).await
    }

    async fn unseal_now(self: &Arc<Self>, request: &UnsealRequest) -> Result<SealStatus> {
        let _state = self.state.lock().await;
        if request.reset {
            if !self.sealed() {
                return Err(Error::bad_request("vault is unsealed"));
            }
            self.unsealer.reset();
            return self.seal_status().await;
        }
        let share = request.share()?;
        if self.sealed() && self.unsealer.unseal_with(&share, request.migrate).await? {
            self.opened().await?;
            // Whoever sealed it by hand has changed their mind.
            self.auto.want(self.unsealer.is_auto());
        }
        self.seal_status().await
    }

    /// What follows once the barrier is open: the core answers requests, or one of several servers contends for the lead. The caller holds `state`.
    async fn opened(self: &Arc<Self>) -> Result<()> {
        if let Some(ha) = &self.ha {
            ha.start(self);
            return Ok(());
        }
        match Active::open(&self.barrier, &self.options).await {
            Ok(active) => drop(self.set_active(Some(Arc::new(active)))),
            Err(error) => {
                self.unsealer.seal();
                tracing::error!(%error, "the vault was unsealed but could not be opened; sealed again");
                return Err(error);
            }
        }
        tracing::info!("vault unsealed");
        Ok(())
    }

    /// The keys of this server open the vault no more, so it was sealed: one with a key service gets those of today.
    pub(crate) fn keys_lost(&self) {
        self.auto.wake();
    }

    /// Seals: waits for the requests under way, a bounded time, stops timers, wipes keys; one of several servers gives the lock back. Does
    /// nothing if it is sealed.
    pub async fn shutdown(&self) {
        let _state = self.state.lock().await;
        // Who seals it wants it sealed.
        self.auto.want(false);
        measure::time("vault_core_seal", self.seal_now()).await;
    }

    /// The caller holds `state`.
    async fn seal_now(&self) {
        if let Some(ha) = &self.ha {
            ha.stop().await;
            self.unsealer.seal();
            tracing::info!("vault sealed");
            return;
        }
        // From here on new requests are refused.
        let active = self.set_active(None);
        let guard = tokio::time::timeout(SEAL_GRACE, self.requests.write()).await;
        if guard.is_err() {
            tracing::warn!("sealing while requests are still under way after {SEAL_GRACE:?}");
        }
        if let Some(active) = active {
            active.close().await;
            match tokio::time::timeout(SEAL_GRACE, self.unsealer.maintain()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the count of the newest key's uses could not be stored"),
                Err(_) => tracing::warn!("the count of the newest key's uses was not stored within {SEAL_GRACE:?}"),
            }
            tracing::info!("vault sealed");
        }
        self.unsealer.seal();
    }
}

/// Runs it in a task of its own, so that it goes on when the caller is dropped.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(|error| Error::Internal(format!("a request's task ended: {error}")))?
}
