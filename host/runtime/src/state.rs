//! What the host keeps for one instance: its WASI context, its table of handles, and what it has used of its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam_backend::Lease;
use metrics::Counter;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::aws::{Aws, AwsCall, Purpose};
use crate::breach::{BreachKind, trap};
use crate::directory::Access;
use crate::engine::TICK;
use crate::limits::{Grants, GuestLimits};
use crate::log::{GuestLog, Level};
use crate::probe::{Probe, Probed};
use crate::stats::Tally;
use crate::wasi::http::Egress;
use crate::wasi::stdio::LogPipe;

/// The most tables, memories and core instances of one instance, and elements of a table. Components of every language tried stay far below.
const INNER: usize = 200;
const TABLE_ELEMENTS: usize = 1 << 20;

/// The name under which a guest finds the directory it was granted.
const PREOPEN: &str = "/data";

/// The data of an instance's store.
pub(crate) struct State {
    /// Before the table, and so dropped before it: a request whose body is in the table must know first that its call is over.
    pub(crate) http: Egress,
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) memory: Memory,
    /// Ticks of computing time that are left to the call.
    ticks: u64,
    pub(crate) log: Arc<GuestLog>,
    /// Set while the guest handles a key: nothing that it says is kept.
    pub(crate) quiet: Arc<AtomicBool>,
    sockets_refused: Counter,
    tally: Arc<Tally>,
    pub(crate) probed: Option<Probed>,
    pub(crate) aws: Option<Arc<dyn Aws>>,
    /// The running call, as far as it sends.
    pub(crate) call: AwsCall,
    pub(crate) lease: Option<Arc<Lease>>,
}

impl State {
    pub(crate) fn new(
        grants: &Grants,
        limits: &GuestLimits,
        log: &Arc<GuestLog>,
        sockets_refused: &Counter,
        tally: &Arc<Tally>,
        probe: Option<&Arc<dyn Probe>>,
    ) -> wasmtime::Result<State> {
        let mut wasi = WasiCtx::builder();
        wasi.max_random_size(limits.random);
        let quiet = Arc::new(AtomicBool::new(false));
        wasi.stdout(LogPipe::new(log, Level::Info, &quiet));
        wasi.stderr(LogPipe::new(log, Level::Warn, &quiet));
        if let Some(directory) = &grants.directory {
            // The whole call runs on a thread that may block, so no operation needs a thread of its own.
            wasi.allow_blocking_current_thread(true);
            let permissions = match directory.access() {
                Access::ReadOnly => FsPerms::ReadOnly,
                Access::ReadWrite => FsPerms::ReadWrite,
            };
            wasi.preopened_dir(directory.by_descriptor(), PREOPEN, permissions)?;
        }
        let probed = probe.map(Probed::new);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Ok(State {
            http: Egress::new(grants.http.as_ref(), limits.response, log, &quiet, probed.as_ref()),
            wasi: wasi.build(),
            table,
            memory: Memory { used: 0, most: limits.memory },
            ticks: 0,
            log: Arc::clone(log),
            quiet,
            sockets_refused: sockets_refused.clone(),
            tally: Arc::clone(tally),
            probed,
            aws: grants.aws.clone(),
            call: AwsCall::new(Purpose::Attach, Duration::ZERO),
            lease: None,
        })
    }

    /// Grants the next call its computing time, and what it may send.
    pub(crate) fn wind(&mut self, ticks: u64, purpose: Purpose, time: Duration) {
        self.ticks = ticks;
        self.http.begin(purpose, time);
        if let Some(probed) = &self.probed {
            probed.begin();
        }
        if self.aws.is_some() {
            self.call = AwsCall::new(purpose, time);
        } else {
            // Reading the clock for a deadline that nobody asks for would cost every call.
            self.call.purpose = purpose;
        }
    }

    /// Ends the call: nothing that it has sent goes on.
    pub(crate) fn unwind(&mut self) {
        self.http.end();
    }

    /// Counts a call of a socket.
    pub(crate) fn socket_refused(&self, function: &str) {
        self.sockets_refused.increment(1);
        self.tally.sockets_refused.fetch_add(1, Ordering::Relaxed);
        if let Some(probed) = &self.probed {
            probed.refused(&format!("wasi:sockets {function}"));
        }
    }

    /// How many handles the instance holds.
    pub(crate) fn handles(&mut self) -> usize {
        self.table.iter_mut().count()
    }

    /// How many imports the running call has called; known only to a probe.
    pub(crate) fn imports(&self) -> u32 {
        self.probed.as_ref().map_or(0, Probed::imports)
    }

    /// Asks the probe about an import that cannot fail.
    pub(crate) fn pass(&self, name: &'static str) -> wasmtime::Result<()> {
        match &self.probed {
            Some(probed) => probed.before_on_thread(name, "").map(drop),
            None => Ok(()),
        }
    }

    /// At every tick in which the guest computes: lets others run, and ends the call when its time is used up.
    pub(crate) fn tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
        let state = store.data_mut();
        match state.ticks.checked_sub(1) {
            None => Err(trap(BreachKind::Cpu, "the call computed for longer than allowed")),
            Some(left) => {
                state.ticks = left;
                Ok(UpdateDeadline::Yield(1))
            }
        }
    }

    /// A span of computing time in ticks, rounded up.
    pub(crate) fn ticks(span: Duration) -> u64 {
        u64::try_from(span.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http.hooks, table: &mut self.table, ctx: &mut self.http.ctx }
    }
}

/// Counts linear memory, all memories of the instance together.
pub(crate) struct Memory {
    used: usize,
    most: usize,
}

impl Memory {
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.most {
            return Err(trap(BreachKind::Memory, format!("{wanted} bytes of memory wanted, at most {} allowed", self.most)));
        }
        self.used = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(trap(BreachKind::Memory, format!("memory could not grow: {error}")))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(trap(BreachKind::Memory, format!("a table of {desired} elements wanted, at most {TABLE_ELEMENTS} allowed")));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INNER
    }

    fn tables(&self) -> usize {
        INNER
    }

    fn memories(&self) -> usize {
        INNER
    }
}
