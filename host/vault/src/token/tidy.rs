//! Tidying: removing what points to tokens that are gone, and what nothing points to.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::entry::{Accessor, Entry};
use super::store::Store;
use crate::logical::{Error, Result};

/// Longer than the making of a token takes, from its first write to its last.
const SETTLE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(60) };

/// Something that is not as it should be. Tokens go by their salted ids.
enum Stray {
    /// A key of `sys/token/` that points to a token that is gone.
    Entry(String, String),
    /// A lease whose token is gone.
    Lease(String, String),
    /// A token without the lease that it should have.
    Token(String),
    /// A parent that is gone, and its child.
    Child(String, String),
    /// The folder of a cubbyhole that is of no token.
    Cubbyhole(String),
}

impl Store {
    /// Tidies in the background, until [`Store::stop`]. False if that is under way already.
    pub(crate) fn start_tidy(self: &Arc<Self>) -> bool {
        let mut tidying = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        if tidying.as_ref().is_some_and(|task| !task.is_finished()) {
            return false;
        }
        let store = self.clone();
        *tidying = Some(tokio::spawn(async move {
            match store.tidy().await {
                Ok(tidied) => tracing::info!(tidied, "tidying the tokens is done"),
                Err(error) => tracing::error!("tidying the tokens ended early: {error}"),
            }
        }));
        true
    }

    /// Removes what points to tokens that are gone (accessors, children, leases, cubbyholes), makes orphans of tokens whose parent is gone, and
    /// revokes those that have no lease. Returns how much of that there was.
    pub(super) async fn tidy(&self) -> Result<usize> {
        // Whoever makes a token writes most of it first and the token soon after: what seems to be stray is looked at twice.
        let mut strays = Vec::new();
        // Before the tokens: every one of these was a token's then.
        let cubbyholes = self.cubbyhole.folders().await?;
        self.stray_entries(&mut strays).await?;
        self.stray_leases(&mut strays).await?;
        let (tokens, complete) = self.tokens(&mut strays).await?;
        if complete {
            strays.extend(cubbyholes.into_iter().filter(|folder| !tokens.contains(folder)).map(Stray::Cubbyhole));
        }
        if strays.is_empty() {
            return Ok(0);
        }
        tokio::time::sleep(SETTLE).await;
        let (tokens, complete) = self.tokens(&mut Vec::new()).await?;
        let mut tidied = 0;
        for stray in strays {
            let still = match &stray {
                Stray::Entry(_, token) | Stray::Lease(_, token) => !self.there(token).await?,
                Stray::Token(token) => self.without_lease(token).await?,
                Stray::Child(parent, _) => !self.there(parent).await?,
                Stray::Cubbyhole(folder) => complete && !tokens.contains(folder),
            };
            if still {
                self.put_right(stray).await?;
                tidied += 1;
            }
        }
        Ok(tidied)
    }

    async fn stray_entries(&self, strays: &mut Vec<Stray>) -> Result<()> {
        for salted in self.view.list("accessor/").await? {
            let key = format!("accessor/{salted}");
            let Some(bytes) = self.view.get(&key).await? else { continue };
            let accessor = match Accessor::from_stored(&salted, &bytes) {
                Ok(accessor) => accessor,
                Err(error) => {
                    tracing::warn!("tidying leaves an accessor alone: {error}");
                    continue;
                }
            };
            let token = self.salted(&accessor.token_id);
            if !self.there(&token).await? {
                strays.push(Stray::Entry(key, token));
            }
        }
        for folder in self.view.list("parent/").await? {
            let parent = folder.trim_end_matches('/');
            let orphaned = !self.there(parent).await?;
            for child in self.view.list(&format!("parent/{folder}")).await? {
                if !self.there(&child).await? {
                    strays.push(Stray::Entry(format!("parent/{folder}{child}"), child));
                } else if orphaned {
                    strays.push(Stray::Child(parent.to_owned(), child));
                }
            }
        }
        Ok(())
    }

    async fn stray_leases(&self, strays: &mut Vec<Stray>) -> Result<()> {
        for id in self.leases.below("").await? {
            let lease = match self.leases.get(&id).await {
                Ok(Some(lease)) => lease,
                Ok(None) | Err(Error::Damaged(_)) => continue,
                Err(other) => return Err(other),
            };
            let token = self.salted(&lease.client_token);
            if lease.auth.is_some() && !self.there(&token).await? {
                strays.push(Stray::Lease(id, token));
            }
        }
        Ok(())
    }

    /// The folders of the cubbyholes of all tokens, and whether that is all of them: not if an entry cannot be read. Tokens without a lease are
    /// stray.
    async fn tokens(&self, strays: &mut Vec<Stray>) -> Result<(HashSet<String>, bool)> {
        let (mut folders, mut complete) = (HashSet::new(), true);
        for salted in self.view.list("id/").await? {
            match self.entry(&salted).await {
                Ok(Some(entry)) => {
                    folders.insert(self.cubbyhole.folder(&entry, &salted));
                    if self.lacks_lease(&entry, &salted).await? {
                        strays.push(Stray::Token(salted));
                    }
                }
                Ok(None) => {}
                Err(Error::Damaged(problem)) => {
                    tracing::warn!("tidying leaves a token alone, and all cubbyholes, since one could be its: {problem}");
                    complete = false;
                }
                Err(other) => return Err(other),
            }
        }
        Ok((folders, complete))
    }

    /// Whether there is a token, even if its entry cannot be read.
    async fn there(&self, salted: &str) -> Result<bool> {
        match self.entry(salted).await {
            Ok(entry) => Ok(entry.is_some()),
            Err(Error::Damaged(_)) => Ok(true),
            Err(other) => Err(other),
        }
    }

    async fn without_lease(&self, salted: &str) -> Result<bool> {
        match self.entry(salted).await? {
            Some(entry) => self.lacks_lease(&entry, salted).await,
            None => Ok(false),
        }
    }

    async fn lacks_lease(&self, entry: &Entry, salted: &str) -> Result<bool> {
        if entry.never_expires() || entry.elsewhere() {
            return Ok(false);
        }
        match self.leases.get(&entry.lease_id(salted)).await {
            Ok(lease) => Ok(lease.is_none()),
            Err(Error::Damaged(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    async fn put_right(&self, stray: Stray) -> Result<()> {
        match stray {
            Stray::Entry(key, _) => self.view.delete(&key).await,
            Stray::Lease(id, _) => self.leases.delete(&id).await,
            Stray::Token(salted) => match self.entry(&salted).await? {
                Some(entry) => self.revoke(&entry.id).await,
                None => Ok(()),
            },
            Stray::Child(parent, child) => {
                let _changing = self.lock(&child).await?;
                self.orphan(&parent, &child).await
            }
            Stray::Cubbyhole(folder) => self.cubbyhole.clear(&folder).await,
        }
    }
}
