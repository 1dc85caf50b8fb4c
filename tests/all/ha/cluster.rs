//! Servers on one table in memory, each with its own way to it, its own clock, its own keys and its own threads, so that it can die alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use cofferdam_aws::{DynamoDb, Egress, EgressOptions, TableSpec};
use cofferdam_backend::{Fencing, Lease};
use cofferdam_emulator::{Keys, Mini, Proxy};
use cofferdam_vault::core::{Core, Elsewhere, InitRequest, Options, UnsealRequest};
use cofferdam_vault::ha::{HaOptions, Times};
use cofferdam_vault::logical::{Error, Operation, Request, Result};
use cofferdam_vault::seal::SealOptions;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use super::journal::{Story, story};
use crate::dynamodb::{REGION, credentials, open_on};

const TABLE: &str = "shared";
/// No test waits longer for something that must happen.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The times of all servers: short, and yet not lost to a busy machine.
pub(super) const TIMES: Times = Times {
    ttl: Duration::from_millis(1_800),
    renew: Duration::from_millis(300),
    retry: Duration::from_millis(100),
    margin: Duration::from_millis(400),
    step_down_pause: Duration::from_millis(600),
};

/// By how many seconds a server's wall clock is off, and that of the service as it sees it. The service checks signatures unless its clock is right.
#[derive(Clone, Copy, Default)]
pub(super) struct Clocks {
    pub(super) wall: i64,
    pub(super) service: i64,
}

