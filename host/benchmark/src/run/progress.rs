//! How far the load is: one line that changes on a terminal, a line of the log now and then otherwise.

use crate::load::Counters;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const ON_A_TERMINAL: Duration = Duration::from_secs(1);
const IN_A_LOG: Duration = Duration::from_secs(10);

/// Shows it for as long as it is not dropped.
pub(super) async fn show(counters: &Arc<Vec<Counters>>, duration: Duration, which: &str) {
    let terminal = std::io::stderr().is_terminal();
    let (begin, step) = (Instant::now(), if terminal { ON_A_TERMINAL } else { IN_A_LOG });
    let mut ticks = interval_at(begin + step, step);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut then) = (0, begin);
    loop {
        ticks.tick().await;
        let counts = counters.iter().map(Counters::read);
        let (done, failed) = counts.fold((0, 0), |(done, failed), (more, wrong)| (done + more, failed + wrong));
        let now = Instant::now();
        let pace = rate(done - before, now - then);
        (before, then) = (done, now);
        let line = line(which, begin.elapsed(), duration, done, failed, pace);
        if terminal {
            // Nothing is lost if it cannot be shown.
            let _shown = write!(std::io::stderr(), "\r\x1b[K{line}");
        } else {
            tracing::info!("{line}");
        }
    }
}

/// Takes the line away.
pub(super) fn clear() {
    if std::io::stderr().is_terminal() {
        let _shown = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn line(which: &str, elapsed: Duration, duration: Duration, done: u64, failed: u64, pace: u64) -> String {
    let which = if which.is_empty() { String::new() } else { format!("run {which}: ") };
    let over = if elapsed > duration { ", waiting for the last answers" } else { "" };
    format!(
        "{which}{} of {} s, {done} requests, {failed} failed, {pace}/s{over}",
        elapsed.as_secs().min(duration.as_secs()),
        duration.as_secs()
    )
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that is shown")]
fn rate(count: u64, time: Duration) -> u64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Duration, line, rate};

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let (five, ten) = (Duration::from_secs(5), Duration::from_secs(10));
        assert_eq!(line("", five, ten, 100, 2, 20), "5 of 10 s, 100 requests, 2 failed, 20/s");
        let late = line("2 of 3", ten + five, ten, 1, 0, 0);
        assert_eq!(late, "run 2 of 3: 10 of 10 s, 1 requests, 0 failed, 0/s, waiting for the last answers");
        assert_eq!((rate(500, five), rate(1, Duration::ZERO)), (100, 0));
    }
}
