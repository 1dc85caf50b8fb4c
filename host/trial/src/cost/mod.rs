//! The section `cost`: what its operations take, beside another storage in the same run. A cost is no fault: a check fails only if an operation fails.

mod load;
mod measure;
mod seals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::Storage;
use cofferdam_runtime::{PoolStats, World};

use self::load::Load;
use self::measure::{Measured, Span, measure};
use crate::case::case;
use crate::report::{Cell, Table, Value, number};
use crate::{Case, Ended, Ground, OpenWith, Verdict};

const STORAGE: &[Case] = &[case!("cost/operations", "Every operation that was measured succeeded", storage)];
const SEAL: &[Case] = &[case!("cost/operations", "Every operation that was measured succeeded", seals::seal)];

/// The checks for a component of this world.
pub fn cases(world: World) -> Vec<&'static Case> {
    let cases = if world == World::Seal { SEAL } else { STORAGE };
    cases.iter().collect()
}

/// The calls in flight by which operations per second are measured.
const IN_FLIGHT: u32 = 8;
/// The most calls of one worker.
const MOST: usize = 50_000;

/// How long one operation is measured, in all.
fn span(ground: &Ground<'_>) -> Duration {
    ground.options.of(Duration::from_millis(900), Duration::from_millis(150))
}

/// An operation's costs: one call at a time for its times, several for the operations per second.
struct Costs {
    one: Measured,
    several: Measured,
}

/// What is compared with: another storage, or why there is none.
enum Beside {
    Open(Arc<dyn Storage>),
    Failed(String),
    None,
}

async fn storage(ground: &Ground<'_>) -> Verdict {
    let began = Instant::now();
    drop(ground.open(OpenWith::again()).await?);
    let opening = began.elapsed();
    let opened = ground.open(OpenWith::fresh()).await?;
    let mut beside = match &ground.options.beside {
        None => Beside::None,
        Some(subject) => match subject.storage(OpenWith::fresh()).await {
            Ok(opened) => Beside::Open(opened.storage),
            Err(error) => Beside::Failed(error.to_string()),
        },
    };
    let name = if let Beside::Open(storage) = &beside { storage.descriptor().name.clone() } else { String::new() };
    let loads = load::all(&opened.storage.descriptor().limits, ground.options.quick);
    load::fill(ground, &*opened.storage, &loads).await?;
    if let Beside::Open(storage) = &beside
        && let Err(error) = load::fill(ground, &**storage, &loads).await
    {
        beside = Beside::Failed(error.to_string());
    }
    let mut rows = Rows::new(!matches!(beside, Beside::None));
    let mut verdict = Ok(());
    for load in loads {
        let load = Arc::new(load);
        let costs = match costs(ground, &opened.storage, &load).await {
            Ok(costs) => costs,
            Err(error) => {
                verdict = Err(error);
                break;
            }
        };
        let others = match &beside {
            Beside::Open(storage) if load.fits(&storage.descriptor().limits) => match self::costs(ground, storage, &load).await {
                Ok(costs) => Some(costs),
                Err(error) => {
                    beside = Beside::Failed(error.to_string());
                    None
                }
            },
            _ => None,
        };
        rows.add(load.operation(), &load.size(), &costs, others.as_ref());
    }
    ground.figure("cost/operations", &rows.title(&name), Value::Table(rows.table), "");
    if let Beside::Failed(why) = &beside {
        ground.figure("cost/beside", "Not all is shown beside it", Value::Text(why.clone()), "");
    }
    if let Some(subject) = &ground.options.beside
        && let Err(error) = subject.wipe().await
    {
        ground.figure("cost/beside-wiped", "What was written beside it is still there", Value::Text(error.to_string()), "");
    }
    component(ground, opening, opened.backend.map(|backend| backend.stats().pool));
    verdict
}

async fn costs(ground: &Ground<'_>, storage: &Arc<dyn Storage>, load: &Arc<Load>) -> Result<Costs, Ended> {
    let bytes: u64 = ground.options.of(32 << 20, 8 << 20);
    let measured = async |workers: u32, time: Duration| {
        let what = format!("{} of {}, {workers} at a time", load.operation(), load.size());
        ground.script.note(&*what);
        let most = usize::try_from(bytes / load.written() / u64::from(workers)).unwrap_or(MOST).clamp(1, MOST);
        let (storage, load) = (Arc::clone(storage), Arc::clone(load));
        let once = move |worker: u32, number: u32| {
            let (storage, load) = (Arc::clone(&storage), Arc::clone(&load));
            async move { load.once(&*storage, worker, number).await }
        };
        measure(&what, Span { workers, time, most }, once).await
    };
    Ok(Costs { one: measured(1, span(ground) * 3 / 5).await?, several: measured(IN_FLIGHT, span(ground) * 2 / 5).await? })
}

/// The table of costs.
struct Rows {
    table: Table,
    beside: bool,
}

impl Rows {
    fn new(beside: bool) -> Rows {
        let own = [
            ("operation", "operation"),
            ("size", "size"),
            ("calls", "calls"),
            ("per_second", "ops/s"),
            ("p50_us", "p50 µs"),
            ("p95_us", "p95 µs"),
            ("p99_us", "p99 µs"),
        ];
        let others = [("beside_per_second", "| beside: ops/s"), ("beside_p50_us", "p50 µs"), ("ratio", "ratio")];
        let columns: Vec<_> = own.into_iter().chain(others.into_iter().filter(|_| beside)).collect();
        Rows { table: Table::new(&columns), beside }
    }

    fn title(&self, beside: &str) -> String {
        let title = format!("Times of calls one after the other, and operations per second with {IN_FLIGHT} in flight");
        if self.beside && !beside.is_empty() { format!("{title}; beside: {beside}, ratio of the operations per second") } else { title }
    }

    fn add(&mut self, operation: &str, size: &str, own: &Costs, others: Option<&Costs>) {
        let micros = |time: Duration| Cell::Number(time.as_secs_f64() * 1e6);
        let mut row = vec![operation.into(), size.into(), own.one.calls().into(), own.several.per_second().into()];
        row.extend([50, 95, 99].map(|percent| micros(own.one.percentile(percent))));
        if self.beside {
            row.push(others.map(|others| others.several.per_second()).into());
            row.push(others.map_or(Cell::None, |others| micros(others.one.percentile(50))));
            row.push(others.map(|others| own.several.per_second() / others.several.per_second().max(f64::MIN_POSITIVE)).into());
        }
        self.table.rows.push(row);
    }
}

/// What the component itself costs.
fn component(ground: &Ground<'_>, opening: Duration, pool: Option<PoolStats>) {
    let info = ground.subject.info();
    let millis = |time: Duration| Value::Number((time.as_secs_f64() * 1e4).round() / 10.0);
    let kib = |bytes: usize| Value::Number(number((bytes >> 10) as u64));
    ground.figure("cost/size", "Size of the component", Value::Number(number(info.size.div_ceil(1_024))), "KiB");
    match info.compile_time {
        Some(time) => ground.figure("cost/compile-time", "Time to compile it, once", millis(time), "ms"),
        None => ground.figure("cost/compile-time", "Time to compile it, once", Value::Text("not known: its code was kept".to_owned()), ""),
    }
    ground.figure("cost/open", "Time to open it", millis(opening), "ms");
    if let Some(pool) = pool {
        if let Some(each) = pool.memory.checked_div(pool.idle) {
            ground.figure("cost/instance-memory", "Memory of an instance at rest", kib(each), "KiB");
        }
        ground.figure("cost/instance-memory-highest", "The most memory of an instance", kib(pool.memory_highest), "KiB");
    }
}
