//! What the core of one server of several does beside: requests end with the leadership, and there is somewhere else to send clients.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Leader, Leadership};
use crate::cors::Cors;
use crate::ha::Elsewhere;
use crate::keyring::rfc3339_nano;
use crate::logical::{Error, Result};

/// The time of a leadership that is not this server's.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Core {
    /// Whether this server is unsealed and not the active one, so that clients are sent [`Core::elsewhere`].
    pub fn standby(&self) -> bool {
        matches!(self.active(), Err(Error::Standby))
    }

    /// Where the active server is, if it is another.
    pub fn elsewhere(&self) -> Elsewhere {
        self.ha.as_ref().map_or(Elsewhere::Nobody, |ha| ha.elsewhere())
    }

    /// What a standby knows of `sys/config/cors`.
    pub(crate) fn standby_cors(&self) -> Option<Arc<Cors>> {
        self.ha.as_ref()?.cors()
    }

    /// `GET sys/leader`. [`Error::Sealed`] on one of several servers while it is sealed.
    pub fn leader(&self) -> Result<Leader> {
        let Some(ha) = &self.ha else { return Ok(Leader { ha_enabled: false, leadership: None }) };
        if !ha.running() {
            return Err(Error::Sealed);
        }
        let leading = if self.active().is_ok() { ha.leading.borrow().clone() } else { None };
        let leader_address = match (&leading, ha.elsewhere()) {
            (Some(_), _) => self.options.api_addr.clone(),
            (None, Elsewhere::Address(address)) => address,
            (None, _) => String::new(),
        };
        let leadership = Leadership {
            is_self: leading.is_some(),
            active_time: leading.map_or_else(|| NEVER.to_owned(), |leading| rfc3339_nano(leading.since)),
            leader_address,
            leader_cluster_address: String::new(),
            performance_standby: false,
            performance_standby_last_remote_wal: 0,
        };
        Ok(Leader { ha_enabled: true, leadership: Some(leadership) })
    }

    /// Waits until this server is the active one; returns whether it is. One that is alone is, as soon as it is unsealed.
    pub async fn wait_active(&self, limit: Duration) -> bool {
        if let Some(ha) = &self.ha {
            let mut leading = ha.leading.subscribe();
            let active = async { while self.active().is_err() && leading.changed().await.is_ok() {} };
            // Late or not, what counts is said below.
            drop(tokio::time::timeout(limit, active).await);
        }
        self.active().is_ok()
    }

    /// Has another server become the active one, if this is one of several and leads.
    pub(super) async fn step_down(&self) {
        if let Some(ha) = &self.ha {
            crate::measure::time("vault_core_step_down", ha.step_down()).await;
        }
    }

    /// Does the work for as long as this server leads, and gives its result only if it led from begin to end: what was read from memory is of
    /// today only if nobody else could write meanwhile.
    pub(crate) async fn while_leading<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(ha) = &self.ha else { return work.await };
        // Before what answers is looked up: of a later leadership nothing is taken for one of this.
        let epoch = self.barrier.epoch();
        self.active()?;
        let result = tokio::select! {
            biased;
            result = work => result,
            () = ha.options.lease.ended() => Err(Error::LeadershipLost),
        };
        match result {
            // Nothing was begun.
            Err(Error::Standby) => Err(Error::Standby),
            result if ha.leased() && self.barrier.epoch() == epoch => result,
            _ if ha.running() => Err(Error::LeadershipLost),
            _ => Err(Error::Sealed),
        }
    }
}
