//! How long a lease lives: what was asked for, what the system's settings say, and what caps both.

use std::time::Duration;

use time::OffsetDateTime;

use crate::logical::{Error, Result};

/// What decides how long a lease lives. Zero means that nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// What the client asks for with a renewal.
    pub increment: Duration,
    /// What the lease was made with.
    pub ttl: Duration,
    /// With every renewal the lease lives this long again, without end.
    pub period: Duration,
    /// No renewal goes past this, counted from the start, unless there is a period; it is less than the system's setting.
    pub max: Duration,
    /// No renewal goes past this, counted from the start.
    pub explicit_max: Duration,
}

/// What a lease gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How long it lives from now on.
    pub ttl: Duration,
    /// What was cut off, for the client.
    pub warnings: Vec<String>,
}

/// Vault's rule. `default` and `max` are the system's settings; `started` is when the lease was made.
/// [`Error::BadRequest`] if it may not live any longer.
pub fn grant(terms: Terms, default: Duration, max: Duration, started: OffsetDateTime, now: OffsetDateTime) -> Result<Granted> {
    let mut warnings = Vec::new();
    let max = [terms.max, terms.explicit_max].into_iter().filter(|own| !own.is_zero()).fold(max, Duration::min);
    let (mut ttl, cap) = if terms.period.is_zero() {
        let ttl = [terms.increment, terms.ttl, default].into_iter().find(|ttl| !ttl.is_zero()).unwrap_or_default();
        (ttl, Some(max))
    } else {
        if terms.period > max {
            warnings.push(format!(
                "period of {:?} exceeded the effective max_ttl of {:?}; period value is capped accordingly",
                short(terms.period),
                short(max)
            ));
        }
        (terms.period.min(max), (!terms.explicit_max.is_zero()).then_some(terms.explicit_max))
    };
    if let Some(cap) = cap {
        // In whole seconds, so that a lease gets the same number whenever within its second it is made.
        let lived = Duration::from_secs(u64::try_from(now.unix_timestamp().saturating_sub(started.unix_timestamp())).unwrap_or_default());
        let left = cap.saturating_sub(lived);
        if left.is_zero() {
            return Err(Error::bad_request("past the max TTL, cannot renew"));
        }
        if ttl > left {
            warnings.push(format!(
                "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                short(ttl),
                short(left)
            ));
            ttl = left;
        }
    }
    Ok(Granted { ttl, warnings })
}

/// A duration as Vault's messages have it: `768h`, `59m59s`, `1h30m`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MAX: Duration = Duration::from_secs(768 * 3_600);

    fn granted(terms: Terms, lived: Duration) -> Result<Granted> {
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + Duration::from_millis(250);
        grant(terms, MAX, MAX, start, start + lived)
    }

    fn ttl(terms: Terms, lived: Duration) -> Duration {
        let granted = granted(terms, lived).unwrap();
        assert_eq!(granted.warnings, Vec::<String>::new());
        granted.ttl
    }

    #[test]
    fn the_increment_comes_before_the_ttl_and_that_before_the_default() {
        assert_eq!(ttl(Terms::default(), Duration::ZERO), MAX);
        assert_eq!(ttl(Terms { ttl: HOUR, ..Terms::default() }, HOUR), HOUR);
        assert_eq!(ttl(Terms { ttl: HOUR, increment: HOUR * 2, ..Terms::default() }, HOUR), HOUR * 2);
    }

    #[test]
    fn nothing_outlives_the_maximum_and_the_client_is_told() {
        let terms = Terms { increment: HOUR * 3, explicit_max: HOUR, ..Terms::default() };
        let cut = granted(terms, Duration::from_secs(1)).unwrap();
        assert_eq!(cut.ttl, Duration::from_secs(3_599));
        assert_eq!(cut.warnings, ["TTL of \"3h\" exceeded the effective max_ttl of \"59m59s\"; TTL value is capped accordingly"]);
        let error = granted(terms, HOUR).unwrap_err();
        assert_eq!(error.to_string(), "past the max TTL, cannot renew");
    }

    #[test]
    fn a_period_has_no_end_but_an_explicit_one() {
        let terms = Terms { period: HOUR, increment: HOUR * 9, ..Terms::default() };
        assert_eq!(ttl(terms, MAX * 5), HOUR);
        let terms = Terms { explicit_max: HOUR * 3, ..terms };
        assert_eq!(ttl(terms, HOUR), HOUR);
        assert_eq!(granted(terms, HOUR * 5 / 2).unwrap().ttl, HOUR / 2);
        let cut = granted(Terms { period: MAX * 2, ..Terms::default() }, Duration::ZERO).unwrap();
        assert_eq!(cut.ttl, MAX);
        assert_eq!(cut.warnings, ["period of \"1536h\" exceeded the effective max_ttl of \"768h\"; period value is capped accordingly"]);
    }

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [(0, "0s"), (3_600, "1h"), (5_400, "1h30m"), (3_599, "59m59s"), (11_703, "3h15m3s"), (60, "1m")] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }
}
