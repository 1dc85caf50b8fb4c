//! How much a backend may send. The rule: numbers have defaults that no honest guest meets.

use std::time::Duration;

/// Caps of one grant, over all its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Requests a second, those of locks not counted; as many at once before the rate counts.
    pub per_second: u32,
    /// Requests of one call of the guest.
    pub per_call: u32,
    /// Bytes of one call, both ways together.
    pub bytes_per_call: u64,
    /// The most bytes of a request's body.
    pub max_request: u64,
    /// The most bytes of an answer's body.
    pub max_response: u64,
    /// How long a connection may take to come about, TLS included.
    pub connect: Duration,
    /// How long a request may take in all.
    pub time: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            per_second: 10_000,
            per_call: 512,
            bytes_per_call: 256 << 20,
            max_request: 16 << 20,
            max_response: 16 << 20,
            connect: Duration::from_secs(3),
            time: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}
