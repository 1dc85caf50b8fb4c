//! Steps in at an import of a call, and judges what the call makes of it.

use std::sync::{Arc, Mutex};

use cofferdam_backend::Error;
use cofferdam_runtime::{BreachKind, Fault, ImportCall, Probe, Step};
use proptest::prelude::Rng as _;
use proptest::test_runner::TestRng;

use crate::case::{ensure, held};
use crate::{Ended, Ground, OpenWith, OpenedStorage, Store, Verdict, script};

/// All the ways in which an import can fail.
pub(super) const FAILURES: [Fault; 4] = [Fault::Unavailable, Fault::Throttled, Fault::Denied, Fault::Full];

/// At which of a call's imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At none: they are counted.
    Never,
    /// At this one, counted from zero.
    At(usize),
    /// At each.
    Always,
}

/// An import that was stepped in at.
#[derive(Clone, Debug)]
struct Hit {
    number: usize,
    name: &'static str,
    detail: String,
}

#[derive(Default)]
struct State {
    plan: Option<(When, Step)>,
    seen: usize,
    hit: Option<Hit>,
}

/// Steps in while it is armed, and lets everything go else.
#[derive(Default)]
pub(super) struct Injector(Mutex<State>);

/// What cannot fail is no place to make it fail.
fn can_fail(import: &str) -> bool {
    !["wasi:clocks/", "wasi:random/", "cofferdam:backend/log", "cofferdam:backend/fencing"].iter().any(|begin| import.starts_with(begin))
}

impl Probe for Injector {
    fn import(&self, call: ImportCall<'_>) -> Step {
        let mut state = held(&self.0);
        let Some((when, step)) = state.plan else { return Step::Go };
        if matches!(step, Step::Fail(_) | Step::Lose) && !can_fail(call.name) {
            return Step::Go;
        }
        let number = state.seen;
        state.seen += 1;
        let strikes = when == When::Always || when == When::At(number);
        if !strikes {
            return Step::Go;
        }
        state.hit.get_or_insert_with(|| Hit { number, name: call.name, detail: call.detail.to_owned() });
        step
    }
}

impl Injector {
    /// From now on, counted anew.
    pub(super) fn arm(&self, when: When, step: Step) {
        *held(&self.0) = State { plan: Some((when, step)), ..State::default() };
    }

    /// How many imports were seen, and where it stepped in first.
    fn disarm(&self) -> (usize, Option<Hit>) {
        let state = std::mem::take(&mut *held(&self.0));
        (state.seen, state.hit)
    }

    /// Lets everything go. Returns how many imports were seen, and whether it stepped in.
    pub(super) fn rest(&self) -> (usize, bool) {
        let (seen, hit) = self.disarm();
        (seen, hit.is_some())
    }

    /// The same, with what was done in words.
    pub(super) fn told(&self, line: &str, (when, step): (When, Step)) -> (usize, bool, String) {
        let (seen, hit) = self.disarm();
        (seen, hit.is_some(), told(line, when, step, hit.as_ref()))
    }

    /// Makes a call and steps in.
    pub(super) async fn strike<T>(
        &self,
        ground: &Ground<'_>,
        (when, step): (When, Step),
        line: &str,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Struck<T> {
        self.arm(when, step);
        let result = call.await;
        let (seen, hit) = self.disarm();
        let told = told(line, when, step, hit.as_ref());
        ground.script.note(format!("{told} -> {}", came(&result)));
        Struck { result, seen, told, when, step, hit }
    }

    /// The same for calls that were made while it was armed.
    pub(super) fn struck<T>(
        &self,
        ground: &Ground<'_>,
        (when, step): (When, Step),
        calls: Vec<(String, Result<T, Error>)>,
    ) -> Vec<Struck<T>> {
        let (seen, hit) = self.disarm();
        let struck = |(line, result): (String, Result<T, Error>)| {
            let told = told(&line, when, step, hit.as_ref());
            ground.script.note(format!("{told} -> {}", came(&result)));
            Struck { result, seen, told, when, step, hit: hit.clone() }
        };
        calls.into_iter().map(struck).collect()
    }
}

/// A call, and what was done to it.
fn told(line: &str, when: When, step: Step, hit: Option<&Hit>) -> String {
    hit.map_or_else(|| line.to_owned(), |hit| format!("{line}, with {}", done(when, step, hit)))
}

fn came<T>(result: &Result<T, Error>) -> String {
    result.as_ref().map_or_else(said, |_| "ok".to_owned())
}

/// What was done to a call, in words.
fn done(when: When, step: Step, hit: &Hit) -> String {
    let what = match step {
        Step::Fail(Fault::Unavailable) => "failing as if nothing were there",
        Step::Fail(Fault::Throttled) => "failing as for too many requests",
        Step::Fail(Fault::Denied) => "failing as not allowed",
        Step::Fail(Fault::Full) => "failing as for no room",
        Step::Lose => "done and its answer lost",
        Step::Stop => "ending the instance",
        Step::Delay(_) => "late",
        Step::Go => "done",
    };
    if when == When::Always {
        return format!("every import from {} on {what}", hit.name);
    }
    let detail = if hit.detail.is_empty() { String::new() } else { format!(" {}", script::name(&hit.detail)) };
    format!("import {} ({}{detail}) {what}", hit.number, hit.name)
}

/// An error as a person reads it.
pub(super) fn said(error: &Error) -> String {
    format!("error {}", crate::store::said(error))
}

/// A call that was stepped in at.
pub(super) struct Struck<T> {
    pub(super) result: Result<T, Error>,
    /// The imports that it called, of those that were counted.
    pub(super) seen: usize,
    /// The call, and what was done to it.
    pub(super) told: String,
    when: When,
    step: Step,
    hit: Option<Hit>,
}

impl<T> Struck<T> {
    /// Whether anything was done to it.
    pub(super) fn hit(&self) -> bool {
        self.hit.is_some()
    }

