//! Reads, listings and scans of which an import goes wrong: an answer is the right one, or there is an error. A page that failed can be had again.

use std::collections::BTreeSet;

use bytes::Bytes;
use cofferdam_backend::{Error, Folder, Storage};
use cofferdam_runtime::Step;

use super::injector::{FAILURES, Field, When, below, points, unreachable};
use super::model::{Model, names, shows};
use crate::case::{case, ensure};
use crate::store::{endless, key};
use crate::{Case, Ended, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!("fault/reads-true", "A read, listing or scan of which an import goes wrong is right, or is an error", reads_true),
    case!("fault/pages-go-on", "Listings and scans of which one page failed go on where they were, and are whole", pages_go_on),
];

/// What is stored: a leaf beside a folder of its name, a folder of many, and what is deep and what is long.
fn stored() -> Model {
    let many = (0..12).map(|number| format!("r/many/{number:02}/k"));
    let all = ["r/leaf", "r/leaf/below", "r/deep/a/b/c", "r/empty"].map(str::to_owned).into_iter().chain(many);
    let value = |at: &str| if at == "r/empty" { Bytes::new() } else { Bytes::copy_from_slice(at.as_bytes()) };
    let mut stored: Model = all.map(|at| (at.clone(), value(&at))).collect();
    stored.insert("r/long".to_owned(), vec![b'l'; 30_000].into());
    stored
}

async fn filled<'a>(ground: &'a Ground<'a>) -> Result<(Field<'a>, Model), Ended> {
    let field = Field::open(ground, OpenWith::fresh()).await?;
    let stored = stored();
    for (at, value) in &stored {
        field.store.put(at, value.clone()).await?;
    }
    Ok((field, stored))
}

/// One read of the check.
#[derive(Clone, Copy, Debug)]
enum Look {
    Get(&'static str),
    List(&'static str),
    Scan,
}

const LOOKS: &[Look] = &[
    Look::Get("r/long"),
    Look::List("r/"),
    Look::Scan,
    Look::Get("r/none"),
    Look::Get("r/empty"),
    Look::List("r/many/"),
    Look::List("no/"),
];

fn steps() -> impl Iterator<Item = Step> {
    FAILURES.map(Step::Fail).into_iter().chain([Step::Lose, Step::Stop])
}

/// Reads once. Returns how many imports were called, and whether it was stepped in.
async fn look(field: &Field<'_>, stored: &Model, look: Look, how: (When, Step)) -> Result<(usize, bool), Ended> {
    let storage = field.store.storage();
    match look {
        Look::Get(at) => {
            let struck = field.strike(how, &format!("get {at}"), storage.get(&key(at)?)).await;
            struck.judge()?;
            if let Ok(found) = &struck.result {
                let (expected, told) = (stored.get(at), &struck.told);
                ensure!(
                    found.as_ref() == expected,
                    "{told}: expected {}, found {}",
                    script::found(expected),
                    script::found(found.as_ref())
                );
            }
            Ok((struck.seen, struck.hit()))
        }
        Look::List(at) => {
            let folder = Folder::new(at).map_err(|error| Ended::failed(error.to_string()))?;
            let struck = field.strike(how, &format!("list {at}"), all_names(&**storage, &folder)).await;
            struck.judge()?;
            if let Ok(found) = &struck.result {
                let right = shows(at, &names(stored, at), found, &BTreeSet::new());
                right.map_err(|ended| Ended::failed(format!("{}: {ended}", struck.told)))?;
            }
            Ok((struck.seen, struck.hit()))
        }
        Look::Scan => {
            let struck = field.strike(how, "scan", everything(&**storage)).await;
            struck.judge()?;
            if let Ok(found) = &struck.result {
                whole(&struck.told, stored, found)?;
            }
            Ok((struck.seen, struck.hit()))
        }
    }
}

async fn all_names(storage: &dyn Storage, folder: &Folder) -> Result<Vec<String>, Error> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or_default();
        let page = storage.list_page(folder, &after, 1_000).await?;
        all.extend(page.names);
        bounded(all.len(), 0)?;
        if !page.more {
            return Ok(all);
        }
    }
}

