//! Many operations in a row on few entries, each answer compared with what must be stored: after the first round nothing more is to be kept, so what still grows
//! is a leak.

use bytes::Bytes;
use cofferdam_backend::{Key, Operation};

use crate::model::{Model, apply, names};
use crate::store::key;
use crate::{Ended, Store, Verdict};

/// The entries.
const ENTRIES: u32 = 24;
/// After so many operations every kind of them was asked, on every entry.
pub(super) const ROUND: u32 = 20;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Put(Key, Bytes),
    Get(Key),
    Delete(Key),
    List(String),
    Batch(Vec<Operation>),
    Scan,
}

fn entry(number: u32) -> Result<Key, Ended> {
    let number = number.wrapping_mul(7) % ENTRIES;
    key(&format!("conduct/{}/k{number:02}", number % 4))
}

fn value(number: u32) -> Bytes {
    let length = usize::try_from(number.wrapping_mul(37) % 2_048).unwrap_or(0);
    Bytes::from(vec![number.to_le_bytes()[0]; length])
}

/// The operation of that number: always the same.
pub(super) fn asked(number: u32) -> Result<Asked, Ended> {
    let at = || entry(number / 3);
    Ok(match number % ROUND {
        0 | 5 | 10 | 15 => Asked::Put(at()?, value(number)),
        3 | 13 => Asked::Delete(at()?),
        4 => Asked::List("conduct/".to_owned()),
        14 => Asked::List(format!("conduct/{}/", number / ROUND % 4)),
        8 | 18 => Asked::Batch(vec![
            Operation::Put(entry(number)?, value(number)),
            Operation::Delete(entry(number + 1)?),
            Operation::Put(entry(number + 2)?, value(number + 2)),
        ]),
        9 | 19 => Asked::Scan,
        _ => Asked::Get(at()?),
    })
}

/// The operations under way.
pub(super) struct Steady<'a> {
    store: &'a Store,
    model: Model,
}

impl<'a> Steady<'a> {
    pub(super) fn new(store: &'a Store) -> Steady<'a> {
        Steady { store, model: Model::new() }
    }

    /// Does the operation of that number, and fails unless the answer is right.
    pub(super) async fn step(&mut self, number: u32) -> Verdict {
        let store = self.store;
        match asked(number)? {
            Asked::Put(key, value) => {
                store.put(key.as_str(), value.clone()).await?;
                apply(&mut self.model, &Operation::Put(key, value));
            }
            Asked::Get(key) => store.must_get(key.as_str(), self.model.get(key.as_str()).map(Bytes::as_ref)).await?,
            Asked::Delete(key) => {
                store.delete(key.as_str()).await?;
                apply(&mut self.model, &Operation::Delete(key));
            }
            Asked::List(at) => {
                store.must_list(&at, &names(&self.model, &at).into_iter().collect::<Vec<_>>()).await?;
            }
            Asked::Batch(operations) => {
                store.batch(operations.clone()).await?;
                operations.iter().for_each(|operation| apply(&mut self.model, operation));
            }
            Asked::Scan => store.must_scan(1, 50, &self.model).await?,
        }
        Ok(())
    }

    /// Removes what is stored.
    pub(super) async fn end(self) -> Verdict {
        for at in self.model.keys() {
            self.store.delete(at).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_entries_are_asked_for_in_every_way() {
        let all: Vec<Asked> = (0..2_000).map(|number| asked(number).unwrap()).collect();
        let keys: BTreeSet<&Key> = all.iter().filter_map(|asked| if let Asked::Get(key) = asked { Some(key) } else { None }).collect();
        assert_eq!(keys.len(), 24);
        for wanted in ["Put", "Get", "Delete", "List", "Batch", "Scan"] {
            assert!(all.iter().any(|asked| format!("{asked:?}").starts_with(wanted)), "{wanted}");
        }
        // No batch has a key twice.
        for asked in &all {
            if let Asked::Batch(operations) = asked {
                assert_eq!(operations.iter().map(Operation::key).collect::<BTreeSet<_>>().len(), operations.len());
            }
        }
    }
}
