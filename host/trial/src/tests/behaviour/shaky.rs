//! The toy behind imports that can go wrong. Each call looks, then commits; each of the two is an import.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Held, Key, Lock, Operation, Page, Result, ScanPage, Storage};
use cofferdam_runtime::{Fault, ImportCall, Probe, Step};

use super::super::Toy;
use crate::{Info, OpenWith, OpenedStorage, Subject, SubjectError};

/// One wrong way to meet trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    None,
    NoImports,
    AcknowledgesFailures,
    ThrottledIsDenied,
    TearsWhenLost,
    StaysDown,
    CannotWait,
    BatchLosesItsFirst,
    FailedReadIsNone,
    SkipsAfterFailure,
    HidesFolders,
    FullIsCorrupt,
    NeverRecovers,
    LosesWhenOpened,
    FailedClaimIsTold,
    LostClaimIsDenied,
    StopTearsLocks,
}

/// What an import comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Go,
    Lost,
}

/// Asks the probe about an import; says as well whether it was told to linger, which a clock would not tell on a busy machine.
pub(super) async fn import(probe: Option<&Arc<dyn Probe>>, name: &'static str) -> (Result<Course>, bool) {
    let step = probe.map_or(Step::Go, |probe| probe.import(ImportCall { name, detail: "", earlier: 0 }));
    let lingers = matches!(step, Step::Delay(_));
    (come_of(step).await, lingers)
}

async fn come_of(step: Step) -> Result<Course> {
    match step {
        Step::Go => Ok(Course::Go),
        Step::Delay(delay) => {
            tokio::time::sleep(delay).await;
            Ok(Course::Go)
        }
        Step::Fail(Fault::Unavailable) => Err(Error::Unavailable("away".to_owned())),
        Step::Fail(Fault::Throttled) => Err(Error::Throttled(Duration::ZERO)),
        Step::Fail(Fault::Denied) => Err(Error::Denied("no".to_owned())),
        Step::Fail(Fault::Full) => Err(Error::Exhausted("full".to_owned())),
        Step::Lose => Ok(Course::Lost),
        Step::Stop => Err(Error::Breach("trap: stopped".to_owned())),
    }
}

pub(super) fn lost() -> Error {
    Error::Unavailable("no answer".to_owned())
}

pub(super) struct Shaky {
    toy: Toy,
    slip: Slip,
    hidden: Arc<Mutex<BTreeSet<String>>>,
}

impl Shaky {
    pub(super) fn new(slip: Slip) -> Shaky {
        Shaky { toy: Toy::new(super::super::Fault::None), slip, hidden: Arc::default() }
    }
}

#[async_trait]
impl Subject for Shaky {
    fn info(&self) -> &Info {
        self.toy.info()
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        let probe = open.probe.clone().filter(|_| self.slip != Slip::NoImports);
        let opened = self.toy.storage(OpenWith { probe: None, ..open }).await?;
        let course =
            import(probe.as_ref(), "toy:store/open").await.0.and_then(|course| if course == Course::Go { Ok(()) } else { Err(lost()) });
        if let Err(error) = course {
            if self.slip == Slip::LosesWhenOpened {
                opened.storage.delete(&Key::new("o/keep").unwrap()).await?;
            }
            return Err(error.into());
        }
        let shaken = Arc::new(Shaken {
            inner: opened.storage,
            lock: opened.lock.unwrap(),
            probe,
            slip: self.slip,
            down: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            hidden: Arc::clone(&self.hidden),
        });
        Ok(OpenedStorage { storage: shaken.clone(), lock: Some(shaken), backend: None })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        self.toy.wipe().await
    }
}

struct Shaken {
    inner: Arc<dyn Storage>,
    lock: Arc<dyn Lock>,
    probe: Option<Arc<dyn Probe>>,
    slip: Slip,
    down: AtomicBool,
    failures: AtomicUsize,
    hidden: Arc<Mutex<BTreeSet<String>>>,
}

impl Shaken {
    fn is(&self, slip: Slip) -> bool {
        self.slip == slip
    }

