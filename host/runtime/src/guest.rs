//! A component made ready for one backend: linked with what it was granted, opened, and turned into instances.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use cofferdam_backend::{Error, Lease};
use metrics::{Counter, Gauge};
use wasmtime::component::{Instance as Linked, InstancePre, Linker};
use wasmtime::{Engine, Store};

use crate::aws::Purpose;
use crate::breach::Breach;
use crate::inspect::{ImportKind, World};
use crate::limits::{Grants, GuestLimits, PoolOptions, StorageConfig};
use crate::load::Component;
use crate::log::GuestLog;
use crate::metrics::{Operation, instances, sockets_refused};
use crate::probe::Probe;
use crate::since_v0_1::{self, Setting};
use crate::state::State;
use crate::stats::{About, Tally};
use crate::wasi;

/// Files of this process that guests never take up: sockets, logs, the host's own.
const FILE_RESERVE: u64 = 256;

/// Why a backend cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The component is not of a world that was asked for.
    #[error("{name}: a {wanted} backend is needed, this is {found}")]
    World {
        /// The component's name.
        name: String,
        /// `storage` or `seal`.
        wanted: &'static str,
        /// The world that it has.
        found: World,
    },
    /// The component imports what was not granted.
    #[error("{name}: it imports {import}, which needs the grant `{grant}`; this backend has none")]
    MissingGrant {
        /// The component's name.
        name: String,
        /// What it imports.
        import: String,
        /// What would have to be granted.
        grant: &'static str,
    },
    /// The component's imports or exports do not have the contract's types, or it does not start.
    #[error("{name}: it does not fit the contract: {reason}")]
    Unfit {
        /// The component's name.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// An option that cannot be used.
    #[error("backend {backend}: {reason}")]
    Options {
        /// The backend's name.
        backend: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The guest refused to open, or broke a rule while it did.
    #[error("backend {backend}: open failed: {error}")]
    Guest {
        /// The backend's name.
        backend: String,
        /// The guest's error.
        error: Error,
    },
}

/// How a guest's call ended if not well.
pub(crate) enum Failure {
    /// The guest returned an error; its instance is fit for the next call.
    Refused(Error),
    /// The guest broke a rule or trapped; its instance is lost.
    Ended(Breach),
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Failure {
        Failure::Ended(Breach::of(error))
    }
}

impl From<since_v0_1::Error> for Failure {
    fn from(error: since_v0_1::Error) -> Failure {
        Failure::Refused(error.into())
    }
}

impl From<Breach> for Failure {
    fn from(breach: Breach) -> Failure {
        Failure::Ended(breach)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Refused(error) => error,
            Failure::Ended(breach) => breach.into(),
        }
    }
}

