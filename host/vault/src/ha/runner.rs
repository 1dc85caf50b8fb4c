//! The task that makes an unsealed server stand by, lead, and stand by again, until it is sealed.
//!
//! The rule: what serves requests exists only between the take-over and the end of the leadership; whatever the end, it is taken away before
//! anything else is done, and what it began ends with it.

use std::sync::Arc;

use cofferdam_backend::{BootInstant, Held};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::contender::{Claim, Contender};
use super::renewal::{Loss, renew};
use super::{Ha, Holder, Leading, Task, advertisement, locked};
use crate::core::{Active, CLUSTER, Core, SEAL_GRACE};
use crate::cors;
use crate::logical::Result;
use crate::unseal::TakeOver;
use crate::view::View;

/// What the task is told.
pub(super) struct Order {
    wish: Wish,
    /// Dropped when it is done.
    done: oneshot::Sender<()>,
}

enum Wish {
    /// To stop leading, and to leave the lock to others for a while.
    StepDown,
    /// To end.
    Stop,
}

pub(super) type Orders = mpsc::Sender<Order>;

struct Runner {
    core: Arc<Core>,
    ha: Arc<Ha>,
    orders: mpsc::Receiver<Order>,
    /// Until then the lock is others'.
    not_before: BootInstant,
}

/// How a leadership ended.
enum End {
    Lost(Loss),
    Ordered(Option<Order>),
    Failed(TakeOver),
}

impl Ha {
    /// Makes the core, which has just been unsealed, stand by. Does nothing if it does so already.
    pub(crate) fn start(self: &Arc<Self>, core: &Arc<Core>) {
        let mut slot = locked(&self.runner);
        if slot.is_none() {
            let (orders, received) = mpsc::channel(1);
            *slot = Some(orders);
            let runner = Runner { core: core.clone(), ha: self.clone(), orders: received, not_before: BootInstant::default() };
            tokio::spawn(runner.run());
        }
    }

    /// Stops serving and contending, as [`Ha::step_down`] does, for good.
    pub(crate) async fn stop(&self) {
        let orders = locked(&self.runner).take();
        if let Some(orders) = orders {
            tell(&orders, Wish::Stop).await;
        }
    }

    /// Stops leading: waits for the requests under way, a bounded time, and gives the lock back. Does nothing on a standby.
    pub(crate) async fn step_down(&self) {
        let orders = locked(&self.runner).clone();
        if let Some(orders) = orders {
            tell(&orders, Wish::StepDown).await;
        }
    }
}

async fn tell(orders: &Orders, wish: Wish) {
    let (done, told) = oneshot::channel();
    if orders.send(Order { wish, done }).await.is_ok() {
        // Nothing is ever sent: it ends when the other side is dropped, be it with the task.
        drop(told.await);
    }
}

impl Runner {
    async fn run(mut self) {
        metrics::gauge!("vault_ha_active").set(0);
        tracing::info!("vault unsealed; standing by");
        while let Some(claim) = self.stand_by().await {
            if !self.lead(claim).await {
                return;
            }
        }
    }

