//! The load: workers that send what the tests draw, for as long as they are told.
//!
//! - **Closed loop** (no rate): each worker sends its next request when its last is answered. A slow answer makes fewer requests; that is what such a loop is.
//! - **Open loop** (a rate): request `n` is due at `n / rate` whatever became of those before it, and its time counts from there. If all workers are
//!   busy it waits, and the wait counts: a server that stands still for a second is seen to stand still by all that fell into it.
//!
//! The workers are spread over a few threads, each with counts of its own, so that none waits for another. Which request comes next is drawn alike in every run
//! of the same tests. Connections are made before the clock starts.

mod draw;
mod pace;
mod stop;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use stop::Stop;

use crate::client::{Remote, Request};
use crate::results::{Repetition, Start, Tally};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use worker::Part;

/// A server, and the requests to it: those of each test, with its weight.
pub(crate) struct Aim {
    pub remote: Arc<Remote>,
    pub tests: Vec<Aimed>,
}

/// The requests of one test to one server.
pub(crate) struct Aimed {
    pub name: String,
    pub weight: u32,
    pub request: Request,
}

/// What load there is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// On each server.
    pub workers: u32,
    /// On each server; 0: as fast as the answers come.
    pub rps: u32,
    pub duration: Duration,
    /// Once the time is over, what was due waits this long for a worker.
    pub patience: Duration,
}

/// What one thread counts; anybody may look at it while the load runs.
#[derive(Default)]
pub(crate) struct Counters(Mutex<Vec<Vec<Tally>>>);

impl Counters {
    /// By server and test. The thread holds it for the moment in which it counts, so nobody waits for another.
    fn held(&self) -> MutexGuard<'_, Vec<Vec<Tally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests done, and those of them that failed.
    pub(crate) fn read(&self) -> (u64, u64) {
        let add = |(done, failed): (u64, u64), tally: &Tally| (done + tally.requests(), failed + tally.failures());
        self.held().iter().flatten().fold((0, 0), add)
    }
}

/// Why there was no load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error("a thread of the load ended before its time")]
    Lost,
}

/// What was counted at one server.
pub(crate) struct Counted {
    pub repetition: Repetition,
    /// Requests that were due and never sent, since no worker came free in time.
    pub unsent: u64,
}

/// Puts the load on all servers at once, and counts for each of them.
pub(crate) async fn run(aims: &Arc<Vec<Aim>>, shape: Shape, stop: &Stop, counters: &Arc<Vec<Counters>>) -> Result<Vec<Counted>, LoadError> {
    let threads = counters.len();
    let (ready, mut waiting) = mpsc::channel(threads);
    let (begin, begun) = watch::channel(None);
    let paces: Vec<_> = aims.iter().map(|_| Arc::new(pace::Pace::new(shape.rps))).collect();
    let mut handles = Vec::new();
    for number in 0..threads {
        let part = Part {
            number,
            threads,
            aims: Arc::clone(aims),
            paces: paces.clone(),
            shape,
            stop: stop.clone(),
            counters: Arc::clone(counters),
            ready: ready.clone(),
            begun: begun.clone(),
        };
        handles.push(thread::Builder::new().name(format!("load-{number}")).spawn(move || part.run())?);
    }
    drop((ready, begun));
    for _ in 0..threads {
        waiting.recv().await;
    }
    let start = Start::now();
    let mut pacers = Vec::new();
    if shape.rps > 0 {
        for pace in &paces {
            let (pace, stop) = (Arc::clone(pace), stop.clone());
            pacers.push(thread::Builder::new().name("pace".to_owned()).spawn(move || pace.drive(start.instant(), shape, &stop))?);
        }
    }
    // A thread that is gone is seen below.
    let _nobody = begin.send(Some(start));
    let parts = tokio::task::spawn_blocking(move || {
        let parts: Vec<_> = handles.into_iter().map(thread::JoinHandle::join).collect();
        // What a pacer let go is only known once nobody takes any more.
        let gone: Vec<_> = pacers.into_iter().map(thread::JoinHandle::join).collect();
        (parts, gone)
    });
    let (parts, gone) = parts.await.map_err(|_| LoadError::Lost)?;
    for part in parts {
        part.map_err(|_| LoadError::Lost)??;
    }
    let counted = so_far(aims, counters).into_iter().map(|repetition| Counted { repetition, unsent: 0 });
    let mut counted: Vec<Counted> = counted.collect();
    for ((counted, gone), pace) in counted.iter_mut().zip(gone).zip(&paces) {
        counted.unsent = gone.map_err(|_| LoadError::Lost)?.saturating_sub(pace.taken());
    }
    Ok(counted)
}

/// What all threads have counted up to now, by server.
pub(crate) fn so_far(aims: &[Aim], counters: &[Counters]) -> Vec<Repetition> {
    let mut whole: Vec<Repetition> = aims.iter().map(|_| Repetition::new()).collect();
    for counters in counters {
        for ((whole, aim), tallies) in whole.iter_mut().zip(aims).zip(counters.held().iter()) {
            for (test, tally) in aim.tests.iter().zip(tallies) {
                match whole.get_mut(&test.name) {
                    Some(held) => held.merge(tally),
                    None => {
                        whole.insert(test.name.clone(), tally.clone());
                    }
                }
            }
        }
    }
    whole
}

/// Threads for so many workers: half of what the machine has, since the server is often on the same one.
pub(crate) fn threads(workers: u64) -> usize {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, 16).min(usize::try_from(workers).unwrap_or(usize::MAX).max(1))
}

/// One tally per test of each server; none of them can fail but by name.
fn tallies(aims: &[Aim], start: Start) -> Result<Vec<Vec<Tally>>, LoadError> {
    let of = |aim: &Aim| aim.tests.iter().map(|_| Tally::new(start).ok_or(LoadError::Lost)).collect();
    aims.iter().map(of).collect()
}
