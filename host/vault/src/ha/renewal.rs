//! Keeping the lock.

use std::sync::Arc;

use cofferdam_backend::{BootInstant, Fence};

use super::Ha;

/// Why a server leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// No renewal succeeded in time.
    Expired,
    /// The lock is another's, or gone.
    Taken,
    /// The store refused a mutation, since the lock is another's.
    Conflict,
}

impl Loss {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Loss::Expired => "expired",
            Loss::Taken => "taken",
            Loss::Conflict => "conflict",
        }
    }
}

/// Renews the lock for as long as it can be; returns why it could not. From then on the lease is not held.
pub(super) async fn renew(ha: Arc<Ha>, fence: Fence) -> Loss {
    let loss = until_lost(&ha, fence).await;
    ha.options.lease.end();
    loss
}

async fn until_lost(ha: &Ha, fence: Fence) -> Loss {
    let Fence { key, identity } = fence;
    let options = &ha.options;
    let mut refused = ha.refused.subscribe();
    let mut wait = options.times.renew;
    loop {
        let doubted = tokio::select! {
            biased;
            () = options.lease.ended() => return Loss::Expired,
            doubted = async { refused.wait_for(|refused| refused.as_ref() == Some(&identity)).await.is_ok() } => doubted,
            () = tokio::time::sleep(wait) => false,
        };
        let sent = BootInstant::now();
        let renewed = tokio::select! {
            biased;
            renewed = ha.step(options.lock.renew(&key, &identity, ha.expires())) => renewed,
            () = options.lease.ended() => return Loss::Expired,
        };
        match renewed {
            Ok(true) if options.lease.extend(sent.after(options.times.ttl)) => {
                wait = options.times.renew.saturating_sub(sent.until(BootInstant::now()));
            }
            Ok(true) => return Loss::Expired,
            Ok(false) => return if doubted { Loss::Conflict } else { Loss::Taken },
            // The store has said that the lock is another's: no answer now is no reason to go on.
            Err(_) if doubted => return Loss::Conflict,
            Err(error) => {
                metrics::counter!("vault_ha_renew_failures").increment(1);
                tracing::warn!(%error, remaining = ?options.lease.remaining(), "renewing the lock of the storage failed; this is tried again");
                wait = options.times.retry;
            }
        }
        if doubted {
            tracing::warn!("the store refused a mutation as not this server's, yet the lock is still held");
            ha.refused.send_if_modified(|refused| refused.take_if(|refused| *refused == identity).is_some());
        }
    }
}
