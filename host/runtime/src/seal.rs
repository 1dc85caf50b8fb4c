//! [`Seal`] on top of a guest. While it handles a key, nothing that the guest says is kept: neither log nor text of an error.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Result, Seal, Wrapped};
use wasmtime::Store;
use zeroize::Zeroizing;

use crate::breach::{Breach, contract};
use crate::guest::{Failure, Guest, OpenError};
use crate::inspect::World;
use crate::limits::SealConfig;
use crate::load::Component;
use crate::metrics::Operation;
use crate::pool::{Job, Pool};
use crate::since_v0_1::exports::seal as wit;
use crate::since_v0_1::{SealContract, check_identity};
use crate::state::State;

/// The longest name of a key of a key service, in bytes.
const KEY_ID: usize = 2 << 10;
/// The longest wrapped key, in bytes.
const BLOB: usize = 16 << 10;

/// A seal backend run by a guest.
pub struct SealBackend {
    pool: Arc<Pool<SealContract>>,
    name: String,
    version: String,
}

impl SealBackend {
    pub(crate) async fn open(component: &Component, config: SealConfig) -> Result<Arc<SealBackend>, OpenError> {
        let found = component.inspect().world;
        if found != World::Seal {
            return Err(OpenError::World { name: component.name().to_owned(), wanted: "seal", found });
        }
        let guest = Guest::<SealContract>::link(component, config)?;
        let (pool, (name, version)) = Pool::open(guest, |opened: &wit::Descriptor| {
            check_identity(&opened.name, &opened.version)?;
            check_key_id(&opened.key_id)?;
            Ok((opened.name.clone(), opened.version.clone()))
        })
        .await?;
        Ok(Arc::new(SealBackend { pool, name, version }))
    }

    /// What the guest calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn check_key_id(key_id: &str) -> Result<(), Breach> {
    if (1..=KEY_ID).contains(&key_id.len()) {
        Ok(())
    } else {
        Err(contract(format!("a key id of {} bytes, 1 to {KEY_ID} are allowed", key_id.len())))
    }
}

/// The failure without what the guest says in it.
fn silenced(failure: Failure) -> Failure {
    let hidden = || "(the guest's text is not kept while it handles a key)".to_owned();
    match failure {
        Failure::Ended(breach) => Failure::Ended(breach),
        Failure::Refused(error) => Failure::Refused(match error {
            Error::Unavailable(_) => Error::Unavailable(hidden()),
            Error::Configuration(_) => Error::Configuration(hidden()),
            Error::Denied(_) => Error::Denied(hidden()),
            Error::Corrupt(_) => Error::Corrupt(hidden()),
            Error::Conflict(_) => Error::Conflict(hidden()),
            Error::Unsupported(_) => Error::Unsupported(hidden()),
            Error::Exhausted(_) => Error::Exhausted(hidden()),
            Error::InvalidKey(_) => Error::InvalidKey(hidden()),
            other => other,
        }),
    }
}

struct Wrap(Zeroizing<[u8; 32]>);

impl Job<SealContract> for Wrap {
    type Output = Wrapped;
    const OPERATION: Operation = Operation::Wrap;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<Wrapped, Failure> {
        store.data().quiet.store(true, Ordering::Relaxed);
        let answer = exports.call_wrap(&mut *store, self.0.as_slice()).await?;
        store.data().quiet.store(false, Ordering::Relaxed);
        let wit::Wrapped { blob, key_id } = answer.map_err(|error| silenced(error.into()))?;
        check_key_id(&key_id)?;
        if !(1..=BLOB).contains(&blob.len()) {
            return Err(contract(format!("wrap: a blob of {} bytes, 1 to {BLOB} are allowed", blob.len())).into());
        }
        Ok(Wrapped { blob: Bytes::from(blob), key_id })
    }
}

struct Unwrap(wit::Wrapped);

impl Job<SealContract> for Unwrap {
    type Output = Zeroizing<[u8; 32]>;
    const OPERATION: Operation = Operation::Unwrap;

    async fn run(self, store: &mut Store<State>, exports: &wit::Guest) -> Result<Zeroizing<[u8; 32]>, Failure> {
        store.data().quiet.store(true, Ordering::Relaxed);
        let answer = exports.call_unwrap(&mut *store, &self.0).await?;
        store.data().quiet.store(false, Ordering::Relaxed);
        let dek = Zeroizing::new(answer.map_err(|error| silenced(error.into()))?);
        let dek = <[u8; 32]>::try_from(dek.as_slice()).map_err(|_| contract(format!("unwrap: {} bytes, not 32", dek.len())))?;
        Ok(Zeroizing::new(dek))
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
        let job = Unwrap(wit::Wrapped { blob: wrapped.blob.to_vec(), key_id: wrapped.key_id.clone() });
        let unwrapped = self.pool.call(async { job }).await?;
        dek.copy_from_slice(unwrapped.as_slice());
        Ok(())
    }

    async fn key_id(&self) -> Result<String> {
        self.pool.call(async { KeyId }).await
    }

    async fn health(&self) -> Result<()> {
        self.pool.call(async { Health }).await
    }
}
