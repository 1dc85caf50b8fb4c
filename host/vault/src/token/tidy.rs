//! Tidying: removing what points to tokens that are gone.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::entry::Accessor;
use super::store::Store;
use crate::logical::{Error, Result};

/// Longer than the making of a token takes, from its first write to its last.
const SETTLE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(60) };

/// Something that may point to a token that is gone.
enum Stray {
    /// A key of `sys/token/`.
    Entry(String),
    /// The id of a lease.
    Lease(String),
}

impl Store {
    /// Tidies in the background, until [`Store::stop`]. False if that is under way already.
    pub(super) fn start_tidy(self: &Arc<Self>) -> bool {
        let mut tidying = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        if tidying.as_ref().is_some_and(|task| !task.is_finished()) {
            return false;
        }
        let store = self.clone();
        *tidying = Some(tokio::spawn(async move {
            match store.tidy().await {
                Ok(()) => tracing::info!("tidying the tokens is done"),
                Err(error) => tracing::error!("tidying the tokens ended early: {error}"),
            }
        }));
        true
    }

    /// Removes what points to tokens that are gone: accessors, children, leases.
    pub(super) async fn tidy(&self) -> Result<()> {
        // Whoever makes a token writes these first and the token soon after: what points to nothing is looked at twice.
        let mut still = Vec::new();
        for salted in self.view.list("accessor/").await? {
            let key = format!("accessor/{salted}");
            let Some(bytes) = self.view.get(&key).await? else { continue };
            let token = self.salted(&Accessor::from_stored(&salted, &bytes)?.token_id);
            self.suspect(&mut still, Stray::Entry(key), token).await?;
        }
        for folder in self.view.list("parent/").await? {
            for child in self.view.list(&format!("parent/{folder}")).await? {
                self.suspect(&mut still, Stray::Entry(format!("parent/{folder}{child}")), child).await?;
            }
        }
        for id in self.leases.below("").await? {
            let lease = match self.leases.get(&id).await {
                Ok(Some(lease)) => lease,
                Ok(None) | Err(Error::Damaged(_)) => continue,
                Err(other) => return Err(other),
            };
            if lease.auth.is_some() {
                self.suspect(&mut still, Stray::Lease(id), self.salted(&lease.client_token)).await?;
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

    async fn suspect(&self, still: &mut Vec<(Stray, String)>, stray: Stray, token: String) -> Result<()> {
        if self.entry(&token).await?.is_none() {
            still.push((stray, token));
        }
        Ok(())
    }
}
