//! Spans that are over, until the collector has them.
//!
//! The rule: whoever ends a span never waits. What does not fit into the queue, and what the collector does not take, is gone: it is counted, and the log
//! tells of it at most once a minute.

use super::collector::Cause;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Spans of the server's traces, by what became of them: `sent`, `dropped` (the queue was full) or `failed` (the collector did not take them).
const SPANS: &str = "coffer.traces.spans";

/// The most spans that wait.
const WAITING: usize = 8192;
/// The most spans that are sent at once.
const BATCH: usize = 512;
/// How long a batch waits for more.
const DELAY: Duration = Duration::from_secs(1);
/// How long one batch may take.
const EXPORT: Duration = Duration::from_secs(15);
/// How long the end of the server may wait for what has not been sent yet.
const FLUSH: Duration = Duration::from_secs(5);
/// How often the log tells of spans that were lost.
const TELL: Duration = Duration::from_secs(60);

/// Where spans go when they are over.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Arc<AtomicU64>,
}

/// The other end of the queue, and who sends what comes out of it.
pub(super) struct Pipe<E> {
    spans: mpsc::Receiver<SpanData>,
    dropped: Arc<AtomicU64>,
    exporter: E,
    cause: Cause,
}

/// What sends spans.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _provider: SdkTracerProvider,
}

impl Queue {
    /// A queue, and its other end.
    pub(super) fn new<E>(exporter: E, cause: Cause) -> (Self, Pipe<E>) {
        Self::of(WAITING, exporter, cause)
    }

    fn of<E>(waiting: usize, exporter: E, cause: Cause) -> (Self, Pipe<E>) {
        let (sender, spans) = mpsc::channel(waiting);
        let dropped = Arc::<AtomicU64>::default();
        (Self { spans: sender, dropped: dropped.clone() }, Pipe { spans, dropped, exporter, cause })
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        // Nothing is logged here: this is within the subscriber.
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl<E: SpanExporter + 'static> Pipe<E> {
    /// Sends in a task of its own.
    pub(super) fn start(self, provider: SdkTracerProvider) -> Running {
        let (stop, stopped) = oneshot::channel();
        Running { stop, task: tokio::spawn(self.run(stopped)), _provider: provider }
    }

    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut losses = Losses::default();
        let mut stopping = false;
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            tokio::select! {
                count = self.spans.recv_many(&mut batch, BATCH) => if count == 0 { break },
                _ = &mut stop, if !stopping => {
                    stopping = true;
                    self.spans.close();
                    continue;
                }
            }
            let mut delay = std::pin::pin!(sleep(DELAY));
            while !stopping && batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    count = self.spans.recv_many(&mut batch, room) => if count == 0 { break },
                    () = &mut delay => break,
                    _ = &mut stop => {
                        stopping = true;
                        self.spans.close();
                    }
                }
            }
            let count = u64::try_from(batch.len()).unwrap_or_default();
            let failure = match timeout(EXPORT, self.exporter.export(batch)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(self.cause.take().unwrap_or_else(|| error.to_string())),
                Err(_) => Some(format!("no answer within {} s", EXPORT.as_secs())),
            };
            let outcome = if failure.is_some() { "failed" } else { "sent" };
            metrics_of(outcome, count);
            if let Some(reason) = failure {
                losses.failed(count, reason);
            }
            losses.dropped(self.dropped.swap(0, Ordering::Relaxed));
            losses.tell(false);
        }
        losses.dropped(self.dropped.swap(0, Ordering::Relaxed));
        losses.tell(true);
    }

    #[cfg(test)]
    pub(super) fn waiting(&mut self) -> Vec<SpanData> {
        std::iter::from_fn(|| self.spans.try_recv().ok()).collect()
    }
}

impl Running {
    /// Sends what waits, a bounded time, and ends.
    pub(crate) async fn finish(self) {
        let Self { stop, mut task, .. } = self;
        // It has ended by itself only if nothing can come any more.
        let _ = stop.send(());
        if timeout(FLUSH, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("traces: not all spans were sent within {} s", FLUSH.as_secs());
        }
    }
}

fn metrics_of(outcome: &'static str, count: u64) {
    metrics::counter!(SPANS, "outcome" => outcome).increment(count);
}

/// Spans that were lost since the log told of any.
#[derive(Default)]
struct Losses {
    dropped: u64,
    failed: u64,
    reason: Option<String>,
    told: Option<Instant>,
}

impl Losses {
    fn failed(&mut self, count: u64, reason: String) {
        self.failed += count;
        self.reason = Some(reason);
    }

    fn dropped(&mut self, count: u64) {
        if count > 0 {
            metrics_of("dropped", count);
        }
        self.dropped += count;
    }

    /// Whether the log was told.
    fn tell(&mut self, last: bool) -> bool {
        let due = last || self.told.is_none_or(|told| told.elapsed() >= TELL);
        if !due || self.dropped + self.failed == 0 {
            return false;
        }
        let reason = self.reason.as_deref().unwrap_or("the collector is too slow");
        tracing::warn!(dropped = self.dropped, failed = self.failed, reason, "spans of traces were lost; requests are not affected");
        *self = Self { told: Some(Instant::now()), ..Self::default() };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::error::OTelSdkError;
    use std::sync::Mutex;

    /// Keeps the sizes of batches; fails where it is told to.
    #[derive(Debug, Clone, Default)]
    struct Kept {
        batches: Arc<Mutex<Vec<usize>>>,
        fails: bool,
    }

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.batches.lock().unwrap().push(batch.len());
            if self.fails { Err(OTelSdkError::InternalFailure("no".to_owned())) } else { Ok(()) }
        }
    }

    fn span() -> SpanData {
        let context = SpanContext::new(TraceId::from(1_u128), SpanId::from(1_u64), TraceFlags::SAMPLED, false, TraceState::NONE);
        SpanData {
            span_context: context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "x".into(),
            start_time: std::time::SystemTime::now(),
            end_time: std::time::SystemTime::now(),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: Default::default(),
        }
    }

    #[tokio::test]
    async fn what_waits_is_sent_at_the_end_in_bounded_batches_and_what_does_not_fit_is_counted() {
        for fails in [false, true] {
            let kept = Kept { fails, ..Kept::default() };
            let (queue, pipe) = Queue::of(BATCH + 10, kept.clone(), Cause::default());
            for _ in 0..BATCH + 15 {
                queue.on_end(span());
            }
            assert_eq!(queue.dropped.load(Ordering::Relaxed), 5);
            let dropped = queue.dropped.clone();
            let Running { stop, task, _provider } = pipe.start(SdkTracerProvider::builder().with_span_processor(queue).build());
            stop.send(()).unwrap();
            task.await.unwrap();
            assert_eq!(*kept.batches.lock().unwrap(), [BATCH, 10]);
            assert_eq!(dropped.load(Ordering::Relaxed), 0, "they were told of");
        }
    }

    #[test]
    fn losses_are_told_of_at_once_and_then_seldom() {
        let mut losses = Losses::default();
        assert!(!losses.tell(false), "there are none");
        losses.dropped(2);
        assert!(losses.tell(false));
        losses.failed(3, "refused".to_owned());
        assert!(!losses.tell(false) && losses.failed == 3);
        losses.told = Instant::now().checked_sub(TELL);
        assert!(losses.tell(false) && losses.failed == 0);
        losses.failed(1, "refused".to_owned());
        assert!(losses.tell(true), "at the end");
    }
}
