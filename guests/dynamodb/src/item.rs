//! What is in an item beside its key, as Vault writes it.
//!
//! `Value` is a binary; an empty value is a null, and marks have that, too. Releases of before 2016 marshalled differently: a text in base64. A lock has `Identity` and
//! `Expires` as well. The rule: whatever Vault ever wrote is read; anything else is `corrupt`, never a guess.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use cofferdam_guest::lock::Held;
use cofferdam_guest::{Error, Excess, Part, Result};

use crate::place::{KEY, PATH, Place};

/// The attribute with the value.
pub(crate) const VALUE: &str = "Value";
/// The attribute that says who holds a lock.
pub(crate) const IDENTITY: &str = "Identity";
/// The attribute that says until when.
pub(crate) const EXPIRES: &str = "Expires";

/// The largest item, names of attributes included.
pub(crate) const ITEM_LIMIT: usize = 400 << 10;

/// What the names of the three attributes of an entry take.
const NAMES: usize = PATH.len() + KEY.len() + VALUE.len();

/// The largest value: that of the shortest key, in the root.
pub(crate) const VALUE_LIMIT: usize = ITEM_LIMIT - NAMES - 2;

/// An item of the table.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Refuses a value that makes the item too large.
pub(crate) fn check_size(place: &Place, value: &[u8]) -> Result<()> {
    let limit = ITEM_LIMIT - NAMES - place.path.len() - place.name.len();
    if value.len() > limit {
        return Err(Error::TooLarge(Excess { what: Part::Value, size: value.len() as u64, limit: limit as u64 }));
    }
    Ok(())
}

/// A value as an attribute.
pub(crate) fn attribute(value: Vec<u8>) -> AttributeValue {
    if value.is_empty() { AttributeValue::Null(true) } else { AttributeValue::B(Blob::new(value)) }
}

/// The item of an entry.
pub(crate) fn entry(place: Place, value: Vec<u8>) -> Item {
    let mut item = place.attributes();
    item.insert(VALUE.to_owned(), attribute(value));
    item
}

/// The item of a folder's mark.
pub(crate) fn mark(place: Place) -> Item {
    entry(place, Vec::new())
}

/// Whether the item at that place is a lock. A leaf may have such a name as well, so the name alone says nothing.
pub(crate) fn is_lock(place: &Place, item: &Item) -> bool {
    place.may_be_lock() && (item.contains_key(IDENTITY) || item.contains_key(EXPIRES))
}

/// The bytes of an attribute; empty if there is none.
fn bytes(item: &mut Item, name: &str, place: &Place) -> Result<Vec<u8>> {
    match item.remove(name) {
        None | Some(AttributeValue::Null(_)) => Ok(Vec::new()),
        Some(AttributeValue::B(value)) => Ok(value.into_inner()),
        Some(AttributeValue::S(text)) => aws_smithy_types::base64::decode(&text).map_err(|_| {
            Error::Corrupt(format!("the item of {:?} has a text that is no base64 as {name}; expected is a binary", place.key()))
        }),
        Some(_) => Err(Error::Corrupt(format!("the item of {:?} has neither binary nor null as {name}", place.key()))),
    }
}

/// The value of an entry.
pub(crate) fn value(item: &mut Item, place: &Place) -> Result<Vec<u8>> {
    bytes(item, VALUE, place)
}

/// The lock that is in an item. One of Vault's early releases has no identity.
pub(crate) fn held(item: &mut Item, place: &Place) -> Result<Held> {
    let value = bytes(item, VALUE, place)?;
    let identity = String::from_utf8(bytes(item, IDENTITY, place)?)
        .map_err(|_| Error::Corrupt(format!("the lock {:?} has an {IDENTITY} that is no text", place.key())))?;
    let expires = match item.remove(EXPIRES) {
        None => 0,
        Some(AttributeValue::N(number)) => number.parse().map_err(|_| {
            Error::Corrupt(format!("the lock {:?} has {number:?} as {EXPIRES}; expected are nanoseconds since 1970", place.key()))
        })?,
        Some(_) => return Err(Error::Corrupt(format!("the lock {:?} has an {EXPIRES} that is no number", place.key()))),
    };
    Ok(Held { value, identity, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, name: &str) -> Place {
        Place { path: path.into(), name: name.into() }
    }

    fn item_with(value: Option<AttributeValue>) -> Item {
        value.into_iter().map(|value| (VALUE.to_owned(), value)).collect()
    }

    #[test]
    fn every_value_that_vault_ever_wrote_is_read() {
        let at = place("a", "b");
        let read = |value| value_of(value, &at).unwrap();
        assert_eq!(read(None), b"");
        assert_eq!(read(Some(AttributeValue::Null(true))), b"");
        assert_eq!(read(Some(AttributeValue::B(Blob::new(*b"\0\xff")))), b"\0\xff");
        assert_eq!(read(Some(AttributeValue::S("AP8=".into()))), b"\0\xff");
        for foreign in [AttributeValue::S("%".into()), AttributeValue::N("1".into()), AttributeValue::L(Vec::new())] {
            assert!(matches!(value_of(Some(foreign), &at), Err(Error::Corrupt(text)) if text.contains("\"a/b\"")));
        }
    }

    fn value_of(attribute: Option<AttributeValue>, place: &Place) -> Result<Vec<u8>> {
        value(&mut item_with(attribute), place)
    }

    #[test]
    fn an_empty_value_is_a_null() {
        assert_eq!(attribute(Vec::new()), AttributeValue::Null(true));
        assert_eq!(mark(place(" ", "a/")).get(VALUE), Some(&AttributeValue::Null(true)));
    }

    #[test]
    fn the_largest_value_fills_the_item() {
        let root = place(" ", "a");
        assert!(check_size(&root, &vec![0; VALUE_LIMIT]).is_ok());
        let too_large = check_size(&root, &vec![0; VALUE_LIMIT + 1]).unwrap_err();
        assert!(matches!(too_large, Error::TooLarge(Excess { what: Part::Value, size: 409_587, limit: 409_586 })), "{too_large:?}");
        let deep = check_size(&place("core", "mounts"), &vec![0; VALUE_LIMIT]).unwrap_err();
        assert!(matches!(deep, Error::TooLarge(Excess { limit: 409_578, .. })), "{deep:?}");
    }

    #[test]
    fn locks_are_told_from_leaves_by_what_they_hold() {
        let mut lock = item_with(Some(AttributeValue::B(Blob::new(*b"x"))));
        assert!(!is_lock(&place("core", "_lock"), &lock));
        lock.insert(IDENTITY.into(), AttributeValue::B(Blob::new(*b"me")));
        assert!(is_lock(&place("core", "_lock"), &lock));
        assert!(!is_lock(&place("core", "lock"), &lock));
    }

    #[test]
    fn a_lock_without_identity_is_read() {
        let at = place("core", "_lock");
        let mut item = item_with(Some(AttributeValue::B(Blob::new(*b"x"))));
        item.insert(EXPIRES.into(), AttributeValue::N("1700000000000000000".into()));
        let old = held(&mut item.clone(), &at).unwrap();
        assert_eq!((old.value.as_slice(), old.identity.as_str(), old.expires), (b"x".as_slice(), "", 1_700_000_000_000_000_000));
        item.insert(EXPIRES.into(), AttributeValue::N("-1".into()));
        assert!(matches!(held(&mut item, &at), Err(Error::Corrupt(text)) if text.contains("\"-1\"")));
    }
}
