//! The table, and how to call it: what reads, writes and locks have in common.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use cofferdam_guest::fencing::{self, Fence};
use cofferdam_guest::{Error, Result};
use cofferdam_guest_aws::{Fault, Host, Patience, Request, Transport, World};

use crate::fault;
use crate::options::Options;
use crate::sdk::Dynamo;

/// How long a read or a mutation may go on trying. The host ends a call after 30 s.
const TIME: Duration = Duration::from_secs(20);

/// How long `open` may, which waits for a new table. The host ends it after 120 s.
const OPEN_TIME: Duration = Duration::from_secs(100);

/// A step on a lock is of no use when it is late: the host has a lease to keep, and comes again.
const LOCK: Patience = Patience { retries: 2, time: Duration::from_secs(3) };

/// What this guest has of the world beside what every guest of AWS has.
pub(crate) trait Surroundings: World {
    /// What the running mutation is bound to.
    fn fence(&self) -> Option<Fence>;
}

impl Surroundings for Host {
    fn fence(&self) -> Option<Fence> {
        fencing::current()
    }
}

/// The table, as one instance sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) around: Arc<dyn Surroundings>,
    pub(crate) transport: Transport<Dynamo>,
    pub(crate) options: Options,
}

impl Store {
    pub(crate) fn new(options: Options, around: Arc<dyn Surroundings>) -> Store {
        Store { transport: Transport::new(Arc::clone(&around) as Arc<dyn World>), around, options }
    }

    /// The table's name.
    pub(crate) fn table(&self) -> &str {
        &self.options.table
    }

    /// Begins a read or a mutation.
    pub(crate) fn begin(&self) {
        self.transport.begin(Patience { retries: self.options.retries, time: TIME });
    }

    /// Begins `open`.
    pub(crate) fn begin_open(&self) {
        self.transport.begin(Patience { retries: self.options.retries, time: OPEN_TIME });
    }

    /// Begins a step on a lock.
    pub(crate) fn begin_lock(&self) {
        self.transport.begin(LOCK);
    }

    /// The contract's error for a fault.
    pub(crate) fn error(&self, fault: Fault) -> Error {
        fault::error(fault, self.table(), self.transport.delay())
    }

    /// Sends a request and reads the answer.
    pub(crate) fn call<R: Request<Dynamo>>(&self, request: Result<R, BuildError>) -> Result<R::Output, Fault> {
        self.transport.exchange(request, |_| ())
    }

    /// As [`Store::call`], where every fault is an error.
    pub(crate) fn run<R: Request<Dynamo>>(&self, request: Result<R, BuildError>) -> Result<R::Output> {
        self.call(request).map_err(|fault| self.error(fault))
    }
}

/// For parts of a request, all of whose members are given where they are built.
pub(crate) fn incomplete(error: BuildError) -> Error {
    Error::Unavailable(format!("a request could not be built: {error}"))
}
