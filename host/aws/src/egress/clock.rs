//! The time of day as the service has it. The rule: an answer's `Date` tells an interval in which the true offset lies; the offset that is kept is
//! moved into it by the least that is needed, so that it does not wander with the delays of single answers.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::HeaderValue;

use super::options::WallClock;

/// A skew from which the operator is told.
const NOTEWORTHY: i64 = 30_000;

/// The machine's clock, corrected.
pub(super) struct Clock {
    wall: WallClock,
    /// Milliseconds to add.
    offset: AtomicI64,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Clock {
    pub(super) fn new(wall: WallClock) -> Clock {
        Clock { wall, offset: AtomicI64::new(0) }
    }

    /// The machine's time, uncorrected.
    pub(super) fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// The service's time, as far as it is known.
    pub(super) fn now(&self) -> SystemTime {
        let wall = self.wall();
        let offset = self.offset.load(Ordering::Relaxed);
        let span = Duration::from_millis(offset.unsigned_abs());
        let corrected = if offset < 0 { wall.checked_sub(span) } else { wall.checked_add(span) };
        corrected.unwrap_or(wall)
    }

    /// Takes in an answer's `Date`. The request was sent at `sent`, by the machine's clock; the answer has just come.
    ///
    /// The service wrote whole seconds, at some moment in between: its clock was ahead by at least `date` less the end, and by at most `date`
    /// and a second less the beginning.
    pub(super) fn observe(&self, backend: &str, date: Option<&HeaderValue>, sent: SystemTime) {
        let Some(date) = date.and_then(|date| date.to_str().ok()).and_then(|date| DateTime::from_str(date, Format::HttpDate).ok()) else {
            return;
        };
        let Ok(date) = date.to_millis() else { return };
        let (Some(begin), Some(end)) = (millis(sent), millis(self.wall())) else { return };
        let before = self.offset.load(Ordering::Relaxed);
        let (least, most) = (date.saturating_sub(end), date.saturating_add(1000).saturating_sub(begin));
        // An empty interval means that the machine's clock was set meanwhile.
        if least > most || (least..=most).contains(&before) {
            return;
        }
        let after = if before < least { least } else { most };
        self.offset.store(after, Ordering::Relaxed);
        if (after - before).abs() >= NOTEWORTHY {
            tracing::warn!(
                backend,
                seconds = after / 1000,
                "this machine's clock differs from the service's: requests are signed with the service's time"
            );
        }
    }
}

fn millis(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn date(seconds: i64) -> HeaderValue {
        HeaderValue::try_from(DateTime::from_secs(seconds).fmt(Format::HttpDate).unwrap()).unwrap()
    }

    #[test]
    fn the_offset_moves_by_the_least_that_explains_an_answer() {
        let wall = Arc::new(Mutex::new(at(1_000_000_000_300)));
        let clock = Clock::new(Arc::new({
            let wall = Arc::clone(&wall);
            move || *wall.lock().unwrap()
        }));
        // In step: nothing moves.
        clock.observe("b", Some(&date(1_000_000_000)), at(1_000_000_000_100));
        assert_eq!(clock.now(), at(1_000_000_000_300));
        // An hour ahead: the least of the interval is an hour and the time it took.
        clock.observe("b", Some(&date(1_000_003_600)), at(1_000_000_000_100));
        assert_eq!(clock.now(), at(1_000_003_600_000));
        // A later second of the same offset leaves it.
        *wall.lock().unwrap() = at(1_000_000_001_500);
        clock.observe("b", Some(&date(1_000_003_601)), at(1_000_000_001_400));
        assert_eq!(clock.now(), at(1_000_003_601_200));
        // The machine's clock is set right.
        *wall.lock().unwrap() = at(1_000_003_602_500);
        clock.observe("b", Some(&date(1_000_003_602)), at(1_000_003_602_500));
        let off = clock.now().duration_since(at(1_000_003_602_500)).unwrap();
        assert!(off <= Duration::from_millis(500), "{off:?}");
        // Behind.
        clock.observe("b", Some(&date(1_000_000_000)), at(1_000_003_602_500));
        assert!(clock.now() <= at(1_000_000_001_000) && clock.now() >= at(1_000_000_000_000));
    }

    #[test]
    fn what_is_no_date_is_passed_over() {
        let clock = Clock::new(Arc::new(|| at(5_000)));
        for text in ["", "yesterday", "1970-01-01T00:00:00Z"] {
            clock.observe("b", Some(&HeaderValue::from_static(text)), at(4_000));
        }
        clock.observe("b", None, at(4_000));
        // Sent after it was answered: the machine's clock was set back.
        clock.observe("b", Some(&date(9_000)), at(90_000));
        assert_eq!(clock.now(), at(5_000));
    }
}
