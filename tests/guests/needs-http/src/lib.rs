//! A storage backend that sends by `wasi:http` what it is told, whether that is allowed or not. Without the grant `http` it must not even start.
//!
//! What it is told is a script, one request to a line (see [`script`]). A `put` has it in its value, a `scan` in its cursor, a `read` of the lock below `send/` in
//! its key; the settings `open` and `attach` have one for these calls. `get` of `told` returns what the last `put` came to, of `count` the number of calls so far.
//! A refusal is the error `denied`, any other error of `wasi:http` is `unavailable`, each with the error's name.

mod script;

use std::cell::{Cell, RefCell};

use cofferdam::backend::types::{Error, Limits, Setting};
use exports::cofferdam::backend::lock::{self, Held};
use exports::cofferdam::backend::storage::{self, Descriptor, Entry, Features, Operation, Page, ScanPage};

wit_bindgen::generate!({ path: "../../../wit", world: "storage-backend-ha" });

struct NeedsHttp;

export!(NeedsHttp);

thread_local! {
    static TOLD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn setting(settings: &[Setting], name: &str) -> Result<(), Error> {
    let Some(setting) = settings.iter().find(|setting| setting.name == name) else { return Ok(()) };
    script::run(&setting.value).map(drop)
}

impl storage::Guest for NeedsHttp {
    fn open(settings: Vec<Setting>) -> Result<Descriptor, Error> {
        setting(&settings, "open")?;
        let limits = Limits { key: 1 << 20, segment: 1 << 20, value: 16 << 20, batch_operations: 100, batch_bytes: 16 << 20 };
        Ok(Descriptor { name: "needs-http".to_owned(), version: "0.1.0".to_owned(), features: Features::empty(), limits })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        setting(&settings, "attach")
    }

    fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        CALLS.set(CALLS.get() + 1);
        match key.as_str() {
            "told" => Ok(Some(TOLD.take())),
            "count" => Ok(Some(CALLS.get().to_string().into())),
            _ => Ok(None),
        }
    }

    fn put(_: String, value: Vec<u8>, _: u32) -> Result<(), Error> {
        CALLS.set(CALLS.get() + 1);
        TOLD.set(script::run(&String::from_utf8_lossy(&value))?);
        Ok(())
    }

    fn delete(_: String) -> Result<u32, Error> {
        Ok(0)
    }

    fn prune(_: String) -> Result<bool, Error> {
        Ok(true)
    }

    fn list_page(_: String, _: String, _: u32) -> Result<Page, Error> {
        Ok(Page { names: Vec::new(), more: false })
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>, Error> {
        Ok(vec![0; operations.len()])
    }

    fn scan(_: u32, _: u32, cursor: Option<Vec<u8>>, _: u32) -> Result<ScanPage, Error> {
        CALLS.set(CALLS.get() + 1);
        let value = script::run(&String::from_utf8_lossy(&cursor.unwrap_or_default()))?;
        Ok(ScanPage { entries: vec![Entry { key: "answer".to_owned(), value }], cursor: None })
    }
}

impl lock::Guest for NeedsHttp {
    fn try_acquire(_: String, claim: Held, _: Option<Held>) -> Result<bool, Error> {
        script::run(&String::from_utf8_lossy(&claim.value)).map(|_| true)
    }

    fn renew(_: String, _: String, _: u64) -> Result<bool, Error> {
        Ok(true)
    }

    fn release(_: String, _: String) -> Result<(), Error> {
        Ok(())
    }

    fn read(_: String) -> Result<Option<Held>, Error> {
        Ok(None)
    }
}
