//! Steps on a lock of which an import goes wrong. Who is told that it has the lock has it; who is told nothing reads, and then knows; two never have it.

use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Held, Key, Lock};
use cofferdam_runtime::{Fault, Step};

use super::injector::{Field, When, points, unreachable};
use crate::case::{case, ensure};
use crate::store::key;
use crate::{Case, Ended, Ground, OpenWith, Verdict};

pub(super) const CASES: &[Case] = &[
    case!("fault/lock-fails", "A step on a lock whose import fails is done or not done, and never told wrongly", fails),
    case!("fault/lock-answer-lost", "The same if the answer is lost: nobody is told that it has a lock that another has", answer_lost),
    case!("fault/lock-stopped", "The same if the instance ends", stopped),
];

#[derive(Clone, Copy, Debug)]
enum Work {
    Acquire,
    TakeOver,
    Renew,
    Release,
}

const WORKS: [Work; 4] = [Work::Acquire, Work::TakeOver, Work::Renew, Work::Release];

fn held(identity: &str, expires: u64) -> Held {
    Held { value: Bytes::copy_from_slice(identity.as_bytes()), identity: identity.to_owned(), expires }
}

fn shown(held: Option<&Held>) -> String {
    held.map_or_else(|| "none".to_owned(), |held| format!("{} until {}", held.identity, held.expires))
}

/// Two servers, of which the calls of one go wrong.
struct Two<'a> {
    field: Field<'a>,
    mine: Arc<dyn Lock>,
    other: Arc<dyn Lock>,
    number: usize,
    hits: usize,
}

impl<'a> Two<'a> {
    async fn open(ground: &'a Ground<'a>) -> Result<Two<'a>, Ended> {
        drop(ground.open(OpenWith::fresh()).await?);
        let other = ground.lock().await?;
        let field = Field::open(ground, OpenWith::again()).await?;
        let mine = field.opened.lock.clone().ok_or_else(|| Ended::skipped("the component exports no lock"))?;
        Ok(Two { field, mine, other, number: 0, hits: 0 })
    }

    /// A call in which nothing goes wrong.
    async fn sure<T>(
        &self,
        line: &str,
        shown: impl FnOnce(&T) -> String + Send,
        call: impl Future<Output = cofferdam_backend::Result<T>> + Send,
    ) -> Result<T, Ended> {
        let result = call.await.map_err(|error| error.to_string());
        self.field.ground.script.came(line, result, |came| format!(" -> {}", shown(came)))
    }

    async fn acquire(&self, lock: &dyn Lock, at: &Key, claim: Held, seen: Option<Held>) -> Result<bool, Ended> {
        let line = format!("try-acquire {at} for {}, seen {}", claim.identity, shown(seen.as_ref()));
        self.sure(&line, bool::to_string, lock.try_acquire(at, claim, seen)).await
    }

    /// Does one step and looks what came of it. Returns how many imports were called.
    async fn step(&mut self, work: Work, how: (When, Step)) -> Result<usize, Ended> {
        self.field.ground.script.clear();
        self.number += 1;
        let at = &key(&format!("l/{}/lock", self.number))?;
        let (claim, theirs) = (held("mine", 2_000), held("theirs", 1_000));
        let before = match work {
            Work::Acquire => None,
            Work::TakeOver => Some(theirs.clone()),
            Work::Renew | Work::Release => Some(held("mine", 1_000)),
        };
        if let Some(before) = before.clone() {
            ensure!(self.acquire(&*self.other, at, before, None).await?, "try-acquire {at} that nobody has: expected true, found false");
        }
        let after = match work {
            Work::Acquire | Work::TakeOver => Some(claim.clone()),
            // What was left with the lock stays.
            Work::Renew => Some(Held { expires: 2_000, ..held("mine", 1_000) }),
            Work::Release => None,
        };
        let struck = match work {
            Work::Acquire | Work::TakeOver => {
                let line = format!("try-acquire {at} for mine, seen {}", shown(before.as_ref()));
                self.field.strike(how, &line, self.mine.try_acquire(at, claim, before.clone())).await
            }
            Work::Renew => self.field.strike(how, &format!("renew {at} for mine until 2000"), self.mine.renew(at, "mine", 2_000)).await,
            Work::Release => {
                let release = async { self.mine.release(at, "mine").await.map(|()| true) };
                self.field.strike(how, &format!("release {at} for mine"), release).await
            }
        };
        struck.judge()?;
        let told = &struck.told;
        let line = format!("read {at}");
        let found = self.sure(&line, |found| shown(found.as_ref()), self.other.read(at)).await?;
        let own = self.sure(&line, |found| shown(found.as_ref()), self.mine.read(at)).await?;
        ensure!(own == found, "{told}: one reads {}, the other {}", shown(own.as_ref()), shown(found.as_ref()));
        let (expected, seen) = (shown(after.as_ref()), shown(found.as_ref()));
        match struck.result {
            Ok(true) => ensure!(found == after, "{told}: it was told done; expected {expected}, found {seen}"),
            Ok(false) => return Err(Ended::failed(format!("{told}: expected true or an error, since nobody got in between, found false"))),
            Err(_) => ensure!(
                found == after || found == before,
                "{told}: expected {expected}, or {} as before, found {seen}",
                shown(before.as_ref())
            ),
        }
        self.exclusive(at, told, before, found).await?;
        self.hits += usize::from(struck.hit());
        Ok(struck.seen)
    }

    /// Another, that saw what was before, gets it only if that is still there; and then it is not mine any more.
    async fn exclusive(&self, at: &Key, told: &str, before: Option<Held>, found: Option<Held>) -> Verdict {
        let unchanged = found == before;
        let taken = self.acquire(&*self.other, at, held("another", 3_000), before).await?;
        ensure!(taken == unchanged, "{told}; then, by another that saw what was before: expected {unchanged}, found {taken}");
        let is_mine = !taken && found.is_some_and(|found| found.identity == "mine");
        let renewed = self.sure(&format!("renew {at} for mine"), bool::to_string, self.mine.renew(at, "mine", 4_000)).await?;
        ensure!(renewed == is_mine, "{told}; then renew for mine: expected {is_mine}, found {renewed}");
        for identity in ["mine", "another", "theirs"] {
            self.sure(&format!("release {at} for {identity}"), |()| "done".to_owned(), self.mine.release(at, identity)).await?;
        }
        let left = self.sure(&format!("read {at}"), |found| shown(found.as_ref()), self.other.read(at)).await?;
        ensure!(left.is_none(), "{told}; then, released by everyone: expected none, found {}", shown(left.as_ref()));
        Ok(())
    }
}

async fn all(ground: &Ground<'_>, steps: &[Step]) -> Verdict {
    let mut two = Two::open(ground).await?;
    let mut rng = ground.options.rng();
    for work in WORKS {
        for step in steps {
            let count = two.step(work, (When::Never, *step)).await?;
            for at in points(count, ground.options.of(16, 3), &mut rng) {
                two.step(work, (When::At(at), *step)).await?;
            }
        }
    }
    if two.hits > 0 { Ok(()) } else { Err(unreachable("works on a lock")) }
}

async fn fails(ground: &Ground<'_>) -> Verdict {
    all(ground, &[Fault::Unavailable, Fault::Throttled, Fault::Denied].map(Step::Fail)).await
}

async fn answer_lost(ground: &Ground<'_>) -> Verdict {
    all(ground, &[Step::Lose]).await
}

async fn stopped(ground: &Ground<'_>) -> Verdict {
    all(ground, &[Step::Stop]).await
}
