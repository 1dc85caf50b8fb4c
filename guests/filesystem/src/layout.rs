//! Where an entry lies: the key `a/b/c` in the file `a/b/_c`.
//!
//! Only the last segment gets the underscore; folders are directories of their own name. So the leaf `foo` (file `_foo`) and the folder `foo/`
//! (directory `foo`) exist side by side. The leaf `foo` and the folder `_foo/` do not: the layout gives both the name `_foo`.

use cofferdam_guest::{Error, Result};

/// The directory at the root that is ours and holds no entries: temporary files, and the host's lock.
pub(crate) const RESERVED: &str = ".cofferdam";

/// The place of one key.
pub(crate) struct Place {
    path: String,
    /// Where in `path` each folder ends, from the root down.
    ends: Vec<usize>,
}

impl Place {
    /// The place of a key within the grammar. Refuses one in the reserved directory.
    pub(crate) fn of(key: &str) -> Result<Place> {
        let mut path = String::with_capacity(key.len() + 1);
        let mut ends = Vec::new();
        let mut rest = key;
        while let Some((segment, below)) = rest.split_once('/') {
            path.push_str(segment);
            ends.push(path.len());
            path.push('/');
            rest = below;
        }
        path.push('_');
        path.push_str(rest);
        let place = Place { path, ends };
        if place.folder(1) == Some(RESERVED) {
            return Err(Error::InvalidKey(format!("key {key:?}: the folder {RESERVED:?} is kept for the backend's own files")));
        }
        Ok(place)
    }

    /// The place of an entry whose file lies at this path, whatever its key.
    pub(crate) fn at(path: &str) -> Place {
        Place { path: path.to_owned(), ends: path.match_indices('/').map(|(at, _)| at).collect() }
    }

    /// The path of the entry's file, relative to the root.
    pub(crate) fn file(&self) -> &str {
        &self.path
    }

    /// The name of the entry's file in its directory.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }

    /// How many folders the key has.
    pub(crate) fn depth(&self) -> usize {
        self.ends.len()
    }

    /// The path of the directory of the first `depth` folders, relative to the root; none for the root itself.
    pub(crate) fn folder(&self, depth: usize) -> Option<&str> {
        let end = *self.ends.get(depth.checked_sub(1)?)?;
        self.path.get(..end)
    }

    /// The key, for messages.
    pub(crate) fn key(&self) -> String {
        key_of(&self.path).unwrap_or_else(|| self.path.clone())
    }
}

/// The leaf that a file of this name holds; none for a file that is no entry.
pub(crate) fn leaf_of(name: &str) -> Option<&str> {
    name.strip_prefix('_').filter(|leaf| !leaf.is_empty())
}

/// The key whose entry lies at this path.
pub(crate) fn key_of(path: &str) -> Option<String> {
    match path.rsplit_once('/') {
        Some((folders, name)) => leaf_of(name).map(|leaf| format!("{folders}/{leaf}")),
        None => leaf_of(path).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_segment_gets_the_underscore() {
        let place = Place::of("a/b/c").unwrap();
        assert_eq!(place.file(), "a/b/_c");
        assert_eq!(
            (place.depth(), place.folder(0), place.folder(1), place.folder(2), place.folder(3)),
            (2, None, Some("a"), Some("a/b"), None)
        );
        assert_eq!(place.key(), "a/b/c");
        let place = Place::of("_c").unwrap();
        assert_eq!((place.file(), place.depth(), place.key().as_str()), ("__c", 0, "_c"));
    }

    #[test]
    fn files_without_an_underscore_hold_no_entry() {
        assert_eq!(leaf_of("_a"), Some("a"));
        assert_eq!((leaf_of("a"), leaf_of("_"), leaf_of("")), (None, None, None));
        assert_eq!(key_of("a/b/_c").as_deref(), Some("a/b/c"));
        assert_eq!(key_of("a/b"), None);
    }

    #[test]
    fn the_reserved_directory_is_no_folder_but_its_name_may_be_a_leaf() {
        for key in [".cofferdam/x", ".cofferdam/a/b"] {
            assert!(matches!(Place::of(key), Err(Error::InvalidKey(_))), "{key}");
        }
        for key in [".cofferdam", "a/.cofferdam/x", ".cofferdam2/x"] {
            assert!(Place::of(key).is_ok(), "{key}");
        }
    }
}
