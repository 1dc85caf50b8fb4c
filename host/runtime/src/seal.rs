//! [`Seal`] on top of a guest. While it handles a key, nothing that the guest says is kept: neither log nor text of an error. And an instance that
//! has handled a key handles nothing else: what it may remember goes with it.

mod judge;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Result, Seal, Wrapped};
use wasmtime::Store;
use zeroize::Zeroizing;

use crate::aws::{KeyAsked, KeyCall};
use crate::breach::{Breach, contract};
use crate::guest::{Failure, Guest, OpenError};
use crate::inspect::{SEAL_BY_HTTP, World};
use crate::limits::SealConfig;
use crate::load::Component;
use crate::metrics::Operation;
use crate::pool::{Job, Pool};
use crate::since_v0_1::exports::seal as wit;
use crate::since_v0_1::{SealContract, check_identity};
use crate::state::State;
use crate::stats::{About, Stats};

/// The longest name of a key of a key service, in bytes.
const KEY_ID: usize = 2 << 10;
/// The longest wrapped key, in bytes.
const BLOB: usize = 16 << 10;

/// A seal backend run by a guest.
pub struct SealBackend {
    pool: Arc<Pool<SealContract>>,
    name: String,
    version: String,
    key_id: String,
}

impl SealBackend {
    pub(crate) async fn open(component: &Component, config: SealConfig) -> Result<Arc<SealBackend>, OpenError> {
        let found = component.inspect().world;
        if found != World::Seal {
            return Err(OpenError::World { name: component.name().to_owned(), wanted: "seal", found });
        }
        if config.grants.http.is_some() {
            if config.grants.aws.is_some() {
                let reason = "a seal is granted `aws` or `http`, not both: what it learns by the one could leave by the other, unseen; remove a grant";
                return Err(OpenError::Options { backend: config.name, reason: reason.to_owned() });
            }
            tracing::warn!(backend = config.name, sha256 = component.inspect().sha256, "{}", SEAL_BY_HTTP);
        }
        let guest = Guest::<SealContract>::link(component, config)?;
        let (pool, (name, version, key_id)) = Pool::open(guest, |opened: &wit::Descriptor| {
            check_identity(&opened.name, &opened.version)?;
            check_key_id(&opened.key_id)?;
            Ok((opened.name.clone(), opened.version.clone(), opened.key_id.clone()))
        })
        .await?;
        Ok(Arc::new(SealBackend { pool, name, version, key_id }))
    }

    /// What it is and what it was given.
    pub fn about(&self) -> &About {
        &self.pool.guest.about
    }

    /// What it has done since it was opened.
    pub fn stats(&self) -> Stats {
        let mut stats = self.pool.guest.tally.read();
        self.pool.count(&mut stats.pool);
        stats
    }

    /// What the guest calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The key that `wrap` would have used when the backend was opened.
    pub fn opened_key_id(&self) -> &str {
        &self.key_id
    }
}

fn check_key_id(key_id: &str) -> Result<(), Breach> {
    if (1..=KEY_ID).contains(&key_id.len()) {
        Ok(())
    } else {
        Err(contract(format!("a key id of {} bytes, 1 to {KEY_ID} are allowed", key_id.len())))
    }
}

/// What is stored is the storage's word: no guest sees what the contract does not allow.
fn check_stored(wrapped: &Wrapped) -> Result<()> {
    let (blob, key_id) = (wrapped.blob.len(), wrapped.key_id.len());
    if (1..=BLOB).contains(&blob) && (1..=KEY_ID).contains(&key_id) {
        return Ok(());
    }
    Err(Error::Corrupt(format!("a wrapped key has 1 to {BLOB} bytes and a key id of 1 to {KEY_ID}; this has {blob} and {key_id}")))
}

/// Silences the guest for the rest of its instance's life, and notes what it is asked, for the [`Aws`](crate::Aws) of its grant.
fn begin(store: &mut Store<State>, asked: impl FnOnce() -> KeyAsked) {
    let state = store.data_mut();
    state.quiet.store(true, Ordering::Relaxed);
    if state.aws.is_some() {
        state.call.key = Some(KeyCall::new(asked()));
    }
}

/// What came of it.
fn end(store: &mut Store<State>) -> Option<KeyCall> {
    store.data_mut().call.key.take()
}

struct Wrap(Zeroizing<[u8; 32]>);

impl Job<SealContract> for Wrap {
    type Output = Wrapped;
    const OPERATION: Operation = Operation::Wrap;
    const ONCE: bool = true;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<Wrapped, Failure> {
        let Wrap(dek) = self;
        begin(store, || KeyAsked::Wrap(dek.clone()));
        let returned = exports.call_wrap(&mut *store, dek.as_slice()).await;
        let call = end(store);
        let wit::Wrapped { blob, key_id } = judge::ended(returned, call.as_ref())?;
        // Not how many there are: a number of the guest's could hold a piece of the key.
        if !(1..=KEY_ID).contains(&key_id.len()) || !(1..=BLOB).contains(&blob.len()) {
            return Err(contract(format!("wrap: not a blob of 1 to {BLOB} bytes and a key id of 1 to {KEY_ID}")).into());
        }
        let wrapped = Wrapped { blob: Bytes::from(blob), key_id };
        judge::wrapped(&dek, &wrapped, call.as_ref())?;
        Ok(wrapped)
    }
}

struct Unwrap {
    wrapped: Wrapped,
    direct: bool,
}

impl Job<SealContract> for Unwrap {
    type Output = Zeroizing<Vec<u8>>;
    const OPERATION: Operation = Operation::Unwrap;
    const ONCE: bool = true;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let Unwrap { wrapped, direct } = self;
        let argument = wit::Wrapped { blob: wrapped.blob.to_vec(), key_id: wrapped.key_id.clone() };
        begin(store, || KeyAsked::Unwrap { wrapped, direct });
        let returned = exports.call_unwrap(&mut *store, &argument).await.map(|answer| answer.map(Zeroizing::new));
        let call = end(store);
        let plain = judge::ended(returned, call.as_ref())?;
        judge::unwrapped(&plain, direct, call.as_ref())?;
        Ok(plain)
    }
}

struct KeyId;

impl Job<SealContract> for KeyId {
    type Output = String;
    const OPERATION: Operation = Operation::KeyId;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<String, Failure> {
        let key_id = exports.call_key_id(store).await??;
        check_key_id(&key_id)?;
        Ok(key_id)
    }
}

struct Health;

impl Job<SealContract> for Health {
    type Output = ();
    const OPERATION: Operation = Operation::Health;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<(), Failure> {
        Ok(exports.call_health(store).await??)
    }
}

#[async_trait]
impl Seal for SealBackend {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        let job = Wrap(Zeroizing::new(*dek));
        self.pool.call(async { job }).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        check_stored(wrapped)?;
        let job = Unwrap { wrapped: wrapped.clone(), direct: false };
        let plain = self.pool.call(async { job }).await?;
        let Ok(plain) = <&[u8; 32]>::try_from(plain.as_slice()) else {
            return Err(contract(format!("unwrap: {} bytes, not 32", plain.len())).into());
        };
        dek.copy_from_slice(plain);
        Ok(())
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        check_stored(wrapped)?;
        let job = Unwrap { wrapped: wrapped.clone(), direct: true };
        self.pool.call(async { job }).await
    }

    async fn key_id(&self) -> Result<String> {
        self.pool.call(async { KeyId }).await
    }

    async fn health(&self) -> Result<()> {
        self.pool.call(async { Health }).await
    }
}
