//! The core as the server uses it, over a storage in memory.

mod auto;
mod costs;
mod cuts;
mod faults;
mod requests;
mod shares;
mod states;

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::Storage;
use cofferdam_test_support::Memory;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Core, InitRequest, InitResult, Options, UnsealRequest};
use crate::logical::{Operation, Request, Response, Result};

/// A server's options, as a test wants them.
pub(crate) fn options() -> Options {
    Options {
        default_lease_ttl: Duration::from_secs(2_764_800),
        max_lease_ttl: Duration::from_secs(2_764_800),
        api_addr: "http://127.0.0.1:8200".to_owned(),
        cluster_addr: String::new(),
        cluster_name: None,
        storage_type: "memory".to_owned(),
        version: "1.2.3".to_owned(),
        build_date: "2026-01-01T00:00:00Z".to_owned(),
        cache: true,
        ha: None,
        seal: crate::seal::SealOptions::default(),
        lockout: crate::lockout::LockoutOptions::default(),
        audit: crate::audit::AuditOptions::default(),
        sts: None,
    }
}

pub(super) fn core_on(storage: impl Storage) -> Arc<Core> {
    Core::new(Arc::new(storage), options())
}

pub(crate) async fn initialize(core: &Arc<Core>, shares: i64, threshold: i64) -> Result<InitResult> {
    core.initialize(InitRequest { secret_shares: shares, secret_threshold: threshold, ..InitRequest::default() }).await
}

pub(crate) async fn unseal(core: &Arc<Core>, key: &str) -> Result<super::SealStatus> {
    core.unseal(UnsealRequest { key: Zeroizing::new(key.to_owned()), ..UnsealRequest::default() }).await
}

/// An unsealed vault, what its storage holds, and what init gave out.
pub(crate) struct Vault {
    pub(crate) memory: Memory,
    pub(crate) core: Arc<Core>,
    pub(crate) key: String,
    pub(crate) root: String,
}

impl Vault {
    /// With one share.
    pub(crate) async fn new() -> Vault {
        let memory = Memory::default();
        let core = core_on(memory.clone());
        let made = initialize(&core, 1, 1).await.unwrap();
        unseal(&core, &made.keys[0]).await.unwrap();
        Vault { memory, core, key: made.keys[0].to_string(), root: made.root_token.to_string() }
    }

    /// The same store, opened again by another server on this storage.
    pub(crate) async fn reopen(&self, storage: impl Storage) -> Result<Vault> {
        let core = core_on(storage);
        unseal(&core, &self.key).await?;
        Ok(Vault { memory: self.memory.clone(), core, key: self.key.clone(), root: self.root.clone() })
    }

    /// A request with the root token.
    pub(crate) async fn call(&self, operation: Operation, path: &str, body: Value) -> Result<Response> {
        call(&self.core, Some(&self.root), operation, path, body).await
    }

    pub(crate) async fn write(&self, path: &str, body: Value) -> Result<Response> {
        self.call(Operation::Update, path, body).await
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        self.call(Operation::Read, path, Value::Null).await.map(data)
    }

    /// A token with one policy of this text.
    pub(crate) async fn token(&self, policy: &str) -> String {
        self.write("sys/policies/acl/test", serde_json::json!({ "policy": policy })).await.unwrap();
        let made = self.write("auth/token/create", serde_json::json!({ "policies": ["test"] })).await.unwrap();
        made.auth.unwrap().client_token.to_string()
    }
}

impl Core {
    /// As if no write that was given up could take effect any more.
    pub(crate) fn settle(&self) {
        self.barrier.settle();
    }

    /// Changes the stored mount tables as another server would.
    pub(crate) async fn with_tables(&self, change: impl AsyncFnOnce(&mut crate::mounts::Tables)) {
        change(&mut crate::mounts::Tables::load(&self.barrier).await.unwrap()).await;
    }
}

/// The `data` of an answer.
pub(crate) fn data(response: Response) -> Value {
    response.data.map_or(Value::Null, Value::Object)
}

/// A request as the server would hand it over.
pub(crate) async fn call(core: &Arc<Core>, token: Option<&str>, operation: Operation, path: &str, body: Value) -> Result<Response> {
    core.handle(request(token, operation, path, body)).await
}

pub(crate) fn request(token: Option<&str>, operation: Operation, path: &str, body: Value) -> Request {
    let data = if let Value::Object(data) = body { data } else { Default::default() };
    Request {
        id: "test".to_owned(),
        operation,
        path: path.to_owned(),
        data,
        token: token.map(|token| Zeroizing::new(token.to_owned())),
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}
