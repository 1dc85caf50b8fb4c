//! The table, and how to call it: what reads, writes and locks have in common.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use cofferdam_guest::{Error, Result};

use crate::fault::{Cause, Fault, Refused};
use crate::options::Options;
use crate::sdk::{self, Refusal, Request};
use crate::surroundings::Surroundings;
use crate::transport::{Patience, Transport};

/// How long a read or a mutation may go on trying. The host ends a call after 30 s.
const TIME: Duration = Duration::from_secs(20);

/// How long `open` may, which waits for a new table. The host ends it after 120 s.
const OPEN_TIME: Duration = Duration::from_secs(100);

/// A step on a lock is of no use when it is late: the host has a lease to keep, and comes again.
const LOCK: Patience = Patience { retries: 2, time: Duration::from_secs(3) };

/// The table, as one instance sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) transport: Transport,
    pub(crate) options: Options,
}

impl Store {
    pub(crate) fn new(options: Options, around: Arc<dyn Surroundings>) -> Store {
        Store { transport: Transport::new(around), options }
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

    /// Sends a request and reads the answer. What the service refuses is shown to `refused` first.
    pub(crate) fn exchange<R: Request>(&self, request: Result<R, BuildError>, refused: impl FnOnce(&R::Error)) -> Result<R::Output, Fault> {
        let fault = |cause| Fault { operation: R::OPERATION, cause };
        let request = request.map_err(|error| fault(Cause::Unusable(error.to_string())))?;
        let request = sdk::serialize(request).map_err(|text| fault(Cause::Unusable(text)))?;
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.transport.send(R::OPERATION, body).map_err(|error| fault(Cause::Unanswered(error)))?;
        let status = answer.status;
        sdk::parse::<R, _>(answer, |refusal| match refusal {
            Refusal::Service(error) => {
                refused(error);
                fault(Cause::Service(Refused::new(status, error)))
            }
            Refusal::Unreadable(text) => fault(Cause::Unusable(format!("the answer of status {status} cannot be read: {text}"))),
        })
    }

    /// The contract's error for a fault.
    pub(crate) fn error(&self, fault: Fault) -> Error {
        fault.error(self.table(), self.transport.delay())
    }

    /// As [`Store::exchange`].
    pub(crate) fn call<R: Request>(&self, request: Result<R, BuildError>) -> Result<R::Output, Fault> {
        self.exchange(request, |_| ())
    }

    /// As [`Store::call`], where every fault is an error.
    pub(crate) fn run<R: Request>(&self, request: Result<R, BuildError>) -> Result<R::Output> {
        self.call(request).map_err(|fault| self.error(fault))
    }
}

/// For parts of a request, all of whose members are given where they are built.
pub(crate) fn incomplete(error: BuildError) -> Error {
    Error::Unavailable(format!("a request could not be built: {error}"))
}
