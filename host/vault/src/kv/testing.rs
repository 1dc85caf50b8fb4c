//! What the tests of both engines share.

use std::sync::Arc;

use cofferdam_test_support::{Cut, Memory};
use serde_json::Value;

use crate::barrier::Barrier;
use crate::engine::Engine;
use crate::keyring::Keyring;
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::secret::Secret;
use crate::view::View;

/// More mutations than any test makes.
pub(super) const WHOLE: i64 = 1_000_000;

pub(super) fn request(operation: Operation, path: &str, body: Value) -> Request {
    let Value::Object(data) = body else { panic!("not an object: {body}") };
    Request {
        id: String::new(),
        operation,
        path: path.to_owned(),
        data,
        token: None,
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}

pub(super) async fn ask(engine: &impl Engine, operation: Operation, path: &str, body: Value) -> Result<Response> {
    engine.handle(&request(operation, path, body)).await
}

/// The data of an answer that has some.
pub(super) async fn data(engine: &impl Engine, operation: Operation, path: &str, body: Value) -> Value {
    ask(engine, operation, path, body).await.unwrap().data.unwrap().into()
}

/// The text of a refusal.
pub(super) async fn refusal(engine: &impl Engine, operation: Operation, path: &str, body: Value) -> String {
    match ask(engine, operation, path, body).await {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{operation:?} {path}: expected a refusal, got {other:?}"),
    }
}

/// A storage that takes a batch as a whole, or to which every change is a write of its own.
pub(super) fn memory(batches: bool) -> Memory {
    if batches { Memory::default() } else { Memory::default().without_atomic_batch() }
}

/// An empty mount over a storage that can be cut off, and takes a batch as a whole.
pub(super) fn mount() -> (View, Cut) {
    mount_on(Memory::default())
}

/// An empty mount over this storage, which can be cut off.
pub(super) fn mount_on(memory: Memory) -> (View, Cut) {
    let cut = Cut::after(memory, WHOLE);
    let barrier = Barrier::new(Arc::new(cut.clone()));
    barrier.unseal(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap());
    (View::new(barrier, "logical/mount/"), cut)
}
