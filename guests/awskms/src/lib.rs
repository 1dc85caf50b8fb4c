//! A seal backend on a key of AWS KMS: it wraps and unwraps the host's data-encryption keys (DEKs), and sees nothing that they encrypt.
//!
//! The requests are what `aws-sdk-kms` serialises, sent by the host: no credential, address, header or signature is in here, and nothing that could sign (`cofferdam-guest-aws`).
//! The rules this guest keeps:
//!
//! - **One key, once**: `wrap` has exactly the DEK of the call encrypted, and nothing is sent after that succeeded.
//! - **What KMS returned is returned**, unchanged: the host compares.
//! - **Every Decrypt names its key**: the one that the wrapped key names, or its replica in this region ([`arn`]).
//! - **Nothing is kept**: what is freed is overwritten, the SDK's copies included.
//!
//! # What is sent
//!
//! | call | requests |
//! |---|---|
//! | `open`, `key-id`, `health` | DescribeKey {KeyId} |
//! | `wrap` | Encrypt {KeyId, Plaintext, EncryptionAlgorithm} |
//! | `unwrap` | Decrypt {KeyId, CiphertextBlob, EncryptionAlgorithm} |
//!
//! # Retries
//!
//! A request is sent again after throttling, 5xx, and a lost connection or answer: at most twice, after 25 to 100 ms, and only within 10 s of the call's beginning. When to
//! call again is the host's business.
//!
//! # Permissions
//!
//! kms:DescribeKey, kms:Encrypt and kms:Decrypt on the key; kms:Decrypt on those used before, as long as something is wrapped by them.

mod arn;
mod fault;
mod key;
mod options;
mod sdk;
#[cfg(test)]
mod tests;

use std::alloc::System;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use cofferdam_guest::seal::{Descriptor, Guest, Wrapped};
use cofferdam_guest::{Error, Result, Setting};
use cofferdam_guest_aws::Host;
use zeroizing_alloc::ZeroAlloc;

use key::Key;
use options::Options;

/// A DEK passes through buffers of the SDK and of the bindings that nobody else would overwrite.
#[global_allocator]
static WIPING: ZeroAlloc<System> = ZeroAlloc(System);

thread_local!(static KEY: RefCell<Option<Rc<Key>>> = const { RefCell::new(None) });

/// The key that `attach` was given, at the beginning of a call.
fn begun() -> Result<Rc<Key>> {
    let key = KEY.with_borrow(Option::clone).ok_or_else(|| Error::Unavailable("the instance is not attached".to_owned()))?;
    key.begin();
    Ok(key)
}

struct AwsKms;

impl Guest for AwsKms {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        let key = Key::new(Options::read(settings)?, Arc::new(Host));
        key.begin();
        let key_id = key.open()?;
        Ok(Descriptor { name: "awskms".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), key_id })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        KEY.set(Some(Rc::new(Key::new(Options::read(settings)?, Arc::new(Host)))));
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped> {
        begun()?.wrap(dek)
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>> {
        begun()?.unwrap(wrapped)
    }

    fn key_id() -> Result<String> {
        begun()?.id()
    }

    fn health() -> Result<()> {
        begun()?.health()
    }
}

cofferdam_guest::seal::export!(AwsKms);
