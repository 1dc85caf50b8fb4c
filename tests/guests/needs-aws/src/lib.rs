//! A storage backend that sends what it is told, whether that is allowed or not. Without the grant `aws` it must not even start.
//!
//! A key below `send/` or `send-many/` names an operation and sends it; a refusal is the error `denied` with the host's text. The body is the
//! value of a `put`, what follows the operation in the key of a `get`, `delete` or lock's `read`, the `after` of a listing, or the value of a claim:
//!
//! - `send/<Operation>[/<body>]` sends once, `send-many/<n>/<Operation>[/<body>]` n times or until the first refusal;
//! - a folder `prune/send/<Operation>/` sends when it is pruned;
//! - `fence` notes what the call was told of fencing; `get` of `fenced` tells what was noted last;
//! - `get` of `environment` tells environment and arguments.
//!
//! The settings `open` and `attach` hold lines `<Operation> <body>`, sent in these calls; `create` is a body for CreateTable, sent at the end of `open`.

use std::cell::RefCell;

use cofferdam::backend::types::{Error, Limits, Setting};
use cofferdam::backend::{aws, fencing};
use exports::cofferdam::backend::lock::{self, Held};
use exports::cofferdam::backend::storage::{self, Descriptor, Entry, Features, Operation, Page, ScanPage};

wit_bindgen::generate!({ path: "../../../wit", world: "storage-backend-ha" });

struct NeedsAws;

export!(NeedsAws);

thread_local!(static FENCED: RefCell<String> = const { RefCell::new(String::new()) });

/// Sends once. The answer is its status, a line break, and the body.
fn send(operation: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    match aws::send(operation, body) {
        Ok(answer) if answer.status < 300 => Ok([answer.status.to_string().as_bytes(), b"\n", &answer.body].concat()),
        Ok(answer) => Err(Error::Unavailable(format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body)))),
        Err(aws::SendError::Refused(text)) => Err(Error::Denied(text)),
        Err(aws::SendError::Unreachable(text)) => Err(Error::Unavailable(format!("unreachable: {text}"))),
        Err(aws::SendError::Interrupted(text)) => Err(Error::Unavailable(format!("interrupted: {text}"))),
        Err(aws::SendError::TooLarge(size)) => Err(Error::Exhausted(format!("an answer of {size} bytes"))),
        Err(aws::SendError::Credentials(text)) => Err(Error::Unavailable(format!("credentials: {text}"))),
    }
}

/// Does what the key names; none if it names nothing. `body` is sent if the key holds none.
fn act(key: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let parts = |rest: &str| match rest.split_once('/') {
        Some((operation, body)) => (operation.to_owned(), body.as_bytes().to_vec()),
        None => (rest.to_owned(), body.to_vec()),
    };
    if let Some(rest) = key.strip_prefix("send/") {
        let (operation, body) = parts(rest);
        return send(&operation, &body).map(Some);
    }
    if let Some((number, rest)) = key.strip_prefix("send-many/").and_then(|rest| rest.split_once('/')) {
        let number: u32 = number.parse().map_err(|_| Error::Unsupported(format!("{number} is no number")))?;
        let (operation, body) = parts(rest);
        for sent in 0..number {
            send(&operation, &body).map_err(|error| match error {
                Error::Denied(text) => Error::Denied(format!("after {sent}: {text}")),
                other => other,
            })?;
        }
        return Ok(Some(Vec::new()));
    }
    if key == "fence" {
        let fence = fencing::current().map_or_else(|| "none".to_owned(), |fence| format!("{} {}", fence.key, fence.identity));
        FENCED.set(fence.clone());
        return Ok(Some(fence.into()));
    }
    Ok(None)
}

/// Sends the lines of the setting. A refusal ends it; what the service answers does not.
fn lines(settings: &[Setting], name: &str) -> Result<(), Error> {
    let Some(setting) = settings.iter().find(|setting| setting.name == name) else { return Ok(()) };
    for line in setting.value.lines() {
        let (operation, body) = line.split_once(' ').unwrap_or((line, "{}"));
        if let Err(refused @ Error::Denied(_)) = send(operation, body.as_bytes()) {
            return Err(refused);
        }
    }
    Ok(())
}

impl storage::Guest for NeedsAws {
    fn open(settings: Vec<Setting>) -> Result<Descriptor, Error> {
        lines(&settings, "open")?;
        if let Some(create) = settings.iter().find(|setting| setting.name == "create") {
            send("CreateTable", create.value.as_bytes())?;
        }
        let limits = Limits { key: 1 << 20, segment: 1 << 20, value: 16 << 20, batch_operations: 100, batch_bytes: 16 << 20 };
        Ok(Descriptor { name: "needs-aws".to_owned(), version: "0.1.0".to_owned(), features: Features::empty(), limits })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        lines(&settings, "attach")
    }

    fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        if key == "fenced" {
            return Ok(Some(FENCED.take().into()));
        }
        if key == "environment" {
            let seen: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).chain(std::env::args()).collect();
            return Ok(Some(format!("{seen:?}").into()));
        }
        act(&key, b"{}")
    }

    fn put(key: String, value: Vec<u8>, _: u32) -> Result<(), Error> {
        act(&key, &value).map(drop)
    }

    fn delete(key: String) -> Result<u32, Error> {
        act(&key, b"{}").map(|_| 0)
    }

    fn prune(folder: String) -> Result<bool, Error> {
        // Only below `prune/`, so that a delete of a key that sends does it once.
        folder.strip_prefix("prune/").map_or(Ok(None), |folder| act(folder.trim_end_matches('/'), b"{}")).map(|_| true)
    }

    fn list_page(folder: String, after: String, _: u32) -> Result<Page, Error> {
        act(folder.trim_end_matches('/'), after.as_bytes()).map(|_| Page { names: Vec::new(), more: false })
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>, Error> {
        for operation in &operations {
            match operation {
                Operation::Put(Entry { key, value }) => act(key, value)?,
                Operation::Delete(key) => act(key, b"{}")?,
            };
        }
        Ok(vec![0; operations.len()])
    }

    fn scan(_: u32, _: u32, cursor: Option<Vec<u8>>, _: u32) -> Result<ScanPage, Error> {
        send("Scan", cursor.as_deref().unwrap_or(b"{}")).map(|_| ScanPage { entries: Vec::new(), cursor: None })
    }
}

impl lock::Guest for NeedsAws {
    fn try_acquire(key: String, claim: Held, _: Option<Held>) -> Result<bool, Error> {
        act(&key, &claim.value).map(|_| true)
    }

    fn renew(key: String, _: String, _: u64) -> Result<bool, Error> {
        act(&key, b"{}").map(|_| true)
    }

    fn release(key: String, _: String) -> Result<(), Error> {
        act(&key, b"{}").map(drop)
    }

    fn read(key: String) -> Result<Option<Held>, Error> {
        Ok(act(&key, b"{}")?.map(|value| Held { value, identity: String::new(), expires: 0 }))
    }
}
