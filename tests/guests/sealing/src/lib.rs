//! A seal backend without a key service: it "wraps" by turning bits over, others of every byte. The setting `mode` makes it misbehave.

mod writing;

use std::cell::RefCell;

use cofferdam::backend::log::{Level, write};
use cofferdam::backend::types::{Error, Setting};
use exports::cofferdam::backend::seal::{Descriptor, Guest, Wrapped};

wit_bindgen::generate!({ path: "../../../wit", world: "seal-backend" });

struct Sealing;

export!(Sealing);

thread_local! {
    static MODE: RefCell<String> = const { RefCell::new(String::new()) };
    /// What an instance remembers of its calls.
    static REMEMBERED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn mode(name: &str) -> bool {
    MODE.with_borrow(|mode| mode == name)
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().zip((1..=u8::MAX).cycle()).map(|(byte, at)| byte ^ at).collect()
}

impl Guest for Sealing {
    fn open(settings: Vec<Setting>) -> Result<Descriptor, Error> {
        let nameless = settings.iter().any(|setting| setting.value == "no-key");
        let key_id = if nameless { String::new() } else { "key-1".to_owned() };
        Ok(Descriptor { name: "sealing".to_owned(), version: "0.1.0".to_owned(), key_id })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        MODE.set(settings.into_iter().find(|setting| setting.name == "mode").map(|setting| setting.value).unwrap_or_default());
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped, Error> {
        write(Level::Error, &format!("the key is {dek:?}"));
        REMEMBERED.with_borrow_mut(|remembered| remembered.push(format!("{dek:?}")));
        if mode("telling") {
            eprintln!("the key is {dek:?}");
            return Err(Error::Denied(format!("the key is {dek:?}")));
        }
        let written = MODE.with_borrow(|mode| writing::written(mode, &dek));
        let blob = if mode("empty") { Vec::new() } else { written.unwrap_or_else(|| turned(&dek)) };
        Ok(Wrapped { blob, key_id: "key-1".to_owned() })
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>, Error> {
        if wrapped.key_id != "key-1" {
            return Err(Error::Corrupt("another key".to_owned()));
        }
        let mut dek = turned(&wrapped.blob);
        REMEMBERED.with_borrow_mut(|remembered| remembered.push(format!("{dek:?}")));
        if mode("short") {
            dek.pop();
        }
        Ok(dek)
    }

    fn key_id() -> Result<String, Error> {
        write(Level::Info, "asked for the key's name");
        if mode("remembering") {
            return Ok(format!("key-1, and {:?}", REMEMBERED.take()));
        }
        Ok("key-1".to_owned())
    }

    fn health() -> Result<(), Error> {
        REMEMBERED.with_borrow_mut(|remembered| remembered.push("health".to_owned()));
        if mode("ill") { Err(Error::Unavailable("the service is away".to_owned())) } else { Ok(()) }
    }
}
