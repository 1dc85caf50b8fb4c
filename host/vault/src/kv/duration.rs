//! Durations as Go reads and writes them: `1h30m`, `"90"` (seconds), `2d`; `1h30m0s` on the way out.
//!
//! The rule: what Go's `time.ParseDuration` and Vault's `parseutil` take is taken, with the same texts for what they refuse.

use serde_json::Value;

const SECOND: i128 = 1_000_000_000;
const OVERFLOW: &str = "multiplication of durations resulted in overflow, one operand may be too large";

/// Nanoseconds of a field's value: a number of seconds, or a text. None for null, which counts as not given.
pub(crate) fn parse(value: &Value) -> Result<Option<i64>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("could not parse duration from input".to_owned()),
    };
    parse_text(&text).map(Some)
}

fn parse_text(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return i64::try_from(i128::from(seconds) * SECOND).map_err(|_| OVERFLOW.to_owned());
    }
    if let Some(days) = text.strip_suffix('d') {
        let days: i64 = days.parse().map_err(|_| format!("strconv.ParseInt: parsing {}: invalid syntax", quote(days)))?;
        return i64::try_from(i128::from(days) * 86_400 * SECOND).map_err(|_| OVERFLOW.to_owned());
    }
    parse_go(text)
}

/// Go's `time.ParseDuration`.
fn parse_go(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let count = if whole.is_empty() { 0 } else { whole.parse::<i64>().map_err(|_| invalid())? };
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(invalid)?;
        let scale: i128 = match unit {
            "" => return Err(format!("time: missing unit in duration {}", quote(text))),
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            _ => return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        total += i128::from(count) * scale + fraction_of(fraction, scale);
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or(("", text))
}

/// What the digits after a point are of `scale`. Eighteen of them are below a nanosecond of an hour.
fn fraction_of(digits: &str, scale: i128) -> i128 {
    let digits = digits.get(..18).unwrap_or(digits);
    digits.bytes().fold((0, scale), |(value, scale), digit| (value * 10 + i128::from(digit - b'0') * scale, scale)).0
        / 10_i128.pow(digits.len() as u32)
}

/// Go's `Duration.String`.
pub(crate) fn format(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    format!("{sign}{}", cofferdam_hcl::format_duration(nanoseconds.unsigned_abs()))
}

/// Text in quotes as the errors of Go's `time` show it: what is not printable ASCII as `\x` and two digits.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Answers of bao 2.7.2 to `delete_version_after`.
    #[test]
    fn values_are_taken_and_refused_as_by_the_field() {
        let second = 1_000_000_000;
        for (value, expected) in [
            (json!("1h30m"), 5_400 * second),
            (json!("1.5h"), 5_400 * second),
            (json!(".5h"), 1_800 * second),
            (json!("1.s"), second),
            (json!("500ms"), second / 2),
            (json!("1us"), 1_000),
            (json!("1\u{b5}s"), 1_000),
            (json!("-1h"), -3_600 * second),
            (json!("90"), 90 * second),
            (json!("+5"), 5 * second),
            (json!(-5), -5 * second),
            (json!("2d"), 172_800 * second),
            (json!("-0s"), 0),
            (json!(""), 0),
            (json!(9_223_372_036_i64), 9_223_372_036 * second),
        ] {
            assert_eq!(parse(&value), Ok(Some(expected)), "{value}");
        }
        assert_eq!(parse(&json!(null)), Ok(None));
        for (value, expected) in [
            (json!("x"), r#"time: invalid duration "x""#),
            (json!("+"), r#"time: invalid duration "+""#),
            (json!(".s"), r#"time: invalid duration ".s""#),
            (json!("1d2h"), r#"time: unknown unit "d" in duration "1d2h""#),
            (json!("1h "), r#"time: unknown unit "h " in duration "1h ""#),
            (json!("1h1"), r#"time: missing unit in duration "1h1""#),
            (json!(3.7), r#"time: missing unit in duration "3.7""#),
            (json!("1\"x"), r#"time: unknown unit "\"x" in duration "1\"x""#),
            (json!("\u{e9}"), r#"time: invalid duration "\xc3\xa9""#),
            (json!("100000000h"), r#"time: invalid duration "100000000h""#),
            (json!("9999999999999999999"), r#"time: invalid duration "9999999999999999999""#),
            (json!("1.5d"), r#"strconv.ParseInt: parsing "1.5": invalid syntax"#),
            (json!("xd"), r#"strconv.ParseInt: parsing "x": invalid syntax"#),
            (json!("200000d"), OVERFLOW),
            (json!(9_223_372_037_i64), OVERFLOW),
            (json!(true), "could not parse duration from input"),
            (json!([1]), "could not parse duration from input"),
        ] {
            assert_eq!(parse(&value), Err(expected.to_owned()), "{value}");
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (5_025_000_000_001, "1h23m45.000000001s"),
            (172_800_000_000_000, "48h0m0s"),
            (-1_000_000_000, "-1s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format(nanoseconds), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanoseconds in -i64::MAX..) {
            prop_assert_eq!(parse_go(&format(nanoseconds)), Ok(nanoseconds));
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in "[-+.0-9a-z\u{b5}\u{e9} ]{0,24}") {
            let _ = parse(&json!(text));
        }
    }
}
