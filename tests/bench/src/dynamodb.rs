//! The dynamodb guest, as the server runs it, beside a native program with the same SDK: same endpoint, same requests, both signed
//! with the same keys. What strict fencing costs, and what a warm instance holds, are shown beside.

pub(crate) mod endpoint;
mod guest;
mod native;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use cofferdam_backend::{Fencing, Key, Storage};
use cofferdam_runtime::{Runtime, RuntimeOptions, Source};

use self::endpoint::{Endpoint, SIZE};
use self::native::Native;
pub(crate) use self::native::sdk;
use crate::Bench;
use crate::process::{computed, resident};
use crate::row::{Judge, Row};
use crate::sample::{median, pair};

const IN_FLIGHT: usize = 32;
/// Short, so that what else the machine does hits both sides alike.
const ROUND: Duration = Duration::from_millis(250);
const NATIVE: &str = "native, the same SDK";
/// AWS's own example keys: the endpoint looks at no signature.
pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(crate) const REGION: &str = "us-east-1";
const PATH: &str = "logical/mount/folder";

/// The two kinds of call.
#[derive(Clone, Copy)]
enum Kind {
    Get,
    Put,
}

/// One side of a row.
#[derive(Clone)]
enum Side {
    Guest(Arc<dyn Storage>),
    Native(Native),
}

impl Side {
    async fn call(&self, kind: Kind, name: &str, value: &Bytes) -> Result<()> {
        match (self, kind) {
            (Side::Guest(storage), Kind::Get) => {
                let found = storage.get(&key(name)?).await?.context("the entry is lost")?;
                ensure!(found.len() == SIZE, "the value has {} bytes", found.len());
                Ok(())
            }
            (Side::Guest(storage), Kind::Put) => Ok(storage.put(&key(name)?, value.clone()).await?),
            (Side::Native(native), Kind::Get) => native.get(PATH, name).await,
            (Side::Native(native), Kind::Put) => native.put(PATH, name, value).await,
        }
    }

    /// A round with [`IN_FLIGHT`] calls at any time.
    async fn drive(&self, kind: Kind, value: &Bytes, time: Duration) -> Result<Round> {
        let (start, cpu) = (Instant::now(), computed());
        let mut tasks = Vec::with_capacity(IN_FLIGHT);
        for worker in 0..IN_FLIGHT {
            let (side, value, name) = (self.clone(), value.clone(), worker.to_string());
            tasks.push(tokio::spawn(async move {
                let mut done = 0_u32;
                while start.elapsed() < time {
                    side.call(kind, &name, &value).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            }));
        }
        let mut total = 0;
        for task in tasks {
            total += task.await??;
        }
        let total = f64::from(total);
        Ok(Round { rate: total / start.elapsed().as_secs_f64(), cpu: (computed() - cpu).as_secs_f64() * 1e6 / total })
    }
}

/// What a round came to.
struct Round {
    /// Calls per second.
    rate: f64,
    /// Microseconds of computing per call.
    cpu: f64,
}

fn key(name: &str) -> Result<Key> {
    Ok(Key::new(format!("{PATH}/{name}"))?)
}

/// All rows of the guest.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let endpoint = Endpoint::start()?;
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let component = runtime.component(Source::File(bench.guests.join("dynamodb.wasm")))?;
    let open = async |fencing| anyhow::Ok(Side::Guest(guest::open(&runtime, &component, &endpoint.url(), fencing, IN_FLIGHT).await?));
    let guest = open(Fencing::Lease).await?;
    let native = Side::Native(Native::new(&endpoint.url()));
    let value = Bytes::from(vec![7; SIZE]);

    let memory = growth(&guest, &value).await?;
    let native_memory = growth(&native, &value).await?;
    let mut rows = Vec::new();
    for (kind, what) in [(Kind::Get, "dynamodb get 1 KiB"), (Kind::Put, "dynamodb put 1 KiB")] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds(40) {
            ours.push(guest.drive(kind, &value, ROUND).await?);
            theirs.push(native.drive(kind, &value, ROUND).await?);
        }
        let both = |figure: fn(&Round) -> f64| (median(ours.iter().map(figure).collect()), median(theirs.iter().map(figure).collect()));
        let (rate, native_rate) = both(|round| round.rate);
        rows.push(Row::new(format!("{what}, {IN_FLIGHT} in flight"), "/s", rate, (NATIVE, native_rate), Judge::AtLeast, (1.1, 1.4)));
        let (cpu, native_cpu) = both(|round| round.cpu);
        rows.push(Row::shown(format!("{what}, computing"), "us", cpu, (NATIVE, native_cpu)));
        let samples = bench.rounds(4000);
        let (one, other) = pair(samples, 1, |_| guest.call(kind, "0", &value), |_| native.call(kind, "0", &value)).await?;
        rows.push(Row::new(format!("{what}, one at a time"), "us", one, (NATIVE, other), Judge::AtMost, (1.3, 0.9)));
    }
    rows.push(Row::shown("memory per warm instance", "KiB", memory, ("native, per call in flight", native_memory)));
    let strict = open(Fencing::Strict).await?;
    rows.extend(price(bench, &endpoint, &strict, &guest, &value).await?);
    Ok(rows)
}

/// What strict fencing adds to a put: requests, and time as far as it is spent on this side. The service's own time for a transaction and its
/// capacity units are not among it: no local endpoint has them.
async fn price(bench: &Bench, endpoint: &Endpoint, strict: &Side, usual: &Side, value: &Bytes) -> Result<Vec<Row>> {
    let samples = bench.rounds(4000);
    // Their first puts also make the folders' marks.
    strict.call(Kind::Put, "0", value).await?;
    usual.call(Kind::Put, "0", value).await?;
    let before = endpoint.counts().await?;
    let (put, default) = pair(samples, 1, |_| strict.call(Kind::Put, "0", value), |_| usual.call(Kind::Put, "0", value)).await?;
    let after = endpoint.counts().await?;
    let made = |operation: &str| after.get(operation).unwrap_or(&0) - before.get(operation).unwrap_or(&0);
    let (transactions, puts) = (made("TransactWriteItems"), made("PutItem"));
    let all: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
    ensure!(all == transactions + puts, "puts to known folders sent more than writes: {before:?}, then {after:?}");
    let per_put = |requests: u64| requests as f64 / samples as f64;
    Ok(vec![
        Row::shown("dynamodb put, strict fencing", "us", put, ("default fencing", default)),
        Row::shown("requests per put, strict fencing", "", per_put(transactions), ("default fencing", per_put(puts))),
    ])
}

/// KiB of resident memory that the first calls of many at once add, each: an instance with its connection.
async fn growth(side: &Side, value: &Bytes) -> Result<f64> {
    for kind in [Kind::Put, Kind::Get] {
        side.call(kind, "0", value).await?;
    }
    let before = resident("self")?;
    for kind in [Kind::Put, Kind::Get] {
        side.drive(kind, value, ROUND).await?;
    }
    Ok((resident("self")? - before) / (IN_FLIGHT - 1) as f64)
}
