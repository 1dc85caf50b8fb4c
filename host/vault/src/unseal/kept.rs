//! What key services keep: encrypting and decrypting the root key and the recovery key, by one service or by several.
//!
//! The rules: the preferred service is asked first, and none is waited for longer than a health check would wait; a secret is replaced as soon as one service has the new one, and never
//! if none has; what a service has of an earlier secret is not used ([`crate::seal::copies`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::Error as Backend;
use zeroize::Zeroizing;

use super::{Inner, Unsealer, lock};
use crate::logical::{Error, Result};
use crate::seal::blob;
use crate::seal::copies::{Blobs, Kept};
use crate::seal::health::Pulse;
use crate::seal::{AutoSeal, SealOptions};

/// The longest that one of several services is waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// What is known of the key services.
#[derive(Default)]
pub(super) struct Services {
    /// In the order of the seals.
    pulses: Vec<Arc<Pulse>>,
    /// By what they keep: the services that have no copy of it.
    lacking: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    /// The key that all of several services use, which was to be one of each.
    same: Mutex<Option<String>>,
}

impl Services {
    /// Has the calls of all seals counted.
    pub(super) fn of(options: &mut SealOptions) -> Services {
        let mut pulses = Vec::new();
        let count = |seal: AutoSeal, pulses: &mut Vec<_>| {
            let (seal, pulse) = seal.metered();
            pulses.push(pulse);
            seal
        };
        options.seals = std::mem::take(&mut options.seals).into_iter().map(|seal| count(seal, &mut pulses)).collect();
        options.disabled = options.disabled.take().map(|seal| count(seal, &mut Vec::new()));
        Services { pulses, ..Services::default() }
    }

    /// Remembers whether all services use one key, and says so once.
    pub(super) fn note_keys(&self, keys: &BTreeSet<Option<String>>) {
        let same = if keys.len() == 1 { keys.first().cloned().flatten() } else { None };
        let mut known = lock(&self.same);
        if let Some(key) = same.as_ref().filter(|_| *known != same) {
            tracing::warn!(key, "the seals use one and the same key: the loss of it is the loss of all; give each seal a key of its own");
        }
        *known = same;
    }

    /// Remembers which services have no copy.
    pub(super) fn note(&self, kept: &Kept, lacking: BTreeSet<String>) {
        lock(&self.lacking).insert(kept.name, lacking);
    }
}

impl Unsealer {
    /// The key services in use, with what is known of each.
    pub(crate) fn services(&self) -> Vec<(AutoSeal, Arc<Pulse>)> {
        self.inner.seal.seals.iter().cloned().zip(self.inner.services.pulses.iter().cloned()).collect()
    }

    /// Whether this service has no copy of something that it should have.
    pub(crate) fn lacks(&self, seal: &str) -> bool {
        lock(&self.inner.services.lacking).values().any(|lacking| lacking.contains(seal))
    }

    /// Has a service that is back get what it lacks, if the vault is open. For the server that may write.
    pub(crate) async fn mend(&self) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if inner.barrier.sealed() || inner.preparing.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(());
        }
        inner.settle().await?;
        inner.renew_seal().await
    }

    /// Stores another recovery key, as a rekey does.
    #[cfg(test)]
    pub(crate) async fn set_recovery_key(&self, key: &crate::secret::Secret) -> Result<()> {
        let _work = self.inner.work.lock().await;
        let entries = self.inner.sealed_recovery(key).await?;
        self.inner.make(super::journal::Change::new().put_all(entries)).await
    }

    /// What is wrong with the key services, in words for clients.
    pub(crate) fn seal_warnings(&self) -> Vec<String> {
        let services = &self.inner.services;
        let failing = services.pulses.iter().filter_map(|pulse| Some((pulse.name(), pulse.failing()?)));
        let mut warnings: Vec<String> = failing.map(|(name, case)| format!("seal {name:?} is unhealthy: {case}")).collect();
        for (kept, lacking) in &*lock(&services.lacking) {
            warnings.extend(lacking.iter().map(|name| format!("degraded: seal {name:?} has no copy of the {kept} of today")));
        }
        if lock(&services.same).is_some() {
            warnings.push("the seals use one and the same key: the loss of it is the loss of all".to_owned());
        }
        warnings
    }
}

