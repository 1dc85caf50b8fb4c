//! The method as its clients see it: alone on a view here, and through a whole vault in `vault`. Answers and texts are those that bao 2.7.2 gave to
//! the same requests.

mod cuts;
mod golden;
mod roles;
mod secrets;
mod vault;

use std::net::SocketAddr;

use cofferdam_test_support::{Cut, Memory};
use serde_json::{Value, json};

use super::*;
use crate::barrier::Barrier;
use crate::keyring::Keyring;
use crate::secret::Secret as Random;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A mount, and what it is on.
pub(super) struct Mount {
    pub(super) method: AppRole,
    pub(super) view: View,
    pub(super) clock: Clock,
    pub(super) cut: Cut,
    pub(super) memory: Memory,
    keys: Keyring,
}

impl Mount {
    pub(super) async fn new() -> Mount {
        let keys = Keyring::generate(Arc::new(Random::random().unwrap())).unwrap();
        Mount::on(Memory::default(), &keys).await
    }

    async fn on(memory: Memory, keys: &Keyring) -> Mount {
        let copy = || Keyring::from_stored(keys.root().clone(), &keys.to_stored().unwrap()).unwrap();
        let cut = Cut::after(memory.clone(), i64::MAX / 2);
        let barrier = Barrier::new(Arc::new(cut.clone()));
        barrier.unseal(copy());
        let (view, clock) = (View::new(barrier, "auth/mount/"), Clock::default());
        let method = AppRole::open(view.clone(), clock.clone(), DAY * 32).await.unwrap();
        Mount { method, view, clock, cut, memory, keys: copy() }
    }

    /// The same store as it is now, behind another server.
    pub(super) async fn reopened(&self) -> Mount {
        Mount::on(Memory::from_snapshot(self.memory.snapshot()), &self.keys).await
    }

    /// The same, on a storage to which every change is a write of its own.
    pub(super) async fn reopened_one_by_one(&self) -> Mount {
        Mount::on(Memory::from_snapshot(self.memory.snapshot()).without_atomic_batch(), &self.keys).await
    }

    pub(super) async fn ask(&self, operation: Operation, path: &str, body: Value) -> Result<Response> {
        self.method.handle(&request(operation, path, body)).await
    }

    pub(super) async fn write(&self, path: &str, body: Value) -> Result<Response> {
        self.ask(Operation::Update, path, body).await
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        data(self.ask(Operation::Read, path, json!({})).await.unwrap())
    }

    /// A role that is called like its id.
    pub(super) async fn role(&self, name: &str, mut body: Value) {
        body["role_id"] = name.into();
        self.write(&format!("role/{name}"), body).await.unwrap();
    }

    pub(super) async fn secret(&self, role: &str, id: &str, mut body: Value) -> Value {
        body["secret_id"] = id.into();
        data(self.write(&format!("role/{role}/custom-secret-id"), body).await.unwrap())
    }

    pub(super) async fn log_in(&self, role: &str, secret: &str) -> Result<Login> {
        let body = json!({ "role_id": role, "secret_id": secret });
        Ok(*self.write("login", body).await?.login.expect("a login"))
    }

    /// The text of a refusal.
    pub(super) async fn refused(&self, operation: Operation, path: &str, body: Value) -> (u16, String) {
        refusal(self.ask(operation, path, body).await)
    }
}

/// The status and the text of a refusal.
pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T>) -> (u16, String) {
    match answer {
        Err(Error::BadRequest(text) | Error::WrongCredentials(text)) => (400, text),
        Err(Error::Forbidden(text)) => (403, text),
        Err(Error::NoRoute(text)) => (404, text),
        Err(Error::NotFound) => (404, String::new()),
        Err(Error::UnsupportedOperation) => (405, String::new()),
        Err(Error::Refused(text)) => (500, text),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub(super) fn once(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

pub(super) fn data(response: Response) -> Value {
    response.data.map_or(Value::Null, Value::Object)
}

pub(super) fn request(operation: Operation, path: &str, body: Value) -> Request {
    let Value::Object(data) = body else { panic!("not an object: {body}") };
    Request {
        id: String::new(),
        operation,
        path: path.to_owned(),
        data,
        token: None,
        remote: Some(SocketAddr::from(([127, 0, 0, 1], 4_000))),
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}
