//! Durations as vegeta's report rounds them.

pub use cofferdam_hcl::format_duration as duration;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

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
