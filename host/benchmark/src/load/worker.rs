//! One thread of the load, and its workers.

use super::draw::{Draw, table};
use super::pace::Pace;
use super::{Aim, Counters, LoadError, Shape, Stop, tallies};
use crate::client::{Fault, Line};
use crate::results::{Outcome, Start};
use http::StatusCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use zeroize::Zeroizing;

/// After a connection that could not be made, a closed loop waits this long: it would try a thousand times a second otherwise.
const PAUSE: Duration = Duration::from_millis(10);

/// What one thread does.
pub(super) struct Part {
    pub number: usize,
    pub threads: usize,
    pub aims: Arc<Vec<Aim>>,
    pub paces: Vec<Arc<Pace>>,
    pub shape: Shape,
    pub stop: Stop,
    pub counters: Arc<Vec<Counters>>,
    pub ready: mpsc::Sender<()>,
    pub begun: watch::Receiver<Option<Start>>,
}

/// A worker: a connection to one server.
struct Worker {
    target: usize,
    line: Line,
    draw: Draw,
}

impl Part {
    /// Connects, waits for the start, and works to the end.
    pub(super) fn run(mut self) -> Result<(), LoadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let mut workers = self.workers();
            // Who cannot connect now says so with the first request.
            futures_util::future::join_all(workers.iter_mut().map(|worker| worker.line.connect())).await;
            let _waits = self.ready.send(()).await;
            let start = *self.begun.wait_for(Option::is_some).await.map_err(|_| LoadError::Lost)?;
            let start = start.ok_or(LoadError::Lost)?;
            if let Some(counters) = self.counters.get(self.number) {
                *counters.held() = tallies(&self.aims, start)?;
            }
            let part = Rc::new(self);
            let running: Vec<_> = workers.into_iter().map(|worker| tokio::task::spawn_local(worker.run(Rc::clone(&part), start))).collect();
            for worker in running {
                worker.await.map_err(|_| LoadError::Lost)?;
            }
            Ok(())
        })
    }

    /// The workers of all servers, of which every so manieth is this thread's.
    fn workers(&self) -> Vec<Worker> {
        let each = usize::try_from(self.shape.workers).unwrap_or(usize::MAX);
        let all = self.aims.iter().enumerate().flat_map(|(target, aim)| (0..each).map(move |number| (target, aim, number)));
        all.enumerate()
            .filter(|(index, _)| index % self.threads == self.number)
            .map(|(_, (target, aim, number))| Worker {
                target,
                line: Line::new(&aim.remote),
                draw: Draw::new(u64::try_from(number).unwrap_or(0)),
            })
            .collect()
    }
}

impl Worker {
    async fn run(mut self, part: Rc<Part>, start: Start) {
        let (Some(aim), Some(pace)) = (part.aims.get(self.target), part.paces.get(self.target)) else { return };
        let Some(counters) = part.counters.get(part.number) else { return };
        let tests = table(&aim.tests);
        let draws = u32::try_from(tests.len()).unwrap_or(1);
        let mut bytes = Zeroizing::new(Vec::new());
        let end = start.instant() + part.shape.duration;
        loop {
            if part.stop.is_wished() {
                return;
            }
            let due = if part.shape.rps > 0 { pace.next(start.instant()).await } else { Some(Instant::now()).filter(|now| *now < end) };
            let drawn = tests.get(usize::try_from(self.draw.below(draws)).unwrap_or(0)).copied();
            let (Some(due), Some(index)) = (due, drawn) else { return };
            let Some(test) = aim.tests.get(index) else { return };
            test.request.write(1 + self.draw.below(test.request.variants()), &mut bytes);
            let answer = self.line.exchange(&bytes, None).await;
            let done = Instant::now();
            let (status, bytes_in) = answer.as_ref().map_or((0, 0), |answer| (answer.status, answer.bytes));
            let good = (200..400).contains(&status);
            let error = match &answer {
                Ok(_) if good => None,
                Ok(_) => Some(line(status)),
                Err(fault) => Some(fault.to_string()),
            };
            let outcome = Outcome { due, done, status, bytes_in, bytes_out: test.request.sent(), error: error.as_deref() };
            if let Some(tally) = counters.held().get_mut(self.target).and_then(|tests| tests.get_mut(index)) {
                tally.record(&outcome);
            }
            if part.shape.rps == 0 && matches!(answer, Err(Fault::Connect(_))) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A status as its line has it.
fn line(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}