    /// An error has to say what happened, and only what was done to the call may be its cause. What the guest gets over is no error.
    pub(super) fn judge(&self) -> Verdict {
        let told = &self.told;
        match (&self.result, &self.hit) {
            (Ok(_), Some(_)) if self.step == Step::Stop && self.when != When::Always => {
                Err(Ended::failed(format!("{told}: expected that the call ends with its instance, found an answer")))
            }
            (Ok(_), _) => Ok(()),
            (Err(error), None) => Err(Ended::failed(format!("{told}: expected no error, found {}", said(error)))),
            (Err(error), Some(hit)) => {
                let fitting = fitting(self.step, self.when, hit.name);
                let expected = if fitting.is_empty() { "no error".to_owned() } else { format!("the error {}", fitting.join(" or ")) };
                ensure!(fitting.contains(&error.case()), "{told}: expected {expected}, found {}", said(error));
                let stopped = BreachKind::of(error);
                ensure!(stopped.is_none_or(|kind| kind == BreachKind::Trap), "{told}: expected a trap, found {}", said(error));
                Ok(())
            }
        }
    }
}

/// Cases that can be told for any trouble of a file.
const ANY: &[&str] = &["unavailable", "throttled", "denied", "exhausted"];

/// The cases that tell an operator and the host what to do about it.
fn fitting(step: Step, when: When, import: &str) -> &'static [&'static str] {
    // A file system has one code for a disk that fails, is read-only or is over its quota; a guest may look further than at this one failure.
    // A stream's error has a code only for who asks for it, which standard libraries do not.
    let (stream, file) = (import.starts_with("wasi:io/"), import.starts_with("wasi:filesystem/"));
    match step {
        Step::Fail(_) if stream && when != When::Always => ANY,
        Step::Fail(Fault::Unavailable) | Step::Lose if (stream || file) && when != When::Always => ANY,
        Step::Fail(Fault::Denied) => &["denied"],
        // Not every service has an answer of this kind, and HTTP's own is a failure of the server.
        Step::Fail(Fault::Full) if import.starts_with("wasi:http/") => &["exhausted", "throttled", "unavailable"],
        // Some services have one code for a quota and for a rate.
        Step::Fail(Fault::Full) => &["exhausted", "throttled"],
        Step::Fail(_) | Step::Lose => &["unavailable", "throttled"],
        Step::Stop => &["breach"],
        Step::Go | Step::Delay(_) => &[],
    }
}

/// The points at which a call with so many imports is stepped in at: all of them, or `most` by chance, the first and the last among them.
pub(super) fn points(count: usize, most: usize, rng: &mut TestRng) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let mut chosen = std::collections::BTreeSet::from([0, count - 1]);
    while chosen.len() < most.max(2) {
        chosen.insert(below(rng, count));
    }
    chosen.into_iter().collect()
}

/// A number by chance, below this one.
pub(super) fn below(rng: &mut TestRng, limit: usize) -> usize {
    usize::try_from(rng.next_u32()).unwrap_or_default() % limit.max(1)
}

/// A storage that is stepped in at, with what looks on.
pub(super) struct Field<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) injector: Arc<Injector>,
    pub(super) opened: OpenedStorage,
    pub(super) store: Store,
}

impl<'a> Field<'a> {
    /// Opens the subject with an injector of its own that rests.
    pub(super) async fn open(ground: &'a Ground<'a>, open: OpenWith) -> Result<Field<'a>, Ended> {
        let injector = Arc::<Injector>::default();
        let probe = Arc::clone(&injector) as Arc<dyn Probe>;
        let opened = ground.open(OpenWith { probe: Some(probe), ..open }).await?;
        let store = ground.store_of(&opened);
        Ok(Field { ground, injector, opened, store })
    }

    /// Makes a call and steps in.
    pub(super) async fn strike<T>(&self, how: (When, Step), line: &str, call: impl Future<Output = Result<T, Error>> + Send) -> Struck<T> {
        self.injector.strike(self.ground, how, line, call).await
    }
}

/// Why nothing can be done to a component in this way.
pub(super) fn unreachable(while_it: &str) -> Ended {
    Ended::skipped(format!("the component calls no import that could fail while it {while_it}: nothing can be done to it there"))
}
