//! Pages of a listing. The rule: of a folder with thousands of keys below it, no more than a few are read: the next read begins behind it.

use cofferdam_guest::storage::Page;
use cofferdam_guest::{Error, Result};

use crate::gateway::Found;
use crate::layout;

/// Keys of one read, at most and at least.
const MOST: usize = 1024;
const LEAST: usize = 16;
/// Reads for one page: what is found by then is a page.
const READS: usize = 64;

/// The names below the folder that sort after `after`. `keys` gives the keys from one on, before another, up to a number.
pub(crate) fn page(
    folder: &str,
    after: &str,
    limit: u32,
    mut keys: impl FnMut(&[u8], &[u8], usize) -> Result<Found<Vec<u8>>>,
) -> Result<Page> {
    let base = layout::entry(folder);
    let end = layout::behind(&base);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let mut from = start(&base, after);
    let mut names: Vec<String> = Vec::new();
    // One more than wanted tells whether there is more.
    let mut wanted = limit.saturating_add(1).clamp(LEAST, MOST);
    for _ in 0..READS {
        let read = keys(&from, &end, wanted)?;
        let before = names.len();
        let mut behind: Option<Vec<u8>> = None;
        for key in &read.found {
            if behind.as_ref().is_some_and(|behind| key < behind) {
                continue;
            }
            let (name, next) = name(&base, key)?;
            behind = Some(next);
            // Out of the grammar: another's.
            if matches!(name.as_str(), "" | "/") {
                continue;
            }
            if names.len() == limit {
                return Ok(Page { names, more: true });
            }
            names.push(name);
        }
        let Some(next) = behind.filter(|_| read.more) else { return Ok(Page { names, more: false }) };
        if names.len() == limit {
            break;
        }
        from = next;
        // Where most keys were skipped, fewer do; where names stand close, more.
        wanted = if (names.len() - before) * 4 < read.found.len() { (wanted / 4).max(LEAST) } else { (wanted * 2).min(MOST) };
    }
    Ok(Page { names, more: true })
}

/// The first key that may give a name after this text, which need not be one.
fn start(base: &[u8], after: &str) -> Vec<u8> {
    match after.split_inclusive('/').next() {
        None => base.to_vec(),
        // Whatever follows the slash: of that folder there is the one name, which sorts before.
        Some(folder) if folder.ends_with('/') => layout::behind(&[base, folder.as_bytes()].concat()),
        Some(leaf) => layout::next(&[base, leaf.as_bytes()].concat()),
    }
}

/// The name that a key gives, and the first key that may give another.
fn name(base: &[u8], key: &[u8]) -> Result<(String, Vec<u8>)> {
    let rest = key.strip_prefix(base).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte == b'/').map_or(rest.len(), |slash| slash + 1);
    let name = rest.get(..length).unwrap_or_default();
    let whole = [base, name].concat();
    let next = if name.ends_with(b"/") { layout::behind(&whole) } else { layout::next(&whole) };
    match String::from_utf8(name.to_vec()) {
        Ok(name) => Ok((name, next)),
        Err(_) => Err(Error::Corrupt("below the prefix is a key that is not UTF-8".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// A store in memory, and how many keys were read of it.
    #[derive(Default)]
    struct Store {
        keys: BTreeSet<Vec<u8>>,
        read: Cell<usize>,
        reads: Cell<usize>,
    }

    impl Store {
        fn of<T: AsRef<str>>(keys: impl IntoIterator<Item = T>) -> Store {
            Store { keys: keys.into_iter().map(|key| layout::entry(key.as_ref())).collect(), ..Store::default() }
        }

        fn page(&self, folder: &str, after: &str, limit: u32) -> Page {
            page(folder, after, limit, |from, to, limit| {
                let mut found: Vec<Vec<u8>> = self.keys.range(from.to_vec()..to.to_vec()).take(limit + 1).cloned().collect();
                let more = found.len() > limit;
                found.truncate(limit);
                self.read.set(self.read.get() + found.len());
                self.reads.set(self.reads.get() + 1);
                Ok(Found { found, more })
            })
            .unwrap()
        }

        fn all(&self, folder: &str, limit: u32) -> Vec<String> {
            let mut names: Vec<String> = Vec::new();
            loop {
                let page = self.page(folder, names.last().map_or("", String::as_str), limit);
                assert!(page.names.len() <= limit as usize && !(page.more && page.names.is_empty()));
                names.extend(page.names);
                if !page.more {
                    return names;
                }
            }
        }
    }

    #[test]
    fn names_sort_with_the_slash_and_fill_pages() {
        let store = Store::of(["foo", "foo/x", "foo-1", "foo0", "Foo", "_foo", "fo", "é", "z", "foo.1/y"]);
        let sorted = ["Foo", "_foo", "fo", "foo", "foo-1", "foo.1/", "foo/", "foo0", "z", "é"];
        for limit in 1..=12 {
            assert_eq!(store.all("", limit), sorted, "{limit}");
        }
        assert_eq!(store.page("", "foo/", 2).names, ["foo0", "z"]);
        assert_eq!(store.page("", "foo-", 2).names, ["foo-1", "foo.1/"]);
        assert!(store.page("fo/", "", 2).names.is_empty() && !store.page("fo/", "", 2).more);
        // What was asked for is there, and nothing more: known without another page.
        assert!(!store.page("", "", 10).more && store.page("", "", 9).more);
    }

    #[test]
    fn large_folders_are_skipped() {
        let mut keys: Vec<String> = (0..50_000).map(|number| format!("logical/{number:05}/x")).collect();
        keys.extend(["core/a", "sys/b", "zzz"].map(str::to_owned));
        let store = Store::of(keys);
        assert_eq!(store.all("", 1000), ["core/", "logical/", "sys/", "zzz"]);
        assert!(store.read.get() < 3_000, "{} keys were read", store.read.get());
        store.read.set(0);
        assert_eq!(store.all("logical/", 1000).len(), 50_000);
        // Leaves below each folder: two keys at the most are read for a name.
        assert!(store.read.get() < 110_000, "{} keys were read", store.read.get());
    }

    #[test]
    fn a_page_ends_although_every_folder_is_large() {
        let keys = (0..300).flat_map(|folder| (0..200).map(move |leaf| format!("{folder:03}/{leaf:03}")));
        let store = Store::of(keys);
        assert_eq!(store.all("", 1000).len(), 300);
        let page = store.page("", "", 1000);
        assert!(page.more && !page.names.is_empty());
        assert!(store.read.get() < 300 * 200, "{} keys were read", store.read.get());
    }

    proptest! {
        #[test]
        fn a_listing_is_what_the_keys_say(
            keys in proptest::collection::vec("[ab-](/?[ab0.]){0,4}", 0..60),
            folder in "([ab-](/?[ab0.]){0,2}/)?",
            after in "[ab0./-]{0,4}",
            limit in 1..8_u32,
        ) {
            let store = Store::of(&keys);
            let names: BTreeMap<&str, ()> = keys.iter()
                .filter_map(|key| key.strip_prefix(folder.as_str()))
                .map(|rest| (rest.split_inclusive('/').next().unwrap_or(rest), ()))
                .filter(|(name, ())| !name.is_empty())
                .collect();
            let expected: Vec<&str> = names.keys().copied().collect();
            prop_assert_eq!(store.all(&folder, limit), expected.clone());
            let expected: Vec<&str> = expected.into_iter().filter(|name| *name > after.as_str()).take(limit as usize).collect();
            prop_assert_eq!(store.page(&folder, &after, limit).names, expected);
        }
    }
}
