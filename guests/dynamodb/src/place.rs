//! Where an entry lies in the table: Vault's layout, which has no escapes.
//!
//! The key `a/b/c` is the item with `Path` = `a/b` and `Key` = `c`; a key without a slash has one space as its `Path`, since a key attribute cannot be
//! empty. Each folder has a mark: `a/b/` is `Path` = `a`, `Key` = `b/`, without a value. The lock of a key is the item beside it with an underscore before
//! its name. A partition is a folder, and the order of its `Key`s is that of their bytes, so a folder's listing is one range of the table.
//!
//! The rule: no two keys share an item. So a key whose first segment is a single space is refused: its folder would be the root.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use cofferdam_guest::{Error, Excess, Part, Result};

/// The attribute with the partition key.
pub(crate) const PATH: &str = "Path";
/// The attribute with the sort key.
pub(crate) const KEY: &str = "Key";

/// How the layout writes the root.
pub(crate) const ROOT: &str = " ";

/// The most bytes that DynamoDB takes as a partition key.
pub(crate) const PATH_LIMIT: usize = 2_048;
/// The most bytes that DynamoDB takes as a sort key.
pub(crate) const NAME_LIMIT: usize = 1_024;

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// `Path`.
    pub(crate) path: String,
    /// `Key`.
    pub(crate) name: String,
}

/// Splits off the last segment; what is above the first one is the root.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or((ROOT, key))
}

impl Place {
    /// Where the entry of a key lies.
    pub(crate) fn of_key(key: &str) -> Result<Place> {
        let (path, name) = split(key);
        if name.len() > NAME_LIMIT {
            return Err(Error::TooLarge(Excess { what: Part::Segment, size: name.len() as u64, limit: NAME_LIMIT as u64 }));
        }
        check(key)?;
        Ok(Place { path: path.to_owned(), name: name.to_owned() })
    }

    /// Where the lock of a key lies.
    pub(crate) fn of_lock(key: &str) -> Result<Place> {
        let (path, name) = split(key);
        check(key)?;
        if name.len() + 1 > NAME_LIMIT {
            return Err(Error::TooLarge(Excess { what: Part::Segment, size: name.len() as u64, limit: NAME_LIMIT as u64 - 1 }));
        }
        Ok(Place { path: path.to_owned(), name: format!("_{name}") })
    }

    /// Where the mark of a folder lies. The folder ends with a slash and is within the limits: a key below it was.
    pub(crate) fn of_mark(folder: &str) -> Place {
        let (path, name) = split(folder.strip_suffix('/').unwrap_or(folder));
        Place { path: path.to_owned(), name: format!("{name}/") }
    }

    /// The place that an item or a key of DynamoDB's names.
    pub(crate) fn of_item(item: &HashMap<String, AttributeValue>) -> Option<Place> {
        match (item.get(PATH)?, item.get(KEY)?) {
            (AttributeValue::S(path), AttributeValue::S(name)) => Some(Place { path: path.clone(), name: name.clone() }),
            _ => None,
        }
    }

    /// The primary key as DynamoDB wants it.
    pub(crate) fn attributes(self) -> HashMap<String, AttributeValue> {
        let mut attributes = HashMap::with_capacity(3);
        attributes.insert(PATH.to_owned(), AttributeValue::S(self.path));
        attributes.insert(KEY.to_owned(), AttributeValue::S(self.name));
        attributes
    }

    /// The key of the entry that lies here. What another server stored out of the grammar keeps every character.
    pub(crate) fn key(&self) -> String {
        match self.path.as_str() {
            ROOT => self.name.clone(),
            path if path.ends_with('/') => format!("{path}{}", self.name),
            path => format!("{path}/{}", self.name),
        }
    }

