//! The lock of a backend that several servers share: single conditional steps, each whole. Time is the host's affair; what is checked here is that the guest
//! leaves it to the host.

use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Error, Held, Lock};
use futures_util::future::try_join_all;

use crate::case::case;
use crate::case::ensure;
use crate::script::{self, Script};
use crate::store::key;
use crate::{Case, Ended, Ground, OpenWith, Verdict};

pub(super) const CASES: &[Case] = &[
    case!("contract/lock-exclusion", "Of contenders that saw no lock, one gets it, and everyone sees who", exclusion),
    case!("contract/lock-seen", "A lock is taken over only by who saw what is stored, to the byte and the nanosecond", seen),
    case!("contract/lock-renew", "Its holder renews it, and that voids what others saw before", renewal),
    case!("contract/lock-release", "Its holder releases it, and no renewal brings it back", release),
    case!("contract/lock-strangers", "Who does not hold it neither renews nor releases it", strangers),
    case!("contract/lock-expiry", "A lock that is past its expiry stays as it is until the host takes it over", expiry),
    case!("contract/lock-clocks", "Whatever the holders' clocks say is stored as they say it", clocks),
    case!("contract/lock-values", "What the holder leaves for others is any bytes", values),
    case!("contract/lock-and-entry", "A lock and an entry of one key do not touch each other", beside_an_entry),
    case!("contract/lock-hidden", "No listing and no scan shows a lock, and it holds no folder", hidden),
    case!("contract/lock-several", "Locks of different keys are different locks", several),
    case!("contract/lock-race", "Of many that saw the same, one wins, round after round", race),
    case!("contract/lock-restart", "A lock is there after the backend is opened anew", restart),
];

const LOCK: &str = "core/lock";
/// The contenders of a race, each with a backend of its own.
const CONTENDERS: usize = 6;

/// One server's view of the lock; its steps are noted.
struct Contender {
    lock: Arc<dyn Lock>,
    name: String,
    script: Arc<Script>,
}

/// A claim.
fn claim(identity: &str, value: &str, expires: u64) -> Held {
    Held { value: Bytes::copy_from_slice(value.as_bytes()), identity: identity.to_owned(), expires }
}

fn shown(held: Option<&Held>) -> String {
    match held {
        None => "none".to_owned(),
        Some(Held { value, identity, expires }) => format!("{} until {expires}, {}", script::name(identity), script::value(value)),
    }
}

impl Contender {
    fn came<T>(&self, step: &str, result: Result<T, Error>, shown: impl FnOnce(&T) -> String) -> Result<T, Ended> {
        let step = format!("{}: {step}", self.name);
        self.script.came(&step, result.map_err(|error| error.to_string()), |value| format!(" -> {}", shown(value)))
    }

    async fn acquire_at(&self, at: &str, claim: Held, seen: Option<Held>) -> Result<bool, Ended> {
        let step = format!("try-acquire {at} as {}, seen {}", shown(Some(&claim)), shown(seen.as_ref()));
        let result = self.lock.try_acquire(&key(at)?, claim, seen).await;
        self.came(&step, result, bool::to_string)
    }

    async fn must_acquire(&self, claim: Held, seen: Option<Held>, expected: bool) -> Verdict {
        let step = format!("{}: try-acquire {LOCK} as {}, seen {}", self.name, shown(Some(&claim)), shown(seen.as_ref()));
        let found = self.acquire_at(LOCK, claim, seen).await?;
        ensure!(found == expected, "{step}: expected {expected}, found {found}");
        Ok(())
    }

    async fn must_renew(&self, identity: &str, expires: u64, expected: bool) -> Verdict {
        let step = format!("renew {LOCK} for {identity} until {expires}");
        let found = self.came(&step, self.lock.renew(&key(LOCK)?, identity, expires).await, bool::to_string)?;
        ensure!(found == expected, "{}: {step}: expected {expected}, found {found}", self.name);
        Ok(())
    }

    async fn release(&self, identity: &str) -> Verdict {
        let step = format!("release {LOCK} for {identity}");
        self.came(&step, self.lock.release(&key(LOCK)?, identity).await, |()| "done".to_owned())
    }

    async fn read_at(&self, at: &str) -> Result<Option<Held>, Ended> {
        self.came(&format!("read {at}"), self.lock.read(&key(at)?).await, |held| shown(held.as_ref()))
    }

    async fn must_read(&self, expected: Option<&Held>) -> Verdict {
        let found = self.read_at(LOCK).await?;
        let (expected_text, found_text) = (shown(expected), shown(found.as_ref()));
        ensure!(found.as_ref() == expected, "{}: read {LOCK}: expected {expected_text}, found {found_text}", self.name);
        Ok(())
    }
}

/// So many servers on one store, on which there is nothing.
async fn contenders(ground: &Ground<'_>, count: usize) -> Result<Vec<Contender>, Ended> {
    drop(ground.open(OpenWith::fresh()).await?);
    let mut all = Vec::new();
    for number in 0..count {
        all.push(Contender { lock: ground.lock().await?, name: format!("server {number}"), script: Arc::clone(&ground.script) });
    }
    Ok(all)
}

