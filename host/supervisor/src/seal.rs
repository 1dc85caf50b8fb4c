//! A seal that goes on while what runs it is replaced.

use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_backend::{Result, Seal, Wrapped};
use zeroize::Zeroizing;

use crate::generation::{OpenFailure, SealGeneration};
use crate::options::Options;
use crate::status::Status;
use crate::supervisor::{Replaced, Supervisor};

/// A seal under supervision.
pub struct SupervisedSeal<G: SealGeneration> {
    supervisor: Arc<Supervisor<G>>,
}

impl<G: SealGeneration> SupervisedSeal<G> {
    /// Supervises it from now on under this name, which is for logs, metrics and clients.
    pub fn new(name: impl Into<String>, first: G, options: Options) -> SupervisedSeal<G> {
        let check = |new: Arc<G>, _: Option<Arc<G>>| -> crate::supervisor::Checked {
            Box::pin(async move { new.seal().health().await.map_err(|error| OpenFailure::of("the check of the key service", &error)) })
        };
        SupervisedSeal { supervisor: Supervisor::new(name.into(), first, options, Box::new(check), |_| {}) }
    }

    /// The generation that runs.
    pub fn current(&self) -> Arc<G> {
        self.supervisor.current()
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        self.supervisor.status()
    }

    /// Has what `open` gives take over once its key service has answered it. A failure changes nothing.
    pub async fn replace<F: Future<Output = Result<G, OpenFailure>>>(
        &self,
        open: impl FnOnce(Arc<G>) -> F,
    ) -> Result<Replaced, OpenFailure> {
        self.supervisor.replace(open).await
    }
}

#[async_trait]
impl<G: SealGeneration> Seal for SupervisedSeal<G> {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.seal().wrap(dek).await;
        self.supervisor.leave(&slot, result)
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.seal().unwrap(wrapped, dek).await;
        self.supervisor.leave(&slot, result)
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.seal().unwrap_direct(wrapped).await;
        self.supervisor.leave(&slot, result)
    }

    async fn key_id(&self) -> Result<String> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.seal().key_id().await;
        self.supervisor.leave(&slot, result)
    }

    async fn health(&self) -> Result<()> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.seal().health().await;
        self.supervisor.leave(&slot, result)
    }
}
