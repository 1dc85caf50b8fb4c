//! The power goes at any moment; nothing that was acknowledged is lost, and nothing older comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::Storage;
use cofferdam_test_support::Memory;
use proptest::prelude::*;

use super::{Disk, Image, key};
use crate::{Journaled, Options, recover};

const KEYS: usize = 4;

/// What became of the writes of one key: the last that was acknowledged, and one of which nobody knows.
#[derive(Clone, Debug, Default)]
struct Told {
    last: Option<String>,
    open: Option<Option<String>>,
}

/// Writers of a key each, until the power goes. None stands for a delete.
async fn run(disk: &Disk, storage: &Arc<Memory>, scripts: Vec<Vec<Option<u8>>>, told: Vec<Told>) -> Vec<Told> {
    let options = Options { size: 8 << 10, age: Duration::from_secs(3_600) };
    let Ok(journaled) = Journaled::open(storage.clone(), disk.place(), options).await else { return told };
    let journaled = Arc::new(journaled);
    let writers: Vec<_> = scripts
        .into_iter()
        .zip(told)
        .enumerate()
        .map(|(number, (script, mut told))| {
            let journaled = journaled.clone();
            tokio::spawn(async move {
                let key = key(&format!("folder/{number}"));
                for (step, write) in script.into_iter().enumerate() {
                    let value = write.map(|length| format!("{step}:{}", "x".repeat(usize::from(length))));
                    told.open = Some(value.clone());
                    let done = match &value {
                        Some(value) => journaled.put(&key, Bytes::copy_from_slice(value.as_bytes())).await,
                        None => journaled.delete(&key).await,
                    };
                    if done.is_err() {
                        return told;
                    }
                    told = Told { last: value, open: None };
                }
                told
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        all.push(writer.await.unwrap());
    }
    all
}

fn wrong(entries: &BTreeMap<String, Bytes>, told: &[Told]) -> Option<String> {
    told.iter().enumerate().find_map(|(number, told)| {
        let there = entries.get(&format!("folder/{number}")).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let fine = there == told.last || told.open.as_ref() == Some(&there);
        (!fine).then(|| format!("key {number}: {there:?} is there, of {told:?}"))
    })
}

async fn recovered(mut image: Image, cuts: &[(usize, u64)]) -> BTreeMap<String, Bytes> {
    // The power may go while the journal is applied, too.
    for (steps, chance) in cuts.iter().copied().map(|(steps, chance)| (Some(steps), chance)).chain([(None, 0)]) {
        let storage = Arc::new(Memory::from_snapshot(image.entries.clone()));
        let disk = Disk::of(image, storage.clone(), steps, chance);
        if recover(storage.as_ref(), &disk.place()).await.is_ok() && steps.is_none() {
            return storage.snapshot();
        }
        image = disk.image();
    }
    panic!("the last has no cut");
}

fn scripts() -> impl Strategy<Value = Vec<Vec<Option<u8>>>> {
    let write = prop_oneof![4 => any::<u8>().prop_map(Some), 1 => Just(None)];
    proptest::collection::vec(proptest::collection::vec(write, 1..24), KEYS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_acknowledged_is_lost(
        first in scripts(), second in scripts(), steps in 0_usize..220, again in 0_usize..220, chance: u64, cuts in proptest::collection::vec((0_usize..6, any::<u64>()), 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let storage = Arc::new(Memory::default());
            let disk = Disk::of(Image { files: Default::default(), entries: BTreeMap::new() }, storage.clone(), Some(steps), chance);
            let told = run(&disk, &storage, first, vec![Told::default(); KEYS]).await;
            let entries = recovered(disk.image(), &cuts).await;
            prop_assert_eq!(wrong(&entries, &told), None);

            // And once more, on what that left.
            let told = (0..KEYS).map(|number| Told { last: entries.get(&format!("folder/{number}")).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()), open: None }).collect();
            let storage = Arc::new(Memory::from_snapshot(entries.clone()));
            let disk = Disk::of(Image { files: disk.image().files, entries }, storage.clone(), Some(again), chance.rotate_left(17));
            let told = run(&disk, &storage, second, told).await;
            prop_assert_eq!(wrong(&recovered(disk.image(), &cuts).await, &told), None);
            Ok(())
        })?;
    }
}

/// The control: with what is on the disk alone, writes are lost.
#[test]
fn without_the_journal_writes_would_be_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut lost = 0;
        for chance in 0..8_u64 {
            let storage = Arc::new(Memory::default());
            let disk = Disk::of(Image { files: Default::default(), entries: BTreeMap::new() }, storage.clone(), None, chance << 32);
            let told = run(&disk, &storage, vec![vec![Some(9); 5]; KEYS], vec![Told::default(); KEYS]).await;
            lost += usize::from(wrong(&disk.image().entries, &told).is_some());
        }
        assert!(lost > 0);
    });
}
