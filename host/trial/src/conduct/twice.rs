//! The same operations on two instances, each on an empty store of its own. Their answers must be the same. What they call may differ, as names of temporary
//! files do, and is a figure.

use std::sync::Arc;

use cofferdam_backend::{Error, Folder, Seal, Storage};
use cofferdam_runtime::{Probe, World};

use super::course::{came, one_instance};
use super::steady::{Asked, asked};
use super::watch::{Traced, Watcher};
use crate::case::ensure;
use crate::report::Value;
use crate::{Ended, Ground, Verdict, script};

/// The operations.
const OPERATIONS: (u32, u32) = (400, 100);
/// The keys that are wrapped.
const KEYS: (u8, u8) = (20, 6);

/// What an instance answered to an operation.
struct Answer {
    operation: String,
    came: String,
}

/// The check.
pub(super) async fn same(ground: &Ground<'_>) -> Verdict {
    if ground.subject.info().world == World::Seal {
        return seals(ground).await;
    }
    let (one, one_called) = storage(ground).await?;
    let (other, other_called) = storage(ground).await?;
    called(ground, one.len(), &one_called, &other_called);
    for (one, other) in one.iter().zip(&other) {
        ensure!(
            one.came == other.came,
            "{}: one instance answered {}, another after the same operations {}",
            one.operation,
            one.came,
            other.came
        );
    }
    Ok(())
}

/// The operations on an empty store, with their answers.
async fn storage(ground: &Ground<'_>) -> Result<(Vec<Answer>, Vec<Traced>), Ended> {
    let watcher = Arc::new(Watcher::default());
    let storage = ground.open(one_instance(Arc::clone(&watcher) as Arc<dyn Probe>)).await?.storage;
    let mut answers = Vec::new();
    for number in 0..ground.options.of(OPERATIONS.0, OPERATIONS.1) {
        watcher.within(number);
        let answer = answer(&*storage, asked(number)?).await?;
        ground.script.note(format!("{} -> {}", answer.operation, answer.came));
        answers.push(answer);
    }
    Ok((answers, watcher.take().trace))
}

/// A checksum tells values apart that look alike where they are shown.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(7, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

async fn answer(storage: &dyn Storage, asked: Asked) -> Result<Answer, Ended> {
    let said = |result: Result<String, Error>| result.unwrap_or_else(|error| format!("error {}", error.case()));
    let done = |result: Result<(), Error>| said(result.map(|()| "done".to_owned()));
    let (operation, came) = match asked {
        Asked::Put(key, value) => {
            (format!("put {} = {}", script::name(key.as_str()), script::value(&value)), done(storage.put(&key, value).await))
        }
        Asked::Get(key) => {
            let found = storage.get(&key).await.map(|found| match found {
                None => "none".to_owned(),
                Some(value) => format!("{} with checksum {:08x}", script::value(&value), sum(&value)),
            });
            (format!("get {}", script::name(key.as_str())), said(found))
        }
        Asked::Delete(key) => (format!("delete {}", script::name(key.as_str())), done(storage.delete(&key).await)),
        Asked::List(at) => {
            let folder = Folder::new(at.as_str()).map_err(|error| Ended::failed(error.to_string()))?;
            let names = storage.list(&folder).await.map(|names| names.join(", "));
            (format!("list {}", script::name(&at)), said(names))
        }
        Asked::Batch(operations) => (format!("batch {}", script::operations(&operations)), done(storage.batch(operations).await)),
        Asked::Scan => {
            // In no order, and in pages of any size.
            let (mut found, mut cursor) = (Vec::new(), None);
            let came = loop {
                match storage.scan(0, 1, cursor, 50).await {
                    Ok(page) => {
                        found.extend(
                            page.entries.into_iter().map(|entry| format!("{} {:08x}", script::name(&entry.key), sum(&entry.value))),
                        );
                        cursor = page.cursor;
                    }
                    Err(error) => break format!("error {}", error.case()),
                }
                if cursor.is_none() {
                    found.sort_unstable();
                    break found.join(", ");
                }
            };
            ("scan".to_owned(), came)
        }
    };
    Ok(Answer { operation, came })
}

/// How the calls of imports differed.
fn called(ground: &Ground<'_>, operations: usize, one: &[Traced], other: &[Traced]) {
    if one.is_empty() && other.is_empty() {
        return;
    }
    let differing = one.iter().zip(other).filter(|(one, other)| one != other).count();
    let first = one.iter().zip(other).find(|(one, other)| (one.within, one.name) != (other.within, other.name));
    let text = match first {
        Some((one, other)) => {
            format!("from operation {} on: {} of one, {} of the other", one.within.min(other.within), one.name, other.name)
        }
        None if one.len() != other.len() => format!("{} calls of one, {} of the other", one.len(), other.len()),
        None if differing == 0 => format!("none: the same {} calls", one.len()),
        None => format!("the same {} functions in the same order, {differing} of them with other paths or operations", one.len()),
    };
    let title = format!("Differences between the imports' calls of two instances in {operations} operations");
    ground.figure("conduct/instances-differ", &title, Value::Text(text), "");
}

/// Wrapped keys may differ: what one wraps the other must unwrap.
async fn seals(ground: &Ground<'_>) -> Verdict {
    let seal = async || Ok::<_, Ended>(ground.seal(one_instance(Arc::new(Watcher::default()))).await?.seal);
    let (one, other): (Arc<dyn Seal>, Arc<dyn Seal>) = (seal().await?, seal().await?);
    let (one_id, other_id) = (came(ground, "one: key-id", one.key_id().await)?, came(ground, "other: key-id", other.key_id().await)?);
    ensure!(one_id == other_id, "key-id: one instance answered {}, another {}", script::name(&one_id), script::name(&other_id));
    for number in 0..ground.options.of(KEYS.0, KEYS.1) {
        let dek = [number; 32];
        let (wraps, unwraps) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let wrapped = came(ground, &format!("wrap key {number}"), wraps.wrap(&dek).await)?;
        let mut found = [0; 32];
        came(ground, &format!("the other: unwrap key {number}"), unwraps.unwrap(&wrapped, &mut found).await)?;
        ensure!(found == dek, "unwrap key {number}: another key came back than the other instance wrapped");
    }
    Ok(())
}
