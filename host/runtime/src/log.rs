//! A guest's words, made safe for the operator's log: cut, escaped, bounded in rate, and marked with the backend's name.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::metrics;
use crate::stats::Tally;

/// The longest text of a guest that is kept, in bytes.
const LONGEST: usize = 4 << 10;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The text cut at 4 KiB, with what could forge lines or steer a terminal escaped.
pub(crate) fn bounded(text: &str) -> String {
    let cut = text.floor_char_boundary(LONGEST);
    let mut out = String::with_capacity(cut.min(text.len()) + 16);
    for char in text.chars().take_while({
        let mut at = 0;
        move |char| {
            at += char.len_utf8();
            at <= cut
        }
    }) {
        if unsafe_to_show(char) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    if cut < text.len() {
        out.push_str("… (cut)");
    }
    out
}

/// Control characters, line and paragraph separators, and the marks that turn the direction of text.
fn unsafe_to_show(char: char) -> bool {
    char.is_control() || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The log of one backend, shared by its instances.
pub(crate) struct GuestLog {
    backend: Box<str>,
    rate: u32,
    tally: Arc<Tally>,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    dropped: u64,
}

impl GuestLog {
    /// Lets `rate` lines a second through, and twice as many in a burst.
    pub(crate) fn new(backend: &str, rate: u32, tally: Arc<Tally>) -> GuestLog {
        let bucket = Bucket { tokens: f64::from(rate) * 2.0, filled: Instant::now(), dropped: 0 };
        GuestLog { backend: backend.into(), rate, tally, bucket: Mutex::new(bucket) }
    }

    /// Writes a line, or drops it if there have been too many.
    pub(crate) fn write(&self, level: Level, message: &str) {
        let dropped = match self.admit(Instant::now()) {
            Some(dropped) => dropped,
            None => {
                self.tally.log_dropped.fetch_add(1, Relaxed);
                return metrics::log_dropped(&self.backend);
            }
        };
        let backend = &*self.backend;
        if dropped > 0 {
            tracing::warn!(target: "coffer::guest", backend, dropped, "the guest logs too much: lines were dropped");
        }
        let message = bounded(message);
        match level {
            Level::Trace => tracing::trace!(target: "coffer::guest", backend, "{message}"),
            Level::Debug => tracing::debug!(target: "coffer::guest", backend, "{message}"),
            Level::Info => tracing::info!(target: "coffer::guest", backend, "{message}"),
            Level::Warn => tracing::warn!(target: "coffer::guest", backend, "{message}"),
            Level::Error => tracing::error!(target: "coffer::guest", backend, "{message}"),
        }
    }

    /// Whether a line may pass, and how many were dropped since the last that did.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = f64::from(self.rate);
        let earned = now.saturating_duration_since(bucket.filled).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + earned).min(rate * 2.0);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            bucket.dropped += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.dropped))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_could_forge_a_line_or_steer_a_terminal_is_escaped() {
        assert_eq!(bounded("a\nb\u{1b}[2Jc\r"), "a\\nb\\u{1b}[2Jc\\r");
        assert_eq!(bounded("\u{85}\u{2028}\u{202e}"), "\\u{85}\\u{2028}\\u{202e}");
        assert_eq!(bounded("plain, ä, 漢 \"quoted\" \\"), "plain, ä, 漢 \"quoted\" \\");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(LONGEST);
        let cut = bounded(&text);
        assert!(cut.starts_with("ää") && cut.ends_with("… (cut)"));
        assert!(cut.len() <= LONGEST + 16);
        assert_eq!(bounded(&"x".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn lines_past_the_rate_are_dropped_and_counted() {
        let log = GuestLog::new("test", 10, Arc::default());
        let start = Instant::now();
        let passed = (0..100).filter(|_| log.admit(start).is_some()).count();
        assert_eq!(passed, 20);
        assert_eq!(log.admit(start + Duration::from_millis(150)), Some(80));
        assert_eq!(log.admit(start + Duration::from_millis(150)), None);
    }
}
