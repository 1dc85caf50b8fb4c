//! @NAME@: a seal backend for Cofferdam.
//!
//! This file is the contract, [`service`] what stands in for your key service: one key, from the stanza. **As it was made it protects nothing**: who can read the
//! configuration can read every key that it wrapped. It keeps every promise of the contract, so that `coffer plugin test` passes.
//!
//! Replace `service` by requests to your key service and go through FILL IN below. What each call promises is written in `wit/seal.wit`.

mod service;

use std::cell::RefCell;

use cofferdam_guest::seal::{Descriptor, Guest, Wrapped};
use cofferdam_guest::{Error, Result, Setting, Settings};

use service::Service;

thread_local!(static SERVICE: RefCell<Option<Service>> = const { RefCell::new(None) });

struct Backend;

/// Reads the stanza. A name that is not asked for is an error that says so.
fn configured(settings: Vec<Setting>) -> Result<Service> {
    let mut settings = Settings::new(settings);
    // FILL IN: where the service is and which key it shall use. No key and no token belongs here: those are added by the host, from a grant.
    let key = settings.required("key")?;
    let key_id = settings.text("key_id").unwrap_or_else(|| "stub".to_owned());
    settings.finish()?;
    Service::new(&key, key_id)
}

fn with<T>(run: impl FnOnce(&Service) -> Result<T>) -> Result<T> {
    SERVICE.with_borrow(|service| service.as_ref().map_or_else(|| Err(Error::Unavailable("not attached yet".to_owned())), run))
}

impl Guest for Backend {
    /// Once per backend, before anything else. May send.
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        let service = configured(settings)?;
        // FILL IN: that the key is there and fit for use, and remove this line.
        cofferdam_guest::warn!("this seal is a stub: its key stands in the configuration, and it protects nothing");
        Ok(Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key_id: service.key_id().to_owned(),
        })
    }

    /// On every instance before its first other call. Prepares memory and sends nothing.
    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        SERVICE.set(Some(configured(settings)?));
        Ok(())
    }

    /// FILL IN: have the service encrypt these 32 bytes, once and nothing else; hand on what it answered, unchanged.
    fn wrap(dek: Vec<u8>) -> Result<Wrapped> {
        with(|service| Ok(Wrapped { blob: service.encrypt(&dek)?, key_id: service.key_id().to_owned() }))
    }

    /// FILL IN: have the service decrypt it. `corrupt` if it does not accept the blob, `denied` if it does not accept the caller.
    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>> {
        with(|service| service.decrypt(&wrapped.key_id, &wrapped.blob))
    }

    /// FILL IN: the key that `wrap` would use now.
    fn key_id() -> Result<String> {
        with(|service| Ok(service.key_id().to_owned()))
    }

    /// FILL IN: whether the service answers and the key can be used.
    fn health() -> Result<()> {
        with(|_| Ok(()))
    }
}

cofferdam_guest::seal::export!(Backend);
