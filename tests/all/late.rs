//! How late the machine is while a test runs: what takes longer for that reason is no fault of what is tested.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How late this machine is: by how much short sleeps take longer than they should, in all.
pub(crate) struct Lateness {
    over: Arc<AtomicBool>,
    micros: Arc<AtomicU64>,
}

impl Lateness {
    pub(crate) fn measure() -> Lateness {
        let late = Lateness { over: Arc::default(), micros: Arc::default() };
        let (over, micros) = (Arc::clone(&late.over), Arc::clone(&late.micros));
        std::thread::spawn(move || {
            let step = Duration::from_millis(2);
            while !over.load(Ordering::SeqCst) {
                let begun = Instant::now();
                std::thread::sleep(step);
                let over = u64::try_from((begun.elapsed() - step).as_micros()).unwrap();
                micros.fetch_add(over, Ordering::SeqCst);
            }
        });
        late
    }

    /// So far.
    pub(crate) fn so_far(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
