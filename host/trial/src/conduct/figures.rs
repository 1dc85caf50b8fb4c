//! What was seen, as figures. Texts that the guest chose are shown as a script shows names: escaped, and cut.

use std::time::Duration;

use cofferdam_runtime::GuestLimits;

use super::course::Seen;
use super::watch::Counted;
use crate::report::{Cell, Table, Value, number};
use crate::{Ground, script};

/// The texts of one kind that are shown.
const SHOWN: usize = 12;

/// Imports whose calls a probe sees.
const COUNTED: &[&str] = &[
    "cofferdam:backend/aws",
    "cofferdam:backend/log",
    "cofferdam:backend/fencing",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
];

/// Bytes in words.
pub(super) fn bytes(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

pub(super) fn bytes_list(all: &[usize]) -> String {
    all.iter().map(|one| bytes(*one)).collect::<Vec<_>>().join(", ")
}

fn kib(bytes: usize) -> f64 {
    number((bytes >> 10) as u64)
}

fn micros(time: Duration) -> Cell {
    Cell::Number(time.as_secs_f64() * 1e6)
}

/// What was called, where to, and what it took of the processor.
pub(super) fn used(ground: &Ground<'_>, seen: &Seen) {
    ground.figure("conduct/calls", "Calls in a row", Value::Number(seen.calls.into()), "");
    if !seen.is_probed() {
        return;
    }
    let watched = &seen.watched;
    let mut imports = Table::new(&[("import", "import"), ("calls", "calls")]);
    for import in &ground.subject.info().imports {
        let interface = import.split('@').next().unwrap_or(import);
        let calls = watched.imports.iter().filter(|(name, _)| name.strip_prefix(interface).is_some_and(|rest| rest.starts_with('.')));
        let calls: u64 = calls.map(|(_, count)| count).sum();
        let counted = COUNTED.contains(&interface) || calls > 0;
        imports.rows.push(vec![import.as_str().into(), counted.then_some(calls).into()]);
    }
    ground.figure("conduct/imports", "What it imports, and the calls of it that were seen (-: not counted)", Value::Table(imports), "");
    let mut functions = Table::new(&[("function", "function"), ("calls", "calls")]);
    functions.rows = watched.imports.iter().map(|(name, count)| vec![(*name).into(), (*count).into()]).collect();
    ground.figure("conduct/functions", "Functions of imports that it called", Value::Table(functions), "");
    named(ground, "conduct/hosts", "Hosts that it sent to", ("host", "host"), &watched.hosts);
    named(ground, "conduct/operations", "Operations that it asked services for", ("operation", "operation"), &watched.operations);
    named(ground, "conduct/paths", "Paths that it used, in its directory", ("path", "path"), &watched.paths);
    named(ground, "conduct/refused", "What it was refused", ("what", "what"), &watched.refused);
    let columns = [("operation", "operation"), ("calls", "calls"), ("p50_us", "p50 µs"), ("p99_us", "p99 µs"), ("most_us", "most µs")];
    let mut cpu = Table::new(&columns);
    for (operation, used) in &watched.used {
        let mut times = used.cpu.clone();
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default();
        cpu.rows.push(vec![(*operation).into(), used.calls.into(), micros(at(50)), micros(at(99)), micros(used.cpu_most)]);
    }
    ground.figure("conduct/cpu", "Computing time of a call, its imports on the same thread included", Value::Table(cpu), "");
}

/// A table of what was named most. What there is none of is left out.
fn named(ground: &Ground<'_>, id: &str, title: &str, column: (&'static str, &'static str), counted: &Counted) {
    let (most, rest) = counted.most(SHOWN);
    if most.is_empty() {
        return;
    }
    let mut table = Table::new(&[column, ("calls", "calls")]);
    table.rows = most.into_iter().map(|(text, count)| vec![script::name(text).into(), count.into()]).collect();
    if rest > 0 {
        table.rows.push(vec!["(others)".into(), rest.into()]);
    }
    ground.figure(id, title, Value::Table(table), "");
}

/// Handles at rest.
pub(super) fn handles(ground: &Ground<'_>, early: usize, late: usize, seen: &Seen) {
    let title = format!("Handles at rest, early and after {} calls", seen.calls);
    ground.figure("conduct/handles", &title, Value::Text(format!("{early}, {late}")), "");
}

/// Memory after each fifth of the calls.
pub(super) fn memory(ground: &Ground<'_>, ends: &[usize]) {
    ground.figure("conduct/memory", "Memory after each fifth of the calls", Value::Text(bytes_list(ends)), "");
}

/// The most of everything that is limited.
pub(super) fn highest(ground: &Ground<'_>, seen: &Seen, limits: &GuestLimits) {
    let columns = [("what", "what"), ("most", "most"), ("limit", "limit"), ("unit", "unit")];
    let mut table = Table::new(&columns);
    let (_, cpu) = seen.watched.cpu_most().unwrap_or_default();
    let millis = |time: Duration| Cell::Number(time.as_secs_f64() * 1e3);
    table.rows = vec![
        vec!["memory".into(), kib(seen.watched.memory_most).into(), kib(limits.memory).into(), "KiB".into()],
        vec!["handles".into(), number(seen.watched.handles_most as u64).into(), number(limits.handles as u64).into(), "".into()],
        vec!["computing".into(), millis(cpu), millis(limits.cpu), "ms".into()],
    ];
    ground.figure("conduct/highest", "The most that it used of its limits", Value::Table(table), "");
}
