//! A look at a backend's calls from between guest and host, and a way to step in: what trying a backend is made of.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cofferdam_backend::Error;
use rustix::time::{ClockId, clock_gettime};

use crate::breach::{Breach, BreachKind, trap};
use crate::guest::Failure;
use crate::metrics::Operation;
use crate::state::State;

/// An import that a guest is about to call.
#[derive(Clone, Copy, Debug)]
pub struct ImportCall<'a> {
    /// Its name, as in `cofferdam:backend/aws.send` and `wasi:filesystem/types.open-at`.
    pub name: &'static str,
    /// What of it matters to an operator: an operation, an address, a path; may be empty.
    pub detail: &'a str,
    /// How many imports the running call of the guest has called before.
    pub earlier: u32,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done.
    Go,
    /// It is done after a while.
    Delay(Duration),
    /// It is not done, and fails in the way of its interface that comes next to this. What cannot fail (clocks, random bytes, the log, fencing) is done.
    Fail(Fault),
    /// It is done, and its answer is lost: the guest gets an error that says that nothing is known. Answers of what cannot fail arrive.
    Lose,
    /// The instance is stopped here, as by a crash.
    Stop,
}

/// Ways to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing there, or no connection: a later try may do.
    Unavailable,
    /// Too many requests.
    Throttled,
    /// Not allowed.
    Denied,
    /// No room.
    Full,
}

/// A call of the guest that has ended; `open` and `attach` are none.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The operation, as metrics name it.
    pub operation: &'static str,
    /// `ok`, or the case of the error.
    pub outcome: &'static str,
    /// How long the processor worked for it: in the guest, and in the host's imports on the guest's thread.
    pub cpu: Duration,
    /// How long the call took from when it had an instance.
    pub elapsed: Duration,
    /// Linear memory of its instance after the call, in bytes; 0 if it ended by its deadline.
    pub memory: usize,
    /// Handles that its instance still holds after the call (the granted directory is one where it was asked for); 0 if it ended by its deadline.
    pub handles: usize,
    /// The imports that it called.
    pub imports: u32,
}

/// Looks on at the calls of one backend. Called on the path of every call: it must be quick.
pub trait Probe: Send + Sync + 'static {
    /// The guest is about to call an import.
    fn import(&self, call: ImportCall<'_>) -> Step {
        let _ = call;
        Step::Go
    }

    /// Something that the guest wanted and was refused by the host: a socket, a request outside its grant, a path outside its directory.
    fn refused(&self, what: &str) {
        let _ = what;
    }

    /// A call of the guest has ended.
    fn ended(&self, usage: Usage) {
        let _ = usage;
    }
}

/// How an import goes on that the probe has been asked about.
pub(crate) enum Course {
    /// As without a probe.
    Go,
    /// It fails and is not done.
    Fail(Fault),
    /// It is done and its answer is lost.
    Lose,
}

/// The probe of one instance.
#[derive(Clone)]
pub(crate) struct Probed {
    probe: Arc<dyn Probe>,
    /// Called by the running call.
    imports: Arc<AtomicU32>,
    /// The paths of open files and directories, by handle.
    paths: Arc<Mutex<HashMap<u32, String>>>,
}

impl Probed {
    pub(crate) fn new(probe: &Arc<dyn Probe>) -> Probed {
        Probed { probe: Arc::clone(probe), imports: Arc::default(), paths: Arc::default() }
    }

    /// Begins a call.
    pub(crate) fn begin(&self) {
        self.imports.store(0, Relaxed);
    }

    /// How many imports the running call has called.
    pub(crate) fn imports(&self) -> u32 {
        self.imports.load(Relaxed)
    }

    pub(crate) fn ask(&self, name: &'static str, detail: &str) -> Step {
        let earlier = self.imports.fetch_add(1, Relaxed);
        self.probe.import(ImportCall { name, detail, earlier })
    }

    /// Asks, and waits if need be.
    pub(crate) async fn before(&self, name: &'static str, detail: &str) -> wasmtime::Result<Course> {
        let step = self.ask(name, detail);
        if let Step::Delay(delay) = step {
            tokio::time::sleep(delay).await;
        }
        course(step)
    }

    /// The same where nothing can wait but the thread.
    pub(crate) fn before_on_thread(&self, name: &'static str, detail: &str) -> wasmtime::Result<Course> {
        let step = self.ask(name, detail);
        if let Step::Delay(delay) = step {
            std::thread::sleep(delay);
        }
        course(step)
    }

    pub(crate) fn refused(&self, what: &str) {
        self.probe.refused(&crate::log::bounded(what));
    }

    /// Notes the path of a handle below another.
    pub(crate) fn opened(&self, below: u32, path: &str, handle: u32) {
        let path = self.path(below, path);
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, path);
    }

    pub(crate) fn closed(&self, handle: u32) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle);
    }

    /// The path of a handle, or of what is below it; relative to the granted directory.
    pub(crate) fn path(&self, handle: u32, below: &str) -> String {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        match paths.get(&handle) {
            Some(path) if below.is_empty() => path.clone(),
            Some(path) => format!("{path}/{below}"),
            None => below.to_owned(),
        }
    }
}

/// What a step means that has been waited for.
pub(crate) fn course(step: Step) -> wasmtime::Result<Course> {
    match step {
        Step::Go | Step::Delay(_) => Ok(Course::Go),
        Step::Fail(fault) => Ok(Course::Fail(fault)),
        Step::Lose => Ok(Course::Lose),
        Step::Stop => Err(trap(BreachKind::Trap, "stopped by the probe")),
    }
}

/// A call that is measured for a probe. Dropped without an end, it was ended by its deadline.
pub(crate) struct Measure {
    probe: Arc<dyn Probe>,
    operation: Operation,
    start: Instant,
    cpu: Duration,
    done: bool,
}

impl Measure {
    pub(crate) fn begin(probe: &Arc<dyn Probe>, operation: Operation) -> Measure {
        Measure { probe: Arc::clone(probe), operation, start: Instant::now(), cpu: Duration::ZERO, done: false }
    }

    /// Runs the call, and adds up what its polls take of the processor.
    pub(crate) fn run<'a, F: Future + Send + 'a>(&'a mut self, call: F) -> impl Future<Output = F::Output> + Send + 'a {
        let mut call = Box::pin(call);
        poll_fn(move |context| {
            let before = thread_time();
            let polled = call.as_mut().poll(context);
            self.cpu += thread_time().saturating_sub(before);
            polled
        })
    }

    /// Tells the probe.
    pub(crate) fn end<T>(mut self, result: &Result<T, Failure>, state: &mut State) {
        self.done = true;
        let outcome = match result {
            Ok(_) => "ok",
            Err(Failure::Refused(error)) => error.case(),
            Err(Failure::Ended(Breach { .. })) => Error::Breach(String::new()).case(),
        };
        self.tell(outcome, state.memory.used(), state.handles(), state.imports());
    }

    fn tell(&self, outcome: &'static str, memory: usize, handles: usize, imports: u32) {
        let (operation, cpu, elapsed) = (self.operation.label(), self.cpu, self.start.elapsed());
        self.probe.ended(Usage { operation, outcome, cpu, elapsed, memory, handles, imports });
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        if !self.done {
            self.tell(Error::TimedOut(Duration::ZERO).case(), 0, 0, 0);
        }
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
