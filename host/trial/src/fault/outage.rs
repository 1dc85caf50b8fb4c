//! Imports that go wrong one and all: what the errors say, what is there when it is over, and the same while the backend is opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Error, Folder, Key, Operation};
use cofferdam_runtime::{Fault, Probe, Step};
use futures_util::future::try_join_all;

use super::injector::{FAILURES, Field, Injector, When, points, unreachable};
use super::model::{Model, listed, read, shown};
use crate::case::{case, ensure};
use crate::store::key;
use crate::{Case, Ended, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!("fault/error-cases", "While every import fails, each call ends with the error that says who has to act", error_cases),
    case!("fault/recovers", "When imports work again, so does every call, at once, and what was acknowledged is there", recovers),
    case!("fault/opening", "Whichever import fails while it is opened, nothing is lost, and it opens when that is over", opening),
];

/// The entries of one outage.
struct Scene {
    at: String,
    before: Model,
}

impl Scene {
    fn new(number: usize) -> Scene {
        let at = format!("e{number}/");
        let before = ["read", "replaced", "removed/k", "b"].map(|name| (format!("{at}{name}"), Bytes::from_static(b"old"))).into();
        Scene { at, before }
    }

    fn key(&self, name: &str) -> Result<Key, Ended> {
        key(&format!("{}{name}", self.at))
    }

    /// Calls of every kind, all at the same time, while every import goes wrong. Returns whether any did.
    async fn outage(&self, field: &Field<'_>, step: Step) -> Result<bool, Ended> {
        let storage = field.store.storage();
        let (at, replaced, new, removed) = (self.key("read")?, self.key("replaced")?, self.key("new/a/k")?, self.key("removed/k")?);
        let folder = Folder::new(self.at.clone()).map_err(|error| Ended::failed(error.to_string()))?;
        let operations = vec![Operation::Put(self.key("c")?, "new".into()), Operation::Delete(self.key("b")?)];
        field.injector.arm(When::Always, step);
        let (read_one, put_old, put_new, deleted, listing, scanned, batched) = tokio::join!(
            storage.get(&at),
            storage.put(&replaced, "new".into()),
            storage.put(&new, "new".into()),
            storage.delete(&removed),
            storage.list_page(&folder, "", 100),
            storage.scan(0, 1, None, 100),
            storage.batch(operations.clone()),
        );
        if let Ok(found) = &read_one {
            ensure!(found.as_deref() == Some(b"old"), "get {at:?} while every import fails: expected the value or an error, found another");
        }
        let name = |operation: &str, key: &Key| format!("{operation} {}", script::name(key.as_str()));
        let done: [(&Key, Option<Bytes>, &Result<(), Error>); 3] =
            [(&replaced, Some("new".into()), &put_old), (&new, Some("new".into()), &put_new), (&removed, None, &deleted)];
        let done = done.map(|(key, value, result)| (key.clone(), value, result.is_ok()));
        let all_of_batch = batched.is_ok();
        let calls = vec![
            (name("get", &at), read_one.map(drop)),
            (name("put", &replaced), put_old),
            (name("put", &new), put_new),
            (name("delete", &removed), deleted),
            (format!("list {}", self.at), listing.map(drop)),
            ("scan".to_owned(), scanned.map(drop)),
            (format!("batch {}", script::operations(&operations)), batched),
        ];
        let struck = field.injector.struck(field.ground, (When::Always, step), calls);
        struck.iter().try_for_each(|call| call.judge())?;
        // What it says that it did, it did.
        for (key, value, acknowledged) in done {
            let found = field.store.get(key.as_str()).await?;
            let unchanged = found.as_ref() == self.before.get(key.as_str());
            ensure!(
                found == value || (unchanged && !acknowledged),
                "{key:?} after an outage: expected {}, found {}",
                script::found(value.as_ref()),
                script::found(found.as_ref())
            );
        }
        let (c, b) = (field.store.get(&format!("{}c", self.at)).await?, field.store.get(&format!("{}b", self.at)).await?);
        let (first, second) = (c.is_some(), b.is_none());
        ensure!(
            (first || !second) && (second || !all_of_batch),
            "a batch in an outage: its first part is done: {first}, its second: {second}"
        );
        Ok(struck.iter().any(|call| call.hit()))
    }

