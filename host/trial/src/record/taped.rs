//! A subject on tape: the keys that its seal is given are named to the tape before anything is sent, and where there is no store any more nothing is removed from it.

use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_backend::{Result, Seal, Wrapped};
use zeroize::Zeroizing;

use super::Tape;
use crate::subject::{Info, OpenWith, OpenedSeal, OpenedStorage, Subject, SubjectError};

/// A subject whose grants pass this tape.
pub struct Taped<'a> {
    subject: &'a dyn Subject,
    tape: Arc<dyn Tape>,
}

impl<'a> Taped<'a> {
    /// The subject, on this tape.
    pub fn new(subject: &'a dyn Subject, tape: Arc<dyn Tape>) -> Taped<'a> {
        Taped { subject, tape }
    }
}

#[async_trait]
impl Subject for Taped<'_> {
    fn info(&self) -> &Info {
        self.subject.info()
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        self.subject.storage(open).await
    }

    async fn seal(&self, open: OpenWith) -> Result<OpenedSeal, SubjectError> {
        let OpenedSeal { seal, backend } = self.subject.seal(open).await?;
        Ok(OpenedSeal { seal: Arc::new(TapedSeal { seal, tape: Arc::clone(&self.tape) }), backend })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        if self.tape.is_silent() {
            self.subject.forget().await;
            return Ok(());
        }
        self.subject.wipe().await
    }

    async fn forget(&self) {
        self.subject.forget().await;
    }
}

struct TapedSeal {
    seal: Arc<dyn Seal>,
    tape: Arc<dyn Tape>,
}

#[async_trait]
impl Seal for TapedSeal {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.tape.key(dek);
        self.seal.wrap(dek).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.seal.unwrap(wrapped, dek).await
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.seal.unwrap_direct(wrapped).await
    }

    async fn key_id(&self) -> Result<String> {
        self.seal.key_id().await
    }

    async fn health(&self) -> Result<()> {
        self.seal.health().await
    }
}
