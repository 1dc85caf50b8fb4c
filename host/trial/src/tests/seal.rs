//! A seal that keeps keys in memory and gives out tickets for them, with one fault or none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Result, Seal, Wrapped};
use cofferdam_runtime::World;
use tokio::task::yield_now;
use zeroize::Zeroizing;

use crate::{Info, OpenWith, OpenedSeal, Subject, SubjectError};

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealFault {
    None,
    Ill,
    LosesAKey,
    IgnoresAByte,
    IgnoresTheRest,
    AnotherKeyForAnotherName,
    ForgetsWhenOpened,
    MixesUp,
    TrapsOnRubbish,
    BetraysAKey,
}

const TICKET: usize = 40;
const KEY: &str = "key-1";

#[derive(Default)]
struct Keys {
    tickets: BTreeMap<Vec<u8>, [u8; 32]>,
    current: [u8; 32],
    wraps: usize,
}

pub(super) struct ToySeal {
    fault: SealFault,
    keys: Arc<Mutex<Keys>>,
    info: Info,
}

impl ToySeal {
    pub(super) fn new(fault: SealFault) -> ToySeal {
        let info = Info { world: World::Seal, ..super::Toy::new(super::Fault::None).info().clone() };
        ToySeal { fault, keys: Arc::default(), info }
    }

    /// Forgets every key.
    pub(super) fn forget(&self) {
        *self.keys.lock().unwrap() = Keys::default();
    }
}

#[async_trait]
impl Subject for ToySeal {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn seal(&self, _: OpenWith) -> Result<OpenedSeal, SubjectError> {
        if self.fault == SealFault::ForgetsWhenOpened {
            *self.keys.lock().unwrap() = Keys::default();
        }
        Ok(OpenedSeal { seal: Arc::new(View { fault: self.fault, keys: Arc::clone(&self.keys) }), backend: None })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        Ok(())
    }
}

struct View {
    fault: SealFault,
    keys: Arc<Mutex<Keys>>,
}

#[async_trait]
impl Seal for View {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.keys.lock().unwrap().current = *dek;
        yield_now().await;
        let mut keys = self.keys.lock().unwrap();
        keys.wraps += 1;
        let number = keys.wraps;
        if self.fault == SealFault::BetraysAKey && number == 5 {
            return Err(Error::Breach("key: wrap: the guest returned the key itself as the wrapped key, as it is".to_owned()));
        }
        let mut ticket: Vec<u8> = (0..TICKET).map(|at| (number.wrapping_mul(131) + at * 7) as u8 ^ (number >> 3) as u8).collect();
        ticket[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut kept = if self.fault == SealFault::MixesUp { keys.current } else { *dek };
        if self.fault == SealFault::LosesAKey && number == 5 {
            kept[31] ^= 1;
        }
        keys.tickets.insert(ticket.clone(), kept);
        Ok(Wrapped { blob: Bytes::from(ticket), key_id: KEY.to_owned() })
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        yield_now().await;
        let mut blob = wrapped.blob.to_vec();
        if self.fault == SealFault::TrapsOnRubbish && blob.len() > 1_000 {
            return Err(Error::Breach("trap: out of bounds".to_owned()));
        }
        if self.fault == SealFault::AnotherKeyForAnotherName && wrapped.key_id != KEY {
            *dek = [0x5a; 32];
            return Ok(());
        }
        if self.fault == SealFault::IgnoresTheRest {
            blob.truncate(TICKET);
        }
        let ignored = if self.fault == SealFault::IgnoresAByte { 0..1 } else { 0..0 };
        let same =
            |ticket: &[u8]| ticket.len() == blob.len() && (0..ticket.len()).all(|at| ticket[at] == blob[at] || ignored.contains(&at));
        let keys = self.keys.lock().unwrap();
        let found = keys.tickets.iter().find(|(ticket, _)| same(ticket)).map(|(_, dek)| *dek);
        *dek = found.ok_or_else(|| Error::Corrupt("no such ticket".to_owned()))?;
        Ok(())
    }

    async fn unwrap_direct(&self, _: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        Err(Error::Unsupported("direct".to_owned()))
    }

    async fn key_id(&self) -> Result<String> {
        Ok(KEY.to_owned())
    }

    async fn health(&self) -> Result<()> {
        if self.fault == SealFault::Ill { Err(Error::Denied("no".to_owned())) } else { Ok(()) }
    }
}