    /// Everything works, and what is stored is listed.
    async fn works(&self, field: &Field<'_>) -> Verdict {
        let store = &field.store;
        let later = format!("{}later/k", self.at.replace('/', "-"));
        store.put(&later, "1").await?;
        store.must_get(&later, Some(b"1")).await?;
        store.must_get(&format!("{}read", self.at), Some(b"old")).await?;
        let keys = ["b", "c", "new/a/k", "read", "removed/k", "replaced"].map(|name| format!("{}{name}", self.at));
        let model = read(store, keys.iter().map(String::as_str)).await?;
        let spare = ["new/", "new/a/", "removed/"].map(|name| format!("{}{name}", self.at));
        listed(store, &model, &self.at, &BTreeSet::from(spare)).await?;
        store.delete(&later).await
    }
}

/// Outages, each of one kind, on backends of their own that run at the same time: a patient guest takes its time.
async fn outages(ground: &Ground<'_>, steps: &[Step], times: u32) -> Verdict {
    let store = ground.store().await?;
    let scenes: Vec<Scene> = (0..steps.len()).map(Scene::new).collect();
    for (key, value) in scenes.iter().flat_map(|scene| &scene.before) {
        store.put(key, value.clone()).await?;
    }
    drop(store);
    let all = scenes.iter().zip(steps).map(|(scene, step)| async move {
        let field = Field::open(ground, OpenWith::again()).await?;
        let mut any = false;
        for _ in 0..times {
            any |= scene.outage(&field, *step).await?;
            scene.works(&field).await?;
            for (key, value) in &scene.before {
                field.store.put(key, value.clone()).await?;
            }
        }
        Ok::<_, Ended>(any)
    });
    let any = try_join_all(all).await?;
    if any.contains(&true) { Ok(()) } else { Err(unreachable("works")) }
}

async fn error_cases(ground: &Ground<'_>) -> Verdict {
    let steps: Vec<Step> = FAILURES.map(Step::Fail).into_iter().chain([Step::Lose]).collect();
    outages(ground, &steps, 1).await
}

/// Of the outages those that are over soon.
async fn recovers(ground: &Ground<'_>) -> Verdict {
    outages(ground, &[Step::Fail(Fault::Denied), Step::Fail(Fault::Full), Step::Stop], ground.options.of(6, 2)).await
}

async fn opening(ground: &Ground<'_>) -> Verdict {
    let store = ground.store().await?;
    let stored: Model = ["o/a/k", "o/keep"].map(|key| (key.to_owned(), Bytes::from_static(b"1"))).into();
    for (key, value) in &stored {
        store.put(key, value.clone()).await?;
    }
    drop(store);
    let mut rng = ground.options.rng();
    let mut any = false;
    for step in FAILURES.map(Step::Fail).into_iter().chain([Step::Lose, Step::Stop]) {
        let (count, _) = opened(ground, &stored, (When::Never, step)).await?;
        for at in points(count, ground.options.of(12, 2), &mut rng) {
            ground.script.clear();
            any |= opened(ground, &stored, (When::At(at), step)).await?.1;
        }
    }
    if any { Ok(()) } else { Err(unreachable("is opened")) }
}

/// Opens once, and once more without anything wrong.
async fn opened(ground: &Ground<'_>, stored: &Model, (when, step): (When, Step)) -> Result<(usize, bool), Ended> {
    let injector = Arc::<Injector>::default();
    let probe = Some(Arc::clone(&injector) as Arc<dyn Probe>);
    injector.arm(when, step);
    let opened = ground.subject.storage(OpenWith { probe, ..OpenWith::again() }).await;
    let (count, hit, line) = injector.told("open", (when, step));
    let keys = || stored.keys().map(String::as_str);
    match opened {
        Ok(opened) => {
            ground.script.note(format!("{line} -> ok"));
            ensure!(!hit || step != Step::Stop, "{line}: expected that it ends with the instance, found that it opened");
            let found = read(&ground.store_of(&opened), keys()).await?;
            ensure!(&found == stored, "{line}: expected {}, found {}", shown(stored), shown(&found));
        }
        Err(error) => {
            ground.script.note(format!("{line} -> error {error}"));
            ensure!(hit, "{line}: expected no error, found {error}");
        }
    }
    let store = &ground.again().await?;
    let found = read(store, keys()).await?;
    ensure!(&found == stored, "{line}, and then once more: expected {}, found {}", shown(stored), shown(&found));
    listed(store, stored, "", &BTreeSet::new()).await?;
    Ok((count, hit))
}
