//! Progress while it runs, and the table at the end.

use crate::exit::{Exit, Outcome};
use crate::migrate::failure::named;
use crate::output::{print, table};
use cofferdam_migrate::{Phase, Progress, Report, Seen, Sum};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the bar is drawn anew.
const DRAWN: Duration = Duration::from_millis(200);

/// How often there is a line where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Shows the progress of the work, as a bar on a terminal, else in lines; both on standard error.
pub(super) async fn beside<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    let terminal = std::io::stderr().is_terminal();
    let shown = Shown { bar: terminal.then(bar) };
    let every = if terminal { DRAWN } else { LINES };
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                shown.end();
                return done;
            }
            _ = ticks.tick() => shown.tick(progress.seen()),
        }
    }
}

struct Shown {
    bar: Option<ProgressBar>,
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar
}

impl Shown {
    fn tick(&self, seen: Seen) {
        if seen.phase == Phase::Preparing {
            return;
        }
        let line = line(seen);
        match &self.bar {
            Some(bar) => {
                let part = seen.total.map(|total| drawn(seen.entries, total)).unwrap_or_default();
                bar.set_message(format!("{part}{line}"));
                bar.tick();
            }
            None => eprintln!("{line}"),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The part that is done, as a bar.
fn drawn(done: u64, total: u64) -> String {
    const WIDTH: usize = 24;
    let filled = done.min(total).saturating_mul(24).checked_div(total).and_then(|part| usize::try_from(part).ok()).unwrap_or(0);
    format!("[{}{}] ", "#".repeat(filled), "-".repeat(WIDTH.saturating_sub(filled)))
}

/// What is done, how fast, and how long the rest will take at that rate.
fn line(seen: Seen) -> String {
    let name = match seen.phase {
        Phase::Preparing => "preparing",
        Phase::Counting => "counting",
        Phase::Emptying => "emptying the destination",
        Phase::Copying => "copying",
        Phase::Verifying => "verifying",
        Phase::Done => "done",
    };
    let mut line = format!("{name}: {}", HumanCount(seen.entries));
    if let Some(total) = seen.total {
        line.push_str(&format!(" of {}", HumanCount(total)));
    }
    line.push_str(&format!(" entries, {}", HumanBytes(seen.bytes)));
    let done = seen.entries.saturating_sub(seen.before);
    let millis = u64::try_from(seen.since.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = done.saturating_mul(1_000) / millis;
    line.push_str(&format!(", {}/s", HumanCount(rate)));
    if let Some(left) = seen.total.map(|total| total.saturating_sub(seen.entries)).filter(|_| done > 0) {
        let seconds = left.saturating_mul(millis) / done.saturating_mul(1_000).max(1);
        line.push_str(&format!(", {:#} left", HumanDuration(Duration::from_secs(seconds))));
    }
    if seen.retries > 0 {
        line.push_str(&format!(", {} calls made again", HumanCount(seen.retries)));
    }
    line
}

fn row(folder: &str, source: &Sum, destination: &Sum) -> [String; 5] {
    let digest = source.digest().chars().take(16).collect();
    let same = if source == destination { "same" } else { "DIFFERENT" };
    [folder.to_owned(), source.entries.to_string(), source.bytes.to_string(), digest, format!("{} {same}", destination.entries)]
}

/// Both ends, folder by folder.
pub(super) fn compared(report: &Report) -> String {
    let mut folders: Vec<&str> = report.source.rows().chain(report.destination.rows()).map(|(folder, _)| folder).collect();
    folders.sort_unstable();
    folders.dedup();
    let mut rows: Vec<_> = folders.iter().map(|folder| row(folder, &report.source.of(folder), &report.destination.of(folder))).collect();
    rows.push(row("all", &report.source.total(), &report.destination.total()));
    table(["Folder", "Entries", "Bytes", "Digest", "Destination"], &rows)
}

/// The end of it.
pub(super) fn report(report: &Report, took: Duration, verified_only: bool) -> Outcome {
    let mut text = compared(report);
    let seconds = took.as_millis() / 100;
    text.push_str(&format!("\n{}.{} s", seconds / 10, seconds % 10));
    if report.resumed {
        text.push_str(", on from where an earlier run had stopped");
    }
    if let Some(memory) = peak_memory() {
        text.push_str(&format!(", at most {} of memory", HumanBytes(memory)));
    }
    text.push('\n');
    let left_out = report.left_out.count;
    if left_out > 0 {
        text.push_str(&format!(
            "\nThe destination has no keys for {left_out} of the entries, which were left out:\n{}",
            named(&report.left_out)
        ));
    }
    let done = if verified_only { "Both ends hold the same." } else { "All of the keys have been migrated." };
    text.push_str(&match left_out {
        0 => format!("\nSuccess! {done}\n"),
        _ => format!("\n{done} But for those named above.\n"),
    });
    print(&text)?;
    Ok(if left_out > 0 { Exit::Partly } else { Exit::Success })
}

/// The most memory that the process has had, as the kernel counted it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::{drawn, line};
    use cofferdam_migrate::{Phase, Seen};
    use std::time::Duration;

    #[test]
    fn the_rest_is_reckoned_by_what_this_run_did() {
        let seen = Seen {
            phase: Phase::Copying,
            before: 500,
            entries: 600,
            bytes: 4_096,
            total: Some(1_000),
            retries: 2,
            since: Duration::from_secs(10),
        };
        assert_eq!(line(seen), "copying: 600 of 1,000 entries, 4.00 KiB, 10/s, 40s left, 2 calls made again");
        let counting = Seen { phase: Phase::Counting, before: 0, entries: 0, bytes: 0, total: None, retries: 0, since: Duration::ZERO };
        assert_eq!(line(counting), "counting: 0 entries, 0 B, 0/s");
        assert_eq!(drawn(1, 2), "[############------------] ");
        assert_eq!(drawn(0, 0), "[------------------------] ");
    }
}
