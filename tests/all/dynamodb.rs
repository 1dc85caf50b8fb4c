//! The DynamoDB guest through the runtime and the real egress, on tables of emulators: its layout beside the native implementation's, its folders and locks
//! where Vault's algorithm fails, what a hostile guest is refused, where secrets are, and what happens on DynamoDB's bad days.
//!
//! Each test has a table of its own, behind a proxy of its own (`cofferdam-emulator`) that records and injects faults.

mod creation;
mod faults;
mod folders;
mod hostile;
mod layout;
pub(crate) mod leak;
mod limits;
mod lock;
mod refresh;
mod signatures;
mod units;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use cofferdam_aws::{Credentials, DynamoDb, Egress, EgressOptions, Identity, Sources, TableSpec};
use cofferdam_backend::{Lease, Storage};
use cofferdam_emulator::{Client, Dynalite, Keys, Mini, Moto, Proxy, Upstream};
use cofferdam_runtime::{Aws, Component, OpenError, Runtime, StorageBackend, StorageConfig};
use cofferdam_tests::table::Table;

pub(crate) use self::lock::strict;
use crate::conformance::list;
use crate::runtime::cached;

pub(crate) const REGION: &str = "eu-central-1";

/// The runtime with the guest.
static GUEST: LazyLock<(Arc<Runtime>, Component)> = LazyLock::new(|| cached("dynamodb"));

/// The guest, and what runs it.
pub(crate) fn component() -> &'static (Arc<Runtime>, Component) {
    &GUEST
}

/// What is behind the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emulator {
    Dynalite,
    Moto,
    Mini,
}

impl Emulator {
    fn upstream(self) -> Upstream {
        static DYNALITE: OnceLock<Dynalite> = OnceLock::new();
        static MOTO: OnceLock<Moto> = OnceLock::new();
        match self {
            Emulator::Dynalite => Upstream::from(DYNALITE.get_or_init(|| Dynalite::start(0).unwrap())),
            Emulator::Moto => Upstream::from(MOTO.get_or_init(|| Moto::start().unwrap())),
            Emulator::Mini => Upstream::from(&Arc::new(Mini::new())),
        }
    }
}

/// A table behind a proxy.
pub(crate) struct Ground {
    pub(crate) proxy: Proxy,
    /// Past the proxy: what is looked at there is neither recorded nor hindered.
    pub(crate) table: Table,
    pub(crate) name: String,
    pub(crate) client: Client,
    _aside: Proxy,
}

/// A table of its own name that exists.
pub(crate) async fn ground(emulator: Emulator) -> Ground {
    let ground = bare(emulator.upstream()).await;
    ground.client.create_table(&ground.name).await.unwrap();
    ground
}

/// The same without the table.
pub(crate) async fn bare(upstream: Upstream) -> Ground {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("table-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let aside = Proxy::start(upstream.clone()).await.unwrap();
    let table = Table::new(aside.endpoint(), &name);
    let client = Client::new(aside.endpoint());
    Ground { proxy: Proxy::start(upstream).await.unwrap(), table, name, client, _aside: aside }
}

/// How the guest is opened.
pub(crate) struct Opening<'a> {
    pub(crate) settings: Vec<(&'a str, &'a str)>,
    pub(crate) keys: Keys,
    pub(crate) lease: Option<Arc<Lease>>,
    pub(crate) spec: TableSpec,
    pub(crate) pool: usize,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Opening { settings: Vec::new(), keys: Keys::any(), lease: None, spec: TableSpec::new(""), pool: 16 }
    }
}

/// Credentials that are these keys and no others.
pub(crate) async fn credentials(keys: &Keys) -> Arc<Credentials> {
    let identity = Identity {
        access_key: Some(keys.access.clone().into()),
        secret_key: Some(keys.secret.clone().into()),
        session_token: keys.token.clone().map(Into::into),
        ..Identity::default()
    };
    let none: [(&str, &str); 0] = [];
    Credentials::open(identity, REGION, &Sources::of(none)).await.unwrap()
}

impl Ground {
    /// What egress to the proxy is configured with.
    pub(crate) fn egress(&self) -> EgressOptions {
        EgressOptions { endpoint: Some(self.proxy.endpoint().to_owned()), region: REGION.to_owned(), ..EgressOptions::default() }
    }

    /// The binding to this table, through the proxy.
    pub(crate) fn binding(&self, credentials: Arc<Credentials>, spec: TableSpec, lease: Option<Arc<Lease>>) -> Arc<DynamoDb> {
        let egress = Egress::new("main", self.egress(), credentials).unwrap();
        DynamoDb::new(TableSpec { name: self.name.clone(), ..spec }, egress, lease)
    }

    /// The guest on this table.
    pub(crate) async fn open(&self) -> Arc<StorageBackend> {
        self.open_with(Opening::default()).await.unwrap()
    }

    /// The guest on this table, which gives up at the first failure.
    pub(crate) async fn open_impatient(&self) -> Arc<StorageBackend> {
        self.open_with(Opening { settings: vec![("dynamodb_max_retries", "0")], ..Opening::default() }).await.unwrap()
    }

    pub(crate) async fn open_with(&self, opening: Opening<'_>) -> Result<Arc<StorageBackend>, OpenError> {
        let binding = self.binding(credentials(&opening.keys).await, opening.spec, opening.lease.clone());
        self.open_through(binding, &opening.settings, opening.lease, opening.pool).await
    }

    pub(crate) async fn open_through(
        &self,
        aws: Arc<dyn Aws>,
        settings: &[(&str, &str)],
        lease: Option<Arc<Lease>>,
        pool: usize,
    ) -> Result<Arc<StorageBackend>, OpenError> {
        open_on(&self.name, aws, settings, lease, pool).await
    }
}

/// The guest on the table of that name.
pub(crate) async fn open_on(
    table: &str,
    aws: Arc<dyn Aws>,
    settings: &[(&str, &str)],
    lease: Option<Arc<Lease>>,
    pool: usize,
) -> Result<Arc<StorageBackend>, OpenError> {
    let (runtime, component) = &*GUEST;
    let mut config = StorageConfig::new("main");
    config.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config.settings.push(("table".to_owned(), table.to_owned()));
    config.grants.aws = Some(aws);
    config.lease = lease;
    config.pool.size = pool;
    runtime.storage(component, config).await
}

/// Every entry that listings lead to from the root.
pub(crate) async fn walk(storage: &dyn Storage) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for name in list(storage, &folder).await {
            let path = format!("{folder}{name}");
            if name.ends_with('/') { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
