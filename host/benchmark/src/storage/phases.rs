//! The operations, one after the other, each under the load of all workers.

use super::StorageError;
use super::ground::Ground;
use super::ground::Random;
use crate::results::Outcome;
use crate::results::Start;
use crate::results::Tally;
use cofferdam_backend::Error;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use tokio::task::JoinSet;

/// An operation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Put,
    Get,
    List,
    Delete,
}

/// In this order: what is read was written.
pub(super) const PHASES: [Phase; 4] = [Phase::Put, Phase::Get, Phase::List, Phase::Delete];

impl Phase {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Put => "storage_put",
            Self::Get => "storage_get",
            Self::List => "storage_list",
            Self::Delete => "storage_delete",
        }
    }
}

/// Who puts the load on.
pub(super) struct Workers {
    pub(super) ground: Arc<Ground>,
    pub(super) count: u32,
    pub(super) duration: Duration,
    pub(super) stop: Arc<AtomicBool>,
}

impl Workers {
    /// Writes every entry once.
    pub(super) async fn seed(&self) -> Result<(), StorageError> {
        let fail = |source| StorageError::Backend { what: "writing the entries to work on", source };
        let in_flight = usize::try_from(self.count).unwrap_or(1);
        let put = async |key| {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.ground.storage().put(key, self.ground.value().clone()).await
        };
        stream::iter(self.ground.keys()).map(Ok).try_for_each_concurrent(in_flight, put).await.map_err(fail)
    }

    /// Measures one operation.
    pub(super) async fn run(&self, phase: Phase) -> Result<Tally, StorageError> {
        let unmeasured = || StorageError::Measuring("a histogram could not be made".to_owned());
        let start = Start::now();
        let mut whole = Tally::new(start).ok_or_else(unmeasured)?;
        let mut workers = JoinSet::new();
        for number in 0..self.count {
            let tally = Tally::new(start).ok_or_else(unmeasured)?;
            let (ground, stop, end) = (Arc::clone(&self.ground), Arc::clone(&self.stop), start.instant() + self.duration);
            workers.spawn(work(phase, ground, Random::new(u64::from(number) + 2), tally, end, stop));
        }
        while let Some(joined) = workers.join_next().await {
            whole.merge(&joined.map_err(|error| StorageError::Measuring(error.to_string()))?);
        }
        Ok(whole)
    }
}

async fn work(phase: Phase, ground: Arc<Ground>, mut random: Random, mut tally: Tally, end: Instant, stop: Arc<AtomicBool>) -> Tally {
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        let (due, result) = step(phase, &ground, &mut random).await;
        let done = Instant::now();
        let (status, error) = match &result {
            Ok(_) => (200, None),
            // The case alone: the text is the guest's, and may differ each time.
            Err(error) => (0, Some(error.case())),
        };
        let (bytes_in, bytes_out) = result.unwrap_or_default();
        tally.record(&Outcome { due, done, status, bytes_in, bytes_out, error });
        if status == 0 {
            // A store that refuses at once is not hammered.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tally
}

/// One call: when it began, and the bytes that came and went.
async fn step(phase: Phase, ground: &Ground, random: &mut Random) -> (Instant, Result<(u64, u64), Error>) {
    let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    let mut due = Instant::now();
    let result = async {
        match phase {
            Phase::Put => {
                ground.storage().put(ground.some_key(random)?, ground.value().clone()).await?;
                Ok((0, length(ground.value().len())))
            }
            Phase::Get => {
                let found = ground.storage().get(ground.some_key(random)?).await?;
                Ok((found.map_or(0, |value| length(value.len())), 0))
            }
            Phase::List => {
                let names = ground.storage().list(ground.some_folder(random)?).await?;
                Ok((names.iter().map(|name| length(name.len())).sum(), 0))
            }
            Phase::Delete => {
                let key = ground.some_key(random)?;
                ground.storage().put(key, ground.value().clone()).await?;
                due = Instant::now();
                ground.storage().delete(key).await?;
                Ok((0, 0))
            }
        }
    };
    let result = result.await;
    (due, result)
}