impl Inner {
    /// The names of the key services.
    pub(super) fn seal_names(&self) -> Vec<&str> {
        self.seal.seals.iter().map(|seal| seal.name.as_str()).collect()
    }

    /// Whether there are several key services.
    pub(super) fn has_several(&self) -> bool {
        self.seal.seals.len() > 1
    }

    /// Waits for one of several services a bounded time; for the only one as long as it takes.
    pub(super) async fn within<T>(&self, seal: &AutoSeal, work: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.has_several() {
            return work.await;
        }
        let limit = self.seal.health.timeout.min(LONGEST);
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(seal.failed(Backend::TimedOut(limit))))
    }

    /// What is stored of a secret; none if there is none.
    pub(super) async fn blobs(&self, kept: &Kept) -> Result<Option<Blobs>> {
        let Some(usual) = self.read(kept.path).await? else { return Ok(None) };
        let index = self.read(kept.copies).await?;
        Ok(Some(Blobs::parse(kept, usual, index)))
    }

    /// The secret, from the first service that decrypts it; none if there is none. The error is that of the preferred service, as far as it was asked.
    pub(super) async fn open_kept(&self, kept: &Kept) -> Result<Option<Zeroizing<Vec<u8>>>> {
        self.open_kept_by_any(kept).await?.map_err(|failures| {
            let asked = failures.iter().position(|error| matches!(error, Error::Seal { .. })).unwrap_or(0);
            failures.into_iter().nth(asked).unwrap_or_else(|| Error::Internal("no key service is configured".to_owned()))
        })
    }

    /// The same, with the errors of all services if none decrypts it.
    pub(super) async fn open_kept_by_any(&self, kept: &Kept) -> Result<Result<Option<Zeroizing<Vec<u8>>>, Vec<Error>>> {
        let Some(blobs) = self.blobs(kept).await? else { return Ok(Ok(None)) };
        let names = self.seal_names();
        let mut failures = Vec::new();
        for seal in &self.seal.seals {
            let opened = match blobs.of(&seal.name, &names) {
                Some(blob) => self.within(seal, blob::open(seal, kept.path, blob)).await,
                None => Err(Error::Damaged(format!("{}: nothing there is of the seal {:?}", kept.path, seal.name))),
            };
            match opened {
                Ok(plain) => return Ok(Ok(Some(plain))),
                Err(error) => {
                    if self.has_several() {
                        tracing::warn!(seal = seal.name, %error, "the {} cannot be had from this seal", kept.name);
                    }
                    failures.push(error);
                }
            }
        }
        Ok(Err(failures))
    }

    /// The entries that hold a new secret, Vault's first. Fails only if no service encrypts it.
    pub(super) async fn seal_kept(&self, kept: &Kept, plain: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let (mut made, mut lacking, mut failure) = (Vec::new(), BTreeSet::new(), None);
        for seal in &self.seal.seals {
            match self.within(seal, blob::seal(seal, plain)).await {
                Ok(blob) => made.push((seal.name.clone(), Bytes::from(blob))),
                Err(error) => {
                    if self.has_several() {
                        tracing::warn!(seal = seal.name, %error, "degraded: this seal gets no copy of the new {} now; it gets one when it is back", kept.name);
                    }
                    lacking.insert(seal.name.clone());
                    failure.get_or_insert(error);
                }
            }
        }
        let earlier = if self.has_several() { self.blobs(kept).await?.map_or(0, |blobs| blobs.generation) } else { 0 };
        let Some(blobs) = Blobs::arranged(earlier.saturating_add(1), made) else {
            return Err(failure.unwrap_or_else(|| Error::Internal("no key service is configured".to_owned())));
        };
        let mut entries = vec![(kept.path.to_owned(), blobs.usual.to_vec())];
        if self.has_several() {
            entries.push((kept.copies.to_owned(), blobs.index()?));
            self.services.note(kept, lacking);
        }
        Ok(entries)
    }
}
