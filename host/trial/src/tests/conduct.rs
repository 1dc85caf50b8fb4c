//! The checks of conduct and cost, on honest toys that tell a probe of their calls, with one misdeed or none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Key, Operation, Page, Result, ScanPage, Seal, Storage, Wrapped};
use cofferdam_runtime::{GuestLimits, ImportCall, Probe, Usage, World};
use zeroize::Zeroizing;

use super::fault::Fault;
use super::seal::{SealFault, ToySeal};
use super::toy::Toy;
use crate::{Cell, Info, OpenWith, OpenedSeal, OpenedStorage, Options, Outcome, Report, Subject, SubjectError, Value, cases, run};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misdeed {
    None,
    TiresOut,
    Reaches,
    LeaksHandles,
    LeaksMemory,
    NearsItsLimit,
    AnswersByInstance,
    FailsUnderLoad,
}

/// Each check, and a misdeed that it must find.
const CHECKS: &[(&str, Misdeed)] = &[
    ("conduct/answers-after-many-calls", Misdeed::TiresOut),
    ("conduct/nothing-refused", Misdeed::Reaches),
    ("conduct/handles-do-not-grow", Misdeed::LeaksHandles),
    ("conduct/memory-does-not-grow", Misdeed::LeaksMemory),
    ("conduct/within-limits", Misdeed::NearsItsLimit),
    ("conduct/same-answers", Misdeed::AnswersByInstance),
    ("cost/operations", Misdeed::FailsUnderLoad),
];

/// An instance as a probe is told of it.
struct Instance {
    misdeed: Misdeed,
    number: u32,
    probe: Option<Arc<dyn Probe>>,
    calls: AtomicU32,
}

impl Instance {
    fn call(&self, operation: &'static str) -> Result<()> {
        let calls = self.calls.fetch_add(1, Relaxed);
        let Some(probe) = &self.probe else {
            let tired = self.misdeed == Misdeed::FailsUnderLoad && calls % 30 == 29;
            return if tired { Err(Error::Unavailable("too much".to_owned())) } else { Ok(()) };
        };
        probe.import(ImportCall { name: "wasi:filesystem/types.open-at", detail: &format!("file-{}", calls % 30), earlier: 0 });
        if self.misdeed == Misdeed::Reaches && calls % 100 == 50 {
            probe.refused("wasi:sockets create-tcp-socket");
        }
        let of = |misdeed: Misdeed, more: usize| if self.misdeed == misdeed { more } else { 0 };
        let near = if matches!(operation, "put" | "wrap") { 127 << 20 } else { 0 };
        probe.ended(Usage {
            operation,
            outcome: "ok",
            cpu: Duration::from_micros(10),
            elapsed: Duration::from_micros(20),
            memory: (1 << 20) + of(Misdeed::LeaksMemory, calls as usize / 20 * 65_536) + of(Misdeed::NearsItsLimit, near),
            handles: 2 + (calls % 2) as usize + of(Misdeed::LeaksHandles, calls as usize / 50),
            imports: 1,
        });
        if self.misdeed == Misdeed::TiresOut && calls == 150 { Err(Error::Unavailable("tired".to_owned())) } else { Ok(()) }
    }
}

/// A toy, its openings counted.
struct Told<S> {
    inner: S,
    misdeed: Misdeed,
    info: Info,
    opened: AtomicU32,
}

impl<S: Subject> Told<S> {
    fn new(inner: S, misdeed: Misdeed) -> Told<S> {
        let imports = vec!["wasi:filesystem/types@0.2.6".to_owned(), "wasi:io/streams@0.2.6".to_owned()];
        let info = Info { limits: Some(GuestLimits::default()), imports, size: 5_000, ..inner.info().clone() };
        Told { inner, misdeed, info, opened: AtomicU32::new(0) }
    }

    fn instance(&self, open: &mut OpenWith) -> Instance {
        let number = self.opened.fetch_add(1, Relaxed);
        Instance { misdeed: self.misdeed, number, probe: open.probe.take(), calls: AtomicU32::new(0) }
    }
}

#[async_trait]
impl<S: Subject> Subject for Told<S> {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn storage(&self, mut open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        let instance = self.instance(&mut open);
        let opened = self.inner.storage(open).await?;
        Ok(OpenedStorage { storage: Arc::new(View { inner: opened.storage.clone(), instance }), ..opened })
    }

    async fn seal(&self, mut open: OpenWith) -> Result<OpenedSeal, SubjectError> {
        let instance = self.instance(&mut open);
        let opened = self.inner.seal(open).await?;
        Ok(OpenedSeal { seal: Arc::new(View { inner: opened.seal.clone(), instance }), ..opened })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        self.inner.wipe().await
    }
}

struct View<T: ?Sized> {
    inner: Arc<T>,
    instance: Instance,
}

#[async_trait]
impl Storage for View<dyn Storage> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.instance.call("get")?;
        let found = self.inner.get(key).await?;
        let odd = self.instance.misdeed == Misdeed::AnswersByInstance && self.instance.number == 3;
        Ok(found.map(|found| if odd { [&found[..], b"odd"].concat().into() } else { found }))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.instance.call("put")?;
        self.inner.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.instance.call("delete")?;
        self.inner.delete(key).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.instance.call("list")?;
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.instance.call("batch")?;
        self.inner.batch(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.instance.call("scan")?;
        self.inner.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.inner.forget();
    }
}

#[async_trait]
impl Seal for View<dyn Seal> {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.instance.call("wrap")?;
        self.inner.wrap(dek).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.instance.call("unwrap")?;
        self.inner.unwrap(wrapped, dek).await
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.inner.unwrap_direct(wrapped).await
    }

    async fn key_id(&self) -> Result<String> {
        self.instance.call("key-id")?;
        let id = self.inner.key_id().await?;
        Ok(if self.instance.misdeed == Misdeed::AnswersByInstance { format!("{id}-{}", self.instance.number) } else { id })
    }

    async fn health(&self) -> Result<()> {
        self.instance.call("health")?;
        self.inner.health().await
    }
}

