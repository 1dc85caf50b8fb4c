//! Where things lie in etcd, below the prefix:
//!
//! - `e/KEY` is an entry, its value as it is;
//! - `l/KEY`, a zero byte, and `identity`, `expires` or `value` are the parts of a lock. No key holds a zero byte, so that no two locks meet.
//!
//! A folder is the run of keys that begin with its name.

use crate::options::prefix;

/// The key of an entry; of a folder, what its entries begin with.
pub(crate) fn entry(key: &str) -> Vec<u8> {
    format!("{}e/{key}", prefix()).into_bytes()
}

/// The part of a lock: `identity`, `expires` or `value`.
pub(crate) fn lock_part(key: &str, part: &str) -> Vec<u8> {
    format!("{}l/{key}\0{part}", prefix()).into_bytes()
}

/// All parts of a lock, as a range.
pub(crate) fn lock(key: &str) -> (Vec<u8>, Vec<u8>) {
    (lock_part(key, ""), format!("{}l/{key}\u{1}", prefix()).into_bytes())
}

/// The first key behind all that begin with this.
pub(crate) fn behind(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // etcd's word for no end.
    vec![0]
}

/// The first key after this one.
pub(crate) fn next(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_they_should() {
        assert_eq!(behind(b"a/"), b"a0");
        assert_eq!(behind(b"a\xff"), b"b");
        assert_eq!(behind(b"\xff"), b"\0");
        assert_eq!(next(b"a"), b"a\0");
        let (from, to) = lock("core/lock");
        for part in ["identity", "expires", "value"] {
            let key = lock_part("core/lock", part);
            assert!(from < key && key < to);
        }
        assert!(lock_part("core/lock2", "value") > to && lock_part("core/lock/x", "value") > to);
    }
}
