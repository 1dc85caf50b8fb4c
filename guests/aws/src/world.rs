//! What a guest has of the world. All of it in one trait, so that the whole logic also runs in a native test.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cofferdam_guest::aws::{self, Response, SendError};

/// What a guest has of the world: requests, time and chance.
pub trait World: Debug + Send + Sync {
    /// Has the host send a request.
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError>;

    /// The time since some moment, which never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);

    /// A number by chance.
    fn chance(&self) -> u64;
}

/// The world that the host gives.
#[derive(Debug)]
pub struct Host;

impl World for Host {
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        aws::send(operation, body)
    }

    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn chance(&self) -> u64 {
        wasip2::random::random::get_random_u64()
    }
}