/// One world of one version of the contract: what every backend needs of it.
pub(crate) trait Contract: Send + Sync + Sized + 'static {
    /// The functions of an instance.
    type Exports: Send + Sync + 'static;
    /// What `open` returns.
    type Opened: Send + Sync + 'static;

    fn find(pre: &InstancePre<State>, lock: bool) -> wasmtime::Result<Self>;
    fn exports(&self, store: &mut Store<State>, instance: &Linked) -> wasmtime::Result<Self::Exports>;
    fn open(
        exports: &Self::Exports,
        store: &mut Store<State>,
        settings: &[Setting],
    ) -> impl Future<Output = Result<Self::Opened, Failure>> + Send;
    fn attach(
        exports: &Self::Exports,
        store: &mut Store<State>,
        settings: &[Setting],
        opened: &Self::Opened,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A component linked for one backend.
pub(crate) struct Guest<C> {
    pub(crate) backend: String,
    engine: Engine,
    pre: InstancePre<State>,
    pub(crate) contract: C,
    settings: Vec<Setting>,
    grants: Grants,
    pub(crate) limits: GuestLimits,
    pub(crate) pool: PoolOptions,
    lease: Option<Arc<Lease>>,
    /// The limit of computing time, in ticks.
    ticks: u64,
    log: Arc<GuestLog>,
    sockets_refused: Counter,
    instances: Gauge,
    pub(crate) tally: Arc<Tally>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    pub(crate) about: About,
}

/// An instance, with at most one call in flight.
pub(crate) struct Instance<C: Contract> {
    pub(crate) store: Store<State>,
    pub(crate) exports: C::Exports,
    pub(crate) calls: u32,
    _counted: Counted,
    contract: PhantomData<C>,
}

/// An instance among those that exist.
struct Counted(Gauge, Arc<Tally>);

impl Counted {
    fn new(gauge: &Gauge, tally: &Arc<Tally>) -> Counted {
        gauge.increment(1);
        tally.instances.fetch_add(1, Ordering::Relaxed);
        Counted(gauge.clone(), Arc::clone(tally))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
        self.1.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C: Contract> Guest<C> {
    /// Links the component, after checking that it asks for nothing that was not granted.
    pub(crate) fn link(component: &Component, config: StorageConfig) -> Result<Guest<C>, OpenError> {
        let inspection = component.inspect();
        if let Some((import, grant)) = inspection.imports.iter().find_map(|import| match import.kind {
            ImportKind::NeedsGrant(grant) if !config.grants.has(grant) => Some((import, grant)),
            _ => None,
        }) {
            return Err(OpenError::MissingGrant { name: component.name().to_owned(), import: import.name.clone(), grant });
        }
        let StorageConfig { name: backend, settings, grants, limits, pool, lease, probe } = config;
        check_options(&backend, &grants, &limits, &pool)?;

        let unfit = |error: wasmtime::Error| OpenError::Unfit {
            name: component.name().to_owned(),
            reason: crate::log::bounded(&format!("{error:#}")),
        };
        let compiled = component.compiled();
        let mut linker = Linker::new(compiled.engine());
        wasi::link(&mut linker, compiled, probe.is_some()).map_err(unfit)?;
        since_v0_1::link(&mut linker).map_err(unfit)?;
        if grants.aws.is_some() {
            since_v0_1::link_aws(&mut linker).map_err(unfit)?;
        }
        if grants.http.is_some() {
            wasi::http::link(&mut linker).map_err(unfit)?;
        }
        let pre = linker.instantiate_pre(compiled).map_err(unfit)?;
        let contract = C::find(&pre, inspection.world == World::StorageHa).map_err(unfit)?;
        let tally = Arc::new(Tally::new(&backend));
        Ok(Guest {
            about: About::new(&backend, inspection, &grants, &pool),
            engine: compiled.engine().clone(),
            pre,
            contract,
            settings: settings.into_iter().map(|(name, value)| Setting { name, value }).collect(),
            log: Arc::new(GuestLog::new(&backend, limits.log_lines, Arc::clone(&tally))),
            sockets_refused: sockets_refused(&backend),
            instances: instances(&backend),
            ticks: State::ticks(limits.cpu),
            backend,
            grants,
            limits,
            pool,
            lease,
            tally,
            probe,
        })
    }

    /// Whether calls must run on a thread that may block.
    pub(crate) fn blocks(&self) -> bool {
        self.grants.directory.is_some()
    }

    /// The time of day: of the service that the guest is granted, if it is one.
    pub(crate) fn now(&self) -> SystemTime {
        self.grants.aws.as_ref().map_or_else(SystemTime::now, |aws| aws.now())
    }

    /// An instance that has not been attached.
    async fn bare(&self) -> Result<Instance<C>, Failure> {
        let state = State::new(&self.grants, &self.limits, &self.log, &self.sockets_refused, &self.tally, self.probe.as_ref())?;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(State::tick);
        store.set_hostcall_fuel(self.limits.response);
        store.set_max_component_handles(self.limits.handles);
        store.data_mut().lease.clone_from(&self.lease);
        self.wind(&mut store, Purpose::Attach, Duration::ZERO);
        let linked = self.pre.instantiate_async(&mut store).await?;
        let exports = self.contract.exports(&mut store, &linked)?;
        let counted = Counted::new(&self.instances, &self.tally);
        Ok(Instance { store, exports, calls: 0, _counted: counted, contract: PhantomData })
    }

    /// An instance ready for its first call.
    pub(crate) async fn attached(&self, opened: &C::Opened) -> Result<Instance<C>, Failure> {
        let mut instance = self.bare().await?;
        C::attach(&instance.exports, &mut instance.store, &self.settings, opened).await?;
        Ok(instance)
    }

    /// Opens the backend.
    pub(crate) async fn open(&self) -> Result<(C::Opened, Instance<C>), Failure> {
        let mut instance = self.bare().await?;
        self.wind(&mut instance.store, Purpose::Open, self.limits.open);
        let opened = C::open(&instance.exports, &mut instance.store, &self.settings).await?;
        self.wind(&mut instance.store, Purpose::Attach, Duration::ZERO);
        C::attach(&instance.exports, &mut instance.store, &self.settings, &opened).await?;
        Ok((opened, instance))
    }

    /// The longest time a call may take.
    pub(crate) fn time(&self, operation: Operation) -> Duration {
        if operation == Operation::Lock { self.limits.lock } else { self.limits.call }
    }

    /// The longest time a call may wait for its turn.
    pub(crate) fn wait(&self, operation: Operation) -> Duration {
        if operation == Operation::Lock { self.limits.lock.min(self.pool.wait) } else { self.pool.wait }
    }

    /// Grants the next call its computing time, and what it may send.
    pub(crate) fn wind(&self, store: &mut Store<State>, purpose: Purpose, time: Duration) {
        store.data_mut().wind(self.ticks, purpose, time);
        store.set_epoch_deadline(1);
    }
}

fn check_options(backend: &str, grants: &Grants, limits: &GuestLimits, pool: &PoolOptions) -> Result<(), OpenError> {
    let refuse = |reason: String| Err(OpenError::Options { backend: backend.to_owned(), reason });
    if pool.size == 0 {
        return refuse("the pool has no instance; its size must be at least 1".to_owned());
    }
    if grants.directory.is_some() {
        let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        // Every instance holds the directory itself, too; one more instance is for locks.
        let wanted = (pool.size as u64 + 1).saturating_mul(limits.handles as u64 + 1);
        if wanted.saturating_add(FILE_RESERVE) > open {
            return refuse(format!(
                "{} instances with {} handles each may hold {wanted} files, but the process may open {open} (ulimit -n), of which {FILE_RESERVE} \
                 are reserved; raise the limit, or lower the pool's size or the handles",
                pool.size, limits.handles
            ));
        }
    }
    Ok(())
}
