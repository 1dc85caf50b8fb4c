//! The heart of it: who runs, what happens to one that fails, and how another takes its place.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use cofferdam_backend::{Error, Result};
use metrics::{counter, gauge};
use tokio::time::{Instant, sleep, timeout};

use crate::faults::{Faults, is_fault};
use crate::generation::{Generation, OpenFailure};
use crate::options::Options;
use crate::status::{Phase, Status};

/// Whether a backend is in quarantine.
pub const QUARANTINED: &str = "coffer.plugin.quarantined";
/// Attempts to open a backend again.
pub const REOPENS: &str = "coffer.plugin.reopens";
/// Replacements that the operator asked for.
pub const RELOADS: &str = "coffer.plugin.reloads";

/// How often a replaced generation is looked after.
const LOOK: Duration = Duration::from_millis(100);

/// What the check of a generation gives.
pub(crate) type Checked = Pin<Box<dyn Future<Output = Result<(), OpenFailure>> + Send>>;

/// Judges a generation that is to take over, beside the one that runs if that may be asked.
pub(crate) type Check<G> = Box<dyn Fn(Arc<G>, Option<Arc<G>>) -> Checked + Send + Sync>;

/// What a replacement has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The digest of the component that ran.
    pub from: String,
    /// The digest of the one that runs.
    pub to: String,
}

/// A generation with what is known of it. Calls hold it to their end.
pub(crate) struct Slot<G> {
    pub(crate) generation: Arc<G>,
    number: u64,
    opened: SystemTime,
    faults: Faults,
    quarantined: AtomicBool,
    /// Somebody sees to its trouble.
    attended: AtomicBool,
}

/// A backend's generations.
pub(crate) struct Supervisor<G> {
    name: String,
    options: Options,
    check: Check<G>,
    /// Told to a generation that has taken over.
    begin: fn(&G),
    /// Changes only while the state is locked: nobody sees the number of one with the phase of another.
    current: ArcSwap<Slot<G>>,
    state: Mutex<State>,
    /// Held by whoever opens a generation.
    turn: tokio::sync::Mutex<()>,
}

/// The state of the generation that runs.
struct State {
    phase: Phase,
    case: Option<&'static str>,
    since: SystemTime,
    next: Option<Instant>,
    reopened: u64,
    reloaded: u64,
    /// When it was opened again last, and how often since it was well.
    mended: Option<(Instant, u32)>,
}

impl<G: Generation> Slot<G> {
    fn new(generation: G, number: u64) -> Arc<Slot<G>> {
        Arc::new(Slot {
            generation: Arc::new(generation),
            number,
            opened: SystemTime::now(),
            faults: Faults::default(),
            quarantined: AtomicBool::new(false),
            attended: AtomicBool::new(false),
        })
    }
}

