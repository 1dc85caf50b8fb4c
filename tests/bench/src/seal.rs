//! The awskms guest, as the server runs it, beside a native program with the same SDK: same endpoint, same requests. And what a server with
//! this seal costs: how long a start takes until it is unsealed, and how often it asks KMS, counted by the endpoint.
//!
//! Rule: the endpoint is on this machine and answers at once, so the times are those of the clients; KMS's own come on top, once for each
//! request that is counted.

pub(crate) mod endpoint;
mod guest;
mod native;
mod starts;

use std::time::Instant;

use anyhow::{Result, ensure};
use cofferdam_backend::Seal;
use cofferdam_runtime::{Runtime, RuntimeOptions, Source};

use self::endpoint::Endpoint;
use self::native::Native;
use crate::Bench;
use crate::process::{computed, resident};
use crate::row::Row;
use crate::sample::median;

const NATIVE: &str = "native, the same SDK";
/// AWS's own example keys: the endpoint looks at no signature.
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
/// The name that the configured key has.
const ALIAS: &str = "alias/bench";
const DEK: [u8; 32] = [7; 32];
/// Calls of one reading of the clocks.
const CALLS: u32 = 25;
/// Instances that the memory rows have at once.
const INSTANCES: usize = 16;

/// All rows of the seal.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut kms = Endpoint::start()?;
    let mut rows = starts::measure(bench, &mut kms).await?;
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let component = runtime.component(Source::File(bench.guests.join("awskms.wasm")))?;
    let guest = guest::open(&runtime, &component, kms.url(), INSTANCES).await?;
    let native = Native::new(kms.url(), kms.key());
    // First, so that no memory is there already; by calls in which no key is handled, since an instance that has handled one is not kept.
    let ours = growth(async || Ok(guest.health().await?)).await?;
    let theirs = growth(async || native.describe().await).await?;
    rows.extend(calls(bench, &*guest, &native).await?);
    rows.push(Row::shown("memory per warm awskms instance", "KiB", ours, ("native, per call in flight", theirs)));
    let size = |name: &str| anyhow::Ok(std::fs::metadata(bench.guests.join(name))?.len() as f64 / 1024.0);
    rows.push(Row::shown("size of awskms.wasm", "KiB", size("awskms.wasm")?, ("dynamodb.wasm", size("dynamodb.wasm")?)));
    Ok(rows)
}

/// Wrapping and unwrapping of a key, one at a time. An instance that has handled a key is thrown away, so each of the guest's calls has a fresh one.
async fn calls(bench: &Bench, guest: &dyn Seal, native: &Native) -> Result<Vec<Row>> {
    let wrapped = guest.wrap(&DEK).await?;
    let blob = native.wrap(&DEK).await?;
    let rounds = bench.rounds(40);
    let wrap = turns(rounds, async || guest.wrap(&DEK).await.map(drop).map_err(Into::into), async || native.wrap(&DEK).await.map(drop));
    let wrap = wrap.await?;
    let unwrap = async || {
        let mut dek = [0; 32];
        guest.unwrap(&wrapped, &mut dek).await?;
        ensure!(dek == DEK, "the guest unwrapped another key");
        Ok(())
    };
    let unwrap = turns(rounds, unwrap, async || {
        ensure!(native.unwrap(&blob).await? == DEK, "the native program unwrapped another key");
        Ok(())
    });
    let unwrap = unwrap.await?;
    let mut rows = Vec::new();
    for (what, [ours, theirs]) in [("awskms wrap of a DEK", wrap), ("awskms unwrap of a DEK", unwrap)] {
        rows.push(Row::shown(what, "us", ours.took, (NATIVE, theirs.took)));
        rows.push(Row::shown(format!("{what}, computing"), "us", ours.computed, (NATIVE, theirs.computed)));
    }
    Ok(rows)
}

/// What one call came to, in microseconds.
struct Cost {
    took: f64,
    computed: f64,
}

/// The cost of a call of each kind, taken in turns.
async fn turns(rounds: usize, ours: impl AsyncFn() -> Result<()>, theirs: impl AsyncFn() -> Result<()>) -> Result<[Cost; 2]> {
    let mut readings = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let [one, other] = &mut readings;
        one.push(reading(&ours).await?);
        other.push(reading(&theirs).await?);
    }
    Ok(readings.map(|side| Cost {
        took: median(side.iter().map(|cost| cost.took).collect()),
        computed: median(side.iter().map(|cost| cost.computed).collect()),
    }))
}

async fn reading(call: &impl AsyncFn() -> Result<()>) -> Result<Cost> {
    let (start, before) = (Instant::now(), computed());
    for _ in 0..CALLS {
        call().await?;
    }
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(CALLS);
    Ok(Cost { took: micros(start.elapsed()), computed: micros(computed() - before) })
}

/// KiB of resident memory that the first calls of many at once add, each: an instance with its connection.
async fn growth(call: impl AsyncFn() -> Result<()>) -> Result<f64> {
    call().await?;
    let before = resident("self")?;
    for _ in 0..CALLS {
        let calls: Vec<_> = (0..INSTANCES).map(|_| call()).collect();
        for result in futures_util::future::join_all(calls).await {
            result?;
        }
    }
    Ok((resident("self")? - before) / (INSTANCES - 1) as f64)
}