async fn two(ground: &Ground<'_>) -> Result<(Contender, Contender), Ended> {
    let mut both = contenders(ground, 2).await?.into_iter();
    both.next().zip(both.next()).ok_or_else(|| Ended::failed("no two servers"))
}

async fn exclusion(ground: &Ground<'_>) -> Verdict {
    let all = contenders(ground, CONTENDERS).await?;
    let mut won = Vec::new();
    for (number, contender) in all.iter().enumerate() {
        contender.must_read(won.first()).await?;
        let claim = claim(&format!("id-{number}"), "v", 100);
        if contender.acquire_at(LOCK, claim.clone(), None).await? {
            won.push(claim);
        }
    }
    ensure!(won.len() == 1, "{} of {CONTENDERS} got the lock one after the other, each as if there were none", won.len());
    for contender in &all {
        contender.must_read(won.first()).await?;
    }
    Ok(())
}

async fn seen(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    let held = claim("one", "bar", 1_700_000_000_123_456_789);
    one.must_acquire(held.clone(), None, true).await?;
    let taken = claim("other", "baz", 1_700_000_100_000_000_001);
    for stale in [
        claim("one", "bar", 1_700_000_000_123_456_788),
        claim("one", "bar", 1_700_000_000_123_456_790),
        claim("nobody", "bar", 1_700_000_000_123_456_789),
        claim("ONE", "bar", 1_700_000_000_123_456_789),
        claim("", "bar", 1_700_000_000_123_456_789),
    ] {
        other.must_acquire(taken.clone(), Some(stale), false).await?;
        other.must_read(Some(&held)).await?;
    }
    other.must_acquire(taken.clone(), Some(held.clone()), true).await?;
    one.must_read(Some(&taken)).await?;
    // Who was taken over has nothing left.
    one.must_renew("one", 1_800_000_000_000_000_000, false).await?;
    one.release("one").await?;
    one.must_acquire(held.clone(), Some(held), false).await?;
    one.must_read(Some(&taken)).await
}

async fn renewal(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    one.must_renew("one", 50, false).await?;
    one.must_read(None).await?;
    let before = claim("one", "bar", 100);
    one.must_acquire(before.clone(), None, true).await?;
    one.must_renew("one", 150, true).await?;
    let after = claim("one", "bar", 150);
    other.must_read(Some(&after)).await?;
    other.must_acquire(claim("other", "baz", 200), Some(before), false).await?;
    one.must_renew("one", 160, true).await?;
    other.must_acquire(claim("other", "baz", 200), Some(after), false).await?;
    other.must_read(Some(&claim("one", "bar", 160))).await
}

async fn release(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    one.release("one").await?;
    let held = claim("one", "bar", 150);
    one.must_acquire(held.clone(), None, true).await?;
    one.release("one").await?;
    other.must_read(None).await?;
    one.must_renew("one", 160, false).await?;
    other.must_read(None).await?;
    one.release("one").await?;
    other.must_acquire(claim("other", "baz", 200), Some(held), false).await?;
    other.must_read(None).await?;
    other.must_acquire(claim("other", "baz", 200), None, true).await
}

async fn strangers(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    let held = claim("one", "bar", 150);
    one.must_acquire(held.clone(), None, true).await?;
    for stranger in ["other", "on", "one ", "One"] {
        other.must_renew(stranger, 300, false).await?;
        other.must_read(Some(&held)).await?;
        other.release(stranger).await?;
        other.must_read(Some(&held)).await?;
    }
    one.must_renew("one", 151, true).await
}

async fn expiry(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    // Long past, by anybody's clock.
    let held = claim("one", "bar", 1);
    one.must_acquire(held.clone(), None, true).await?;
    other.must_read(Some(&held)).await?;
    other.must_acquire(claim("other", "baz", 2), None, false).await?;
    other.must_read(Some(&held)).await?;
    // Its holder may come back in time.
    one.must_renew("one", 3, true).await?;
    other.must_acquire(claim("other", "baz", 4), Some(held), false).await?;
    other.must_acquire(claim("other", "baz", 4), Some(claim("one", "bar", 3)), true).await
}

