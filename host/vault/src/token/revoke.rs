//! How tokens end: revocation of one or of a tree, the end of leases, and the task that sees to it.
//!
//! A revocation first ends the lease in the storage. From then on the token is refused, and if the server stops before the rest is done, the
//! ended lease makes the next one do it. That one finds what is left through the tree: of the token at the top the lease is deleted last, and of
//! the others the parent's index of them.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::entry::{Accessor, Entry, REVOKING};
use super::store::Store;
use crate::lease::clock::Time;
use crate::lease::{Auth, Lease};
use crate::logical::{Error, Result};

/// How long a revocation that failed waits before it is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long loading the leases waits before it is tried again.
const RELOAD: Duration = Duration::from_secs(5);

impl Store {
    /// Loads all leases in the background and ends what has to end, until [`Store::stop`].
    pub fn start(self: &Arc<Self>) {
        let task = tokio::spawn(sweep(Arc::downgrade(self)));
        if let Some(old) = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner).replace(task) {
            old.abort();
        }
    }

    /// Stops the task of [`Store::start`]. What it was doing is taken up by the next start.
    pub fn stop(&self) {
        if let Some(task) = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// Revokes a token, by its inner form, and all its children; one that does not exist is a success.
    pub async fn revoke(&self, inner: &str) -> Result<()> {
        let salted = self.salted(inner);
        {
            let _changing = self.lock(&salted).await?;
            let Some(entry) = self.entry(&salted).await? else { return Ok(()) };
            self.end(&salted, &entry).await?;
        }
        self.revoke_tree(&salted).await
    }

    /// Revokes a token and makes its children orphans.
    pub(super) async fn revoke_orphan(&self, inner: &str) -> Result<()> {
        let salted = self.salted(inner);
        {
            // Whoever makes a child holds this lock: from here on there are no new ones.
            let _changing = self.lock(&salted).await?;
            let Some(entry) = self.entry(&salted).await? else { return Ok(()) };
            self.end(&salted, &entry).await?;
        }
        for child in self.view.list(&format!("parent/{salted}/")).await? {
            let _changing = self.lock(&child).await?;
            if let Some(mut entry) = self.entry(&child).await? {
                entry.parent.clear();
                self.put_entry(&child, &entry).await?;
            }
            self.view.delete(&format!("parent/{salted}/{child}")).await?;
        }
        self.revoke_tree(&salted).await
    }

    /// Ends the lease of a token, or gives it one that has ended.
    async fn end(&self, salted: &str, entry: &Entry) -> Result<()> {
        let now = Time::from(self.leases.clock().now());
        let id = entry.lease_id(salted);
        let lease = match self.leases.get(&id).await {
            Ok(Some(lease)) if lease.expire_time.passed(self.leases.clock().now()) => return Ok(()),
            Ok(Some(lease)) => lease,
            Ok(None) | Err(Error::Damaged(_)) => {
                let auth = Auth {
                    client_token: entry.id.clone(),
                    accessor: entry.accessor.clone(),
                    policies: entry.policies.clone(),
                    creation_path: entry.path.clone(),
                    token_type: entry.kind,
                    ..Auth::default()
                };
                Lease::for_token(id, entry.path.clone(), auth, now, now)
            }
            Err(other) => return Err(other),
        };
        self.leases.put(&Lease { expire_time: now, ..lease }).await?;
        if entry.never_expires() {
            // Other servers do not look for a lease here.
            self.put_entry(salted, &Entry { num_uses: REVOKING, ..entry.clone() }).await?;
        }
        Ok(())
    }

    /// Deletes a token and everything below it, children first.
    async fn revoke_tree(&self, salted: &str) -> Result<()> {
        let mut branch = Branch { store: self, seen: HashSet::new() };
        let mut path = vec![salted.to_owned()];
        branch.enter(salted);
        while let Some(token) = path.last().cloned() {
            let _changing = self.lock(&token).await?;
            let mut children = Vec::new();
            for child in self.view.list(&format!("parent/{token}/")).await? {
                let known = branch.seen.contains(&child);
                if known || self.entry(&child).await?.is_none() {
                    self.view.delete(&format!("parent/{token}/{child}")).await?;
                } else {
                    children.push(child);
                }
            }
            if children.is_empty() {
                self.delete_one(&token, token == salted).await?;
                path.pop();
            } else {
                children.iter().for_each(|child| branch.enter(child));
                path.extend(children);
            }
        }
        Ok(())
    }

    async fn delete_one(&self, salted: &str, top: bool) -> Result<()> {
        let Some(entry) = self.entry(salted).await? else { return Ok(()) };
        let lease = entry.lease_id(salted);
        self.cubbyhole.of(&entry, salted).clear().await?;
        self.view.delete(&format!("accessor/{}", self.salted(&entry.accessor))).await?;
        if !top {
            self.leases.delete(&lease).await?;
            self.view.delete(&format!("id/{salted}")).await?;
        }
        if !entry.parent.is_empty() {
            self.view.delete(&format!("parent/{}/{salted}", self.salted(&entry.parent))).await?;
        }
        if top {
            self.view.delete(&format!("id/{salted}")).await?;
            self.leases.delete(&lease).await?;
        }
        Ok(())
    }

    /// Ends what a lease is for. [`Error::BadRequest`] for a lease of something that no engine here can revoke.
    pub(super) async fn revoke_lease(&self, id: &str) -> Result<()> {
        let Some(lease) = self.leases.get(id).await? else { return self.leases.delete(id).await };
        let Some(auth) = &lease.auth else {
            return Err(Error::BadRequest(format!("lease {id:?} is not of a token: no engine of this server can revoke it")));
        };
        if self.entry(&self.salted(&lease.client_token)).await?.is_some() {
            return self.revoke(&lease.client_token).await;
        }
        self.view.delete(&format!("accessor/{}", self.salted(&auth.accessor))).await?;
        self.leases.delete(id).await
    }

    /// Ends every lease whose time has come. Returns when the next one ends, if any does.
    pub(super) async fn sweep_due(&self) -> Option<time::OffsetDateTime> {
        loop {
            let id = match self.leases.due() {
                Ok(id) => id,
                Err(next) => return next,
            };
            if let Err(error) = self.revoke_lease(&id).await {
                tracing::warn!(lease = %id, "a lease has ended, but what it is for could not be revoked yet: {error}");
                self.leases.postpone(&id, self.leases.clock().now() + RETRY);
            }
        }
    }

    /// Removes what points to tokens that are gone: accessors, children, leases.
    pub(super) async fn tidy(&self) -> Result<()> {
        // Whoever makes a token writes these first and the token soon after: what points to nothing is looked at twice.
        let mut strays = Vec::new();
        for salted in self.view.list("accessor/").await? {
            let key = format!("accessor/{salted}");
            let Some(bytes) = self.view.get(&key).await? else { continue };
            strays.push((Stray::Entry(key), self.salted(&Accessor::from_stored(&salted, &bytes)?.token_id)));
        }
        for folder in self.view.list("parent/").await? {
            for child in self.view.list(&format!("parent/{folder}")).await? {
                strays.push((Stray::Entry(format!("parent/{folder}{child}")), child));
            }
        }
        for id in self.leases.below("").await? {
            let Some(lease) = self.leases.get(&id).await? else { continue };
            if lease.auth.is_some() {
                strays.push((Stray::Lease(id), self.salted(&lease.client_token)));
            }
        }
        let mut still = Vec::new();
        for (stray, token) in strays {
            if self.entry(&token).await?.is_none() {
                still.push((stray, token));
            }
        }
        tokio::time::sleep(SETTLE).await;
        for (stray, token) in still {
            if self.entry(&token).await?.is_none() {
                match stray {
                    Stray::Entry(key) => self.view.delete(&key).await?,
                    Stray::Lease(id) => self.leases.delete(&id).await?,
                }
            }
        }
        Ok(())
    }
}

