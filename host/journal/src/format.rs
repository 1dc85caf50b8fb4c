//! The bytes of a journal.
//!
//! A journal begins with a block: magic, generation, how long the journal before it was, an id that no other journal has, and a digest of these. Groups
//! follow, each at a multiple of a sector: length, digest, and what was written together. A group's digest covers the id and its own place, so that what an
//! earlier use of the file left is no part of it. All numbers are little-endian.

use std::collections::BTreeMap;

use bytes::Bytes;
use cofferdam_backend::{Key, Operation};
use sha2::{Digest, Sha256};

/// A journal's first block.
pub(crate) const HEADER: u64 = 4096;

/// Groups begin at multiples of what a disk writes whole: one that is cut short damages none before it.
const SECTOR: usize = 512;

const MAGIC: &[u8; 16] = b"coffer journal 1";
const DIGEST: usize = 16;
/// Length and digest of a group.
const FRAME: usize = 4 + DIGEST;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Which journal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) generation: u64,
    /// Where the last group of the journal before it ends; 0 if there was none.
    pub(crate) before: u64,
    pub(crate) id: [u8; 16],
}

impl Header {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.before.to_le_bytes());
        bytes.extend_from_slice(&self.id);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes.resize(usize::try_from(HEADER).unwrap_or(bytes.len()), 0);
        bytes
    }

    /// None if the file holds no journal: nothing was ever acknowledged by what has no whole header.
    fn read(file: &[u8]) -> Option<Header> {
        let mut rest = file;
        let magic = take(&mut rest, MAGIC.len())?;
        let generation = number(&mut rest)?;
        let before = number(&mut rest)?;
        let id = take(&mut rest, 16)?.try_into().ok()?;
        let header = Header { generation, before, id };
        (magic == MAGIC && file.starts_with(header.write().get(..16 + 16 + 16 + 32)?)).then_some(header)
    }
}

/// What is written together, as long as it is gathered.
#[derive(Debug, Default)]
pub(crate) struct Group(Vec<u8>);

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text);
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, operation: &Operation) {
        if self.0.is_empty() {
            self.0.resize(FRAME, 0);
        }
        let (kind, value) = match operation {
            Operation::Put(_, value) => (PUT, Some(value)),
            Operation::Delete(_) => (DELETE, None),
        };
        self.0.push(kind);
        text(&mut self.0, operation.key().as_str().as_bytes());
        if let Some(value) = value {
            text(&mut self.0, value);
        }
    }

    /// The bytes to be written at this place of that journal.
    pub(crate) fn seal(mut self, id: &[u8; 16], at: u64) -> Vec<u8> {
        let Some((frame, payload)) = self.0.split_at_mut_checked(FRAME) else { return self.0 };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let digest = digest(id, at, payload);
        for (to, from) in frame.iter_mut().zip(length.into_iter().chain(digest)) {
            *to = from;
        }
        self.0.resize(self.0.len().next_multiple_of(SECTOR), 0);
        self.0
    }
}

fn digest(id: &[u8; 16], at: u64, payload: &[u8]) -> [u8; DIGEST] {
    let digest = Sha256::new().chain_update(id).chain_update(at.to_le_bytes()).chain_update(payload).finalize();
    let mut short = [0; DIGEST];
    short.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    short
}

/// What a journal holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) header: Header,
    /// Where its last group ends.
    pub(crate) end: u64,
    groups: Vec<Vec<u8>>,
}

/// Reads a file. None if it holds no journal.
///
/// The last group may be cut short: nobody was told that it was written. One that is whole behind one that is not is a sign of damage, and an error.
pub(crate) fn read(file: &[u8]) -> Result<Option<Contents>, String> {
    let Some(header) = Header::read(file) else { return Ok(None) };
    let mut at = usize::try_from(HEADER).unwrap_or(0);
    let mut groups = Vec::new();
    while let Some((payload, length)) = group(file, &header.id, at) {
        groups.push(payload.to_vec());
        at += length;
    }
    let mut beyond = at + SECTOR;
    while beyond < file.len() {
        if group(file, &header.id, beyond).is_some() {
            return Err(format!("what is written at byte {at} is damaged: there is more behind it"));
        }
        beyond += SECTOR;
    }
    Ok(Some(Contents { header, end: u64::try_from(at).unwrap_or(u64::MAX), groups }))
}

/// The group at this place, and how far the next is.
fn group<'a>(file: &'a [u8], id: &[u8; 16], at: usize) -> Option<(&'a [u8], usize)> {
    let mut rest = file.get(at..)?;
    let length = usize::try_from(u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?)).ok()?;
    let sum = take(&mut rest, DIGEST)?;
    let payload = take(&mut rest, length)?;
    let whole = length > 0 && sum == digest(id, u64::try_from(at).ok()?, payload);
    whole.then(|| (payload, (FRAME + length).next_multiple_of(SECTOR)))
}

/// What has to be done again, of journals in their order: of each key the last that was written, in the order in which that was.
pub(crate) fn last_of_each(journals: &[Contents]) -> Result<Vec<Operation>, String> {
    let (mut last, mut order) = (BTreeMap::new(), 0_usize);
    for payload in journals.iter().flat_map(|journal| &journal.groups) {
        let mut rest = payload.as_slice();
        while !rest.is_empty() {
            let operation = operation(&mut rest).ok_or("a group is not made of operations")?;
            last.insert(operation.key().as_str().to_owned(), (order, operation));
            order += 1;
        }
    }
    let mut last: Vec<_> = last.into_values().collect();
    last.sort_unstable_by_key(|(order, _)| *order);
    Ok(last.into_iter().map(|(_, operation)| operation).collect())
}

fn operation(rest: &mut &[u8]) -> Option<Operation> {
    let kind = take(rest, 1)?;
    let key = length(rest).and_then(|length| take(rest, length))?;
    let key = Key::new(std::str::from_utf8(key).ok()?).ok()?;
    match kind {
        [PUT] => Some(Operation::Put(key, Bytes::copy_from_slice(length(rest).and_then(|length| take(rest, length))?))),
        [DELETE] => Some(Operation::Delete(key)),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)).ok()
}
