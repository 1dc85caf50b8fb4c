//! What a guest must not get away with: each misdeed is stopped with the error that names it, costs its own call alone, and leaves the host with
//! no more memory and no more open files than before. The misdeeds are in `tests/guests/hostile`.

mod confined;
mod stopped;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Storage};
use cofferdam_runtime::{BreachKind, StorageBackend, StorageConfig};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::runtime::{commit, hostile, key};

/// A backend with tight limits, so that what must be stopped is stopped soon.
async fn tight(change: impl FnOnce(&mut StorageConfig)) -> Arc<StorageBackend> {
    hostile(|config| {
        config.limits.memory = 32 << 20;
        config.limits.cpu = Duration::from_secs(2);
        config.limits.call = Duration::from_secs(10);
        config.limits.response = 8 << 20;
        config.pool.size = 4;
        change(config);
    })
    .await
}

/// The kind of breach that ends the misdeed.
async fn breach(backend: &StorageBackend, misdeed: &str) -> BreachKind {
    let error = commit(backend, misdeed).await.unwrap_err();
    BreachKind::of(&error).unwrap_or_else(|| panic!("{misdeed}: {error} is no breach"))
}

/// Whether the backend still does what it should: also if the machine takes longer for that than the backend's limits allow, once or twice.
async fn serves(backend: &StorageBackend) {
    let begun = Instant::now();
    loop {
        match backend.put(&key("k"), "v".into()).await {
            Err(Error::TimedOut(_) | Error::Busy(_) | Error::Unavailable(_)) if begun.elapsed() < Duration::from_secs(60) => {}
            done => return done.unwrap(),
        }
    }
}

fn timed_out(error: &Error) -> bool {
    matches!(error, Error::TimedOut(_))
}

/// Collects what is logged.
#[derive(Clone, Default)]
pub(crate) struct Lines(pub(crate) Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Two subscribers that want nothing, for as long as the process lives. If that of a test were the only one, a line that the thread of another test is the
/// first to log would be taken for one that nobody wants, also by the test that waits for it.
pub(crate) static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));

/// Runs the future on this thread, and returns what it had logged.
pub(crate) fn logged(future: impl Future<Output = ()>) -> String {
    LazyLock::force(&OTHERS);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    });
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}
