//! A warm call through the runtime, beside the bare typed call of wasmtime on the same guest and a gRPC call to another process.

use std::cell::RefCell;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use cofferdam_backend::{Key, Storage};
use cofferdam_runtime::{Runtime, RuntimeOptions, Source, StorageConfig};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use self::bindings::cofferdam::backend::log;
use crate::row::{Judge, Row};
use crate::sample::pair;
use crate::{Bench, grpc};

mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit", world: "storage-backend-ha" });
}

const NAME: &str = "logical/secret/entry";
const SIZE: usize = 256;

/// The guest's world without any host of ours: wasmtime's own WASI, nothing counted, nothing limited.
struct Bare {
    store: Store<State>,
    guest: bindings::StorageBackendHa,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl log::Host for State {
    fn write(&mut self, _: log::Level, _: String) {}
}

impl Bare {
    fn load(wasm: &std::path::Path) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).map_err(|error| anyhow!("{error:#}"))?;
        let inner = || -> wasmtime::Result<Self> {
            let component = Component::from_file(&engine, wasm)?;
            let mut linker = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
            log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
            let state = State { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
            let mut store = Store::new(&engine, state);
            let guest = bindings::StorageBackendHa::instantiate(&mut store, &component, &linker)?;
            Ok(Self { store, guest })
        };
        inner().map_err(|error| anyhow!("{error:#}"))
    }

    fn get(&mut self) -> Result<()> {
        let found = self.guest.cofferdam_backend_storage().call_get(&mut self.store, NAME).map_err(|error| anyhow!("{error:#}"))?;
        let found = found.map_err(|error| anyhow!("{error:?}"))?.context("the guest lost its entry")?;
        anyhow::ensure!(found.len() == SIZE, "the guest gave {} bytes", found.len());
        Ok(())
    }

    fn put(&mut self, value: &[u8]) -> Result<()> {
        let done =
            self.guest.cofferdam_backend_storage().call_put(&mut self.store, NAME, value, 2).map_err(|error| anyhow!("{error:#}"))?;
        done.map_err(|error| anyhow!("{error:?}"))
    }
}

/// The four rows of the runtime.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let wasm = bench.guests.join("hostile.wasm");
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let component = runtime.component(Source::File(wasm.clone()))?;
    let mut config = StorageConfig::new("bench");
    // One instance, so that what was put is what is read.
    config.pool.size = 1;
    let storage = runtime.storage(&component, config).await?;
    let bare = RefCell::new(Bare::load(&wasm)?);
    let remote = grpc::Remote::start(&bench.scratch).await?;
    let (key, value) = (Key::new(NAME)?, Bytes::from(vec![7; SIZE]));
    storage.put(&key, value.clone()).await?;
    bare.borrow_mut().put(&value)?;

    let samples = bench.rounds(1200);
    let bare_call = |work: fn(&mut Bare, &[u8]) -> Result<()>| {
        let done = work(&mut bare.borrow_mut(), &value);
        async { done }
    };
    let (get, bare_get) = pair(samples, 100, |_| read(&*storage, &key), |_| bare_call(|bare, _| bare.get())).await?;
    let (put, bare_put) = pair(samples, 100, |_| write(&*storage, &key, &value), |_| bare_call(Bare::put)).await?;
    let (_, grpc_put) = pair(samples, 1, |_| write(&*storage, &key, &value), |_| remote.clone().put(NAME, value.clone())).await?;
    let (_, grpc_get) = pair(samples, 1, |_| read(&*storage, &key), |_| remote.clone().get(NAME)).await?;
    let added = (1.5, 0.5);
    let share = (1.0 / 25.0, 1.0 / 75.0);
    Ok(vec![
        Row::new("runtime get 256 B", "us", get, ("bare wasmtime call", bare_get), Judge::Added, added),
        Row::new("runtime put 256 B", "us", put, ("bare wasmtime call", bare_put), Judge::Added, added),
        Row::new("runtime get 256 B", "us", get, ("gRPC, unix socket", grpc_get), Judge::AtMost, share),
        Row::new("runtime put 256 B", "us", put, ("gRPC, unix socket", grpc_put), Judge::AtMost, share),
    ])
}

async fn read(storage: &dyn Storage, key: &Key) -> Result<()> {
    storage.get(key).await?;
    Ok(())
}

async fn write(storage: &dyn Storage, key: &Key, value: &Bytes) -> Result<()> {
    Ok(storage.put(key, value.clone()).await?)
}
