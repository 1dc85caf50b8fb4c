//! The course: many calls on one instance under a probe, then the largest that there is, and the lock. All checks of the section judge by one course.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_backend::{Error, Held, Lock, Operation, Part, Seal};
use cofferdam_runtime::{PoolOptions, PoolPolicy, Probe, World};

use super::steady::{ROUND, Steady};
use super::watch::{Watched, Watcher};
use crate::case::{Failed, ensure};
use crate::store::{key, said};
use crate::{Ended, Ground, OpenWith, Store, Verdict};

/// The calls of a whole course, and of a quick one; of a seal, which asks a key service each time.
const CALLS: (u32, u32) = (10_000, 1_000);
const SEAL_CALLS: (u32, u32) = (2_000, 200);
/// The parts into which they are divided.
const WINDOWS: u32 = 50;
/// The longest that they may take: a slow service is judged by fewer.
const LONGEST: (Duration, Duration) = (Duration::from_secs(180), Duration::from_secs(60));
/// The largest value and batch that are tried, in bytes.
const LARGEST: u64 = 4 << 20;
/// The keys that are wrapped.
const KEYS: (u8, u8) = (100, 20);

/// What a course showed.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The calls that were made in a row, of those that were to be made.
    pub(super) calls: u32,
    pub(super) wanted: u32,
    pub(super) watched: Watched,
    /// What ended the course.
    pub(super) trouble: Option<Failed>,
    /// The instances that it cost, by kind of breach.
    pub(super) breaches: BTreeMap<&'static str, u64>,
}

impl Seen {
    /// Whether the probe was told of calls at all.
    pub(super) fn is_probed(&self) -> bool {
        !self.watched.used.is_empty()
    }
}

/// One instance for everything, which is never replaced, under this probe.
pub(super) fn one_instance(probe: Arc<dyn Probe>) -> OpenWith {
    let pool = PoolOptions { policy: PoolPolicy::Warm, size: 1, calls: u32::MAX, memory_mark: usize::MAX, ..PoolOptions::default() };
    OpenWith { probe: Some(probe), pool: Some(pool), fresh: true }
}

/// The course of this check's section, made by the first check that needs it.
pub(super) async fn seen<'g>(ground: &'g Ground<'_>) -> Result<&'g Seen, Ended> {
    ground.seen.get_or_try_init(|| run(ground)).await
}

async fn run(ground: &Ground<'_>) -> Result<Seen, Ended> {
    let watcher = Arc::new(Watcher::default());
    let open = one_instance(Arc::clone(&watcher) as Arc<dyn Probe>);
    let is_seal = ground.subject.info().world == World::Seal;
    let (whole, few) = if is_seal { SEAL_CALLS } else { CALLS };
    let wanted = ground.options.of(whole, few);
    let window = wanted.div_ceil(WINDOWS).next_multiple_of(ROUND);
    let longest = ground.options.of(LONGEST.0, LONGEST.1);
    let mut turns = Turns { watcher: &watcher, began: Instant::now(), longest, wanted, window, made: 0 };
    let (verdict, stats) = if is_seal {
        let opened = ground.seal(open).await?;
        (seal(ground, &*opened.seal, &mut turns).await, opened.backend.map(|backend| backend.stats()))
    } else {
        let opened = ground.open(open).await?;
        let verdict = storage(ground, &ground.store_of(&opened), opened.lock.as_deref(), &mut turns).await;
        (verdict, opened.backend.map(|backend| backend.stats()))
    };
    let calls = turns.made;
    let trouble = match verdict {
        Ok(()) => None,
        Err(Ended::Failed(failed)) => Some(Failed { script: ground.script.lines(), ..failed }),
        Err(skipped @ Ended::Skipped(_)) => return Err(skipped),
    };
    let breaches = stats.map(|stats| stats.breaches).unwrap_or_default().into_iter().filter(|(_, count)| *count > 0).collect();
    Ok(Seen { calls, wanted, watched: watcher.take(), trouble, breaches })
}

/// The numbers of the calls that are told apart in windows, until all are made or time is up.
struct Turns<'a> {
    watcher: &'a Watcher,
    began: Instant,
    longest: Duration,
    wanted: u32,
    window: u32,
    made: u32,
}

