//! The store of tokens: making, finding, using and renewing them. What ends them is in `revoke`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::MutexGuard;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::create::Lasting;
use super::cubbyhole::{Cubbyhole, Own};
use super::entry::{Accessor, Entry};
use super::id::{self, Ids, RANDOM};
use super::identity::Rights;
use super::jwt::WrappingKey;
use super::{Caller, Logins, cidr};
use crate::barrier::{Barrier, Change};
use crate::crypto;
use crate::engine::Engine;
use crate::identity::Identities;
use crate::lease::clock::{Clock, Time};
use crate::lease::ttl::{self, Terms};
use crate::lease::{Auth, Lease, Leases, Times};
use crate::logical::{Error, Result};
use crate::measure;
use crate::policy;
use crate::view::View;

/// What a store of tokens is made from.
pub struct Parts {
    /// The unsealed barrier.
    pub barrier: Arc<Barrier>,
    /// The policies.
    pub policies: Arc<policy::Store>,
    /// Who the entities of tokens are.
    pub identities: Identities,
    /// Where tokens have their cubbyholes.
    pub cubbyhole: Cubbyhole,
    /// How long a token lives if nobody asks for another time.
    pub default_lease_ttl: Duration,
    /// How long a token may live.
    pub max_lease_ttl: Duration,
    /// Where the time comes from.
    pub clock: Clock,
}

/// A token that counts, and the times of its lease; none for a root token that never expires.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) entry: Arc<Entry>,
    pub(super) times: Option<Times>,
}

/// The tokens of an unsealed vault.
pub struct Store {
    /// `sys/token/`
    pub(super) view: View,
    pub(super) ids: Ids,
    pub(super) leases: Leases,
    pub(super) policies: Arc<policy::Store>,
    pub(super) identities: Identities,
    pub(super) cubbyhole: Cubbyhole,
    pub(crate) wrapping_key: WrappingKey,
    pub(super) default_lease_ttl: Duration,
    pub(super) max_lease_ttl: Duration,
    /// What changes an entry or a lease, or makes a child, holds the lock of the token.
    locks: Vec<tokio::sync::Mutex<()>>,
    /// Held while a token with a chosen id is made, so that there is never a second.
    chosen: tokio::sync::Mutex<()>,
    /// Salted ids of tokens that are being revoked, with the number of revocations.
    pub(super) revoking: Mutex<HashMap<String, usize>>,
    pub(super) sweeper: Mutex<Option<JoinHandle<()>>>,
    pub(super) tidying: Mutex<Option<JoinHandle<()>>>,
    /// Who asks the engines of auth mounts.
    pub(super) logins: OnceLock<Weak<dyn Logins>>,
}

const LOCKS: usize = 64;
/// Reads under way at a time while accessors are listed.
pub(super) const CONCURRENT: usize = 32;

impl Store {
    /// Opens the store; makes its salt and its key if they are missing. [`Store::start`] begins the ending of leases.
    pub async fn open(parts: Parts) -> Result<Arc<Store>> {
        let view = View::new(parts.barrier.clone(), "sys/token/");
        let ids = Ids::open(&view, &View::new(parts.barrier.clone(), "core/")).await?;
        let wrapping_key = WrappingKey::new(View::new(parts.barrier.clone(), "core/"));
        Ok(Arc::new(Store {
            view,
            ids,
            wrapping_key,
            leases: Leases::new(&View::new(parts.barrier, "sys/expire/"), parts.clock),
            policies: parts.policies,
            identities: parts.identities,
            cubbyhole: parts.cubbyhole,
            default_lease_ttl: parts.default_lease_ttl,
            max_lease_ttl: parts.max_lease_ttl,
            locks: std::iter::repeat_with(tokio::sync::Mutex::default).take(LOCKS).collect(),
            chosen: tokio::sync::Mutex::default(),
            revoking: Mutex::default(),
            sweeper: Mutex::default(),
            tidying: Mutex::default(),
            logins: OnceLock::new(),
        }))
    }

    /// How many leases there are, as far as they are loaded.
    pub(crate) fn lease_count(&self) -> usize {
        self.leases.count()
    }

    /// The engine of `cubbyhole/`.
    pub fn cubbyhole(self: &Arc<Self>) -> Arc<dyn Engine> {
        Arc::new(Own::new(self.cubbyhole.clone(), self.clone()))
    }

