//! temp
#![allow(clippy::all, clippy::unwrap_used, missing_docs, unreachable_pub, clippy::indexing_slicing, reason = "temp")]
use cofferdam_backend::{Key, Storage};
use cofferdam_runtime::*;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod b {
    wasmtime::component::bindgen!({ path: "../../wit", world: "storage-backend", exports: { default: async } });
}
struct S {
    w: WasiCtx,
    t: ResourceTable,
}
impl WasiView for S {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.w, table: &mut self.t }
    }
}
impl b::cofferdam::backend::log::Host for S {
    fn write(&mut self, _: b::cofferdam::backend::log::Level, _: String) {}
}

fn pct(mut v: Vec<u64>) -> (u64, u64, u64) {
    v.sort();
    (v[v.len() / 100], v[v.len() / 2], v[v.len() * 99 / 100])
}

#[tokio::main]
async fn main() {
    let bytes = std::fs::read("target/guests/hostile.wasm").unwrap();
    let mut c = Config::new();
    c.epoch_interruption(true).concurrency_support(false);
    let engine = Engine::new(&c).unwrap();
    let comp = Component::from_binary(&engine, &bytes).unwrap();
    let mut l: Linker<S> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut l).unwrap();
    b::cofferdam::backend::log::add_to_linker::<S, HasSelf<S>>(&mut l, |s| s).unwrap();
    let mut store = Store::new(&engine, S { w: WasiCtx::builder().build(), t: ResourceTable::new() });
    store.set_epoch_deadline(u64::MAX / 2);
    let inst = b::StorageBackend::instantiate_async(&mut store, &comp, &l).await.unwrap();
    let g = Box::leak(Box::new(inst)).cofferdam_backend_storage();
    let value = vec![7u8; 256];
    g.call_put(&mut store, "logical/0a8b/some/key", &value, 0).await.unwrap().unwrap();

    let rt = Runtime::new(RuntimeOptions::default()).unwrap();
    let comp = rt.component(Source::Bytes { name: "h".into(), bytes: bytes.clone() }).unwrap();
    let mut cfg = StorageConfig::new("h");
    cfg.pool.size = 4;
    let s = rt.storage(&comp, cfg).await.unwrap();
    let dir = std::path::PathBuf::from("/tmp/r-overhead-dir");
    let mut cfg = StorageConfig::new("hd");
    cfg.grants.directory = Some(Directory::open(&dir, true).unwrap());
    let sd = rt.storage(&comp, cfg).await.unwrap();
    let key = Key::new("logical/0a8b/some/key").unwrap();
    let v = bytes::Bytes::from(value.clone());
    s.put(&key, v.clone()).await.unwrap();
    sd.put(&key, v.clone()).await.unwrap();
    let n = 100_000;
    let h = tokio::spawn(async move {
        for round in 0..3 {
            let mut r = vec![];
            for _ in 0..n {
                let t = Instant::now();
                let x = g.call_get(&mut store, "logical/0a8b/some/key").await.unwrap().unwrap();
                r.push(t.elapsed().as_nanos() as u64);
                drop(x);
            }
            println!("{round} bare get   {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n {
                let t = Instant::now();
                g.call_put(&mut store, "logical/0a8b/some/key", &value, 3).await.unwrap().unwrap();
                r.push(t.elapsed().as_nanos() as u64);
            }
            println!("{round} bare put   {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n {
                let t = Instant::now();
                let x = s.get(&key).await.unwrap();
                r.push(t.elapsed().as_nanos() as u64);
                drop(x);
            }
            println!("{round} ours get   {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n {
                let v = v.clone();
                let t = Instant::now();
                s.put(&key, v).await.unwrap();
                r.push(t.elapsed().as_nanos() as u64);
            }
            println!("{round} ours put   {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n / 5 {
                let t = Instant::now();
                let x = sd.get(&key).await.unwrap();
                r.push(t.elapsed().as_nanos() as u64);
                drop(x);
            }
            println!("{round} thread get {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n / 5 {
                let t = Instant::now();
                tokio::task::spawn_blocking(|| std::hint::black_box(1)).await.unwrap();
                r.push(t.elapsed().as_nanos() as u64);
            }
            println!("{round} bare hop   {:?}", pct(r));
            let mut r = vec![];
            for _ in 0..n {
                let t = Instant::now();
                r.push(t.elapsed().as_nanos() as u64);
            }
            println!("{round} clock      {:?}", pct(r));
        }
    });
    h.await.unwrap();
    let _ = Duration::ZERO;
}