fn storage(misdeed: Misdeed) -> Told<Toy> {
    Told::new(Toy::new(Fault::None), misdeed)
}

fn seal(misdeed: Misdeed) -> Told<ToySeal> {
    Told::new(ToySeal::new(SealFault::None), misdeed)
}

async fn tried(subject: &dyn Subject, only: &[&str]) -> Report {
    let only = only.iter().map(|&only| only.to_owned()).collect();
    let beside = Some(Arc::new(Toy::new(Fault::None)) as Arc<dyn Subject>);
    run(subject, &Options { only, quick: true, patience: Duration::from_secs(300), beside, ..Options::default() }).await
}

fn value<'r>(report: &'r Report, id: &str) -> &'r Value {
    let mut figures = report.sections.iter().flat_map(|section| &section.figures);
    &figures.find(|figure| figure.id == id).unwrap_or_else(|| panic!("no {id}: {}", report.table())).value
}

#[test]
fn every_check_has_a_misdeed_here() {
    for world in [World::Storage, World::StorageHa, World::Seal] {
        let info = Info { world, ..Toy::new(Fault::None).info().clone() };
        let all = cases(&info).into_iter().filter(|case| ["conduct", "cost"].contains(&case.section())).map(|case| case.id);
        assert_eq!(all.collect::<BTreeSet<_>>(), CHECKS.iter().map(|(id, _)| *id).collect());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_finds_its_misdeed_and_no_other_check_does() {
    for kind in ["storage", "seal"] {
        for (id, misdeed) in CHECKS {
            let subject: Arc<dyn Subject> = if kind == "seal" { Arc::new(seal(*misdeed)) } else { Arc::new(storage(*misdeed)) };
            let report = tried(&*subject, if *misdeed == Misdeed::FailsUnderLoad { &["cost"] } else { &["conduct"] }).await;
            let failed = report.checks().filter(|check| matches!(check.outcome, Outcome::Failed { .. }));
            let failed: Vec<&str> = failed.map(|check| check.id.as_str()).collect();
            // After few calls growth cannot be judged, and a check that cannot judge does not pass.
            let tired = *misdeed == Misdeed::TiresOut;
            assert!(failed == [*id] || tired && failed.contains(id), "{kind} {misdeed:?}: {}", report.table());
            let texts: Vec<&Outcome> = report.checks().filter(|check| check.id == *id).map(|check| &check.outcome).collect();
            assert!(matches!(&texts[..], [Outcome::Failed { what, script }] if !what.is_empty() && !script.is_empty()), "{texts:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_storage_passes_and_is_shown() {
    let subject = storage(Misdeed::None);
    let report = tried(&subject, &["conduct", "cost"]).await;
    assert!(report.checks().count() == CHECKS.len() && report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    // One to see that it opens, one course for five checks, one for each instance that is compared, two for the costs.
    assert_eq!(subject.opened.load(Relaxed), 6);
    let Value::Table(paths) = value(&report, "conduct/paths") else { panic!() };
    assert_eq!((paths.rows.len(), &paths.rows[12][0]), (13, &Cell::Text("(others)".to_owned())));
    let Value::Table(imports) = value(&report, "conduct/imports") else { panic!() };
    assert!(matches!(imports.rows[0][1], Cell::Number(calls) if calls > 1_000.0) && imports.rows[1][1] == Cell::None, "{imports:?}");
    assert_eq!(value(&report, "conduct/handles"), &Value::Text("2, 2".to_owned()));
    let Value::Table(costs) = value(&report, "cost/operations") else { panic!() };
    let operations: BTreeSet<String> = costs.rows.iter().map(|row| format!("{:?}", row[0])).collect();
    assert_eq!(operations.len(), 6, "{operations:?}");
    assert!(costs.rows.iter().flatten().all(|cell| !matches!(cell, Cell::None | Cell::Number(0.0))), "{}", report.table());
    assert_eq!(value(&report, "cost/size"), &Value::Number(5.0));
    let text = report.table();
    assert!(text.contains("beside: toy") && text.contains("| beside: ops/s"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_seal_passes_and_is_shown() {
    let report = tried(&seal(Misdeed::None), &["conduct", "cost"]).await;
    assert!(report.checks().count() == CHECKS.len() && report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    let Value::Table(costs) = value(&report, "cost/operations") else { panic!() };
    assert_eq!(costs.rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), ["wrap".into(), "unwrap".into(), "health".into()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_probe_sees_is_not_judged() {
    let report = tried(&Toy::new(Fault::None), &["conduct"]).await;
    let skipped = report.checks().filter(|check| matches!(check.outcome, Outcome::Skipped { .. })).count();
    assert!(report.passed() && skipped == 4, "{}", report.table());
}

/// A storage that is compared with and fails is no fault of the one that is tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_are_shown_without_what_is_beside_if_that_fails() {
    let beside = Some(Arc::new(Toy::new(Fault::DoesNotOpen)) as Arc<dyn Subject>);
    let options = Options { only: vec!["cost".to_owned()], quick: true, beside, ..Options::default() };
    let report = run(&storage(Misdeed::None), &options).await;
    assert!(report.passed(), "{}", report.table());
    assert!(matches!(value(&report, "cost/beside"), Value::Text(why) if why.contains("no such table")), "{}", report.table());
    let Value::Table(costs) = value(&report, "cost/operations") else { panic!() };
    assert!(costs.rows.iter().all(|row| row.last() == Some(&Cell::None)), "{}", report.table());
}
