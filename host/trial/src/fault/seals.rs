//! Wraps and unwraps of which an import goes wrong: there is an error of the right case, or the right key, and never another one.
//!
//! Keys are made up and protect nothing. None of them, and no wrapped key, is in a script.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_runtime::{Probe, Step};
use proptest::prelude::Rng as _;

use super::injector::{FAILURES, Injector, When, points, unreachable};
use crate::case::{case, ensure};
use crate::{Case, Ended, Ground, OpenWith, Verdict};

pub(super) const CASES: &[Case] = &[
    case!("fault/seal-fails", "A wrap or unwrap whose import fails ends with the error that says why, or with the right key", fails),
    case!("fault/seal-answer-lost", "The same if the answer of an import is lost", answer_lost),
    case!("fault/seal-stopped", "The same if the instance ends; a new one serves the next call", stopped),
    case!("fault/seal-delayed", "Imports that linger delay a seal, and do nothing else", delayed),
    case!(
        "fault/seal-opening",
        "Whichever import fails while it is opened, it opens when that is over, and what was wrapped comes back",
        opening
    ),
];

/// How long an import lingers.
const LINGERS: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum Work {
    Wrap,
    Unwrap,
    KeyId,
    Health,
}

const WORKS: [Work; 4] = [Work::Wrap, Work::Unwrap, Work::KeyId, Work::Health];

struct Sealing<'a> {
    ground: &'a Ground<'a>,
    injector: Arc<Injector>,
    seal: Arc<dyn Seal>,
    dek: [u8; 32],
    wrapped: Wrapped,
    hits: usize,
}

impl<'a> Sealing<'a> {
    async fn open(ground: &'a Ground<'a>) -> Result<Sealing<'a>, Ended> {
        let injector = Arc::<Injector>::default();
        let probe = Some(Arc::clone(&injector) as Arc<dyn Probe>);
        let seal = ground.seal(OpenWith { probe, ..OpenWith::again() }).await?.seal;
        let mut dek = [0; 32];
        ground.options.rng().fill_bytes(&mut dek);
        let wrapped = ground.script.came("wrap a key", seal.wrap(&dek).await.map_err(|error| error.to_string()), |_| String::new())?;
        Ok(Sealing { ground, injector, seal, dek, wrapped, hits: 0 })
    }

    /// Does it once. Returns how many imports it called.
    async fn call(&mut self, work: Work, how: (When, Step)) -> Result<usize, Ended> {
        let Sealing { ground, injector, seal, dek, wrapped, hits } = self;
        ground.script.clear();
        // A wrapped key that came of it, and whether a key that came of it is the right one.
        let (mut new, mut right) = (None, true);
        let call = async {
            match work {
                Work::Wrap => new = Some(seal.wrap(dek).await?),
                Work::Unwrap => {
                    let mut found = [0; 32];
                    seal.unwrap(wrapped, &mut found).await?;
                    right = found == *dek;
                }
                Work::KeyId => right = seal.key_id().await? == wrapped.key_id,
                Work::Health => seal.health().await?,
            }
            Ok::<_, Error>(())
        };
        let struck = injector.strike(ground, how, &format!("{work:?}").to_lowercase(), call).await;
        struck.judge()?;
        ensure!(right, "{}: expected an error or what was wrapped and its key, found another", struck.told);
        for (what, wrapped) in [("what it wrapped", new.as_ref()), ("a key that was wrapped before", Some(&*wrapped))] {
            let Some(wrapped) = wrapped else { continue };
            let mut found = [0; 32];
            let line = format!("unwrap {what}");
            ground.script.came(&line, seal.unwrap(wrapped, &mut found).await.map_err(|error| error.to_string()), |()| String::new())?;
            ensure!(found == *dek, "{}; then {line}: another key came back", struck.told);
        }
        *hits += usize::from(struck.hit());
        Ok(struck.seen)
    }

    fn end(&self) -> Verdict {
        if self.hits > 0 { Ok(()) } else { Err(unreachable("wraps and unwraps")) }
    }
}

/// At each import; and for keys, at all of them.
async fn all(ground: &Ground<'_>, steps: &[Step]) -> Verdict {
    let mut sealing = Sealing::open(ground).await?;
    let mut rng = ground.options.rng();
    for work in WORKS {
        for step in steps {
            let count = sealing.call(work, (When::Never, *step)).await?;
            for at in points(count, ground.options.of(16, 3), &mut rng) {
                sealing.call(work, (When::At(at), *step)).await?;
            }
            if matches!(work, Work::Wrap | Work::Unwrap) {
                sealing.call(work, (When::Always, *step)).await?;
            }
        }
    }
    sealing.end()
}

async fn fails(ground: &Ground<'_>) -> Verdict {
    all(ground, &FAILURES.map(Step::Fail)).await
}

async fn answer_lost(ground: &Ground<'_>) -> Verdict {
    all(ground, &[Step::Lose]).await
}

async fn stopped(ground: &Ground<'_>) -> Verdict {
    all(ground, &[Step::Stop]).await
}

async fn delayed(ground: &Ground<'_>) -> Verdict {
    let mut sealing = Sealing::open(ground).await?;
    for work in WORKS {
        sealing.call(work, (When::Always, Step::Delay(LINGERS))).await?;
    }
    sealing.end()
}

async fn opening(ground: &Ground<'_>) -> Verdict {
    let Sealing { dek, wrapped, .. } = Sealing::open(ground).await?;
    let mut rng = ground.options.rng();
    let mut any = false;
    for step in FAILURES.map(Step::Fail).into_iter().chain([Step::Lose, Step::Stop]) {
        let (count, _) = opened(ground, (When::Never, step)).await?;
        for at in points(count, ground.options.of(12, 2), &mut rng) {
            any |= opened(ground, (When::At(at), step)).await?.1;
        }
        let seal = ground.seal(OpenWith::again()).await?.seal;
        let mut found = [0; 32];
        let result = seal.unwrap(&wrapped, &mut found).await.map_err(|error| error.to_string());
        ground.script.came("unwrap a key that was wrapped before", result, |()| String::new())?;
        ensure!(found == dek, "opened after openings that failed: another key came back than was wrapped");
    }
    if any { Ok(()) } else { Err(unreachable("is opened")) }
}

/// Opens it. Returns how many imports were called, and whether anything was done to one.
async fn opened(ground: &Ground<'_>, (when, step): (When, Step)) -> Result<(usize, bool), Ended> {
    let injector = Arc::<Injector>::default();
    injector.arm(when, step);
    let opened = ground.subject.seal(OpenWith { probe: Some(Arc::clone(&injector) as Arc<dyn Probe>), ..OpenWith::again() }).await;
    let (count, hit, line) = injector.told("open", (when, step));
    ground.script.note(format!("{line} -> {}", opened.as_ref().map_or_else(ToString::to_string, |_| "ok".to_owned())));
    match opened {
        Ok(_) => ensure!(!hit || step != Step::Stop, "{line}: expected that it ends with the instance, found that it opened"),
        Err(error) => ensure!(hit, "{line}: expected no error, found {error}"),
    }
    Ok((count, hit))
}
