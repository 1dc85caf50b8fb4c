//! What the proxy does to requests, by rules.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is answered with this error of DynamoDB's (status 400) and goes no further.
    Refuse(&'static str),
    /// It is answered with this status and `InternalServerError`, or what fits the status, and goes no further.
    Status(u16),
    /// It is answered as one that met a transaction on the same item, and goes no further.
    Conflict,
    /// It goes through after so long.
    Delay(Duration),
    /// The connection is closed before anybody saw the request.
    CutBefore,
    /// The request takes effect, and the connection is closed without an answer.
    CutAfter,
    /// It waits until the gate is opened, and then takes effect, whether or not the client is still there.
    Hold(Arc<Gate>),
    /// Of a batch, only so many parts go through; the others are answered as unprocessed.
    Partly(usize),
    /// It goes through, and a table described in the answer has this status.
    TableStatus(&'static str),
}

/// Where requests wait.
#[derive(Debug, Default)]
pub struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// A gate that is shut.
    pub fn shut() -> Arc<Gate> {
        Arc::default()
    }

    /// Lets through all who wait, and all who come.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns when so many requests wait or have waited at it.
    pub async fn reached_by(&self, requests: usize) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= requests).await;
    }

    pub(crate) async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// Which requests an action befalls: all, unless it is narrowed.
#[derive(Clone, Debug)]
pub struct Rule<A = Action> {
    pub(crate) action: A,
    operations: Vec<String>,
    skip: u64,
    times: u64,
    percent: u64,
    seen: u64,
    random: u64,
}

impl<A> Rule<A> {
    /// The action befalls every request.
    pub fn new(action: A) -> Rule<A> {
        Rule { action, operations: Vec::new(), skip: 0, times: u64::MAX, percent: 100, seen: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Only requests of these operations are counted.
    #[must_use]
    pub fn of(mut self, operations: &[&str]) -> Rule<A> {
        self.operations = operations.iter().map(|operation| (*operation).to_owned()).collect();
        self
    }

    /// The first so many are spared.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Rule<A> {
        self.skip = requests;
        self
    }

    /// After so many the rule has no more effect.
    #[must_use]
    pub fn times(mut self, requests: u64) -> Rule<A> {
        self.times = requests;
        self
    }

    /// It befalls so many in a hundred, by chance, the same ones in every run.
    #[must_use]
    pub fn percent(mut self, percent: u64) -> Rule<A> {
        self.percent = percent;
        self
    }

    /// Whether it befalls a request of this operation, which counts as seen.
    pub(crate) fn befalls(&mut self, operation: &str) -> bool {
        if !self.operations.is_empty() && !self.operations.iter().any(|one| one == operation) {
            return false;
        }
        self.seen += 1;
        let counted = self.seen > self.skip && self.seen - self.skip <= self.times;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        counted && (self.random >> 32) % 100 < self.percent
    }
}
