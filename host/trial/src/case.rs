//! A check: what it is given, how it ends, and how a section runs its own.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cofferdam_backend::Lock;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::sync::OnceCell;

use crate::conduct::Seen;
use crate::record::Tape;
use crate::report::{Check, Figure, Outcome, PlayedBack, Section, Value};
use crate::script::Script;
use crate::store::Store;
use crate::subject::{OpenWith, OpenedSeal, OpenedStorage, Subject, SubjectError};

/// What is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What was expected, and what was found.
    pub what: String,
    /// The operations that lead there; empty for those that the check's own script holds.
    pub script: Vec<String>,
}

/// How a check ends before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is not so.
    Failed(Failed),
    /// It does not apply: the backend does not claim the feature.
    Skipped(String),
}

/// What a check comes to.
pub type Verdict = Result<(), Ended>;

impl Ended {
    /// A failure; the script is what the check did so far.
    pub fn failed(what: impl Into<String>) -> Ended {
        Ended::Failed(Failed { what: what.into(), script: Vec::new() })
    }

    /// The backend does not claim it.
    pub fn skipped(why: impl Into<String>) -> Ended {
        Ended::Skipped(why.into())
    }
}

impl From<SubjectError> for Ended {
    fn from(error: SubjectError) -> Ended {
        Ended::failed(format!("it could not be opened: {error}"))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Failed(failed) => f.write_str(&failed.what),
            Ended::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// Fails the check with the text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Ended::failed(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// A case of the check's function.
macro_rules! case {
    ($id:literal, $title:literal, $run:path) => {
        $crate::Case { id: $id, title: $title, run: |ground| Box::pin($run(ground)) }
    };
}
pub(crate) use case;

/// What a check's function returns.
pub type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A check that can be run by its name.
pub struct Case {
    /// Its name, the same in every version: `SECTION/what-is-checked`.
    pub id: &'static str,
    /// What must be so, as a sentence.
    pub title: &'static str,
    /// The check.
    pub run: for<'a> fn(&'a Ground<'a>) -> Running<'a>,
}

impl Case {
    /// The section that it belongs to.
    pub fn section(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }
}

/// Told of each check as it begins, by its name.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// How much is tried.
#[derive(Clone)]
pub struct Options {
    /// Only these: names of sections, names of checks, or beginnings of names followed by `*`. Empty for all.
    pub only: Vec<String>,
    /// What every random choice is drawn from.
    pub seed: u64,
    /// Fewer entries, rounds and random operations: for a first look, or a slow service.
    pub quick: bool,
    /// The longest that one check may take.
    pub patience: Duration,
    /// Told of each check as it begins.
    pub progress: Option<Progress>,
    /// A storage that costs are shown beside.
    pub beside: Option<Arc<dyn Subject>>,
    /// What checks take for the time of day where they store it.
    pub now: SystemTime,
    /// What records or plays back the subject's traffic.
    pub tape: Option<Arc<dyn Tape>>,
    /// What is played back, for the report.
    pub played_back: Option<PlayedBack>,
}

impl Default for Options {
    fn default() -> Options {
        let (patience, now) = (Duration::from_secs(600), SystemTime::now());
        Options { only: Vec::new(), seed: 0, quick: false, patience, progress: None, beside: None, now, tape: None, played_back: None }
    }
}

impl Options {
    /// Whether the check is wanted.
    pub fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| fits(pattern, id))
    }

    /// The patterns that fit none of these checks: misspelt, most likely.
    pub fn unknown<'a>(&'a self, ids: &[&str]) -> Vec<&'a str> {
        self.only.iter().map(String::as_str).filter(|pattern| !ids.iter().any(|id| fits(pattern, id))).collect()
    }

    /// `whole` of something, or `few` if a quick run is wanted.
    pub fn of<T>(&self, whole: T, few: T) -> T {
        if self.quick { few } else { whole }
    }

    /// What random choices are drawn from.
    pub(crate) fn rng(&self) -> TestRng {
        let mut seed = [0; 32];
        for (byte, from) in seed.iter_mut().zip(self.seed.to_le_bytes()) {
            *byte = from;
        }
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
    }
}

fn fits(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => id == pattern || id.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/')),
    }
}

/// What a check stands on.
pub struct Ground<'a> {
    /// What is tried.
    pub subject: &'a dyn Subject,
    /// How much.
    pub options: &'a Options,
    /// What has been done, for the report.
    pub script: Arc<Script>,
    /// What one course of calls showed, for all checks that judge by it.
    pub(crate) seen: Arc<OnceCell<Seen>>,
    opened: Mutex<Option<(String, String)>>,
    figures: Mutex<Vec<Figure>>,
}

