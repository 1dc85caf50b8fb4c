//! What the numbers of HCL 1 and JSON are worth: decimal, hexadecimal (`0x1F`), octal (`0755`), with fraction and exponent.

use crate::Number;

impl Number {
    /// The whole number, if it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        integer(&self.0)
    }

    /// The nearest floating-point number.
    pub fn to_f64(&self) -> f64 {
        match integer(&self.0) {
            // A lossy conversion is what a float is asked for.
            #[expect(clippy::cast_precision_loss, reason = "the nearest float is wanted")]
            Some(value) => value as f64,
            None => self.0.parse().unwrap_or(f64::NAN),
        }
    }
}

/// A whole number as Go's `ParseInt` with base 0 reads what the scanner lets through.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let magnitude = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        magnitude(hex, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        magnitude(digits, 8)?
    } else {
        magnitude(digits, 10)?
    };
    let value = i128::from(magnitude);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Digits only: `from_str_radix` alone would take another sign.
fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn the_notations_of_hcl_are_read() {
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("0755"), Some(0o755));
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("-0x1F"), Some(-31));
        assert_eq!(integer("-12"), Some(-12));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        for bad in ["", "-", "--1", "+1", "089", "1.5", "1e3", "0x", "9223372036854775808", "1 "] {
            assert_eq!(integer(bad), None, "{bad}");
        }
    }
}
