//! What is measured: operations on entries of some sizes, few enough that a store of any kind holds them.

use std::time::Instant;

use bytes::Bytes;
use cofferdam_backend::{Error, Folder, InvalidKey, Key, Limits, Operation, Storage};

use super::measure::Timed;
use crate::script;
use crate::store::said;
use crate::{Ended, Ground, Verdict};

/// The sizes of values, in bytes; a quick run has the first ones.
const SIZES: [usize; 3] = [64, 4 << 10, 256 << 10];
/// The entries that are read, of each size.
const READ: u32 = 16;
/// The entries of the folder that is listed and scanned.
const MANY: u32 = 200;
/// The operations of a batch.
const BATCH: u32 = 16;
/// The most entries of a page of a scan.
const PAGE: u32 = 100;

/// One kind of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Get(usize),
    Put(usize),
    Delete,
    List,
    Batch { operations: u32, bytes: usize },
    Scan,
}

/// What a backend of these limits is measured with.
pub(super) fn all(limits: &Limits, quick: bool) -> Vec<Load> {
    let sizes: Vec<usize> = SIZES.into_iter().take(if quick { 2 } else { 3 }).filter(|bytes| *bytes as u64 <= limits.value).collect();
    let mut loads: Vec<Load> = sizes.iter().map(|bytes| Load::Get(*bytes)).chain(sizes.iter().map(|bytes| Load::Put(*bytes))).collect();
    loads.extend([Load::Delete, Load::List]);
    let operations = BATCH.min(limits.batch_operations);
    loads.extend(sizes.iter().take(2).map(|bytes| Load::Batch { operations, bytes: *bytes }));
    loads.push(Load::Scan);
    loads.retain(|load| load.fits(limits));
    loads
}

fn key(text: String) -> Result<Key, InvalidKey> {
    Key::new(text)
}

fn size(bytes: usize) -> String {
    if bytes < 1_024 { format!("{bytes} B") } else { format!("{} KiB", bytes / 1_024) }
}

/// Values that no store can make smaller.
fn value(bytes: usize, seed: u32) -> Bytes {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect::<Vec<u8>>().into()
}

impl Load {
    /// Its name.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Load::Get(_) => "get",
            Load::Put(_) => "put",
            Load::Delete => "delete",
            Load::List => "list",
            Load::Batch { .. } => "batch",
            Load::Scan => "scan",
        }
    }

    /// How much there is in one operation.
    pub(super) fn size(&self) -> String {
        match self {
            Load::Get(bytes) | Load::Put(bytes) => size(*bytes),
            Load::Delete => "1 entry".to_owned(),
            Load::List => format!("{MANY} names"),
            Load::Batch { operations, bytes } => format!("{operations} × {}", size(*bytes)),
            Load::Scan => format!("{PAGE} entries"),
        }
    }

    /// The bytes that one operation writes.
    pub(super) fn written(&self) -> u64 {
        match self {
            Load::Put(bytes) => *bytes as u64,
            Load::Batch { operations, bytes } => *bytes as u64 * u64::from(*operations),
            _ => 64,
        }
    }

    /// Whether a backend of these limits takes it.
    pub(super) fn fits(&self, limits: &Limits) -> bool {
        match self {
            Load::Get(bytes) | Load::Put(bytes) => *bytes as u64 <= limits.value,
            Load::Batch { operations, bytes } => {
                *operations <= limits.batch_operations
                    && *bytes as u64 <= limits.value
                    && (*bytes as u64 + 64) * u64::from(*operations) <= limits.batch_bytes
            }
            _ => true,
        }
    }

    /// Does it once, as the `number`th time of this worker.
    pub(super) async fn once(&self, storage: &dyn Storage, worker: u32, number: u32) -> Timed {
        let began = Instant::now();
        match self {
            Load::Get(bytes) => {
                let key = key(format!("cost/get/{bytes}/k{:02}", number % READ))?;
                let found = storage.get(&key).await?;
                let took = began.elapsed();
                match found {
                    Some(found) if found.len() == *bytes => Ok(took),
                    other => {
                        let other = script::found(other.as_ref());
                        Err(Error::Corrupt(format!("{key}: expected the {bytes} bytes that were stored, found {other}")))
                    }
                }
            }
            Load::Put(bytes) => {
                let (key, value) = (key(format!("cost/put/{worker}/k{}", number % 8))?, value(*bytes, number));
                let began = Instant::now();
                storage.put(&key, value).await?;
                Ok(began.elapsed())
            }
            Load::Delete => {
                let key = key(format!("cost/delete/{worker}/k"))?;
                storage.put(&key, value(64, number)).await?;
                let began = Instant::now();
                storage.delete(&key).await?;
                Ok(began.elapsed())
            }
            Load::List => {
                let names = storage.list(&Folder::new("cost/many/")?).await?.len();
                if names == MANY as usize { Ok(began.elapsed()) } else { Err(Error::Corrupt(format!("list: {names} names of {MANY}"))) }
            }
            Load::Batch { operations, bytes } => {
                let put = |at| Ok(Operation::Put(key(format!("cost/batch/{worker}/k{at:02}"))?, value(*bytes, number ^ at)));
                let operations = (0..*operations).map(put).collect::<Result<_, InvalidKey>>()?;
                let began = Instant::now();
                storage.batch(operations).await?;
                Ok(began.elapsed())
            }
            Load::Scan => storage.scan(0, 1, None, PAGE).await.map(|_| began.elapsed()),
        }
    }
}

/// Stores what is read.
pub(super) async fn fill(ground: &Ground<'_>, storage: &dyn Storage, loads: &[Load]) -> Verdict {
    ground.script.note("store what is read and listed");
    let failed = |error: Error| Ended::failed(format!("store what is read and listed: {}", said(&error)));
    let put = async |at: String, bytes: usize, number: u32| storage.put(&key(at)?, value(bytes, number)).await;
    for bytes in loads.iter().filter_map(|load| if let Load::Get(bytes) = load { Some(*bytes) } else { None }) {
        for number in 0..READ {
            put(format!("cost/get/{bytes}/k{number:02}"), bytes, number).await.map_err(failed)?;
        }
    }
    let all: Vec<u32> = (0..MANY).collect();
    let limits = storage.descriptor().limits;
    let at_once = limits.batch_operations.clamp(1, 64).min(u32::try_from(limits.batch_bytes / 256).unwrap_or(u32::MAX).max(1));
    for some in all.chunks(usize::try_from(at_once).unwrap_or(1)) {
        let put = |number: &u32| Ok(Operation::Put(key(format!("cost/many/k{number:04}"))?, value(64, *number)));
        let operations = some.iter().map(put).collect::<Result<_, InvalidKey>>().map_err(|error| failed(error.into()))?;
        storage.batch(operations).await.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_measured() {
        let limits = Limits { key: 100, segment: 100, value: 5_000, batch_operations: 4, batch_bytes: 10_000 };
        let loads = all(&limits, false);
        assert!(loads.contains(&Load::Get(4 << 10)) && !loads.contains(&Load::Get(256 << 10)), "{loads:?}");
        let batches: Vec<_> = loads.iter().filter(|load| matches!(load, Load::Batch { .. })).collect();
        assert_eq!(batches, [&Load::Batch { operations: 4, bytes: 64 }], "{loads:?}");
        let generous = Limits { key: 100, segment: 100, value: 1 << 20, batch_operations: 64, batch_bytes: 1 << 20 };
        assert_eq!((all(&generous, false).len(), all(&generous, true).len()), (11, 9));
    }
}
