//! Every entry, in the order of its key. The rule: how many are read at once depends on how large they have been, since an answer has a size and etcd
//! does not count bytes.

use cofferdam_guest::storage::{Entry, ScanPage};
use cofferdam_guest::{Error, Result};

use crate::gateway::{self, Failure, Found, Reading};
use crate::layout;

/// Entries of the first read, and of any.
const FIRST: usize = 8;
const MOST: usize = 1000;
/// Bytes of values after which a page ends.
const FULL: usize = 4 << 20;

/// One page, from where the cursor says.
pub(crate) fn page(cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
    let base = layout::entry("");
    let end = layout::behind(&base);
    let limit = usize::try_from(limit).unwrap_or(MOST).max(1);
    let mut from = [&base[..], &cursor.unwrap_or_default()].concat();
    let mut entries: Vec<Entry> = Vec::new();
    let (mut size, mut at_once) = (0, FIRST);
    while entries.len() < limit && size < FULL {
        let wanted = at_once.min(limit - entries.len());
        let Found { found, more } = match gateway::range(&from, Some(&end), Reading { limit: wanted, keys_only: false }) {
            Ok(found) => found,
            Err(Failure::TooLarge(_)) if wanted > 1 => {
                at_once = wanted / 4 + 1;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        let read: usize = found.iter().map(|pair| pair.value.len()).sum();
        let Some(last) = found.last() else { return Ok(ScanPage { entries, cursor: None }) };
        from = layout::next(&last.key);
        for pair in found {
            let key = pair.key.strip_prefix(&base[..]).unwrap_or_default().to_vec();
            let key = String::from_utf8(key).map_err(|_| Error::Corrupt("below the prefix is a key that is not UTF-8".to_owned()))?;
            entries.push(Entry { key, value: pair.value });
        }
        if !more {
            return Ok(ScanPage { entries, cursor: None });
        }
        size += read;
        // Were all as large as these, four times as many would still be small.
        if read.saturating_mul(4) < FULL {
            at_once = (at_once * 4).min(MOST);
        }
    }
    let cursor = from.strip_prefix(&base[..]).unwrap_or_default().to_vec();
    Ok(ScanPage { entries, cursor: Some(cursor) })
}
