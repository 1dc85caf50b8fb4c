//! A journal of changes in the granted directory: what lets a store in memory last.
//!
//! Instances share no memory and end at any time, so what one of them remembers is a copy. With a [`Journal`] the truth is a file for each change. It is written and synced under a
//! name of its own, then given the next number by a hard link: no two changes get one number, and a call that is stopped anywhere has made its
//! change whole or not at all. Nothing is ever removed from it: a fresh instance reads it from the start, so it is for small stores, stubs and tests.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::storage::{Entry, Operation};
use crate::{Error, Result};

/// Where the host shows the directory that the operator granted.
const GRANTED: &str = "/data";

/// The journal of a store, and how far this instance has read it.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    read: u64,
}

impl Default for Journal {
    /// The journal in the granted directory, of which nothing is read yet.
    fn default() -> Journal {
        Journal { directory: GRANTED.into(), read: 0 }
    }
}

impl Journal {
    /// Whether there is a directory to keep it in. For `open`.
    pub fn check(&self) -> Result<()> {
        let refused =
            |error| Error::Denied(format!("{GRANTED}: {error}; the plugin block needs a grant \"directory\" that may be written"));
        fs::read_dir(&self.directory).map(drop).map_err(refused)
    }

    /// Hands on each change that was made since this was called last, by whichever instance. Call it first in every call: for one
    /// who has seen everything it is one file that is not there.
    pub fn replay(&mut self, mut apply: impl FnMut(Operation)) -> Result<()> {
        loop {
            let change = match fs::read(self.file(self.read)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                change => decoded(&change?).ok_or_else(|| Error::Corrupt(format!("change {} of the journal", self.read)))?,
            };
            change.into_iter().for_each(&mut apply);
            self.read += 1;
        }
    }

    /// Adds a change, all of it or nothing, behind those of others. It is durable when this returns without an error; [`replay`](Journal::replay)
    /// hands it on.
    pub fn append(&self, change: &[Operation]) -> Result<()> {
        let own = self.directory.join(format!("{:016x}.new", RandomState::new().hash_one(self.read)));
        let added = self.add(&own, &encoded(change));
        // One that is left over by an end in between is no part of the journal.
        let _ = fs::remove_file(&own);
        added
    }

    fn add(&self, own: &PathBuf, change: &[u8]) -> Result<()> {
        let mut file = File::create_new(own)?;
        file.write_all(change)?;
        file.sync_all()?;
        let mut number = self.read;
        while let Err(error) = fs::hard_link(own, self.file(number)) {
            if error.kind() != ErrorKind::AlreadyExists {
                return Err(error.into());
            }
            number += 1;
        }
        Ok(File::open(&self.directory)?.sync_all()?)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:012}"))
    }
}

/// A change as bytes: for each operation a byte that says which, then key and value, each with its length before it.
fn encoded(change: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in change {
        let (is_put, key, value): (_, _, &[u8]) = match operation {
            Operation::Put(entry) => (true, &entry.key, &entry.value),
            Operation::Delete(key) => (false, key, &[]),
        };
        bytes.push(u8::from(is_put));
        for field in [key.as_bytes(), value] {
            bytes.extend((field.len() as u64).to_le_bytes());
            bytes.extend(field);
        }
    }
    bytes
}

fn decoded(mut bytes: &[u8]) -> Option<Vec<Operation>> {
    let mut change = Vec::new();
    while let Some((is_put, rest)) = bytes.split_first() {
        bytes = rest;
        let (key, value) = (String::from_utf8(field(&mut bytes)?.to_vec()).ok()?, field(&mut bytes)?.to_vec());
        change.push(if *is_put == 1 { Operation::Put(Entry { key, value }) } else { Operation::Delete(key) });
    }
    Some(change)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (field, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &[u8]) -> Operation {
        Operation::Put(Entry { key: key.to_owned(), value: value.to_vec() })
    }

    #[test]
    fn a_change_is_read_as_it_was_written_and_half_of_one_is_not() {
        let bytes = encoded(&[put("a/ä", &[0; 300]), Operation::Delete("b".to_owned()), put("c", &[])]);
        assert_eq!(encoded(&decoded(&bytes).unwrap()), bytes);
        assert!(decoded(&bytes[..bytes.len() - 1]).is_none());
        assert!(decoded(&[1, 255, 255, 255, 255, 255, 255, 255, 255]).is_none());
    }

    #[test]
    fn instances_see_each_others_changes_in_one_order() {
        let directory = std::env::temp_dir().join(format!("journal-{:016x}", RandomState::new().hash_one(0)));
        fs::create_dir(&directory).unwrap();
        let instance = || Journal { directory: directory.clone(), read: 0 };
        let read = |journal: &mut Journal| {
            let mut change = Vec::new();
            journal.replay(|operation| change.push(operation)).unwrap();
            encoded(&change)
        };
        let (mut first, mut second) = (instance(), instance());
        first.check().unwrap();
        first.append(&[put("a", b"1"), put("b", b"2")]).unwrap();
        second.append(&[put("a", b"3")]).unwrap();
        first.append(&[Operation::Delete("b".to_owned())]).unwrap();
        let all = encoded(&[put("a", b"1"), put("b", b"2"), put("a", b"3"), Operation::Delete("b".to_owned())]);
        assert_eq!((read(&mut first), read(&mut second), read(&mut instance())), (all.clone(), all.clone(), all));
        assert!(read(&mut first).is_empty());
        // What another left over by its end is no change; half of one is none of ours.
        fs::write(directory.join("0123.new"), "x").unwrap();
        assert!(read(&mut second).is_empty());
        fs::write(directory.join("000000000003"), "x").unwrap();
        assert!(matches!(second.replay(drop), Err(Error::Corrupt(_))));
        fs::remove_dir_all(&directory).unwrap();
        assert!(matches!(instance().check(), Err(Error::Denied(_))));
    }
}
