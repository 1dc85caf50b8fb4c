//! Feeds a target with inputs, and says which one it does not stand.
//!
//! An input is a finding if the target panics, takes more than [`SLOW`] of the processor, more memory than [`MUCH`], or does not end. What ends the
//! process (a stack that overflows) cannot be caught: then the name of the thread says target and seed, and the same run with `COFFER_FUZZ_TRACE=FILE` leaves
//! the input in that file.

use std::any::Any;
use std::fmt;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::mutate::Mutator;
use crate::{Target, hold};

/// More of the processor than any input may take.
const SLOW: Duration = Duration::from_secs(1);
/// More memory than any input may take: all are short.
const MUCH: u64 = 256 << 20;
/// An input that takes longer does not end.
const ENDLESS: Duration = Duration::from_secs(120);
/// The stack of a server's threads.
const STACK: usize = 2 << 20;
/// Memory is looked at after this many inputs.
const BATCH: usize = 64;
/// Seeds up to this length are tried with each of their beginnings.
const SHORT: usize = 1024;

/// An input that a target does not stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The target.
    pub target: &'static str,
    /// Of the inputs.
    pub seed: u64,
    /// What happened.
    pub what: String,
    /// What it was given.
    pub input: Vec<u8>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} (seed {}, input of {} bytes)", self.target, self.what, self.seed, self.input.len())?;
        writeln!(f, "fix it, and keep the input: printf %s HEX | xxd -r -p > tests/fuzz/findings/{}/NAME, where HEX is", self.target)?;
        f.write_str(&hex::encode(&self.input))
    }
}

impl std::error::Error for Finding {}

/// How long each target is driven by a test: `COFFER_FUZZ_SECONDS`, else two seconds, and twenty where all tests are wanted.
pub fn budget() -> Duration {
    let seconds = std::env::var("COFFER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let usual = if std::env::var_os("COFFERDAM_FULL").is_some() { 20 } else { 2 };
    Duration::from_secs(seconds.unwrap_or(usual))
}

/// The seed of a test's run: `COFFER_FUZZ_SEED`, else always the same.
pub fn seed() -> u64 {
    std::env::var("COFFER_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Tries the target's own inputs, and then others made of them, for about this long. How many, or the first that it does not stand.
///
/// Memory is that of the process: one drive or replay waits for another, and nothing else should run meanwhile.
pub fn drive(target: &Target, budget: Duration, seed: u64) -> Result<u64, Finding> {
    let target = *target;
    watch(target, seed, move |worker| {
        let seeds = (target.seeds)();
        let until = Instant::now() + budget;
        let short = seeds.iter().filter(|input| input.len() <= SHORT);
        let beginnings = short.flat_map(|input| (0..input.len()).filter_map(|len| input.get(..len)));
        let given: Vec<Vec<u8>> = seeds.iter().map(Vec::as_slice).chain(beginnings).map(<[u8]>::to_vec).collect();
        for batch in given.chunks(BATCH) {
            worker.batch(batch)?;
        }
        let mut mutator = Mutator::new(seed, seeds, target.words);
        while Instant::now() < until {
            let batch: Vec<Vec<u8>> = (0..BATCH).map(|_| mutator.next()).collect();
            worker.batch(&batch)?;
        }
        Ok(worker.count)
    })
}

/// Tries every input in `directory/TARGET/`, where findings are kept. How many.
pub fn replay(target: &Target, directory: &Path) -> Result<u64, Finding> {
    let directory = directory.join(target.name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    files.sort();
    let inputs = files.iter().map(fs::read).collect::<Result<Vec<_>, _>>().map_err(|error| Finding {
        target: target.name,
        seed: 0,
        what: format!("a finding cannot be read: {error}"),
        input: Vec::new(),
    })?;
    watch(*target, 0, move |worker| {
        // One by one, so that memory is counted for each.
        inputs.iter().try_for_each(|input| worker.batch(from_ref(input))).map(|()| worker.count)
    })
}

/// What the target is given now, and since when.
type Now = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `work` done by a thread of its own, and looks that it goes on.
fn watch(target: Target, seed: u64, work: impl FnOnce(&mut Worker) -> Result<u64, Finding> + Send + 'static) -> Result<u64, Finding> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = lock(&TURN);
    let now = Now::default();
    let (done, result) = mpsc::channel();
    let trace = std::env::var_os("COFFER_FUZZ_TRACE").map(PathBuf::from);
    let mut worker = Worker { target, seed, now: now.clone(), trace, count: 0 };
    let finding = |what: String| {
        let input = lock(&now).as_ref().map(|(_, input)| input.clone()).unwrap_or_default();
        Finding { target: target.name, seed, what, input }
    };
    let name = format!("fuzz {} {seed}", target.name);
    let begun = std::thread::Builder::new().name(name).stack_size(STACK).spawn(move || done.send(work(&mut worker)));
    if let Err(error) = begun {
        return Err(finding(format!("no thread: {error}")));
    }
    loop {
        match result.recv_timeout(Duration::from_secs(1)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err(finding("the driver itself has panicked".to_owned())),
            Err(RecvTimeoutError::Timeout) => {
                let since = lock(&now).as_ref().map(|(since, _)| since.elapsed());
                if since.is_some_and(|since| since > ENDLESS) {
                    return Err(finding(format!("no end after {} s", ENDLESS.as_secs())));
                }
            }
        }
    }
}

struct Worker {
    target: Target,
    seed: u64,
    now: Now,
    trace: Option<PathBuf>,
    count: u64,
}

impl Worker {
    fn finding(&self, what: String, input: &[u8]) -> Finding {
        Finding { target: self.target.name, seed: self.seed, what, input: input.to_vec() }
    }

    /// Tries some inputs, and looks at the memory after all of them.
    fn batch(&mut self, inputs: &[Vec<u8>]) -> Result<(), Finding> {
        let before = hold::peak();
        for input in inputs {
            self.one(input)?;
        }
        let grown = |before: Option<u64>, after: Option<u64>| after.zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        let taken = grown(before, hold::peak());
        if taken <= MUCH {
            return Ok(());
        }
        for input in inputs {
            let (forgotten, before) = (hold::forget_peak(), hold::held());
            self.one(input)?;
            let taken = grown(before, hold::peak());
            if forgotten && taken > MUCH {
                return Err(self.finding(format!("takes {} MiB of memory", taken >> 20), input));
            }
        }
        let all = inputs.concat();
        Err(self.finding(format!("one of {} inputs, here one behind the other, takes {} MiB of memory", inputs.len(), taken >> 20), &all))
    }

    /// Tries an input; once more if it was slow, since something else may have been.
    fn one(&mut self, input: &[u8]) -> Result<(), Finding> {
        if let Some(trace) = &self.trace {
            fs::write(trace, input).map_err(|error| self.finding(format!("no trace: {error}"), input))?;
        }
        self.count += 1;
        let mut taken = self.timed(input)?;
        if taken > SLOW {
            taken = taken.min(self.timed(input)?);
        }
        if taken > SLOW { Err(self.finding(format!("takes {taken:?} of the processor"), input)) } else { Ok(()) }
    }

    fn timed(&self, input: &[u8]) -> Result<Duration, Finding> {
        *lock(&self.now) = Some((Instant::now(), input.to_vec()));
        let (run, before) = (self.target.run, hold::thread_time());
        let ended = catch_unwind(|| run(input));
        let taken = hold::thread_time().saturating_sub(before);
        *lock(&self.now) = None;
        ended.map(|()| taken).map_err(|panic| self.finding(format!("panics: {}", said(&*panic)), input))
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "without a text".to_owned())
}
