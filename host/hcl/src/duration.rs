//! Durations and sizes as Vault's settings write them.

use std::time::Duration;

/// Parses a duration: whole seconds (`90`), days (`2d`), or Go's notation (`1h30m`, `1.5s`, `250ms`). An empty text is zero.
/// Errors say what was expected; a negative duration is one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(Duration::ZERO);
    }
    if trimmed.starts_with('-') {
        return Err(format!("expected a duration that is not negative, found {text:?}"));
    }
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return in_range(seconds, text);
    }
    let wrong = || format!("expected a duration, such as \"90\" (seconds), \"90s\", \"1h30m\" or \"2d\", found {text:?}");
    if let Some(days) = trimmed.strip_suffix('d') {
        let days: u64 = days.parse().map_err(|_| wrong())?;
        return in_range(days.checked_mul(86_400).ok_or_else(wrong)?, text);
    }
    let mut rest = trimmed;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at_checked(number_end).ok_or_else(wrong)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end).ok_or_else(wrong)?;
        total = total.checked_add(nanoseconds(number, unit).ok_or_else(wrong)?).ok_or_else(wrong)?;
        rest = tail;
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| wrong())?;
    let nanos = u32::try_from(total % 1_000_000_000).map_err(|_| wrong())?;
    Ok(in_range(seconds, text)?.saturating_add(Duration::new(0, nanos)))
}

/// Go's durations end at about 292 years; anything beyond is a mistake.
fn in_range(seconds: u64, text: &str) -> Result<Duration, String> {
    const LONGEST: u64 = i64::MAX as u64 / 1_000_000_000;
    if seconds < LONGEST { Ok(Duration::from_secs(seconds)) } else { Err(format!("the duration {text:?} is longer than 292 years")) }
}

fn nanoseconds(number: &str, unit: &str) -> Option<u128> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut scale = unit;
    for digit in fraction.chars() {
        scale /= 10;
        total = total.checked_add(u128::from(digit.to_digit(10)?).checked_mul(scale)?)?;
    }
    Some(total)
}

/// Parses a size in bytes: a whole number, alone or with `b`, `kb`, `mb`, `gb`, `tb` (powers of 1000) or `kib`, `mib`, `gib`,
/// `tib` (powers of 1024), in any case.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower.strip_prefix(digits).unwrap_or_default();
    let unit: Option<u64> = match unit {
        "" | "b" => Some(1),
        "kb" => Some(1_000),
        "kib" => Some(1 << 10),
        "mb" => Some(1_000_000),
        "mib" => Some(1 << 20),
        "gb" => Some(1_000_000_000),
        "gib" => Some(1 << 30),
        "tb" => Some(1_000_000_000_000),
        "tib" => Some(1 << 40),
        _ => None,
    };
    unit.and_then(|unit| digits.trim().parse::<u64>().ok()?.checked_mul(unit))
        .ok_or_else(|| format!("expected a size in bytes, such as 33554432, \"32MiB\" or \"32mb\", found {text:?}"))
}

/// Nanoseconds as Go prints a duration, and its parser reads it: `1.234567ms`, `2m55s`, `0s`.
pub fn format_duration(nanoseconds: u64) -> String {
    const MINUTE: u64 = 60_000_000_000;
    // With as many decimals as are needed.
    let decimal = |value: u64, unit: u64, digits: usize, name: &str| {
        let (whole, rest) = (value / unit, value % unit);
        if rest == 0 {
            return format!("{whole}{name}");
        }
        let decimals = format!("{rest:0digits$}");
        format!("{whole}.{}{name}", decimals.trim_end_matches('0'))
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => decimal(nanoseconds, 1_000, 3, "\u{b5}s"),
        1_000_000..1_000_000_000 => decimal(nanoseconds, 1_000_000, 6, "ms"),
        _ => {
            let (minutes, seconds) = (nanoseconds / MINUTE, decimal(nanoseconds % MINUTE, 1_000_000_000, 9, "s"));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_size};
    use std::time::Duration;

    #[test]
    fn durations_are_seconds_days_or_go_notation() {
        for (text, millis) in [
            ("", 0),
            ("0", 0),
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("250ms", 250),
            ("768h", 768 * 3_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["x", "5x", "m", "1.2.3s", "-5s", "-5", "1d2h", "1h 30m", ".s", "99999999999999999999"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("33554432", 33_554_432), ("32MiB", 33_554_432), ("32mb", 32_000_000), ("1 kib", 1024), ("7b", 7)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1.5mb", "1xb", "99999999999tib"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
