//! Unsealing without anybody: the core of a vault that a key service seals opens itself, at the start and whenever its keys were taken from it.
//!
//! The rule: whatever is wrong, it is tried again with growing pauses, and never in a storm; only who sealed the vault by hand has it stay sealed until
//! the next start, or until it is unsealed by hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Core;
use crate::crypto;
use crate::logical::{Error, Result};
use crate::seal::Retry;

/// Why this server is not unsealed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The error's case, fit for clients.
    pub(super) case: &'static str,
}

/// Tasks that end with whoever holds this.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    /// Starts one.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tokio::spawn(work).abort_handle());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

/// What a core has that unseals itself.
#[derive(Default)]
pub(super) struct Auto {
    /// Whether it is to be unsealed.
    wanted: AtomicBool,
    wake: Notify,
    trouble: Mutex<Option<Trouble>>,
}

impl Auto {
    /// From now on it unseals itself, or not.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
        if wanted {
            self.wake.notify_one();
        }
    }

    /// Has it look whether it is sealed.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Core {
    /// Whether the stored seal can become the configured one: [`Error::Refused`] with what is missing in the configuration if not. Nothing else is an error: what
    /// cannot be found out now shows at the unseal.
    pub async fn check_seal(&self) -> Result<()> {
        match self.unsealer.check_seal().await {
            Err(error @ Error::Refused(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins to unseal by itself, if a key service seals the vault; otherwise only says if the store has to be migrated first. The work ends with the core.
    pub fn start(self: &Arc<Core>) {
        self.auto.want(true);
        self.watch_services();
        let weak = Arc::downgrade(self);
        self.tasks.spawn(async move {
            let mut attempts = Attempts::default();
            loop {
                let Some(core) = weak.upgrade() else { return };
                let pause = core.unseal_itself(&mut attempts).await;
                let auto = core.auto.clone();
                drop(core);
                match pause {
                    Some(pause) => tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = auto.wake.notified() => {}
                    },
                    None => auto.wake.notified().await,
                }
            }
        });
    }

    /// Tries once, if it is sealed and is not to be. Returns when to try again; none if there is nothing to do.
    async fn unseal_itself(self: &Arc<Core>, attempts: &mut Attempts) -> Option<Duration> {
        let state = self.state.lock().await;
        let retry = &self.options.seal.retry;
        if !self.auto.wanted.load(Ordering::SeqCst) || !self.sealed() {
            self.auto.note(None);
            return None;
        }
        if let Some(left) = attempts.left(retry) {
            return Some(left);
        }
        let done = match self.unsealer.migration_pending().await {
            // Somebody has to give shares, here or on another server.
            Ok(true) => {
                self.auto.note(None);
                *attempts = Attempts::default();
                return Some(retry.cap);
            }
            Ok(false) if !self.unsealer.is_auto() => return None,
            Ok(false) => self.unseal_by_service().await,
            Err(error) if !self.unsealer.is_auto() => {
                tracing::warn!(%error, "whether the seal has to be migrated cannot be said yet; it shows at the unseal");
                return None;
            }
            Err(error) => Err(error),
        };
        drop(state);
        match done {
            Ok(true) => {
                self.auto.note(None);
                attempts.opened();
                None
            }
            Ok(false) => {
                let (first, pause) = attempts.failed(retry, retry.uninitialized);
                if first {
                    tracing::warn!(
                        "failed to unseal core: stored unseal keys are supported, but none were found: the vault is not initialized"
                    );
                }
                self.auto.note(None);
                Some(pause)
            }
            Err(error) => {
                let (_, pause) = attempts.failed(retry, retry.cap);
                let case = case(&error);
                let again_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(%error, case, again_in_ms, "failed to unseal core");
                self.auto.note(Some(Trouble { case }));
                Some(pause)
            }
        }
    }

    /// Unseals by way of the key service. Returns whether it is unsealed: not if there is no vault in the storage. The caller holds `state`.
    pub(super) async fn unseal_by_service(self: &Arc<Core>) -> Result<bool> {
        if !self.unsealer.unseal_by_service().await? {
            return Ok(false);
        }
        self.opened().await?;
        Ok(true)
    }
}

/// What was tried so far.
#[derive(Default)]
struct Attempts {
    failures: u32,
    /// Before that nothing is tried, whatever happens meanwhile.
    not_before: Option<Instant>,
    /// When the vault was opened last.
    opened: Option<Instant>,
}

impl Attempts {
    /// How long to wait still. A vault that was opened just now and is sealed again is not opened again at once.
    fn left(&mut self, retry: &Retry) -> Option<Duration> {
        if let Some(opened) = self.opened.take() {
            if opened.elapsed() < retry.cap {
                let pause = pause(retry, retry.cap, self.failures);
                self.failures = self.failures.saturating_add(1);
                self.not_before = opened.checked_add(pause);
            } else {
                self.failures = 0;
            }
        }
        let left = self.not_before?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn opened(&mut self) {
        (self.opened, self.not_before) = (Some(Instant::now()), None);
    }

    /// Returns whether it is the first failure in a row, and when to try again.
    fn failed(&mut self, retry: &Retry, cap: Duration) -> (bool, Duration) {
        let pause = pause(retry, cap, self.failures);
        let first = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now().checked_add(pause);
        (first, pause)
    }
}

/// Twice as long as the one before, up to `cap`, and anywhere in its second half, so that servers which began together do not stay together.
fn pause(retry: &Retry, cap: Duration, failures: u32) -> Duration {
    let whole = retry.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(cap);
    let part = crypto::random::<2>().map_or(1.0, |bytes| f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX));
    whole.mul_f64(0.5 + part / 2.0)
}

/// The case of an error, fit for clients: nothing of its text.
fn case(error: &Error) -> &'static str {
    match error {
        Error::Seal { source, .. } => source.case(),
        Error::Storage(_) => "storage",
        Error::Damaged(_) => "damaged",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_never_less_than_half() {
        let retry = Retry { first: Duration::from_secs(1), cap: Duration::from_secs(60), uninitialized: Duration::from_secs(5) };
        for (failures, whole) in [(0, 1), (1, 2), (5, 32), (6, 60), (40, 60), (u32::MAX, 60)] {
            for _ in 0..50 {
                let pause = pause(&retry, retry.cap, failures);
                assert!((Duration::from_millis(whole * 500)..=Duration::from_secs(whole)).contains(&pause), "{failures}: {pause:?}");
            }
        }
    }
}
