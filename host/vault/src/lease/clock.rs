//! The time of day: injectable for tests, and as text as Go writes it into JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where the time comes from. Clones share it; tests let it pass.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    #[cfg(test)]
    seconds_ahead: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

impl Clock {
    /// Now, in UTC.
    pub fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        #[cfg(test)]
        let now = now + time::Duration::seconds(self.seconds_ahead.load(std::sync::atomic::Ordering::Relaxed));
        now
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn advance(&self, by: std::time::Duration) {
        self.seconds_ahead.fetch_add(i64::try_from(by.as_secs()).unwrap(), std::sync::atomic::Ordering::Relaxed);
    }
}

/// A time as Go's JSON has it: RFC 3339 with nanoseconds, and the year 1 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Option<OffsetDateTime>);

impl Time {
    /// No time.
    pub const ZERO: Time = Time(None);

    /// The time, if there is one.
    pub fn get(self) -> Option<OffsetDateTime> {
        self.0
    }

    /// Whether there is none.
    pub fn is_zero(self) -> bool {
        self.0.is_none()
    }

    /// Whether there is one, and it is not after `now`.
    pub fn passed(self, now: OffsetDateTime) -> bool {
        self.0.is_some_and(|time| time <= now)
    }

    /// As text.
    pub fn text(self) -> String {
        let text = self.0.and_then(|time| time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).ok());
        text.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned())
    }
}

impl From<OffsetDateTime> for Time {
    fn from(time: OffsetDateTime) -> Time {
        Time((time.year() > 1).then_some(time))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|error| serde::de::Error::custom(format!("{text:?} is no time of RFC 3339: {error}")))?;
        Ok(Time::from(time))
    }
}
