//! Durations as Go prints them.

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Nanoseconds in Go's notation: `1.234567ms`, `2m55s`, `0s`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => "0s".to_owned(),
        1..MICROSECOND => format!("{nanoseconds}ns"),
        MICROSECOND..MILLISECOND => fraction(nanoseconds, MICROSECOND, 3, "µs"),
        MILLISECOND..SECOND => fraction(nanoseconds, MILLISECOND, 6, "ms"),
        _ => {
            let seconds = fraction(nanoseconds % MINUTE, SECOND, 9, "s");
            match (nanoseconds / HOUR, nanoseconds % HOUR / MINUTE) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// Rounded to the next finer unit than its largest, as vegeta's text report does: `2.931734123s` becomes `2.932s`.
pub(super) fn rounded(nanoseconds: u64) -> String {
    let unit = match nanoseconds {
        HOUR.. => MINUTE,
        MINUTE.. => SECOND,
        SECOND.. => MILLISECOND,
        MILLISECOND.. => MICROSECOND,
        _ => 1,
    };
    let rest = nanoseconds % unit;
    let below = nanoseconds - rest;
    duration(if rest.saturating_mul(2) >= unit { below.saturating_add(unit) } else { below })
}

/// A number of units with as many decimals as are needed.
fn fraction(nanoseconds: u64, unit: u64, digits: usize, name: &str) -> String {
    let (whole, rest) = (nanoseconds / unit, nanoseconds % unit);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    let decimals = format!("{rest:0digits$}");
    format!("{whole}.{}{name}", decimals.trim_end_matches('0'))
}
