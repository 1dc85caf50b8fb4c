//! The instances of a backend, and the one way in which a guest is called.
//!
//! The rule: an instance in the pool is whole. A call takes one out, or makes one; it goes back only after a call that ended by itself,
//! well or with an error of the contract, and that showed it no key. A breach, a deadline, or a future that is dropped at its deadline drops the
//! instance with it.
//!
//! A caller that goes away ends nothing: its call runs on in a task of its own, or on the thread that it is on, to its end or its
//! deadline. A guest with a directory blocks in the kernel; its call, from instantiation to the last check, is on a thread that may. Should that
//! thread hang, the caller's deadline fires all the same, and the place stays taken until the thread returns.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cofferdam_backend::{Error, Result, SPANS};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Sleep, sleep, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use wasmtime::Store;

use crate::breach::Breach;
use crate::guest::{Contract, Failure, Guest, Instance, OpenError};
use crate::limits::PoolPolicy;
use crate::metrics::{Meter, Operation};
use crate::probe::Measure;
use crate::state::State;
use crate::stats::PoolStats;

/// One call: its arguments, and what to do with an instance.
pub(crate) trait Job<C: Contract>: Send + 'static {
    type Output: Send + 'static;
    const OPERATION: Operation;
    /// Whether its instance serves no further call.
    const ONCE: bool = false;

    /// Calls the guest and checks its answer.
    fn run(self, store: &mut Store<State>, exports: &C::Exports) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// The instances of one backend.
pub(crate) struct Pool<C: Contract> {
    pub(crate) guest: Arc<Guest<C>>,
    opened: Arc<C::Opened>,
    /// As many as may exist at once. Waiters are served in the order in which they came.
    places: Semaphore,
    idle: Mutex<Vec<Box<Instance<C>>>>,
    size: usize,
    meter: Meter,
}

/// Leave to have one instance; given back when dropped.
struct Place<C: Contract>(Arc<Pool<C>>);

impl<C: Contract> Drop for Place<C> {
    fn drop(&mut self) {
        self.0.places.add_permits(1);
    }
}

impl<C: Contract> Pool<C> {
    /// Opens the guest; `check` judges what it says of itself.
    pub(crate) async fn open<D: Send + 'static>(
        guest: Guest<C>,
        check: fn(&C::Opened) -> Result<D, Breach>,
    ) -> Result<(Arc<Pool<C>>, D), OpenError> {
        let guest = Arc::new(guest);
        let opening = {
            let guest = Arc::clone(&guest);
            async move {
                let (opened, instance) = guest.open().await?;
                let descriptor = check(&opened)?;
                Ok::<_, Failure>((opened, instance, descriptor))
            }
        };
        let opening = Call::new(guest.limits.open, opening);
        let (opened, instance, descriptor) = if guest.blocks() { opening.on_thread().await } else { opening.await }
            .and_then(|opened| opened.map_err(Error::from))
            .map_err(|error| OpenError::Guest { backend: guest.backend.clone(), error })?;
        let size = guest.pool.size;
        let pool = Pool::new(guest, Arc::new(opened), size);
        pool.give_back(Box::new(instance));
        Ok((pool, descriptor))
    }

    fn new(guest: Arc<Guest<C>>, opened: Arc<C::Opened>, size: usize) -> Arc<Pool<C>> {
        let meter = Meter::new(&guest.backend, Arc::clone(&guest.tally));
        Arc::new(Pool { guest, opened, places: Semaphore::new(size), idle: Mutex::default(), size, meter })
    }

    /// A further pool of the same backend: its calls never wait for those of this one.
    pub(crate) fn beside(&self, size: usize) -> Arc<Pool<C>> {
        Pool::new(Arc::clone(&self.guest), Arc::clone(&self.opened), size)
    }

    /// Makes a call. `before` is what it must wait for besides an instance, and gives the call.
    pub(crate) async fn call<J: Job<C>>(self: &Arc<Self>, before: impl Future<Output = J>) -> Result<J::Output> {
        let span = tracing::info_span!(
            target: SPANS, "guest call", backend = self.guest.backend.as_str(), operation = J::OPERATION.label(),
            "error.type" = Empty, "otel.status_code" = Empty
        );
        let measure = self.meter.start(J::OPERATION);
        let result = match self.turn(before).await {
            Ok((job, place)) => self.run(job, place, span.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            span.record("error.type", error.case());
            span.record("otel.status_code", "error");
        }
        measure.finish(result)
    }

    /// Waits for the call's turn.
    async fn turn<J: Job<C>>(self: &Arc<Self>, before: impl Future<Output = J>) -> Result<(J, Place<C>)> {
        let mut before = pin!(before);
        let mut ready = match poll_once(before.as_mut()).await {
            Poll::Ready(job) => Some(job),
            Poll::Pending => None,
        };
        if ready.is_some()
            && let Ok(permit) = self.places.try_acquire()
        {
            permit.forget();
        } else {
            let waiting = async {
                if ready.is_none() {
                    ready = Some(before.await);
                }
                self.places.acquire().await.map(SemaphorePermit::forget)
            };
            let wait = self.guest.wait(J::OPERATION);
            match timeout(wait, waiting).await {
                Ok(Ok(())) => {}
                // The semaphore is never closed, so that its error cannot be.
                Ok(Err(_)) | Err(_) => return Err(Error::Busy(wait)),
            }
        }
        let place = Place(Arc::clone(self));
        // A job is there: the one way here without leads through waiting for it.
        ready.map(|job| (job, place)).ok_or(Error::Busy(self.guest.wait(J::OPERATION)))
    }

    /// `span` is the call's, wherever it runs: what the guest sends is a part of it.
    async fn run<J: Job<C>>(&self, job: J, place: Place<C>, span: Span) -> Result<J::Output> {
        let call = Call::new(self.guest.time(J::OPERATION), execute(place, job).instrument(span));
        if self.guest.blocks() { call.on_thread().await? } else { call.await? }
    }

    fn take(&self) -> Option<Box<Instance<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps the instance for the next call, unless it has served its time.
    fn give_back(&self, mut instance: Box<Instance<C>>) {
        let options = &self.guest.pool;
        instance.calls += 1;
        let used = instance.store.data().memory.used();
        self.guest.tally.memory(used);
        if options.policy == PoolPolicy::Ephemeral || instance.calls >= options.calls || used > options.memory_mark {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
    }

    /// Adds this pool's instances to the counts.
    pub(crate) fn count(&self, stats: &mut PoolStats) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        stats.size += self.size;
        stats.idle += idle.len();
        stats.memory += idle.iter().map(|instance| instance.store.data().memory.used()).sum::<usize>();
    }

    /// Notes the end of an instance.
    fn failed(&self, failure: Failure) -> Error {
        if let Failure::Ended(breach) = &failure {
            self.meter.breach(breach.kind);
            tracing::warn!(backend = self.guest.backend, %breach, "the guest was stopped; its instance is replaced");
        }
        failure.into()
    }
}

