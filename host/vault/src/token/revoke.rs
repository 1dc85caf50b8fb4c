//! How tokens end: revocation of one or of a tree, the end of leases, and the task that sees to it.
//!
//! A revocation first ends the lease in the storage. From then on the token is refused, and if the server stops before the rest is done, the
//! ended lease makes the next one do it. That one finds what is left through the tree: of the token at the top the lease is deleted last, and of
//! the others the parent's index of them.
//!
//! While a revocation is under way its tokens are refused too, and the task that ends leases leaves them to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::entry::{Entry, REVOKING};
use super::store::Store;
use crate::lease::clock::Time;
use crate::lease::{Auth, Lease};
use crate::logical::{Error, Result};
use crate::measure;

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

    /// Stops the task of [`Store::start`], and tidying. What the former was doing is taken up by the next start.
    pub fn stop(&self) {
        for task in [&self.sweeper, &self.tidying] {
            if let Some(task) = task.lock().unwrap_or_else(PoisonError::into_inner).take() {
                task.abort();
            }
        }
    }

    /// Revokes a token, by its inner form, and all its children; one that does not exist is a success.
    pub async fn revoke(&self, inner: &str) -> Result<()> {
        measure::time("vault_token_revoke", self.revoke_if(inner, None)).await
    }

    /// The same; with the id of a lease, only if that has ended.
    async fn revoke_if(&self, inner: &str, ended: Option<&str>) -> Result<()> {
        let salted = self.salted(inner);
        let mut branch = Branch { store: self, seen: HashSet::new() };
        {
            let _changing = self.lock(&salted).await?;
            // A renewal holds this lock as well, and may have come first.
            if let Some(lease) = ended
                && !self.leases.ended(lease).await?
            {
                return Ok(());
            }
            let Some(entry) = self.entry(&salted).await? else { return Ok(()) };
            branch.enter(&salted);
            self.end(&salted, &entry).await?;
        }
        self.revoke_tree(branch, &salted).await
    }

    /// Makes the children of a token orphans, and then revokes it: from the end of its lease on, whatever is left goes with it.
    pub(super) async fn revoke_orphan(&self, inner: &str) -> Result<()> {
        let salted = self.salted(inner);
        let mut branch = Branch { store: self, seen: HashSet::new() };
        {
            // Whoever makes a child holds this lock and finds the parent refused: from here on there are no new ones.
            let _changing = self.lock(&salted).await?;
            if self.entry(&salted).await?.is_none() {
                return Ok(());
            }
            branch.enter(&salted);
        }
        for child in self.view.list(&format!("parent/{salted}/")).await? {
            let _changing = self.lock(&child).await?;
            self.orphan(&salted, &child).await?;
        }
        {
            let _changing = self.lock(&salted).await?;
            let Some(entry) = self.entry(&salted).await? else { return Ok(()) };
            self.end(&salted, &entry).await?;
        }
        self.revoke_tree(branch, &salted).await
    }

    /// Takes a token, whose lock the caller holds, from its parent.
    pub(super) async fn orphan(&self, parent: &str, child: &str) -> Result<()> {
        if let Some(mut entry) = self.entry(child).await?
            && self.is_child(&entry, parent)
        {
            entry.parent.clear();
            self.put_entry(child, &entry).await?;
        }
        self.view.delete(&format!("parent/{parent}/{child}")).await
    }

    /// By what the token says: the parent's index may still name one that has been made an orphan.
    fn is_child(&self, entry: &Entry, parent: &str) -> bool {
        !entry.parent.is_empty() && self.salted(&entry.parent) == parent
    }

    /// Whether a token is being revoked, by itself or with its tree.
    pub(super) fn being_revoked(&self, salted: &str) -> bool {
        self.revoking().contains_key(salted)
    }

    fn revoking(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.revoking.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn revoke_tree(&self, mut branch: Branch<'_>, salted: &str) -> Result<()> {
        let mut path = vec![salted.to_owned()];
        while let Some(token) = path.last().cloned() {
            let _changing = self.lock(&token).await?;
            let mut children = Vec::new();
            for child in self.view.list(&format!("parent/{token}/")).await? {
                let known = branch.seen.contains(&child);
                if !known && self.entry(&child).await?.is_some_and(|entry| self.is_child(&entry, &token)) {
                    children.push(child);
                } else {
                    self.view.delete(&format!("parent/{token}/{child}")).await?;
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
        measure::time("vault_expire_revoke", self.revoke_lease_if(id, false)).await
    }

    /// The same; with `ended`, only if the lease has ended and nobody is at it.
    async fn revoke_lease_if(&self, id: &str, ended: bool) -> Result<()> {
        let Some(lease) = self.leases.get(id).await? else { return self.leases.delete(id).await };
        let Some(auth) = &lease.auth else {
            return Err(Error::BadRequest(format!("lease {id:?} is not of a token: no engine of this server can revoke it")));
        };
        let salted = self.salted(&lease.client_token);
        if ended && self.being_revoked(&salted) {
            // Should that fail, this is tried again.
            self.leases.postpone(id, Some(self.leases.clock().now() + RETRY));
            return Ok(());
        }
        if self.entry(&salted).await?.is_some() {
            return self.revoke_if(&lease.client_token, ended.then_some(id)).await;
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
            match measure::time("vault_expire_revoke", self.revoke_lease_if(&id, true)).await {
                Ok(()) => {}
                Err(Error::BadRequest(text)) => {
                    tracing::warn!(lease = %id, "a lease has ended, but what it is for cannot be revoked here: {text}");
                    self.leases.postpone(&id, None);
                }
                Err(error) => {
                    tracing::warn!(lease = %id, "a lease has ended, but what it is for could not be revoked yet: {error}");
                    self.leases.postpone(&id, Some(self.leases.clock().now() + RETRY));
                }
            }
        }
    }
}

/// The tokens of a tree that is being revoked: refused until they are gone, or until the attempt is over.
struct Branch<'a> {
    store: &'a Store,
    seen: HashSet<String>,
}

impl Branch<'_> {
    fn enter(&mut self, salted: &str) {
        if self.seen.insert(salted.to_owned()) {
            *self.store.revoking().entry(salted.to_owned()).or_default() += 1;
        }
    }
}

impl Drop for Branch<'_> {
    fn drop(&mut self) {
        let mut revoking = self.store.revoking();
        for salted in &self.seen {
            // Others may be at the same token.
            match revoking.get_mut(salted) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(revoking.remove(salted)),
            }
        }
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
