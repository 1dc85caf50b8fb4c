//! Entries in any order, given back in the order of their keys: laid aside in sorted runs, which are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::frame::{self, Fault};

/// How much is held in memory before it is laid aside.
const RUN: usize = 32 << 20;
/// What all runs together are read through.
const BUFFERS: usize = 32 << 20;

/// Entries laid aside. Of a key that is put more than once the last counts.
pub(crate) struct Sorter {
    /// A file without a name.
    file: File,
    runs: Vec<Range<u64>>,
    end: u64,
    /// Keys, and entries with their lengths, of the run to come.
    pending: Vec<(String, Vec<u8>)>,
    bytes: usize,
    limit: usize,
}

impl Sorter {
    pub(crate) fn new(file: File) -> Sorter {
        Sorter { file, runs: Vec::new(), end: 0, pending: Vec::new(), bytes: 0, limit: RUN }
    }

    /// With runs of this length.
    #[cfg(test)]
    pub(crate) fn limited(self, limit: usize) -> Sorter {
        Sorter { limit, ..self }
    }

    pub(crate) fn put(&mut self, key: &str, framed: Vec<u8>) -> io::Result<()> {
        self.bytes += framed.len() + key.len();
        self.pending.push((key.to_owned(), framed));
        if self.bytes >= self.limit { self.flush() } else { Ok(()) }
    }

    /// Ends the run.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        // What was put last comes first, and stays.
        pending.reverse();
        pending.sort_by(|(one, _), (other, _)| one.cmp(other));
        pending.dedup_by(|(next, _), (before, _)| next == before);
        let begin = self.end;
        for (_, framed) in pending {
            (&self.file).write_all(&framed)?;
            self.end += u64::try_from(framed.len()).unwrap_or(0);
        }
        if self.end > begin {
            self.runs.push(begin..self.end);
        }
        Ok(())
    }

    /// Hands each entry with its length to `give`, in the order of the keys. Nothing may be pending.
    pub(crate) fn each(&self, mut give: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let buffer = (BUFFERS / self.runs.len().max(1)).clamp(1 << 12, 1 << 18);
        let runs = self.runs.iter().map(|range| BufReader::with_capacity(buffer, Run { file: &self.file, range: range.clone() }));
        let mut runs: Vec<_> = runs.collect();
        // The smallest key first; of equal ones that of the latest run.
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            if let Some((key, value)) = next(run)? {
                heads.push(Reverse((key, Reverse(number), value)));
            }
        }
        let mut last: Option<String> = None;
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((key, Reverse(number), value)) = &mut *head;
            if last.as_ref() != Some(key) {
                give(&frame::encode(key, std::mem::take(value)).unwrap_or_default())?;
                last = Some(std::mem::take(key));
            }
            let following = match runs.get_mut(*number) {
                Some(run) => next(run)?,
                None => None,
            };
            match following {
                Some(following) => (*key, *value) = following,
                None => drop(PeekMut::pop(head)),
            }
        }
        Ok(())
    }
}

fn next(run: &mut impl io::BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    match frame::next(run) {
        Ok(entry) => Ok(entry.map(|(entry, _)| entry)),
        Err(Fault::Read(error)) => Err(error),
        Err(Fault::Wrong(reason)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("what was laid aside was changed: {reason}"))),
    }
}

/// A part of the file.
struct Run<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for Run<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let most = left.min(into.len());
        let read = self.file.read_at(into.get_mut(..most).unwrap_or_default(), self.range.start)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn entries_come_in_order_and_the_last_of_each_key_counts(
            puts in vec(("[a-c/]{1,3}", vec(any::<u8>(), 0..9)), 0..200),
            limit in 1_usize..200,
        ) {
            let mut sorter = Sorter::new(tempfile::tempfile().unwrap()).limited(limit);
            for (key, value) in &puts {
                sorter.put(key, frame::encode(key, value.clone()).unwrap()).unwrap();
            }
            sorter.flush().unwrap();
            let expected: BTreeMap<String, Vec<u8>> = puts.into_iter().collect();
            for _ in 0..2 {
                let mut state = Vec::new();
                sorter.each(|framed| { state.extend_from_slice(framed); Ok(()) }).unwrap();
                let mut state = state.as_slice();
                let found: Vec<_> = std::iter::from_fn(|| next(&mut state).unwrap()).collect();
                prop_assert_eq!(found, expected.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
