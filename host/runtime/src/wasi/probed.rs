//! Clocks, random bytes and the file system as a probe sees them: each function asks it first, and then does what it always does.

mod files;
mod streams;

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::filesystem;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::state::State;

/// Links them.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    random::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    insecure::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    insecure_seed::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    filesystem::types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.pass("wasi:clocks/wall-clock.now")?;
        wall_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        wall_clock::Host::resolution(&mut self.clocks())
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        self.pass("wasi:clocks/monotonic-clock.now")?;
        monotonic_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        monotonic_clock::Host::resolution(&mut self.clocks())
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.pass("wasi:clocks/monotonic-clock.subscribe-instant")?;
        self.clocks().subscribe_instant(when)
    }

    fn subscribe_duration(&mut self, when: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.pass("wasi:clocks/monotonic-clock.subscribe-duration")?;
        self.clocks().subscribe_duration(when)
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, size: u64) -> wasmtime::Result<Vec<u8>> {
        self.pass("wasi:random/random.get-random-bytes")?;
        self.ctx().ctx.random().get_random_bytes(size)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.pass("wasi:random/random.get-random-u64")?;
        self.ctx().ctx.random().get_random_u64()
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, size: u64) -> wasmtime::Result<Vec<u8>> {
        self.pass("wasi:random/insecure.get-insecure-random-bytes")?;
        self.ctx().ctx.random().get_insecure_random_bytes(size)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.pass("wasi:random/insecure.get-insecure-random-u64")?;
        self.ctx().ctx.random().get_insecure_random_u64()
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        self.pass("wasi:random/insecure-seed.insecure-seed")?;
        self.ctx().ctx.random().insecure_seed()
    }
}