    /// Waits for the lock. None if the server is being sealed.
    async fn stand_by(&mut self) -> Option<Claim> {
        let ha = self.ha.clone();
        let mut contender = Contender::new(&ha);
        loop {
            if let Some(held) = contender.look().await {
                if BootInstant::now() >= self.not_before
                    && let Some(claim) = contender.contend(&self.core.barrier, held.clone()).await
                {
                    return Some(claim);
                }
                self.note(held).await;
            }
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let Order { wish, done } = order?;
                    // Nothing to be done for it: this server does not lead.
                    drop(done);
                    if let Wish::Stop = wish {
                        return None;
                    }
                }
                () = tokio::time::sleep(ha.options.times.retry) => {}
            }
        }
    }

    /// Leads. Returns whether to stand by afterwards.
    async fn lead(&mut self, claim: Claim) -> bool {
        let (core, ha) = (self.core.clone(), self.ha.clone());
        let begun = BootInstant::now();
        ha.options.lease.begin(claim.fence.clone(), claim.end);
        *locked(&ha.holder) = None;
        let mut renewal = Task::spawn(renew(ha.clone(), claim.fence.clone()));
        metrics::counter!("vault_ha_acquisitions").increment(1);
        tracing::info!(leader = claim.leader, "acquired the lock of the storage; taking over");
        let opened = tokio::select! {
            biased;
            loss = &mut renewal.0 => Err(End::Lost(loss.unwrap_or(Loss::Expired))),
            order = self.orders.recv() => Err(End::Ordered(order)),
            opened = open(&core, &claim) => opened.map_err(End::Failed),
        };
        let (end, active) = match opened {
            Err(end) => (end, None),
            Ok(active) => {
                let _cleaner =
                    Task::spawn(advertisement::clean(View::new(core.barrier.clone(), advertisement::FOLDER), claim.leader.clone()));
                *locked(&ha.cluster) = Some(active.cluster.clone());
                core.set_active(Some(Arc::new(active)));
                ha.leading.send_replace(Some(Leading { since: OffsetDateTime::now_utc() }));
                metrics::gauge!("vault_ha_active").set(1);
                metrics::histogram!("vault_ha_takeover_seconds").record(begun.until(BootInstant::now()));
                tracing::info!("this server is the active one");
                let end = tokio::select! {
                    biased;
                    loss = &mut renewal.0 => End::Lost(loss.unwrap_or(Loss::Expired)),
                    order = self.orders.recv() => End::Ordered(order),
                };
                // From here on new requests are refused.
                let active = core.set_active(None);
                ha.leading.send_replace(None);
                metrics::gauge!("vault_ha_active").set(0);
                metrics::histogram!("vault_core_leadership_lost").record(begun.until(BootInstant::now()).as_secs_f64() * 1000.0);
                if let End::Ordered(_) = end {
                    tokio::select! {
                        biased;
                        _ = &mut renewal.0 => tracing::warn!("leadership was lost while stepping down"),
                        () = finish(&core, &claim) => {}
                    }
                }
                (end, active)
            }
        };
        drop(renewal);
        ha.options.lease.end();
        core.unsealer().leave();
        if let Some(active) = active {
            active.close().await;
        }
        core.barrier.storage().forget();
        // A lock that was lost is another's, or cannot be reached.
        let released = !matches!(end, End::Lost(_)) && ha.release(&core.barrier, &claim.fence).await;
        self.after(end, released)
    }

    /// Tells of the end of a leadership, and does what follows from it. Returns whether to stand by.
    fn after(&mut self, end: End, released: bool) -> bool {
        let options = &self.ha.options;
        // Others get a lock that was not released only once it is old.
        let others = if released { options.times.step_down_pause } else { options.times.silence() + options.times.step_down_pause };
        let lost = |reason: &'static str| metrics::counter!("vault_ha_losses", "reason" => reason).increment(1);
        match end {
            End::Lost(loss) => {
                lost(loss.reason());
                tracing::error!(reason = loss.reason(), "leadership was lost; standing by");
                true
            }
            End::Ordered(Some(Order { wish: Wish::StepDown, done })) => {
                lost("step-down");
                tracing::info!("stepped down; standing by");
                self.not_before = BootInstant::now().after(others);
                drop(done);
                true
            }
            End::Ordered(stop) => {
                lost("stopped");
                drop(stop);
                false
            }
            End::Failed(TakeOver::Failed(error)) => {
                lost("failed");
                tracing::error!(%error, "this server could not take over; standing by");
                self.not_before = BootInstant::now().after(others);
                true
            }
            End::Failed(TakeOver::Keys(error)) => {
                lost("failed");
                tracing::error!(%error, "the keys of this server do not open the vault any more; sealed");
                // An unseal from here on begins anew.
                locked(&self.ha.runner).take();
                self.core.unsealer().seal();
                self.core.keys_lost();
                false
            }
        }
    }

    /// Remembers who holds the lock, and where that server is.
    async fn note(&self, held: Option<Held>) {
        let read = BootInstant::now();
        let leader = held.filter(|held| !self.ha.is_own(&held.identity)).map(|held| String::from_utf8_lossy(&held.value).into_owned());
        let known = locked(&self.ha.holder).clone();
        let holder = match (leader, known) {
            (None, _) => None,
            (Some(leader), Some(Holder { leader: same, address: Some(address), .. })) if leader == same && !address.is_empty() => {
                Some(Holder { leader, address: Some(address), read })
            }
            (Some(leader), _) => {
                let left = self.peek(&advertisement::path(&leader)).await;
                Some(Holder { leader, address: left.map(|left| advertisement::read(&left)), read })
            }
        };
        *locked(&self.ha.holder) = holder;
        if self.ha.cluster().is_none()
            && let Some(cluster) = self.peek(CLUSTER).await.and_then(|stored| serde_json::from_slice(&stored).ok())
        {
            *locked(&self.ha.cluster) = Some(cluster);
        }
        self.note_cors(read).await;
    }

    /// Remembers which pages may use the servers. What cannot be read stays as it was; nothing stored are none.
    async fn note_cors(&self, read: BootInstant) {
        let due = locked(&self.ha.cors).as_ref().is_none_or(|(last, _)| last.until(read) >= self.ha.options.times.settings());
        if !due {
            return;
        }
        let stored = self.peek(&format!("{}{}", cors::VIEW, cors::KEY)).await.and_then(|stored| serde_json::from_slice(&stored).ok());
        let known = stored.map(Arc::new).or_else(|| self.ha.cors()).unwrap_or_default();
        *locked(&self.ha.cors) = Some((read, known));
    }

    /// What another server has stored, if it can be read in little time: contending does not wait for data.
    async fn peek(&self, path: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        match tokio::time::timeout(self.ha.options.times.step(), self.core.unsealer().peek(path)).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => {
                tracing::debug!(%error, "{path} could not be read");
                None
            }
            Err(_) => None,
        }
    }
}

/// Makes a server that holds the lock fit to serve.
async fn open(core: &Arc<Core>, claim: &Claim) -> Result<Active, TakeOver> {
    core.barrier.storage().forget();
    core.unsealer().take_over().await?;
    let open = async {
        let advertisement = advertisement::write(&core.options().api_addr)?;
        core.barrier.put(&advertisement::path(&claim.leader), &advertisement).await?;
        Active::open(&core.barrier, core.options()).await
    };
    open.await.map_err(TakeOver::Failed)
}

/// What an active server does before it gives the lock back: lets the requests under way end, and leaves nothing behind.
async fn finish(core: &Arc<Core>, claim: &Claim) {
    if tokio::time::timeout(SEAL_GRACE, core.requests.write()).await.is_err() {
        tracing::warn!("stepping down while requests are still under way after {SEAL_GRACE:?}");
    }
    let leave = async {
        core.unsealer().maintain().await?;
        core.barrier.delete(&advertisement::path(&claim.leader)).await
    };
    match tokio::time::timeout(SEAL_GRACE, leave).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "stepping down: not everything could be stored"),
        Err(_) => tracing::warn!("stepping down: the storage was too slow to store everything"),
    }
}