    /// The name under which the storage has a token or an accessor.
    pub(super) fn salted(&self, id: &str) -> String {
        self.ids.salted(id)
    }

    pub(super) async fn lock(&self, salted: &str) -> Result<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        salted.hash(&mut hasher);
        let at = hasher.finish() as usize % LOCKS;
        Ok(self.locks.get(at).ok_or_else(|| Error::Internal("no lock".to_owned()))?.lock().await)
    }

    /// Who sent this token from there. None if there is no such token, or it is over. [`Error::PermissionDenied`] for one that this vault
    /// did not sign, of a kind that it does not know, or from an address that it is not for.
    pub async fn caller(&self, external: &str, remote: Option<SocketAddr>) -> Result<Option<Arc<Caller>>> {
        let inner = self.ids.inner(external)?;
        let Some(Live { entry, .. }) = self.live(&inner).await? else { return Ok(None) };
        if let Some(networks) = entry.bound_cidrs.as_deref().filter(|networks| !networks.is_empty())
            && !remote.is_some_and(|remote| cidr::holds(networks, remote.ip()))
        {
            return Err(Error::PermissionDenied);
        }
        let Rights { acl, policies, identity_policies } = self.rights(&entry).await?;
        Ok(Some(Arc::new(Caller { entry, acl, policies, identity_policies, external_id: Zeroizing::new(external.to_owned()) })))
    }

    /// Counts a use of the caller's token. True if it was the last: [`Store::revoke`] it when the request is done. Call it once for every
    /// request, allowed or not. [`Error::PermissionDenied`] if there is none left.
    pub async fn spend(&self, caller: &Caller) -> Result<bool> {
        if caller.entry.num_uses == 0 {
            return Ok(false);
        }
        let salted = self.salted(&caller.entry.id);
        let _changing = self.lock(&salted).await?;
        let mut entry = self.entry(&salted).await?.filter(|entry| entry.num_uses > 0).ok_or(Error::PermissionDenied)?;
        let last = entry.num_uses == 1;
        entry.num_uses = if last { super::entry::REVOKING } else { entry.num_uses - 1 };
        self.put_entry(&salted, &entry).await?;
        Ok(last)
    }

    /// The entry as stored, whether or not it counts.
    pub(super) async fn entry(&self, salted: &str) -> Result<Option<Entry>> {
        match self.view.get(&format!("id/{salted}")).await? {
            Some(bytes) => Entry::from_stored(salted, &bytes).map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn put_entry(&self, salted: &str, entry: &Entry) -> Result<()> {
        let (key, stored) = (format!("id/{salted}"), entry.to_stored()?);
        measure::time("vault_token_store", self.view.put(&key, &stored)).await
    }

    /// The token of this inner form, if it counts. One that should have a lease and has none is revoked.
    pub(super) async fn live(&self, inner: &str) -> Result<Option<Live>> {
        if id::is_batch(inner) {
            return measure::time("vault_token_lookup", self.batch(inner)).await;
        }
        self.live_service(inner).await
    }

    pub(super) async fn live_service(&self, inner: &str) -> Result<Option<Live>> {
        let live = measure::time("vault_token_lookup", self.live_or_stray(inner)).await?;
        if let Some(Live { entry, times: None }) = &live
            && !entry.never_expires()
        {
            self.revoke(inner).await?;
            return Ok(None);
        }
        Ok(live)
    }

    /// The same, but one that has no lease and should have is returned without times.
    pub(super) async fn live_or_stray(&self, inner: &str) -> Result<Option<Live>> {
        if inner.is_empty() {
            return Ok(None);
        }
        let salted = self.salted(inner);
        if self.being_revoked(&salted) {
            return Ok(None);
        }
        let Some(entry) = self.entry(&salted).await? else { return Ok(None) };
        if entry.num_uses < 0 || entry.elsewhere() || *entry.id != *inner {
            return Ok(None);
        }
        let times = self.leases.times(&entry.lease_id(&salted)).await?;
        if times.is_some_and(|times| times.expire.passed(self.leases.clock().now())) {
            return Ok(None);
        }
        Ok(Some(Live { entry: Arc::new(entry), times }))
    }

    /// A token that has just been used for the last time, for showing it to the one who used it.
    pub(super) async fn spent(&self, entry: &Entry) -> Result<Live> {
        let times = self.leases.times(&entry.lease_id(&self.salted(&entry.id))).await?;
        Ok(Live { entry: Arc::new(Entry { num_uses: super::entry::REVOKING, ..entry.clone() }), times })
    }

    /// The token of an accessor, if it counts.
    pub(super) async fn by_accessor(&self, accessor: &str) -> Result<Option<Live>> {
        let salted = self.salted(accessor);
        let Some(bytes) = self.view.get(&format!("accessor/{salted}")).await? else { return Ok(None) };
        self.live(&Accessor::from_stored(&salted, &bytes)?.token_id).await
    }

    /// The token of an accessor. None if there is none, or it is over.
    pub async fn lookup_accessor(&self, accessor: &str) -> Result<Option<Arc<Entry>>> {
        Ok(self.by_accessor(accessor).await?.map(|live| live.entry))
    }

    /// All accessors.
    pub async fn accessors(&self) -> Result<Vec<String>> {
        let names = self.view.list("accessor/").await?;
        let reads = names.into_iter().map(|salted| async move {
            let Some(bytes) = self.view.get(&format!("accessor/{salted}")).await? else { return Ok(None) };
            Accessor::from_stored(&salted, &bytes).map(|accessor| Some(accessor.accessor_id))
        });
        let found: Vec<Option<String>> = futures_util::stream::iter(reads).buffered(CONCURRENT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The form of a token for clients: signed, but for root tokens and those whose id their maker chose.
    pub(super) fn external(&self, entry: &Entry) -> Zeroizing<String> {
        if entry.is_root() || !entry.id.starts_with(id::SERVICE) { entry.id.clone() } else { self.ids.sign(&entry.id) }
    }

    /// The initial root token, and its form for clients. It has no lease and never expires.
    pub async fn create_root(&self) -> Result<(Entry, Zeroizing<String>)> {
        let mut entry = Entry::new("auth/token/root".to_owned(), policy::ROOT.to_owned(), self.leases.clock().now().unix_timestamp());
        entry.policies = vec![policy::ROOT.to_owned()];
        self.name(&mut entry)?;
        self.write(&entry, None).await?;
        let external = self.external(&entry);
        Ok((entry, external))
    }

    /// Gives the entry an id, an accessor and a cubbyhole, and stores it with a lease. The id may be chosen beforehand.
    pub(super) async fn create(&self, entry: Entry, renewable: bool) -> Result<Entry> {
        let lasting = Lasting { renewable, period: entry.period, explicit_max_ttl: entry.explicit_max_ttl };
        self.create_lasting(entry, lasting).await
    }

    /// The same with a lease that goes by other terms than the entry says.
    pub(super) async fn create_lasting(&self, entry: Entry, lasting: Lasting) -> Result<Entry> {
        measure::time("vault_token_create", self.create_now(entry, lasting)).await
    }

    async fn create_now(&self, mut entry: Entry, lasting: Lasting) -> Result<Entry> {
        let chosen = !entry.id.is_empty();
        let _alone = if chosen { Some(self.chosen.lock().await) } else { None };
        if chosen && self.entry(&self.salted(&entry.id)).await?.is_some() {
            return Err(Error::bad_request("cannot create a token with a duplicate ID"));
        }
        self.name(&mut entry)?;
        let parent = entry.parent.clone();
        let _parent = if parent.is_empty() { None } else { Some(self.lock(&self.salted(&parent)).await?) };
        // Under its lock: whoever revokes the parent sees this child, or this sees that the parent is gone.
        if !parent.is_empty() && self.live_or_stray(&parent).await?.is_none() {
            return Err(Error::bad_request("parent token not found"));
        }
        let now = self.leases.clock().now();
        let auth = Auth {
            ttl: entry.ttl,
            renewable: lasting.renewable,
            display_name: entry.display_name.clone(),
            policies: entry.policies.clone(),
            token_policies: entry.policies.clone(),
            metadata: entry.meta.clone().map(|meta| meta.into_iter().map(|(key, value)| (key, value.into())).collect()),
            client_token: entry.id.clone(),
            accessor: entry.accessor.clone(),
            period: lasting.period,
            explicit_max_ttl: lasting.explicit_max_ttl,
            num_uses: entry.num_uses,
            entity_id: entry.entity_id.clone(),
            creation_path: entry.path.clone(),
            token_type: entry.kind,
            orphan: parent.is_empty(),
            ..Auth::default()
        };
        let expire = if entry.ttl.is_zero() { Time::ZERO } else { Time::from(now + entry.ttl) };
        let lease = Lease::for_token(entry.lease_id(&self.salted(&entry.id)), entry.path.clone(), auth, Time::from(now), expire);
        self.write(&entry, Some(&lease)).await?;
        Ok(entry)
    }

    pub(super) fn name(&self, entry: &mut Entry) -> Result<()> {
        if entry.id.is_empty() {
            entry.id = Zeroizing::new(format!("{}{}", id::SERVICE, crypto::random_base62(RANDOM)?));
            entry.cubbyhole_id = crypto::random_base62(RANDOM)?;
        }
        entry.accessor = crypto::random_base62(RANDOM)?;
        Ok(())
    }

    /// The entry last: before it, nothing can be used.
    pub(super) async fn write(&self, entry: &Entry, lease: Option<&Lease>) -> Result<()> {
        let salted = self.salted(&entry.id);
        let accessor = format!("accessor/{}", self.salted(&entry.accessor));
        let mut beside = vec![self.view.change(&accessor, Some(&Accessor::of(entry).to_stored()?))?];
        if !entry.parent.is_empty() {
            beside.push(self.view.change(&format!("parent/{}/{salted}", self.salted(&entry.parent)), Some(b""))?);
        }
        if self.view.batches() {
            return self.write_at_once(beside, lease, (&salted, entry)).await;
        }
        let beside = beside.into_iter().map(|change| self.view.batch(vec![change]));
        let lease = async {
            let Some(lease) = lease else { return Ok(()) };
            measure::time("vault_expire_register_auth", self.leases.put(lease)).await
        };
        // At once: each of them alone means nothing. None is given up halfway because another failed.
        let (beside, lease) = tokio::join!(join_all(beside), lease);
        beside.into_iter().collect::<Result<()>>().and(lease)?;
        self.put_entry(&salted, entry).await
    }

    /// The same in one write of the storage's.
    async fn write_at_once(&self, mut changes: Vec<Change>, lease: Option<&Lease>, (salted, entry): (&str, &Entry)) -> Result<()> {
        if let Some(lease) = lease {
            changes.push(self.leases.change(lease)?);
        }
        changes.push(self.view.change(&format!("id/{salted}"), Some(&entry.to_stored()?))?);
        let stored = measure::time("vault_token_store", self.view.batch(changes));
        let Some(lease) = lease else { return stored.await };
        // Whoever uses a chosen id finds the token as soon as it is stored, and must find its lease.
        self.leases.stored(lease);
        let done = measure::time("vault_expire_register_auth", stored).await;
        if done.is_err() {
            self.leases.not_stored(lease);
        }
        done
    }

    /// Renews a token, by its inner form. The auth of the new lease, and warnings for the client.
    pub(super) async fn renew(&self, inner: &str, increment: Duration) -> Result<Option<(Arc<Entry>, Auth, Vec<String>)>> {
        let salted = self.salted(inner);
        let _changing = self.lock(&salted).await?;
        let Some(live) = self.live_or_stray(inner).await? else { return Ok(None) };
        let lease = self.leases.get(&live.entry.lease_id(&salted)).await?;
        let Some(mut lease) = lease else { return Err(Error::bad_request("lease not found")) };
        if !lease.renewable() {
            return Err(Error::bad_request("lease is not renewable"));
        }
        let source = self.consult(&live.entry, &mut lease).await?;
        let Some(auth) = &mut lease.auth else { return Err(Error::bad_request("lease is not renewable")) };
        let now = self.leases.clock().now();
        let (default, max) = match source {
            Some(source) => (source.default_ttl, source.max_ttl),
            None => {
                (auth.period, auth.explicit_max_ttl) = self.renewal_terms(&live.entry).await?;
                (self.default_lease_ttl, self.max_lease_ttl)
            }
        };
        let terms = Terms { increment, ttl: auth.ttl, period: auth.period, max: auth.max_ttl, explicit_max: auth.explicit_max_ttl };
        let granted = ttl::grant(terms, default, max, lease.issue_time.get().unwrap_or(now), now)?;
        auth.ttl = granted.ttl;
        let answer = auth.clone();
        lease.expire_time = Time::from(now + granted.ttl);
        lease.last_renewal_time = Time::from(now);
        self.leases.put(&lease).await?;
        Ok(Some((live.entry, answer, granted.warnings)))
    }
}