/// What the mutex holds, also after a panic.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Ground<'a> {
    /// For one check.
    pub fn new(subject: &'a dyn Subject, options: &'a Options) -> Ground<'a> {
        Ground { subject, options, script: Arc::default(), seen: Arc::default(), opened: Mutex::default(), figures: Mutex::default() }
    }

    /// Adds what the check saw beside what it judges.
    pub fn figure(&self, id: &str, title: &str, value: Value, unit: &str) {
        held(&self.figures).push(Figure { id: id.to_owned(), title: title.to_owned(), value, unit: unit.to_owned() });
    }

    /// Opens the subject as a storage.
    pub async fn open(&self, open: OpenWith) -> Result<OpenedStorage, Ended> {
        self.script.note(if open.fresh { "open, on an empty store" } else { "open, on what is stored" });
        let opened = self.subject.storage(open).await?;
        let descriptor = opened.storage.descriptor();
        self.called(&descriptor.name, &descriptor.version);
        Ok(opened)
    }

    /// The storage, empty.
    pub async fn store(&self) -> Result<Store, Ended> {
        Ok(self.store_of(&self.open(OpenWith::fresh()).await?))
    }

    /// The storage opened anew on what is stored.
    pub async fn again(&self) -> Result<Store, Ended> {
        Ok(self.store_of(&self.open(OpenWith::again()).await?))
    }

    /// An opened storage whose operations are noted in this check's script.
    pub fn store_of(&self, opened: &OpenedStorage) -> Store {
        Store::new(Arc::clone(&opened.storage), Arc::clone(&self.script))
    }

    /// Opens the subject's lock, as one more server would. Ends the check as skipped if it has none.
    pub async fn lock(&self) -> Result<Arc<dyn Lock>, Ended> {
        let opened = self.open(OpenWith::again()).await?;
        opened.lock.ok_or_else(|| Ended::skipped("the component exports no lock"))
    }

    /// Opens the subject as a seal.
    pub async fn seal(&self, open: OpenWith) -> Result<OpenedSeal, Ended> {
        self.script.note("open");
        let opened = self.subject.seal(open).await?;
        if let Some(backend) = &opened.backend {
            self.called(backend.name(), backend.version());
        }
        Ok(opened)
    }

    fn called(&self, name: &str, version: &str) {
        *held(&self.opened) = Some((name.to_owned(), version.to_owned()));
    }

    /// Runs a check to its end, or to the end of the patience.
    pub async fn outcome(&self, run: impl Future<Output = Verdict>) -> Outcome {
        let patience = self.options.patience;
        let ended = tokio::time::timeout(patience, run).await;
        match ended.unwrap_or_else(|_| Err(Ended::failed(format!("it did not end within {} s", patience.as_secs())))) {
            Ok(()) => Outcome::Passed,
            Err(Ended::Skipped(why)) => Outcome::Skipped { why },
            Err(Ended::Failed(Failed { what, script })) => {
                Outcome::Failed { what, script: if script.is_empty() { self.script.lines() } else { script } }
            }
        }
    }
}

/// A section under way.
pub struct Sheet<'a> {
    /// What is tried.
    pub subject: &'a dyn Subject,
    /// How much.
    pub options: &'a Options,
    section: Section,
    seen: Arc<OnceCell<Seen>>,
    opened: Option<(String, String)>,
}

impl<'a> Sheet<'a> {
    /// A section with nothing in it yet.
    pub fn new(name: &str, subject: &'a dyn Subject, options: &'a Options) -> Sheet<'a> {
        let section = Section { name: name.to_owned(), ..Section::default() };
        Sheet { subject, options, section, seen: Arc::default(), opened: None }
    }

    /// Runs a case whether it is wanted or not, and keeps what came of it if it is wanted or did not pass; returns whether it passed.
    pub async fn precondition(&mut self, case: &Case) -> bool {
        let check = self.run(case.id, case.title, case.run).await;
        let passed = check.outcome == Outcome::Passed;
        if !passed || self.options.wants(case.id) {
            self.section.checks.push(check);
        }
        passed
    }

    /// Runs those of the cases that are wanted.
    pub async fn cases(&mut self, cases: impl IntoIterator<Item = &'static Case>) {
        for case in cases {
            self.check(case.id, case.title, case.run).await;
        }
    }

    /// Runs a check if it is wanted.
    pub async fn check<F>(&mut self, id: &str, title: &str, run: F)
    where
        F: for<'g> FnOnce(&'g Ground<'g>) -> Running<'g>,
    {
        if self.options.wants(id) {
            let check = self.run(id, title, run).await;
            self.section.checks.push(check);
        }
    }

    async fn run<F>(&mut self, id: &str, title: &str, run: F) -> Check
    where
        F: for<'g> FnOnce(&'g Ground<'g>) -> Running<'g>,
    {
        if let Some(progress) = &self.options.progress {
            progress(id);
        }
        let ground = Ground { seen: Arc::clone(&self.seen), ..Ground::new(self.subject, self.options) };
        let began = Instant::now();
        let tape = self.options.tape.as_deref();
        let mut outcome = match tape.and_then(|tape| tape.begin(id)) {
            Some(why) => Outcome::Skipped { why },
            None => ground.outcome(run(&ground)).await,
        };
        let took = began.elapsed();
        if let Some(tape) = tape {
            outcome = tape.end(outcome);
            // Now, and not by the next check: on a tape each check stands for itself. What remains, the next one removes.
            let _ = self.subject.wipe().await;
        }
        if let Some(opened) = held(&ground.opened).take() {
            self.opened = Some(opened);
        }
        self.section.figures.append(&mut held(&ground.figures));
        Check { id: id.to_owned(), title: title.to_owned(), outcome, took }
    }

    /// What came of it, and what the subject called itself.
    pub(crate) fn into_section(self) -> (Section, Option<(String, String)>) {
        (self.section, self.opened)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn patterns_name_sections_checks_and_beginnings() {
        let options = |only: &[&str]| Options { only: only.iter().map(|&text| text.to_owned()).collect(), ..Options::default() };
        let id = "contract/put-then-get";
        assert!(
            options(&[]).wants(id) && options(&["contract"]).wants(id) && options(&[id]).wants(id) && options(&["contract/put*"]).wants(id)
        );
        for other in ["cont", "contract/put", "fault", "contract/put-then-get-more", ""] {
            assert!(!options(&[other]).wants(id), "{other}");
        }
        assert_eq!(options(&["contract", "cost", "con*"]).unknown(&[id]), ["cost"]);
    }
}
