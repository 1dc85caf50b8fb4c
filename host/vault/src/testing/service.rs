//! A key service in memory: keys by name, of which one is current. It can be told to fail, and counts what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Result, Seal, Wrapped};
use zeroize::Zeroizing;

use crate::crypto::{self, NONCE_LEN};
use crate::seal::{AutoSeal, Retry, SealOptions};

/// The service. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Service(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    keys: BTreeMap<String, [u8; 32]>,
    current: String,
    failure: Option<Error>,
    wrap_failure: Option<Error>,
    /// The key that may encrypt only.
    encrypts_only: Option<String>,
    /// Every plaintext that passed through it.
    seen: Vec<Zeroizing<Vec<u8>>>,
    wraps: usize,
    unwraps: usize,
    others: usize,
}

impl Service {
    /// With one key, which is current.
    pub(crate) fn new(key: &str) -> Service {
        let service = Service::default();
        service.turn_to(key);
        service
    }

    /// Another way to the same keys: what fails by the one works by the other.
    pub(crate) fn twin(&self) -> Service {
        let state = self.state();
        Service(Arc::new(Mutex::new(State { keys: state.keys.clone(), current: state.current.clone(), ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this key the current one; it is made if there is none of this name.
    pub(crate) fn turn_to(&self, key: &str) {
        let mut state = self.state();
        state.keys.entry(key.to_owned()).or_insert_with(|| crypto::random().unwrap());
        state.current = key.to_owned();
    }

    /// From now on every request fails so; none for success.
    pub(crate) fn fail(&self, failure: Option<Error>) {
        self.state().failure = failure;
    }

    /// The same of requests to wrap alone.
    pub(crate) fn fail_wraps(&self, failure: Option<Error>) {
        self.state().wrap_failure = failure;
    }

    /// From now on this key may encrypt only; none for every key both.
    pub(crate) fn encrypts_only(&self, key: Option<&str>) {
        self.state().encrypts_only = key.map(str::to_owned);
    }

    /// Whether these bytes ever passed through the service.
    pub(crate) fn saw(&self, secret: &[u8]) -> bool {
        self.state().seen.iter().any(|seen| seen.windows(secret.len()).any(|part| part == secret))
    }

    /// How often it was asked to wrap, to unwrap, and anything else.
    pub(crate) fn asked(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.wraps, state.unwraps, state.others)
    }

    /// As a seal of this name.
    pub(crate) fn seal(&self, name: &str) -> AutoSeal {
        AutoSeal { kind: "awskms".to_owned(), name: name.to_owned(), backend: Arc::new(self.clone()), allow_direct_blob: false }
    }

    /// As the only seal, tried again at once.
    pub(crate) fn options(&self) -> SealOptions {
        let soon = std::time::Duration::from_millis(5);
        SealOptions {
            seals: vec![self.seal("awskms")],
            retry: Retry { first: soon, cap: soon, uninitialized: soon },
            ..SealOptions::default()
        }
    }

    /// What the service itself makes of bytes, as a blob of the direct mechanism holds them.
    pub(crate) fn encrypt(&self, plain: &[u8]) -> Wrapped {
        let mut state = self.state();
        state.seen.push(Zeroizing::new(plain.to_vec()));
        let nonce = crypto::random::<NONCE_LEN>().unwrap();
        let mut blob = nonce.to_vec();
        crypto::gcm_seal_into(&mut blob, &state.keys[&state.current], &nonce, &[], plain).unwrap();
        Wrapped { blob: Bytes::from(blob), key_id: state.current.clone() }
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        let mut state = self.state();
        // Blobs of earlier programs do not say which.
        let key_id = if wrapped.key_id.is_empty() { &state.current } else { &wrapped.key_id };
        if state.encrypts_only.as_ref() == Some(key_id) {
            return Err(Error::Denied("kms:Decrypt".to_owned()));
        }
        let key = state.keys.get(key_id).ok_or_else(|| Error::Configuration(format!("no key {}", wrapped.key_id)))?;
        let (nonce, sealed) = wrapped.blob.split_first_chunk::<NONCE_LEN>().ok_or_else(|| Error::Corrupt("too short".to_owned()))?;
        let plain = crypto::gcm_open(key, nonce, &[], sealed).unwrap().map_err(|_| Error::Corrupt("not authentic".to_owned()))?;
        state.seen.push(plain.clone());
        Ok(plain)
    }

    fn answer(&self, count: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state();
        count(&mut state);
        state.failure.clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Seal for Service {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.answer(|state| state.wraps += 1)?;
        if let Some(failure) = self.state().wrap_failure.clone() {
            return Err(failure);
        }
        Ok(self.encrypt(dek))
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.answer(|state| state.unwraps += 1)?;
        let plain = self.decrypt(wrapped)?;
        dek.copy_from_slice(<&[u8; 32]>::try_from(plain.as_slice()).map_err(|_| Error::Breach("not 32 bytes".to_owned()))?);
        Ok(())
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.answer(|state| state.unwraps += 1)?;
        self.decrypt(wrapped)
    }

    async fn key_id(&self) -> Result<String> {
        self.answer(|state| state.others += 1)?;
        Ok(self.state().current.clone())
    }

    async fn health(&self) -> Result<()> {
        self.answer(|state| state.others += 1)
    }
}
