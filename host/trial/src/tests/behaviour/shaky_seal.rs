//! The toy seal behind an import that can go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Result, Seal, Wrapped};
use cofferdam_runtime::Probe;
use zeroize::Zeroizing;

use super::super::seal::{SealFault, ToySeal};
use super::shaky::{Course, import, lost};
use crate::{Info, OpenWith, OpenedSeal, Subject, SubjectError};

/// One wrong way to meet trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealSlip {
    None,
    FailedUnwrapIsAKey,
    LostWrapIsRubbish,
    StaysDown,
    CannotWait,
    ForgetsWhenOpened,
}

pub(super) struct ShakySeal {
    toy: ToySeal,
    slip: SealSlip,
}

impl ShakySeal {
    pub(super) fn new(slip: SealSlip) -> ShakySeal {
        ShakySeal { toy: ToySeal::new(SealFault::None), slip }
    }
}

#[async_trait]
impl Subject for ShakySeal {
    fn info(&self) -> &Info {
        self.toy.info()
    }

    async fn seal(&self, open: OpenWith) -> Result<OpenedSeal, SubjectError> {
        let probe = open.probe.clone();
        let opened = self.toy.seal(open).await?;
        if import(probe.as_ref(), "toy:seal/open").await.0 != Ok(Course::Go) {
            if self.slip == SealSlip::ForgetsWhenOpened {
                self.toy.forget();
            }
            return Err(lost().into());
        }
        let seal = Shaken { inner: opened.seal, probe, slip: self.slip, down: AtomicBool::new(false) };
        Ok(OpenedSeal { seal: Arc::new(seal), backend: None })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        Ok(())
    }
}

struct Shaken {
    inner: Arc<dyn Seal>,
    probe: Option<Arc<dyn Probe>>,
    slip: SealSlip,
    down: AtomicBool,
}

impl Shaken {
    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if self.down.load(SeqCst) {
            return Err(Error::Unavailable("still down".to_owned()));
        }
        let (course, lingered) = import(self.probe.as_ref(), "toy:seal/send").await;
        if self.slip == SealSlip::CannotWait && lingered {
            return Err(Error::TimedOut(Duration::ZERO));
        }
        if self.slip == SealSlip::StaysDown && matches!(course, Err(Error::Breach(_))) {
            self.down.store(true, SeqCst);
        }
        let course = course?;
        let done = call.await?;
        if course == Course::Go { Ok(done) } else { Err(lost()) }
    }
}

#[async_trait]
impl Seal for Shaken {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        match self.call(self.inner.wrap(dek)).await {
            Err(Error::Unavailable(_)) if self.slip == SealSlip::LostWrapIsRubbish => {
                Ok(Wrapped { blob: Bytes::from_static(b"rubbish"), key_id: "key-1".to_owned() })
            }
            done => done,
        }
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        let done = self.call(self.inner.unwrap(wrapped, dek)).await;
        if self.slip == SealSlip::FailedUnwrapIsAKey && matches!(done, Err(Error::Denied(_))) { Ok(()) } else { done }
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.inner.unwrap_direct(wrapped).await
    }

    async fn key_id(&self) -> Result<String> {
        self.call(self.inner.key_id()).await
    }

    async fn health(&self) -> Result<()> {
        self.call(self.inner.health()).await
    }
}