impl Iterator for Turns<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.made >= self.wanted || self.began.elapsed() >= self.longest {
            self.watcher.windows_end();
            return None;
        }
        if self.made.is_multiple_of(self.window) {
            self.watcher.window();
        }
        self.made += 1;
        Some(self.made - 1)
    }
}

async fn storage(ground: &Ground<'_>, store: &Store, lock: Option<&dyn Lock>, turns: &mut Turns<'_>) -> Verdict {
    let mut steady = Steady::new(store);
    for number in turns {
        steady.step(number).await?;
    }
    steady.end().await?;
    largest(store).await?;
    match lock {
        Some(lock) => locked(ground, lock).await,
        None => Ok(()),
    }
}

/// What takes the most memory.
async fn largest(store: &Store) -> Verdict {
    let limits = store.limits();
    let size = |bytes: u64| usize::try_from(bytes.min(LARGEST)).unwrap_or(0);
    let mut value = Bytes::from(vec![0xa5; size(limits.value)]);
    // A key may take up room that its value then lacks: the backend says what would fit.
    if let Err(Error::TooLarge { part: Part::Value, limit, .. }) = store.storage().put(&key("conduct/large")?, value.clone()).await {
        value.truncate(size(limit));
    }
    store.put("conduct/large", value.clone()).await?;
    store.must_get("conduct/large", Some(&value)).await?;
    store.delete("conduct/large").await?;
    let number = limits.batch_operations.clamp(1, 64);
    let each = size((limits.batch_bytes / u64::from(number)).saturating_sub(64).min(limits.value).min(LARGEST / 64));
    let names: Vec<String> = (0..number).map(|number| format!("k{number:02}")).collect();
    let at = |name: &String| key(&format!("conduct/many/{name}"));
    let put = |name| Ok(Operation::Put(at(name)?, Bytes::from(vec![0x5a; each])));
    store.batch(names.iter().map(put).collect::<Result<_, Ended>>()?).await?;
    store.must_list("conduct/many/", &names).await?;
    let scanned = store.scan(1, 1_000).await?.len();
    ensure!(scanned == names.len(), "scan: expected the {} entries of a batch, found {scanned}", names.len());
    store.batch(names.iter().map(|name| Ok(Operation::Delete(at(name)?))).collect::<Result<_, Ended>>()?).await
}

/// Notes a step with what came of it; an error ends the check.
pub(super) fn came<T>(ground: &Ground<'_>, step: &str, result: Result<T, Error>) -> Result<T, Ended> {
    ground.script.came(step, result.map_err(|error| said(&error)), |_| String::new())
}

async fn locked(ground: &Ground<'_>, lock: &dyn Lock) -> Verdict {
    let at = key("conduct/lock")?;
    for round in 0..10_u64 {
        let claim = Held { value: Bytes::from_static(b"v"), identity: format!("holder-{round}"), expires: 1_000_000_000 + round };
        let (identity, expires) = (claim.identity.clone(), claim.expires + 1);
        let acquired = came(ground, "acquire conduct/lock", lock.try_acquire(&at, claim.clone(), None).await)?;
        ensure!(acquired, "round {round}: the lock is free, and was not acquired");
        let renewed = came(ground, "renew conduct/lock", lock.renew(&at, &identity, expires).await)?;
        let found = came(ground, "read conduct/lock", lock.read(&at).await)?;
        ensure!(renewed && found == Some(Held { expires, ..claim }), "round {round}: what was acquired and renewed is not what is read");
        came(ground, "release conduct/lock", lock.release(&at, &identity).await)?;
    }
    Ok(())
}

/// An instance that has handled a key handles nothing else: what can grow is what is left by calls without one.
async fn seal(ground: &Ground<'_>, seal: &dyn Seal, turns: &mut Turns<'_>) -> Verdict {
    for number in turns {
        match number % 2 {
            0 => came(ground, "health", seal.health().await)?,
            _ => drop(came(ground, "key-id", seal.key_id().await)?),
        }
    }
    for number in 0..ground.options.of(KEYS.0, KEYS.1) {
        let dek = [number; 32];
        let wrapped = came(ground, &format!("wrap key {number}"), seal.wrap(&dek).await)?;
        let mut found = [0; 32];
        came(ground, &format!("unwrap key {number}"), seal.unwrap(&wrapped, &mut found).await)?;
        ensure!(found == dek, "unwrap key {number}: another key came back");
    }
    Ok(())
}
