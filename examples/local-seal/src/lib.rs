//! A seal in a hundred lines, for reading: what each call of the contract has to do.
//!
//! This file is the contract; [`service`] stands in for the key service. **It protects nothing**: its key stands in the configuration, so who can read that and the
//! storage can read every secret.

mod service;

use std::cell::RefCell;

use cofferdam_guest::seal::{Descriptor, Guest, Wrapped};
use cofferdam_guest::{Error, Result, Setting, Settings};

use service::Service;

thread_local!(static SERVICE: RefCell<Option<Service>> = const { RefCell::new(None) });

struct LocalSeal;

fn configured(settings: Vec<Setting>) -> Result<Service> {
    let mut settings = Settings::new(settings);
    let key = settings.required("key")?;
    let key_id = settings.text("key_id").unwrap_or_else(|| "local".to_owned());
    settings.finish()?;
    Service::new(&key, key_id)
}

fn with<T>(run: impl FnOnce(&Service) -> Result<T>) -> Result<T> {
    SERVICE.with_borrow(|service| service.as_ref().map_or_else(|| Err(Error::Unavailable("not attached yet".to_owned())), run))
}

impl Guest for LocalSeal {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        let service = configured(settings)?;
        cofferdam_guest::warn!("the key stands in the configuration: this seal is for trying out and protects nothing");
        Ok(Descriptor { name: "local-seal".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), key_id: service.key_id().to_owned() })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        SERVICE.set(Some(configured(settings)?));
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped> {
        with(|service| Ok(Wrapped { blob: service.encrypt(&dek)?, key_id: service.key_id().to_owned() }))
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>> {
        with(|service| service.decrypt(&wrapped.key_id, &wrapped.blob))
    }

    fn key_id() -> Result<String> {
        with(|service| Ok(service.key_id().to_owned()))
    }

    fn health() -> Result<()> {
        with(|_| Ok(()))
    }
}

cofferdam_guest::seal::export!(LocalSeal);