async fn everything(storage: &dyn Storage) -> Result<Model, Error> {
    let (mut all, mut cursor, mut bytes) = (Model::new(), None, 0_usize);
    loop {
        let page = storage.scan(0, 1, cursor, 1_000).await?;
        bytes = page.entries.iter().map(|entry| entry.value.len()).fold(bytes, usize::saturating_add);
        all.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
        bounded(all.len(), bytes)?;
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn bounded(count: usize, bytes: usize) -> Result<(), Error> {
    endless(count, bytes).map_or(Ok(()), |why| Err(Error::Corrupt(why)))
}

fn whole(told: &str, stored: &Model, found: &Model) -> Verdict {
    let missing: Vec<&String> = stored.keys().filter(|key| !found.contains_key(*key)).collect();
    ensure!(missing.is_empty(), "{told}: it ended without {}", script::names(&missing));
    let other: Vec<&String> = found.iter().filter(|(key, value)| stored.get(*key) != Some(*value)).map(|(key, _)| key).collect();
    ensure!(other.is_empty(), "{told}: {} came with another value, or is not stored", script::names(&other));
    Ok(())
}

async fn reads_true(ground: &Ground<'_>) -> Verdict {
    let (field, stored) = filled(ground).await?;
    let mut rng = ground.options.rng();
    let mut any = false;
    for one in LOOKS {
        for step in steps() {
            ground.script.clear();
            let (count, _) = look(&field, &stored, *one, (When::Never, step)).await?;
            for at in points(count, ground.options.of(24, 3), &mut rng) {
                any |= look(&field, &stored, *one, (When::At(at), step)).await?.1;
            }
            // The next of its kind is untouched.
            look(&field, &stored, *one, (When::Never, step)).await?;
        }
    }
    if any { Ok(()) } else { Err(unreachable("reads")) }
}

/// The names and the entries on a page, few enough that there are several pages.
const PAGE: u32 = 5;

async fn pages_go_on(ground: &Ground<'_>) -> Verdict {
    let (field, stored) = filled(ground).await?;
    let storage = field.store.storage();
    let folder = Folder::new("r/many/").map_err(|error| Ended::failed(error.to_string()))?;
    let expected = names(&stored, "r/many/");
    let mut rng = ground.options.rng();
    // How many imports the page before has called.
    let (mut any, mut calls) = (false, 1);
    for step in steps() {
        for page in 0..3 {
            for _ in 0..ground.options.of(6, 1) {
                ground.script.clear();
                let how = |number: usize, at: usize| (if number == page { When::At(at) } else { When::Never }, step);
                let (mut all, mut number): (Vec<String>, _) = (Vec::new(), 0);
                loop {
                    let after = all.last().cloned().unwrap_or_default();
                    let line = format!("list r/many/ after {} limit {PAGE}", script::name(&after));
                    let struck = field.strike(how(number, below(&mut rng, calls)), &line, storage.list_page(&folder, &after, PAGE)).await;
                    struck.judge()?;
                    (number, calls, any) = (number + 1, struck.seen, any | struck.hit());
                    let Ok(found) = struck.result else { continue };
                    all.extend(found.names);
                    ensure!(all.len() <= expected.len(), "list r/many/: more names than there are: {}", script::names(&all));
                    if !found.more {
                        break;
                    }
                }
                shows("r/many/", &expected, &all, &BTreeSet::new())?;
                let (mut found, mut cursor, mut number) = (Model::new(), None::<Bytes>, 0);
                loop {
                    let line = format!("scan, page {number}, at most {PAGE} entries");
                    let struck = field.strike(how(number, below(&mut rng, calls)), &line, storage.scan(0, 1, cursor.clone(), PAGE)).await;
                    struck.judge()?;
                    (number, calls, any) = (number + 1, struck.seen, any | struck.hit());
                    let Ok(next) = struck.result else { continue };
                    found.extend(next.entries.into_iter().map(|entry| (entry.key, entry.value)));
                    ensure!(found.len() <= stored.len(), "scan: more entries than there are");
                    cursor = next.cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
                whole("scan in pages", &stored, &found)?;
            }
        }
    }
    if any { Ok(()) } else { Err(unreachable("reads")) }
}
