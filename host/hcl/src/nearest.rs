//! The known name that somebody probably meant.

/// The name of `known` that is nearest to `word` whatever their case, if any is near: at most a third of its letters differ; else one that is the same but for
/// what stands before an underscore (`aws_region` and `region`, `key_id` and `kms_key_id`).
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let near = |word: &str| {
        let limit = (word.chars().count() / 3).max(1);
        let all = known.clone().into_iter().map(|name| (distance(word, &name.to_ascii_lowercase()), name));
        all.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
    };
    let rest = |text: &'a str| text.split_once('_').map(|(_, rest)| rest);
    let longer = || known.clone().into_iter().find(|name| rest(name) == Some(word.as_str()));
    near(&word).or_else(longer).or_else(|| near(word.split_once('_').map(|(_, rest)| rest).filter(|rest| rest.len() >= SHORTEST)?))
}

/// A shorter rest of a name is near to too much.
const SHORTEST: usize = 5;

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (row, c) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, d) in to.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, column) + usize::from(c != *d)).min(at(&above, column + 1) + 1).min(at(&current, column) + 1);
            let swapped = column.checked_sub(1).is_some_and(|left| last == Some(*d) && to.get(left) == Some(&c));
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
        last = Some(c);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn edits_are_counted() {
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("adress", "address", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn only_a_near_name_is_proposed() {
        let known = ["address", "tls_disable", "tls_cert_file"];
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("TLS_disabled", known), Some("tls_disable"));
        assert_eq!(nearest("storage", known), None);
        assert_eq!(nearest("x", known), None);
    }

    #[test]
    fn another_beginning_is_seen_through() {
        let known = ["region", "kms_key_id", "access_key", "name"];
        assert_eq!(nearest("aws_region", known), Some("region"));
        assert_eq!(nearest("aws_access_key_id", known), Some("access_key"));
        assert_eq!(nearest("key_id", known), Some("kms_key_id"));
        assert_eq!(nearest("my_name", known), None);
    }
}
