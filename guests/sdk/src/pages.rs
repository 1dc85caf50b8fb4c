//! Pages of what a guest can look at as a whole, and errors of files: what every backend over keys in memory or files of its own would write again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Bound;

use crate::storage::{Entry, Page, ScanPage};
use crate::{Error, Result};

/// Bytes of keys and values after which a page of a scan ends.
const FULL: usize = 4 << 20;

impl Page {
    /// The answer to `list-page` from all keys, or from those below the folder, in any order.
    pub fn of_keys<'a>(keys: impl IntoIterator<Item = &'a str>, folder: &str, after: &str, limit: u32) -> Page {
        let below = keys.into_iter().filter_map(|key| key.strip_prefix(folder)?.split_inclusive('/').next());
        let mut names: BTreeSet<&str> = below.filter(|name| *name > after).collect();
        let mut page = Vec::new();
        while page.len() < usize::try_from(limit).unwrap_or(usize::MAX)
            && let Some(name) = names.pop_first()
        {
            page.push(name.to_owned());
        }
        Page { names: page, more: !names.is_empty() }
    }
}

impl ScanPage {
    /// The answer to `scan` from all entries. They are in the first segment, as they may be without `parallel-scan`; a page stays below 4 MiB, unless its first entry alone is
    /// larger. The cursor is the last key of a page, so that it stays good whatever is written meanwhile.
    pub fn of_entries(entries: &BTreeMap<String, Vec<u8>>, segment: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        if segment > 0 {
            return Ok(ScanPage { entries: Vec::new(), cursor: None });
        }
        let after = String::from_utf8(cursor.unwrap_or_default()).map_err(|_| Error::Corrupt("the cursor is none of ours".to_owned()))?;
        let (mut page, mut size) = (Vec::new(), 0);
        for (key, value) in entries.range::<str, _>((Bound::Excluded(after.as_str()), Bound::Unbounded)) {
            size += key.len() + value.len();
            let full = page.len() >= usize::try_from(limit).unwrap_or(usize::MAX) || size > FULL;
            if let Some(Entry { key, .. }) = page.last().filter(|_| full) {
                return Ok(ScanPage { cursor: Some(key.clone().into_bytes()), entries: page });
            }
            page.push(Entry { key: key.clone(), value: value.clone() });
        }
        Ok(ScanPage { entries: page, cursor: None })
    }
}

/// What an error of `std::fs` says to the host: what lacks a permission or room does not pass by itself.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Denied(error.to_string()),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Exhausted(error.to_string()),
            _ => Error::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_paged() {
        let keys = ["goo/a", "foo/b/d", "foo/b/c", "foo", "foo-1", "foo/a"];
        let page = |folder, after, limit| Page::of_keys(keys, folder, after, limit);
        assert_eq!(page("", "", 9).names, ["foo", "foo-1", "foo/", "goo/"]);
        assert_eq!(page("foo/", "", 9).names, ["a", "b/"]);
        assert_eq!(page("", "foo", 1).names, ["foo-1"]);
        assert!(page("", "foo", 1).more && !page("", "foo", 3).more);
        assert!(page("fo/", "", 9).names.is_empty() && !page("fo/", "", 9).more);
    }

    #[test]
    fn a_scan_has_each_entry_once_and_ends() {
        let half = vec![0; FULL / 2];
        let entries: BTreeMap<String, Vec<u8>> =
            [("a", vec![]), ("b/c", vec![0; FULL + 1]), ("d", half.clone()), ("e", half), ("f", vec![1])]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        for (limit, sizes) in [(9, vec![1, 1, 1, 2]), (1, vec![1; 5])] {
            let (mut seen, mut pages, mut cursor) = (Vec::new(), Vec::new(), None);
            loop {
                let page = ScanPage::of_entries(&entries, 0, cursor, limit).unwrap();
                pages.push(page.entries.len());
                seen.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
                cursor = page.cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!((seen, pages), (entries.clone().into_iter().collect(), sizes));
        }
        assert!(ScanPage::of_entries(&entries, 1, None, 9).unwrap().entries.is_empty());
        assert!(matches!(ScanPage::of_entries(&entries, 0, Some(vec![255]), 9), Err(Error::Corrupt(_))));
    }
}
