//! The tests of tokens: a store over memory, asked as the core asks it.

mod api;
mod batch;
mod crash;
mod identity;
mod life;
mod roles;
mod tidy;

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::Storage;
use cofferdam_test_support::Memory;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Backend, Caller, Cubbyhole, Parts, Store};
use crate::barrier::Barrier;
use crate::engine::Engine;
use crate::identity::Identities;
use crate::keyring::Keyring;
use crate::lease::clock::Clock;
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::policy;
use crate::secret::Secret;
use crate::view::View;

const HOUR: Duration = Duration::from_secs(3_600);

/// A vault's tokens.
struct Vault {
    barrier: Arc<Barrier>,
    policies: Arc<policy::Store>,
    store: Arc<Store>,
    backend: Backend,
    cubbyhole: Arc<dyn Engine>,
    clock: Clock,
    root: Zeroizing<String>,
}

/// The barrier of a vault whose keys are the same for every storage.
struct Keys(Keyring);

impl Keys {
    fn new() -> Keys {
        Keys(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap())
    }

    fn barrier(&self, storage: impl Storage) -> Arc<Barrier> {
        let barrier = Barrier::new(Arc::new(storage));
        let stored = self.0.to_stored().unwrap();
        barrier.unseal(Keyring::from_stored(self.0.root().clone(), &stored).unwrap());
        barrier
    }
}

async fn store_over(barrier: Arc<Barrier>, clock: Clock) -> Result<(Arc<Store>, Arc<policy::Store>)> {
    let policies = Arc::new(policy::Store::new(View::new(barrier.clone(), "sys/policy/"), clock.clone()));
    let store = Store::open(Parts {
        cubbyhole: Cubbyhole::new(View::new(barrier.clone(), "logical/cubby-uuid/"), "cubby-uuid"),
        policies: policies.clone(),
        identities: Identities::new(Some(View::new(barrier.clone(), "logical/identity-uuid/"))),
        default_lease_ttl: HOUR * 768,
        max_lease_ttl: HOUR * 768,
        barrier,
        clock,
    })
    .await?;
    Ok((store, policies))
}

impl Vault {
    async fn new() -> Vault {
        Vault::over(Keys::new().barrier(Memory::default()), Clock::default()).await
    }

    /// Opens, makes a root token, and the policies `p1` (may make tokens) and `p2` (the same with sudo).
    async fn over(barrier: Arc<Barrier>, clock: Clock) -> Vault {
        let (store, policies) = store_over(barrier.clone(), clock.clone()).await.unwrap();
        policies.ensure_defaults().await.unwrap();
        policies.put("p1", r#"path "auth/token/*" { capabilities = ["create", "update"] }"#).await.unwrap();
        policies.put("p2", r#"path "auth/token/*" { capabilities = ["create", "update", "sudo"] }"#).await.unwrap();
        let root = store.create_root().await.unwrap().1;
        store.leases.load().await.unwrap();
        Vault { backend: Backend::new(store.clone()), cubbyhole: store.cubbyhole(), barrier, policies, store, clock, root }
    }

    async fn caller(&self, token: &str) -> Result<Arc<Caller>> {
        self.store.caller(token, None).await?.ok_or(Error::PermissionDenied)
    }

    async fn ask(&self, token: &str, operation: Operation, path: &str, data: Value) -> Result<Response> {
        let caller = self.caller(token).await?;
        let last = self.store.spend(&caller).await?;
        let answer = self.backend.handle(&request(&caller, operation, path, data)).await;
        if last {
            self.store.revoke(&caller.entry.id).await?;
        }
        answer
    }

    async fn write(&self, token: &str, path: &str, data: Value) -> Result<Response> {
        self.ask(token, Operation::Update, path, data).await
    }

    /// A new token of the caller's, in the form for clients.
    async fn make(&self, token: &str, data: Value) -> String {
        self.write(token, "create", data).await.unwrap().auth.unwrap().client_token.to_string()
    }

    async fn lookup(&self, token: &str) -> Value {
        Value::Object(self.ask(token, Operation::Read, "lookup-self", json!({})).await.unwrap().data.unwrap())
    }

    async fn alive(&self, token: &str) -> bool {
        match self.store.caller(token, None).await {
            Ok(caller) => caller.is_some(),
            Err(Error::PermissionDenied) => false,
            Err(other) => panic!("{other}"),
        }
    }
}

fn request(caller: &Arc<Caller>, operation: Operation, path: &str, data: Value) -> Request {
    let Value::Object(data) = data else { panic!("no object") };
    Request {
        id: "test".to_owned(),
        operation,
        path: path.to_owned(),
        data,
        token: None,
        remote: None,
        caller: Some(caller.clone()),
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}

fn text(result: Result<Response>) -> String {
    result.map_or_else(|error| error.to_string(), |response| panic!("it was done: {response:?}"))
}