/// Something that may point to a token that is gone.
enum Stray {
    /// A key of `sys/token/`.
    Entry(String),
    /// The id of a lease.
    Lease(String),
}

/// Longer than the making of a token takes, from its first write to its last.
const SETTLE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(60) };

/// The tokens of a tree that is being revoked: refused until they are gone, or until the attempt is over.
struct Branch<'a> {
    store: &'a Store,
    seen: HashSet<String>,
}

impl Branch<'_> {
    fn enter(&mut self, salted: &str) {
        self.store.revoking.lock().unwrap_or_else(PoisonError::into_inner).insert(salted.to_owned());
        self.seen.insert(salted.to_owned());
    }
}

impl Drop for Branch<'_> {
    fn drop(&mut self) {
        let mut revoking = self.store.revoking.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen.iter().for_each(|salted| {
            revoking.remove(salted);
        });
    }
}

async fn sweep(store: Weak<Store>) {
    loop {
        let Some(store) = store.upgrade() else { return };
        match store.leases.load().await {
            Ok(()) => break,
            Err(error) => tracing::error!("the leases could not be loaded, trying again: {error}"),
        }
        drop(store);
        tokio::time::sleep(RELOAD).await;
    }
    loop {
        let Some(strong) = store.upgrade() else { return };
        let next = strong.sweep_due().await;
        let wait = next.and_then(|next| Duration::try_from(next - strong.leases.clock().now()).ok());
        // At most a minute, so that a clock that is set does not put off an end for long.
        let wait = wait.unwrap_or(Duration::from_secs(60)).min(Duration::from_secs(60));
        tokio::select! {
            () = strong.leases.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