/// Runs the call on an instance of the pool.
async fn execute<C: Contract, J: Job<C>>(place: Place<C>, job: J) -> Result<J::Output> {
    let pool = &*place.0;
    let mut instance = match pool.take() {
        Some(instance) => instance,
        None => Box::new(Box::pin(pool.guest.attached(&pool.opened)).await.map_err(|failure| pool.failed(failure))?),
    };
    pool.guest.wind(&mut instance.store, J::OPERATION.purpose(), pool.guest.time(J::OPERATION));
    let mut measure = pool.guest.probe.as_ref().map(|probe| Measure::begin(probe, J::OPERATION));
    let call = job.run(&mut instance.store, &instance.exports);
    let result = match &mut measure {
        None => call.await,
        Some(measure) => measure.run(call).await,
    };
    instance.store.data_mut().unwind();
    if let Some(measure) = measure {
        measure.end(&result, instance.store.data_mut());
    }
    match result {
        Ok(output) => {
            if !J::ONCE {
                pool.give_back(instance);
            }
            Ok(output)
        }
        Err(Failure::Refused(error)) => {
            if !J::ONCE {
                pool.give_back(instance);
            }
            Err(error)
        }
        Err(ended) => Err(pool.failed(ended)),
    }
}

/// Polls the future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// A call under way, which ends at its deadline: then its future is dropped, and with it the instance that it runs.
///
/// Written out because it is on every call's path: the timer is set only if the first poll does not end the call, and the future is moved once.
struct Running<F> {
    future: Pin<Box<F>>,
    deadline: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Running<F> {
    type Output = Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<F::Output>> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(deadline)));
        timer.as_mut().poll(context).map(|()| Err(Error::TimedOut(deadline)))
    }
}

/// A call that runs on in a task of its own when its owner drops it before its end. That task is no such call again: a runtime that shuts down
/// drops its tasks, and takes no new ones.
struct Call<F: Future<Output: Send> + Send + 'static>(Option<Running<F>>);

impl<F: Future<Output: Send> + Send + 'static> Call<F> {
    fn new(deadline: Duration, future: F) -> Call<F> {
        Call(Some(Running { future: Box::pin(future), deadline, timer: None }))
    }

    /// Runs the call on a thread that may block. The caller's wait ends at the deadline in any case.
    async fn on_thread(mut self) -> Result<F::Output> {
        let Some(running) = self.0.take() else { return std::future::pending().await };
        let deadline = running.deadline;
        let handle = Handle::current();
        match timeout(deadline, tokio::task::spawn_blocking(move || handle.block_on(running))).await {
            Ok(Ok(result)) => result,
            // The runtime is shutting down, or the host itself failed on that thread.
            Ok(Err(error)) => Err(Error::Unavailable(format!("the call's thread ended: {error}"))),
            Err(_) => Err(Error::TimedOut(deadline)),
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Call<F> {
    type Output = Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<F::Output>> {
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let result = std::task::ready!(Pin::new(running).poll(context));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Call<F> {
    fn drop(&mut self) {
        if let (Some(running), Ok(handle)) = (self.0.take(), Handle::try_current()) {
            handle.spawn(running);
        }
    }
}