async fn clocks(ground: &Ground<'_>) -> Verdict {
    const DAY: u64 = 86_400_000_000_000;
    let (one, other) = two(ground).await?;
    let now = ground.options.now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(2_000_000_000_000_000_000);
    let mut seen = None;
    // One clock is a day ahead, the other a day behind; and years ahead, and at 1970; and what a float does not hold.
    for (number, expires) in [now + DAY, now - DAY, now + 10_000 * DAY, 0, (1 << 53) + 1, 1, u64::MAX >> 1, now].into_iter().enumerate() {
        let (taker, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let held = claim(&format!("id-{number}"), "v", expires);
        taker.must_acquire(held.clone(), seen.take(), true).await?;
        reader.must_read(Some(&held)).await?;
        // A renewal may set it back.
        let renewed = Held { expires: expires ^ 1, ..held };
        taker.must_renew(&renewed.identity, renewed.expires, true).await?;
        reader.must_read(Some(&renewed)).await?;
        seen = Some(renewed);
    }
    Ok(())
}

async fn values(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    let mut seen = None;
    let longest = "i".repeat(128);
    let all: Bytes = (0..=255_u8).collect();
    for (identity, value) in [("one", Bytes::new()), ("é\u{1f512}", all.clone()), (longest.as_str(), Bytes::from(all.repeat(8)))] {
        let held = Held { value, identity: identity.to_owned(), expires: 9 };
        one.must_acquire(held.clone(), seen.take(), true).await?;
        other.must_read(Some(&held)).await?;
        one.must_renew(identity, 10, true).await?;
        seen = Some(Held { expires: 10, ..held });
        other.must_read(seen.as_ref()).await?;
    }
    Ok(())
}

async fn beside_an_entry(ground: &Ground<'_>) -> Verdict {
    let (one, _) = two(ground).await?;
    let store = &ground.again().await?;
    store.put(LOCK, "entry").await?;
    one.must_read(None).await?;
    let held = claim("one", "lock", 9);
    one.must_acquire(held.clone(), None, true).await?;
    store.must_get(LOCK, Some(b"entry")).await?;
    store.put(LOCK, "another").await?;
    one.must_read(Some(&held)).await?;
    store.delete(LOCK).await?;
    one.must_read(Some(&held)).await?;
    store.must_get(LOCK, None).await?;
    store.put(LOCK, "entry").await?;
    one.release("one").await?;
    one.must_read(None).await?;
    store.must_get(LOCK, Some(b"entry")).await?;
    store.delete(LOCK).await
}

async fn hidden(ground: &Ground<'_>) -> Verdict {
    let (one, _) = two(ground).await?;
    let store = &ground.again().await?;
    one.must_acquire(claim("one", "lock", 9), None, true).await?;
    store.must_list::<&str>("", &[]).await?;
    store.must_list::<&str>("core/", &[]).await?;
    store.must_get(LOCK, None).await?;
    store.must_scan(3, 10, &std::collections::BTreeMap::new()).await?;
    store.put("core/x", "1").await?;
    store.must_list("", &["core/"]).await?;
    store.must_list("core/", &["x"]).await?;
    store.delete("core/x").await?;
    store.must_list::<&str>("", &[]).await?;
    one.must_read(Some(&claim("one", "lock", 9))).await?;
    one.release("one").await
}

async fn several(ground: &Ground<'_>) -> Verdict {
    let (one, other) = two(ground).await?;
    let keys = ["core/lock", "core/lock2", "lock", "core", "core/lock/below"];
    for (number, at) in keys.iter().enumerate() {
        let taken = one.acquire_at(at, claim(&format!("id-{number}"), "v", 9), None).await?;
        ensure!(taken, "try-acquire {at}: expected true, since only other locks are held, found false");
    }
    for (number, at) in keys.iter().enumerate() {
        let found = other.read_at(at).await?;
        let expected = claim(&format!("id-{number}"), "v", 9);
        ensure!(found.as_ref() == Some(&expected), "read {at}: expected {}, found {}", shown(Some(&expected)), shown(found.as_ref()));
    }
    Ok(())
}

async fn race(ground: &Ground<'_>) -> Verdict {
    let all = contenders(ground, CONTENDERS).await?;
    let mut seen = None;
    for round in 0..ground.options.of(100, 20) {
        let tries = all.iter().enumerate().map(async |(number, contender)| {
            let name = format!("{round}-{number}");
            let won = contender.acquire_at(LOCK, claim(&name, "v", round), seen.clone()).await?;
            Ok::<_, Ended>(won.then_some(name))
        });
        let won: Vec<String> = try_join_all(tries).await?.into_iter().flatten().collect();
        let Some(reader) = all.first() else { return Ok(()) };
        let stored = reader.read_at(LOCK).await?;
        let stands = stored.as_ref().map(|held| held.identity.clone());
        ensure!(
            won.len() == 1 && won.first() == stands.as_ref(),
            "round {round}: of {CONTENDERS} that saw {}, these won: {}; stored is {}",
            shown(seen.as_ref()),
            script::names(&won),
            shown(stored.as_ref())
        );
        // Sometimes the holder releases it.
        if round % 3 == 2 {
            reader.release(stands.as_deref().unwrap_or_default()).await?;
            seen = None;
        } else {
            seen = stored;
        }
    }
    Ok(())
}

async fn restart(ground: &Ground<'_>) -> Verdict {
    let held = claim("one", "bar", 150);
    {
        let (one, _) = two(ground).await?;
        one.must_acquire(held.clone(), None, true).await?;
    }
    let again = Contender { lock: ground.lock().await?, name: "opened anew".to_owned(), script: Arc::clone(&ground.script) };
    again.must_read(Some(&held)).await?;
    again.must_acquire(claim("two", "baz", 160), None, false).await?;
    again.must_renew("one", 160, true).await
}
