//! Reads: one key, a page of a listing, a page of a scan. All are consistent reads.

use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::types::AttributeValue;
use cofferdam_guest::storage::{Entry, Page, ScanPage};
use cofferdam_guest::{Error, Result};

use crate::item::{self, EXPIRES, IDENTITY, Item};
use crate::place::{KEY, NAME_LIMIT, PATH, Place, is_listed, partition};
use crate::store::Store;

/// The most names on a page of a listing, whatever the caller asked for.
const PAGE_NAMES: u32 = 4_096;

/// The most entries on a page of a scan. The service ends a page at 1 MiB anyhow.
const PAGE_ENTRIES: u32 = 1_000;

/// How many items a look into a folder reads once the first was a lock.
const LOOK: i32 = 64;

impl Store {
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let place = Place::of_key(key)?;
        let request = GetItemInput::builder().table_name(self.table()).set_key(Some(place.clone().attributes())).consistent_read(true);
        match self.run(request.build())?.item {
            Some(item) if item::is_lock(&place, &item) => Ok(None),
            Some(mut item) => item::value(&mut item, &place).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn list_page(&self, folder: &str, after: &str, limit: u32) -> Result<Page> {
        let Some(path) = partition(folder) else { return Ok(Page { names: Vec::new(), more: false }) };
        let limit = i32::try_from(limit.clamp(1, PAGE_NAMES)).unwrap_or(i32::MAX);
        // A sort key is never longer, and no longer text can be sent: what sorts after its beginning and not after it is dropped below.
        let mut from = after.get(..after.floor_char_boundary(NAME_LIMIT)).unwrap_or_default().to_owned();
        loop {
            let found = self.query(path, &from, limit)?;
            let next = found.last_evaluated_key.and_then(name_of);
            let names: Vec<_> = found
                .items
                .unwrap_or_default()
                .into_iter()
                .filter_map(name_of)
                .filter(|(name, lock)| !lock && name.as_str() > after && is_listed(path, name))
                .map(|(name, _)| name)
                .collect();
            match next {
                // A whole page of locks: the caller could not go on from an empty one.
                Some((next, _)) if names.is_empty() => from = next,
                next => return Ok(Page { names, more: next.is_some() }),
            }
        }
    }

    /// Whether neither an entry nor a folder is in the folder. Locks do not count.
    pub(crate) fn is_empty(&self, path: &str) -> Result<bool> {
        let mut from = String::new();
        let mut limit = 1;
        loop {
            let found = self.query(path, &from, limit)?;
            if found.items.unwrap_or_default().into_iter().filter_map(name_of).any(|(_, lock)| !lock) {
                return Ok(false);
            }
            match found.last_evaluated_key.and_then(name_of) {
                Some((next, _)) => from = next,
                None => return Ok(true),
            }
            limit = LOOK;
        }
    }

    /// The names in a partition that sort after `from`, and what tells a lock.
    fn query(&self, path: &str, from: &str, limit: i32) -> Result<QueryOutput> {
        let mut request = QueryInput::builder()
            .table_name(self.table())
            .consistent_read(true)
            .projection_expression("#k, #i, #e")
            .expression_attribute_names("#p", PATH)
            .expression_attribute_names("#k", KEY)
            .expression_attribute_names("#i", IDENTITY)
            .expression_attribute_names("#e", EXPIRES)
            .expression_attribute_values(":p", AttributeValue::S(path.to_owned()))
            .limit(limit);
        request = if from.is_empty() {
            request.key_condition_expression("#p = :p")
        } else {
            let from = AttributeValue::S(from.to_owned());
            request.key_condition_expression("#p = :p AND #k > :a").expression_attribute_values(":a", from)
        };
        self.run(request.build())
    }

    pub(crate) fn scan(&self, segment: u32, segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        let number = |number: u32| i32::try_from(number).map_err(|_| Error::Unsupported(format!("a scan in {segments} segments")));
        let mut request = ScanInput::builder()
            .table_name(self.table())
            .consistent_read(true)
            .limit(number(limit.clamp(1, PAGE_ENTRIES))?)
            .set_exclusive_start_key(cursor.map(|cursor| place_at(&cursor)).transpose()?.map(Place::attributes));
        if segments > 1 {
            request = request.segment(number(segment)?).total_segments(number(segments)?);
        }
        let found = self.run(request.build())?;
        let cursor = match found.last_evaluated_key {
            None => None,
            Some(key) => Some(cursor_of(&Place::of_item(&key).ok_or_else(|| foreign(&key))?)),
        };
        let mut entries = Vec::new();
        for mut item in found.items.unwrap_or_default() {
            let place = Place::of_item(&item).ok_or_else(|| foreign(&item))?;
            if !place.is_mark() && !item::is_lock(&place, &item) {
                entries.push(Entry { key: place.key(), value: item::value(&mut item, &place)? });
            }
        }
        Ok(ScanPage { entries, cursor })
    }
}

/// The name in an item of a listing, and whether it is a lock.
fn name_of(mut item: Item) -> Option<(String, bool)> {
    let lock = item.contains_key(IDENTITY) || item.contains_key(EXPIRES);
    match item.remove(KEY)? {
        AttributeValue::S(name) => {
            let lock = lock && name.starts_with('_');
            Some((name, lock))
        }
        _ => None,
    }
}

fn foreign(item: &Item) -> Error {
    Error::Corrupt(format!("an item has no texts as {PATH} and {KEY} but {:?}", item.keys()))
}

/// The cursor of a scan: where the service stopped. The length of `Path`, then both.
fn cursor_of(place: &Place) -> Vec<u8> {
    let length = u16::try_from(place.path.len()).unwrap_or(u16::MAX).to_be_bytes();
    [length.as_slice(), place.path.as_bytes(), place.name.as_bytes()].concat()
}

fn place_at(cursor: &[u8]) -> Result<Place> {
    let split = || {
        let (length, rest) = cursor.split_first_chunk::<2>()?;
        let (path, name) = std::str::from_utf8(rest).ok()?.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        (!path.is_empty() && !name.is_empty()).then(|| Place { path: path.to_owned(), name: name.to_owned() })
    };
    split().ok_or_else(|| Error::Corrupt("the cursor of the scan is not one of this backend's".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_fits_and_others_are_refused() {
        let largest = Place { path: "p".repeat(2_048), name: "n".repeat(1_024) };
        assert!(cursor_of(&largest).len() <= 4_096);
        for cursor in [b"".as_slice(), b"\0", b"\0\x05abc", b"\0\x01a", b"\0\0a", b"\0\x01\xc3\xa4", b"\0\x01\xff\xff"] {
            assert!(matches!(place_at(cursor), Err(Error::Corrupt(_))), "{cursor:?}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back(path in ".{1,40}", name in ".{1,40}") {
            let place = Place { path, name };
            prop_assert_eq!(place_at(&cursor_of(&place)).unwrap(), place);
        }
    }
}
