//! The section `conduct`: what the backend uses, reaches for and keeps. Figures say what was seen; a check fails for what must not be.

mod course;
mod figures;
mod steady;
mod twice;
mod watch;

use cofferdam_runtime::World;

pub(crate) use self::course::Seen;
use self::watch::Window;
use crate::case::{Failed, case};
use crate::{Case, Ended, Ground, Verdict, script};

const CASES: &[Case] = &[
    case!("conduct/answers-after-many-calls", "One instance answers rightly call after call, and is not lost", answers),
    case!("conduct/nothing-refused", "It reaches for nothing that it is not granted", refused),
    case!("conduct/handles-do-not-grow", "Call after call it holds no more handles", handles),
    case!("conduct/memory-does-not-grow", "Call after call it holds no more memory", memory),
    case!(
        "conduct/within-limits",
        "With the largest entries it stays a tenth below its limits of memory, handles and computing time",
        limits
    ),
    case!("conduct/same-answers", "Two instances that are asked the same answer the same", twice::same),
];

/// The checks for a component of this world.
pub fn cases(_: World) -> Vec<&'static Case> {
    CASES.iter().collect()
}

/// The course, if a probe was told of its calls.
async fn probed<'g>(ground: &'g Ground<'_>) -> Result<&'g Seen, Ended> {
    let seen = course::seen(ground).await?;
    if seen.is_probed() { Ok(seen) } else { Err(Ended::skipped("no probe sees its calls: it is no component")) }
}

async fn answers(ground: &Ground<'_>) -> Verdict {
    let seen = course::seen(ground).await?;
    figures::used(ground, seen);
    if let Some(trouble) = &seen.trouble {
        let lost: Vec<String> = seen.breaches.iter().map(|(kind, count)| format!("{count} by {kind}")).collect();
        let lost = if lost.is_empty() { String::new() } else { format!("; instances lost: {}", lost.join(", ")) };
        return Err(Ended::Failed(Failed { what: format!("call {}: {}{lost}", seen.calls, trouble.what), script: trouble.script.clone() }));
    }
    Ok(())
}

async fn refused(ground: &Ground<'_>) -> Verdict {
    let seen = probed(ground).await?;
    let refused = &seen.watched.refused;
    if refused.total() == 0 {
        return Ok(());
    }
    let (most, rest) = refused.most(10);
    let mut script: Vec<String> = most.iter().map(|(what, count)| format!("{}: {count} times", script::name(what))).collect();
    if rest > 0 {
        script.push(format!("others: {rest} times"));
    }
    let what = format!("{} times it wanted something that it is not granted, and was refused", refused.total());
    Err(Ended::Failed(Failed { what, script }))
}

/// Growth is judged from here on, in fifths of the windows: before, caches fill.
const SETTLED: usize = 5;

/// The windows in which anything was told, if they are enough to judge by.
fn windows<'s>(seen: &'s Seen, kind: &str) -> Result<Vec<&'s Window>, Ended> {
    if let Some(count) = seen.breaches.get(kind) {
        let script = seen.trouble.as_ref().map(|trouble| trouble.script.clone()).unwrap_or_default();
        let what = format!("it held more and more, until its limit ended {count} of its instances; calls made: {}", seen.calls);
        return Err(Ended::Failed(Failed { what, script }));
    }
    let windows: Vec<&Window> = seen.watched.windows.iter().filter(|window| window.handles.is_some()).collect();
    if windows.len() >= 2 * SETTLED {
        return Ok(windows);
    }
    let made = format!("{} of {} calls were made", seen.calls, seen.wanted);
    match &seen.trouble {
        Some(trouble) => Err(Ended::failed(format!("{made}, then: {}", trouble.what))),
        None => Err(Ended::skipped(format!("{made} in the time there is: too few to judge by"))),
    }
}

/// How a quantity went, window by window.
fn series(windows: &[&Window], shown: impl Fn(&Window) -> String) -> Vec<String> {
    let step = windows.len().div_ceil(10).max(1);
    windows
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(at, window)| format!("part {} of {}: {}", at + 1, windows.len(), shown(window)))
        .collect()
}

/// The second fifth, and the last one.
fn early_and_late<'w, 's>(windows: &'w [&'s Window]) -> (&'w [&'s Window], &'w [&'s Window]) {
    let fifth = windows.len() / SETTLED;
    (windows.get(fifth..2 * fifth).unwrap_or_default(), windows.get(windows.len() - fifth..).unwrap_or_default())
}

/// What every call returns to: the fewest handles of a window. A call may hold some for the next one.
async fn handles(ground: &Ground<'_>) -> Verdict {
    let seen = probed(ground).await?;
    let windows = windows(seen, "handles")?;
    let (early, late) = early_and_late(&windows);
    let fewest = |windows: &[&Window]| windows.iter().filter_map(|window| window.handles).min().unwrap_or(0);
    let (early, late) = (fewest(early), fewest(late));
    figures::handles(ground, early, late, seen);
    if late <= early {
        return Ok(());
    }
    let what = format!("no call of the last fifth of {} left fewer than {late} handles; before there were {early}", seen.calls);
    Err(Ended::Failed(Failed { what, script: series(&windows, |window| format!("{} handles", window.handles.unwrap_or(0))) }))
}

/// Memory that still grows now and then may be a heap with holes. What grows all the time is a leak.
async fn memory(ground: &Ground<'_>) -> Verdict {
    let seen = probed(ground).await?;
    let windows = windows(seen, "memory")?;
    let fifth = windows.len() / SETTLED;
    let ends: Vec<usize> = (1..=SETTLED).filter_map(|part| windows.get(part * fifth - 1)).map(|window| window.memory).collect();
    figures::memory(ground, &ends);
    let grows = ends.array_windows().all(|[one, next]| next > one);
    if !grows {
        return Ok(());
    }
    let what =
        format!("it held more memory after each fifth of {} calls on the same few entries: {}", seen.calls, figures::bytes_list(&ends));
    Err(Ended::Failed(Failed { what, script: series(&windows, |window| figures::bytes(window.memory)) }))
}

async fn limits(ground: &Ground<'_>) -> Verdict {
    let seen = probed(ground).await?;
    let Some(limits) = &ground.subject.info().limits else { return Err(Ended::skipped("its limits are not known")) };
    figures::highest(ground, seen, limits);
    let watched = &seen.watched;
    let (operation, cpu) = watched.cpu_most().unwrap_or_default();
    let near = |used: u128, limit: u128| used * 10 > limit * 9;
    let mut over = Vec::new();
    if near(watched.memory_most as u128, limits.memory as u128) {
        over.push(format!("{} of memory, of {} that are allowed", figures::bytes(watched.memory_most), figures::bytes(limits.memory)));
    }
    if near(watched.handles_most as u128, limits.handles as u128) {
        over.push(format!("{} handles, of {} that are allowed", watched.handles_most, limits.handles));
    }
    if near(cpu.as_micros(), limits.cpu.as_micros()) {
        over.push(format!("{} ms of computing in {operation}, of {} ms that are allowed", cpu.as_millis(), limits.cpu.as_millis()));
    }
    over.extend(seen.breaches.iter().map(|(kind, count)| format!("{count} instances that were lost by {kind}")));
    if over.is_empty() {
        return Ok(());
    }
    Err(Ended::Failed(Failed { what: format!("it came within a tenth of its limits, or over: {}", over.join("; ")), script: over }))
}