    async fn import(&self, name: &'static str) -> Result<Course> {
        if self.down.load(SeqCst) {
            return Err(Error::Unavailable("still down".to_owned()));
        }
        let (course, lingered) = import(self.probe.as_ref(), name).await;
        if self.is(Slip::CannotWait) && lingered {
            return Err(Error::TimedOut(Duration::ZERO));
        }
        let Err(error) = course else { return course };
        let failures = self.failures.fetch_add(1, SeqCst);
        let down = self.is(Slip::StaysDown) && matches!(error, Error::Breach(_)) || self.is(Slip::NeverRecovers) && failures > 4;
        self.down.fetch_or(down, SeqCst);
        Err(match error {
            Error::Throttled(_) if self.is(Slip::ThrottledIsDenied) => Error::Denied("slower".to_owned()),
            Error::Exhausted(_) if self.is(Slip::FullIsCorrupt) => Error::Corrupt("nothing fits".to_owned()),
            error => error,
        })
    }

    /// The import that comes first.
    async fn look(&self) -> Result<()> {
        if self.import("toy:store/look").await? == Course::Go { Ok(()) } else { Err(lost()) }
    }

    async fn commit<T>(&self, commit: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let course = self.import("toy:store/commit").await?;
        let done = commit.await?;
        if course == Course::Go { Ok(done) } else { Err(lost()) }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.look().await?;
        read.await
    }
}

#[async_trait]
impl Storage for Shaken {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let found = self.read(self.inner.get(key)).await;
        if self.is(Slip::FailedReadIsNone) { Ok(found.unwrap_or_default()) } else { found }
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.look().await?;
        let half = value.slice(..value.len() / 2);
        match self.commit(self.inner.put(key, value)).await {
            Err(Error::Unavailable(_)) if self.is(Slip::AcknowledgesFailures) => Ok(()),
            Err(Error::Unavailable(text)) if self.is(Slip::TearsWhenLost) => {
                self.inner.put(key, half).await?;
                Err(Error::Unavailable(text))
            }
            Err(error) => {
                if let (true, Some((folder, _))) = (self.is(Slip::HidesFolders), key.as_str().split_once('/')) {
                    self.hidden.lock().unwrap().insert(format!("{folder}/"));
                }
                Err(error)
            }
            done => done,
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.look().await?;
        self.commit(self.inner.delete(key)).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let page = self.read(self.inner.list_page(folder, after, limit)).await;
        let Ok(mut page) = page else {
            if self.is(Slip::SkipsAfterFailure) {
                self.hidden.lock().unwrap().insert("next".to_owned());
            }
            return page;
        };
        let mut hidden = self.hidden.lock().unwrap();
        if self.is(Slip::SkipsAfterFailure) && hidden.remove("next") && page.names.len() > 1 {
            page.names.remove(0);
        }
        if self.is(Slip::HidesFolders) && folder.as_str().is_empty() {
            page.names.retain(|name| !hidden.contains(name));
        }
        Ok(page)
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.look().await?;
        let rest = operations.get(1..).unwrap_or_default().to_vec();
        let done = self.commit(self.inner.batch(operations)).await;
        if done.is_err() && self.is(Slip::BatchLosesItsFirst) {
            self.inner.batch(rest).await?;
        }
        done
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.read(self.inner.scan(segment, segments, cursor, limit)).await
    }

    fn forget(&self) {}
}

#[async_trait]
impl Lock for Shaken {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        let torn = Held { expires: 7, ..claim.clone() };
        match self.commit(self.lock.try_acquire(key, claim, seen.clone())).await {
            Err(Error::Denied(_)) if self.is(Slip::FailedClaimIsTold) => Ok(true),
            Err(Error::Unavailable(_)) if self.is(Slip::LostClaimIsDenied) => Ok(false),
            Err(Error::Breach(text)) if self.is(Slip::StopTearsLocks) => {
                self.lock.try_acquire(key, torn, seen).await?;
                Err(Error::Breach(text))
            }
            done => done,
        }
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        self.commit(self.lock.renew(key, identity, expires)).await
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        self.commit(self.lock.release(key, identity)).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        self.lock.read(key).await
    }
}