/// One server. Its tasks run on threads of its own.
pub(super) struct Server {
    pub(super) proxy: Proxy,
    pub(super) core: Arc<Core>,
    pub(super) address: String,
    lease: Arc<Lease>,
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

/// A request of a client with this token.
pub(crate) fn request(token: &str, operation: Operation, path: &str, body: Value) -> Request {
    Request {
        id: "test".to_owned(),
        operation,
        path: path.to_owned(),
        data: if let Value::Object(data) = body { data } else { serde_json::Map::new() },
        token: Some(token.to_owned().into()),
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}

impl Server {
    async fn start(mini: &Arc<Mini>, number: usize, fencing: Fencing, times: Times, Clocks { wall, service }: Clocks) -> Server {
        let proxy = Proxy::start(mini).await.unwrap();
        proxy.clock(service);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let lease = Lease::new(fencing);
        let off = Duration::from_secs(wall.unsigned_abs());
        let egress = EgressOptions {
            endpoint: Some(proxy.endpoint().to_owned()),
            region: REGION.to_owned(),
            clock: Arc::new(move || if wall < 0 { SystemTime::now() - off } else { SystemTime::now() + off }),
            ..EgressOptions::default()
        };
        let opening = {
            let lease = Arc::clone(&lease);
            async move {
                let keys = Keys { access: name(number), ..Keys::any() };
                let egress = Egress::new("main", egress, credentials(&keys).await).unwrap();
                let binding = DynamoDb::new(TableSpec::new(TABLE), egress, Some(Arc::clone(&lease)));
                open_on(TABLE, binding, &[("dynamodb_max_retries", "2")], Some(lease), 16).await.unwrap()
            }
        };
        let storage = handle.spawn(opening).await.unwrap();
        let ha = HaOptions { lock: storage.lock().unwrap(), lease: Arc::clone(&lease), times };
        let address = format!("http://server-{number}:8200");
        let month = Duration::from_secs(768 * 3_600);
        let options = Options {
            default_lease_ttl: month,
            max_lease_ttl: month,
            api_addr: address.clone(),
            cluster_addr: String::new(),
            cluster_name: None,
            storage_type: "dynamodb".to_owned(),
            version: "1.2.3".to_owned(),
            build_date: String::new(),
            cache: true,
            ha: Some(ha),
            seal: SealOptions::default(),
            audit: Default::default(),
            lockout: cofferdam_vault::lockout::LockoutOptions::default(),
            sts: None,
        };
        Server { proxy, core: Core::new(storage, options), address, lease, handle, runtime: Mutex::new(Some(runtime)) }
    }

    /// A request, on the server's own threads. None if the server died meanwhile.
    pub(super) async fn call(&self, root: &str, operation: Operation, path: &str, body: Value) -> Option<Result<Value>> {
        let (core, request) = (Arc::clone(&self.core), request(root, operation, path, body));
        let answer = self.handle.spawn(async move { core.handle(request).await }).await.ok()?;
        Some(answer.map(|response| response.data.map_or(Value::Null, Value::Object)))
    }

    async fn unseal(&self, key: &str) {
        let request = UnsealRequest { key: key.to_owned().into(), ..UnsealRequest::default() };
        let core = Arc::clone(&self.core);
        assert!(!self.handle.spawn(async move { core.unseal(request).await }).await.unwrap().unwrap().sealed);
    }

    pub(super) fn active(&self) -> bool {
        self.runtime.lock().unwrap().is_some()
            && self.core.leader().is_ok_and(|leader| leader.leadership.is_some_and(|leadership| leadership.is_self))
    }

    /// Ends it where it stands.
    pub(super) fn crash(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Under which keys a server signs.
pub(super) fn name(number: usize) -> String {
    format!("AKIASERVER{number}")
}

/// Servers on one table, unsealed, with kv v1 at `s/`.
pub(super) struct Cluster {
    pub(super) mini: Arc<Mini>,
    pub(super) servers: Vec<Server>,
    pub(super) times: Times,
    pub(super) root: String,
    fencing: Fencing,
    key: String,
    over: Arc<AtomicBool>,
    two: Arc<AtomicU64>,
}

impl Cluster {
    /// As many servers as clocks are given.
    pub(super) async fn new(fencing: Fencing, clocks: &[Clocks]) -> Arc<Cluster> {
        let times = TIMES;
        let mini = Arc::new(Mini::new());
        mini.keep_journal();
        let mut servers = Vec::new();
        for (number, clocks) in clocks.iter().enumerate() {
            servers.push(Server::start(&mini, number, fencing, times, *clocks).await);
        }
        let begun = Instant::now();
        let made = loop {
            let request = InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() };
            let core = Arc::clone(&servers[0].core);
            match servers[0].handle.spawn(async move { core.initialize(request).await }).await.unwrap() {
                Ok(made) => break made,
                // It took longer than its lease.
                Err(Error::Storage(_)) if begun.elapsed() < LONG => {}
                Err(other) => panic!("{other:?}"),
            }
        };
        let (key, root) = (made.keys[0].to_string(), made.root_token.to_string());
        let (over, two) = (Arc::default(), Arc::default());
        let cluster = Arc::new(Cluster { mini, servers, times, root, fencing, key, over, two });
        cluster.watch();
        for server in &cluster.servers {
            server.unseal(&cluster.key).await;
        }
        cluster.done(Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await;
        cluster
    }

    /// Counts the moments at which two leases are held, on a thread of its own that sees what happens between the others.
    fn watch(&self) {
        let (over, two) = (Arc::clone(&self.over), Arc::clone(&self.two));
        let leases: Vec<Arc<Lease>> = self.servers.iter().map(|server| Arc::clone(&server.lease)).collect();
        std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let begun = Instant::now();
                let held = leases.iter().filter(|lease| lease.remaining().is_some()).count();
                // Between two looks that are apart one may have ended and the other begun.
                if held > 1 && begun.elapsed() < Duration::from_millis(100) {
                    two.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// The server that is active and wanted, waiting for one.
    pub(super) async fn active_of(&self, wanted: impl Fn(usize) -> bool) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(at) = (0..self.servers.len()).find(|at| wanted(*at) && self.servers[*at].active()) {
                return at;
            }
            assert!(begun.elapsed() < LONG, "no server became active");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn active(&self) -> usize {
        self.active_of(|_| true).await
    }

    /// Asks one server after the other until one does it, as clients do.
    pub(super) async fn done(&self, operation: Operation, path: &str, body: Value) -> Value {
        let begun = Instant::now();
        loop {
            for server in &self.servers {
                match server.call(&self.root, operation, path, body.clone()).await {
                    Some(Ok(answer)) => return answer,
                    None | Some(Err(Error::Standby | Error::LeadershipLost | Error::Storage(_))) => {}
                    Some(Err(other)) => panic!("{path}: {other:?}"),
                }
            }
            assert!(begun.elapsed() < LONG, "{path} was not done");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn put(&self, name: &str, value: u64) {
        self.done(Operation::Update, &format!("s/{name}"), json!({ "v": value })).await;
    }

    pub(super) async fn get(&self, name: &str) -> Value {
        self.done(Operation::Read, &format!("s/{name}"), Value::Null).await["v"].clone()
    }

    /// Waits until a server sends clients to the active one.
    pub(super) async fn redirects(&self, from: usize) {
        let begun = Instant::now();
        let core = &self.servers[from].core;
        let there = |to: &Server| to.active() && core.standby() && core.elsewhere() == Elsewhere::Address(to.address.clone());
        while !self.servers.iter().any(there) {
            assert!(begun.elapsed() < LONG, "server {from} does not send clients to the active one, but {:?}", core.elsewhere());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The journal's story so far, of which the rest must be true as well: never two leases at once.
    pub(super) fn story(&self) -> Story {
        assert_eq!(self.two.load(Ordering::SeqCst), 0, "two servers held the lease");
        story(&self.mini, self.fencing, self.times.silence())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
