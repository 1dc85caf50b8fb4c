//! Names in natural order: digits count as numbers, so `test2` stands before `test10`.

use std::cmp::Ordering;

/// Compares two names.
#[must_use]
pub fn natural(one: &str, two: &str) -> Ordering {
    let (mut left, mut right) = (one, two);
    while let (Some((a, a_rest)), Some((b, b_rest))) = (chunk(left), chunk(right)) {
        let order = match (number(a), number(b)) {
            // The same number with more zeros comes later, as any longer text.
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| a.len().cmp(&b.len())),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (a_rest, b_rest);
    }
    left.len().cmp(&right.len()).then_with(|| one.cmp(two))
}

/// The digits without leading zeros.
fn number(chunk: &str) -> Option<&str> {
    chunk.starts_with(|first: char| first.is_ascii_digit()).then(|| chunk.trim_start_matches('0'))
}

/// The leading run of digits, or of anything else.
fn chunk(text: &str) -> Option<(&str, &str)> {
    let digits = text.chars().next()?.is_ascii_digit();
    let end = text.find(|next: char| next.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at_checked(end)
}