impl<G: Generation> Supervisor<G> {
    pub(crate) fn new(name: String, first: G, options: Options, check: Check<G>, begin: fn(&G)) -> Arc<Supervisor<G>> {
        gauge!(QUARANTINED, "plugin" => name.clone()).set(0);
        // From the start, so that the first one is seen as an increase.
        counter!(REOPENS, "plugin" => name.clone(), "outcome" => "ok").increment(0);
        let state =
            State { phase: Phase::Running, case: None, since: SystemTime::now(), next: None, reopened: 0, reloaded: 0, mended: None };
        Arc::new(Supervisor {
            name,
            options,
            check,
            begin,
            current: ArcSwap::new(Slot::new(first, 1)),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn current(&self) -> Arc<G> {
        Arc::clone(&self.current.load().generation)
    }

    /// Begins a call: what it runs on, to its end.
    pub(crate) fn enter(&self) -> Result<Arc<Slot<G>>> {
        let slot = self.current.load_full();
        if slot.quarantined.load(Ordering::Relaxed) {
            return Err(Error::Quarantined(self.name.clone()));
        }
        Ok(slot)
    }

    /// Ends a call: gives its result back, and keeps count.
    pub(crate) fn leave<T>(self: &Arc<Self>, slot: &Arc<Slot<G>>, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => slot.faults.clear(),
            Err(error) if is_fault(error) => self.fault(slot, error),
            Err(_) => {}
        }
        result
    }

    fn fault(self: &Arc<Self>, slot: &Arc<Slot<G>>, error: &Error) {
        let many = slot.faults.add(&self.options);
        if !many || self.current.load().number != slot.number || slot.attended.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::warn!(plugin = self.name, sha256 = slot.generation.sha256(), faults = self.options.faults, %error,
            "the backend fails repeatedly; it is opened again");
        tokio::spawn(attend(Arc::downgrade(self), slot.number, error.case()));
    }

    pub(crate) fn status(&self) -> Status {
        let state = self.state();
        let slot = self.current.load();
        Status {
            state: state.phase,
            case: state.case,
            since: state.since,
            next_attempt_in: state.next.map(|next| next.saturating_duration_since(Instant::now()).as_secs()),
            generation: slot.number,
            opened: slot.opened,
            reopened: state.reopened,
            reloaded: state.reloaded,
        }
    }

    /// Notes how the generation of this number fares from now on, if it still runs. `pause`: when it is tried again.
    fn enter_phase(&self, number: u64, phase: Phase, case: Option<&'static str>, pause: Option<Duration>) {
        let mut state = self.state();
        if self.current.load().number == number {
            self.note_phase(&mut state, phase, case, pause);
        }
    }

    fn note_phase(&self, state: &mut State, phase: Phase, case: Option<&'static str>, pause: Option<Duration>) {
        if state.phase != phase {
            state.phase = phase;
            state.since = SystemTime::now();
        }
        state.case = case;
        state.next = pause.map(|pause| Instant::now() + pause);
        gauge!(QUARANTINED, "plugin" => self.name.clone()).set(if phase == Phase::Quarantined { 1 } else { 0 });
    }

    /// How many attempts are to be reckoned to the trouble that has just begun: those of one that was opened again and did not stay well.
    fn earlier(&self) -> u32 {
        let state = self.state();
        state.mended.map_or(0, |(at, attempts)| if at.elapsed() < self.options.probation { attempts } else { 0 })
    }

    /// The slot of this number, if it still runs.
    fn running(&self, number: u64) -> Option<Arc<Slot<G>>> {
        Some(self.current.load_full()).filter(|slot| slot.number == number)
    }

    /// Whether the trouble has gone by itself: a call has succeeded since.
    fn recovered(&self, slot: &Slot<G>) -> bool {
        let well = !slot.quarantined.load(Ordering::Relaxed) && slot.faults.none();
        if well {
            tracing::info!(plugin = self.name, "the backend answers again; it is not opened again");
            self.enter_phase(slot.number, Phase::Running, None, None);
            slot.attended.store(false, Ordering::SeqCst);
        }
        well
    }

    /// What was opened, under this number, once it has passed the check.
    async fn admitted(&self, opened: Result<G, OpenFailure>, number: u64, beside: Option<Arc<G>>) -> Result<Arc<Slot<G>>, OpenFailure> {
        let new = Slot::new(opened?, number);
        let time = self.options.check;
        let check = timeout(time, (self.check)(Arc::clone(&new.generation), beside)).await;
        check.unwrap_or_else(|_| Err(OpenFailure::of("the check", &Error::TimedOut(time))))?;
        Ok(new)
    }

    /// Opens the same component again, if the slot of this number still runs and has not recovered. After an error there is more to do.
    async fn reopen(&self, number: u64, attempts: u32) -> Result<(), OpenFailure> {
        let _turn = self.turn.lock().await;
        let Some(slot) = self.running(number) else { return Ok(()) };
        if self.recovered(&slot) {
            return Ok(());
        }
        let opened = self.admitted(Arc::clone(&slot.generation).again().await, number + 1, None).await;
        let outcome = opened.as_ref().map_or_else(OpenFailure::case, |_| "ok");
        counter!(REOPENS, "plugin" => self.name.clone(), "outcome" => outcome).increment(1);
        self.take_over(opened?, |state| {
            state.reopened += 1;
            state.mended = Some((Instant::now(), attempts.saturating_add(1)));
        });
        tracing::info!(plugin = self.name, sha256 = slot.generation.sha256(), "the backend was opened again and answers");
        Ok(())
    }

    fn quarantine(&self, slot: &Slot<G>, failure: &OpenFailure) {
        if slot.quarantined.swap(true, Ordering::SeqCst) {
            tracing::warn!(plugin = self.name, sha256 = slot.generation.sha256(), case = failure.case(), %failure, "the backend stays in quarantine");
        } else {
            tracing::error!(plugin = self.name, sha256 = slot.generation.sha256(), case = failure.case(), %failure,
                "the backend is in quarantine: calls fail at once until it can be opened again, which is tried from time to time");
        }
    }

    pub(crate) async fn replace<F: Future<Output = Result<G, OpenFailure>>>(
        &self,
        open: impl FnOnce(Arc<G>) -> F,
    ) -> Result<Replaced, OpenFailure> {
        let _turn = self.turn.lock().await;
        let old = self.current.load_full();
        let from = old.generation.sha256().to_owned();
        let opened = open(Arc::clone(&old.generation)).await;
        let beside = (!old.quarantined.load(Ordering::Relaxed)).then(|| Arc::clone(&old.generation));
        let opened = self.admitted(opened, old.number + 1, beside).await;
        let outcome = if opened.is_ok() { "ok" } else { "refused" };
        counter!(RELOADS, "plugin" => self.name.clone(), "outcome" => outcome).increment(1);
        match opened {
            Ok(new) => {
                let to = new.generation.sha256().to_owned();
                self.take_over(new, |state| {
                    state.reloaded += 1;
                    state.mended = None;
                });
                tracing::info!(plugin = self.name, from, to, "the plugin was reloaded; calls under way end on the old component");
                Ok(Replaced { from, to })
            }
            Err(failure) => {
                tracing::warn!(plugin = self.name, sha256 = from, %failure, "the reload of the plugin was refused; nothing has changed");
                Err(failure)
            }
        }
    }

    /// From here on calls begin on the new one.
    fn take_over(&self, new: Arc<Slot<G>>, note: impl FnOnce(&mut State)) {
        let old = {
            let mut state = self.state();
            let old = self.current.swap(Arc::clone(&new));
            (self.begin)(&new.generation);
            note(&mut state);
            self.note_phase(&mut state, Phase::Running, None, None);
            old
        };
        let (name, drain) = (self.name.clone(), self.options.drain);
        let (number, old) = (old.number, Arc::downgrade(&old));
        tokio::spawn(async move { drained(&name, number, &old, drain).await });
    }
}

/// Sees to a generation that fails repeatedly, until it is well, replaced, or gone.
async fn attend<G: Generation>(supervisor: Weak<Supervisor<G>>, number: u64, mut case: &'static str) {
    let (mut failed, mut probes) = (0, 0);
    loop {
        let pause = {
            let Some(supervisor) = supervisor.upgrade() else { return };
            let options = &supervisor.options;
            let Some(slot) = supervisor.running(number) else { return };
            let (phase, pause) = if slot.quarantined.load(Ordering::Relaxed) {
                (Phase::Quarantined, options.probe(probes))
            } else {
                (Phase::Reopening, options.pause(supervisor.earlier().saturating_add(failed)))
            };
            supervisor.enter_phase(number, phase, Some(case), Some(pause));
            pause
        };
        sleep(pause).await;
        let Some(supervisor) = supervisor.upgrade() else { return };
        let attempts = supervisor.earlier().saturating_add(failed);
        let Err(failure) = supervisor.reopen(number, attempts).await else { return };
        let Some(slot) = supervisor.running(number) else { return };
        case = failure.case();
        failed += 1;
        if failed < supervisor.options.attempts {
            tracing::warn!(plugin = supervisor.name, sha256 = slot.generation.sha256(), attempt = failed, %failure,
                "the backend could not be opened again");
            continue;
        }
        // A service that is away tells when it is back to who asks often enough.
        let away = matches!(case, "unavailable" | "throttled" | "timed-out");
        probes = if slot.quarantined.load(Ordering::Relaxed) && !away { probes + 1 } else { probes };
        supervisor.quarantine(&slot, &failure);
    }
}

/// Waits for the last call of a replaced generation.
async fn drained<G>(name: &str, generation: u64, old: &Weak<Slot<G>>, drain: Duration) {
    let begun = Instant::now();
    while old.strong_count() > 0 {
        if begun.elapsed() >= drain {
            tracing::warn!(plugin = name, generation, after = ?drain, "calls of the component that was replaced are still under way");
            return;
        }
        sleep(LOOK).await;
    }
    tracing::debug!(plugin = name, generation, "the last call of the component that was replaced has ended");
}