    /// Whether this is the mark of a folder.
    pub(crate) fn is_mark(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether a lock may lie here.
    pub(crate) fn may_be_lock(&self) -> bool {
        self.name.starts_with('_')
    }
}

/// Whether the table can hold the key and the marks of its folders.
fn check(key: &str) -> Result<()> {
    let Some((folder, _)) = key.rsplit_once('/') else { return Ok(()) };
    if is_hidden(folder) {
        return Err(Error::InvalidKey(format!(
            "key {key:?}: its first segment is a single space, which the layout keeps for the root; use another name"
        )));
    }
    if folder.len() > PATH_LIMIT {
        return Err(Error::InvalidKey(format!(
            "the folder of the key has {} bytes; DynamoDB takes at most {PATH_LIMIT} as the partition key",
            folder.len()
        )));
    }
    match folder.split('/').map(str::len).max() {
        Some(longest) if longest >= NAME_LIMIT => Err(Error::InvalidKey(format!(
            "a folder in the key has a name of {longest} bytes; DynamoDB takes at most {NAME_LIMIT} as the sort key, of which one is the slash of the folder's mark"
        ))),
        _ => Ok(()),
    }
}

fn is_hidden(folder: &str) -> bool {
    folder == ROOT || folder.starts_with(" /")
}

/// The partition with what is directly below the folder; none if no key can have that folder.
pub(crate) fn partition(folder: &str) -> Option<&str> {
    match folder.strip_suffix('/').unwrap_or(folder) {
        "" => Some(ROOT),
        path if is_hidden(path) || path.len() > PATH_LIMIT => None,
        path => Some(path),
    }
}

/// The folders of a key from the root's child down: `a/b/c` gives `a/`, `a/b/`.
pub(crate) fn folders(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').filter_map(|(at, _)| key.get(..=at))
}

/// Whether a name read from the partition can stand in a listing: no key has the others, and the host takes none of them from a guest.
pub(crate) fn is_listed(partition: &str, name: &str) -> bool {
    let segment = name.strip_suffix('/').unwrap_or(name);
    let hidden = partition == ROOT && name == " /";
    !(hidden || segment.is_empty() || segment.contains('/') || matches!(segment, "." | "..") || segment.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(key: &str) -> (String, String) {
        let Place { path, name } = Place::of_key(key).unwrap();
        (path, name)
    }

    #[test]
    fn keys_lie_where_vault_puts_them() {
        assert_eq!(place("foo"), (" ".into(), "foo".into()));
        assert_eq!(place("core/mounts"), ("core".into(), "mounts".into()));
        assert_eq!(place("a/b/c"), ("a/b".into(), "c".into()));
        assert_eq!(Place::of_mark("a/"), Place { path: " ".into(), name: "a/".into() });
        assert_eq!(Place::of_mark("a/b/"), Place { path: "a".into(), name: "b/".into() });
        assert_eq!(Place::of_lock("core/lock").unwrap(), Place { path: "core".into(), name: "_lock".into() });
        assert_eq!(Place::of_lock("foo").unwrap(), Place { path: " ".into(), name: "_foo".into() });
    }

    #[test]
    fn folders_stand_from_the_root_down() {
        assert_eq!(folders("a/b/c").collect::<Vec<_>>(), ["a/", "a/b/"]);
        assert_eq!(folders("a").count(), 0);
    }

    #[test]
    fn what_dynamodb_cannot_hold_is_refused_with_size_and_limit() {
        assert!(Place::of_key(&"x".repeat(1_024)).is_ok());
        let long = Place::of_key(&"x".repeat(1_025)).unwrap_err();
        assert!(matches!(long, Error::TooLarge(Excess { what: Part::Segment, size: 1_025, limit: 1_024 })), "{long:?}");
        assert!(Place::of_key(&format!("{}/x", "f".repeat(1_023))).is_ok());
        let folder = Place::of_key(&format!("{}/x", "f".repeat(1_024))).unwrap_err();
        assert!(matches!(&folder, Error::InvalidKey(text) if text.contains("1024 bytes")), "{folder:?}");
        let two = |length: usize| format!("{}/{}/x", "f".repeat(1_000), "g".repeat(length - 1_001));
        assert!(Place::of_key(&two(2_000)).is_ok());
        let deep = format!("{}/{}/{}/x", "f".repeat(700), "g".repeat(700), "h".repeat(647));
        let deep = Place::of_key(&deep).unwrap_err();
        assert!(matches!(&deep, Error::InvalidKey(text) if text.contains("2049 bytes") && text.contains("2048")), "{deep:?}");
    }

    #[test]
    fn a_first_segment_that_is_the_root_is_refused() {
        for key in [" /x", " /x/y"] {
            assert!(matches!(Place::of_key(key), Err(Error::InvalidKey(_))), "{key:?}");
            assert!(matches!(Place::of_lock(key), Err(Error::InvalidKey(_))), "{key:?}");
        }
        for key in [" ", "x/ /y", "  /x"] {
            assert_eq!(Place::of_key(key).unwrap().key(), key);
        }
        assert_eq!(partition(" /"), None);
        assert_eq!(partition(""), Some(" "));
        assert!(!is_listed(ROOT, " /"));
        assert!(is_listed("x", " /"));
    }

    #[test]
    fn keys_out_of_the_grammar_stay_as_they_stand() {
        let at = |path: &str, name: &str| Place { path: path.into(), name: name.into() }.key();
        assert_eq!(at("/", "a"), "/a");
        assert_eq!(at("a\nb", "c"), "a\nb/c");
        assert_eq!(at("/x", "y"), "/x/y");
    }

    fn segment() -> impl Strategy<Value = String> {
        "[ -.0-~äöü€]{1,12}".prop_filter("no key", |segment| segment != "." && segment != "..")
    }

    fn key() -> impl Strategy<Value = String> {
        prop::collection::vec(segment(), 1..6)
            .prop_map(|segments| segments.join("/"))
            .prop_filter("refused", |key| Place::of_key(key).is_ok())
    }

    proptest! {
        #[test]
        fn a_key_comes_back_from_its_item(key in key()) {
            let place = Place::of_key(&key).unwrap();
            prop_assert_eq!(place.key(), key);
            let item = place.clone().attributes();
            prop_assert_eq!(Place::of_item(&item), Some(place));
        }

        #[test]
        fn no_two_keys_and_no_marks_share_an_item(a in key(), b in key()) {
            let (at_a, at_b) = (Place::of_key(&a).unwrap(), Place::of_key(&b).unwrap());
            prop_assert_eq!(at_a == at_b, a == b);
            for folder in folders(&b) {
                prop_assert_ne!(&Place::of_mark(folder), &at_a);
                for other in folders(&a) {
                    prop_assert_eq!(Place::of_mark(other) == Place::of_mark(folder), other == folder);
                }
            }
        }

        #[test]
        fn each_folder_lies_in_the_listing_of_the_one_above(key in key()) {
            let mut above = String::new();
            for folder in folders(&key) {
                let mark = Place::of_mark(folder);
                prop_assert_eq!(Some(mark.path.as_str()), partition(&above));
                prop_assert_eq!(format!("{above}{}", mark.name), folder);
                above = folder.to_owned();
            }
            let leaf = Place::of_key(&key).unwrap();
            prop_assert_eq!(partition(&above), Some(leaf.path.as_str()));
        }
    }
}
