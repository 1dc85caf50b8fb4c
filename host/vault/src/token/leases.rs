//! What `sys/leases/…` asks of the store.

use std::time::Duration;

use super::store::Store;
use crate::lease::Times;
use crate::lease::clock::Time;
use crate::logical::{Error, Fields, Result};

impl Store {
    /// `sys/leases/lookup`: what a lease is. [`Error::BadRequest`] if there is none.
    pub async fn lease(&self, id: &str) -> Result<Fields> {
        let lease = self.leases.get(id).await?.ok_or_else(|| Error::bad_request("invalid lease"))?;
        let mut data = Fields::new();
        data.insert("id".to_owned(), lease.lease_id.clone().into());
        data.insert("path".to_owned(), lease.path.clone().into());
        data.insert("issue_time".to_owned(), lease.issue_time.text().into());
        data.insert("expire_time".to_owned(), text_or_null(lease.expire_time));
        data.insert("last_renewal".to_owned(), text_or_null(lease.last_renewal_time));
        data.insert("renewable".to_owned(), lease.renewable().into());
        data.insert("ttl".to_owned(), self.ttl_left(&Times::from(&lease)).into());
        Ok(data)
    }

    /// `LIST sys/leases/lookup/<folder>`: the names directly below a folder, which is empty or ends in `/`.
    pub async fn lease_names(&self, folder: &str) -> Result<Vec<String>> {
        self.leases.list(folder).await
    }

    /// `sys/leases/renew`: tells why the lease cannot be renewed. Those of tokens, the only ones made here, are renewed at `auth/token/renew`.
    pub async fn renew_lease(&self, id: &str) -> Result<()> {
        let lease = self.leases.get(id).await?.ok_or_else(|| Error::bad_request("lease not found"))?;
        if lease.auth.is_none() {
            return Err(Error::BadRequest(format!("lease {id:?} is not of a token: no engine of this server can renew it")));
        }
        if !lease.renewable() {
            return Err(Error::bad_request("lease is not renewable"));
        }
        Err(Error::bad_request("tokens cannot be renewed through this endpoint"))
    }

    /// `sys/leases/revoke`: ends what the lease is for. A missing lease is a success.
    pub async fn end_lease(&self, id: &str) -> Result<()> {
        self.revoke_lease(id).await
    }

    /// `sys/leases/revoke-prefix`: the same for every lease below, or for the one that is named. Those that cannot be revoked keep none of the others;
    /// the error tells of them.
    pub async fn end_leases(&self, prefix: &str) -> Result<()> {
        self.end_below(prefix, false).await
    }

    /// `sys/leases/revoke-force`: the same, but those that nothing here can revoke are forgotten; what they are for stays.
    pub async fn force_leases(&self, prefix: &str) -> Result<()> {
        self.end_below(prefix, true).await
    }

    async fn end_below(&self, prefix: &str, force: bool) -> Result<()> {
        let folder = if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
        let mut all = self.leases.below(&folder).await?;
        if folder != prefix && self.leases.known(prefix).await? {
            all.push(prefix.to_owned());
        }
        let (mut left, mut first) = (0_usize, None);
        for id in &all {
            match self.revoke_lease(id).await {
                Ok(()) => {}
                Err(error @ (Error::BadRequest(_) | Error::Damaged(_))) if force => {
                    tracing::warn!(lease = id, %error, "a lease is forgotten; what it is for was not revoked");
                    self.forget(id).await?;
                }
                Err(error @ (Error::BadRequest(_) | Error::Damaged(_))) => {
                    left += 1;
                    first.get_or_insert(error);
                }
                Err(other) => return Err(other),
            }
        }
        let told = |text: String| format!("{left} of {} leases were not revoked, of which one: {text}", all.len());
        match first {
            None => Ok(()),
            Some(Error::BadRequest(text)) => Err(Error::BadRequest(told(text))),
            Some(Error::Damaged(text)) => Err(Error::Damaged(told(text))),
            Some(other) => Err(other),
        }
    }

    /// Removes a lease, and what another server noted of it beside.
    async fn forget(&self, id: &str) -> Result<()> {
        if let Ok(Some(lease)) = self.leases.get(id).await
            && !lease.client_token.is_empty()
        {
            self.leases.unlink(&self.salted(&lease.client_token), &self.salted(id)).await?;
        }
        self.leases.delete(id).await
    }

    /// Leases that have ended, and whose end nothing here can bring about.
    pub(crate) fn irrevocable_leases(&self) -> Vec<String> {
        self.leases.given_up()
    }

    /// Seconds that a lease has left, as Vault counts them: from the nearest whole second.
    pub(super) fn ttl_left(&self, times: &Times) -> i64 {
        let now = self.leases.clock().now() + Duration::from_millis(500);
        let Ok(now) = now.replace_nanosecond(0) else { return 0 };
        times.expire.get().map_or(0, |expire| (expire - now).whole_seconds().max(0))
    }
}

pub(super) fn text_or_null(time: Time) -> serde_json::Value {
    if time.is_zero() { serde_json::Value::Null } else { time.text().into() }
}
