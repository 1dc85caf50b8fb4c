//! A report as text: what was tried, a line for each check, then what failed, with its script.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Figure, Outcome, PlayedBack, Report, Value, shown};

/// Writing to a string does not fail.
macro_rules! line {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}

pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    let subject = &report.subject;
    line!(text, "{}", subject.file);
    if let (Some(name), Some(version)) = (&subject.name, &subject.version) {
        line!(text, "  calls itself  {name} {version}");
    }
    line!(text, "  world         {} (contract {})", subject.world, subject.contract);
    line!(text, "  sha256        {}", subject.sha256);
    line!(text, "  size          {} bytes", subject.size);
    for grant in &subject.grants {
        line!(text, "  granted       {grant}");
    }
    if report.quick {
        line!(text, "  amount        fewer entries and rounds (--quick)");
    }
    if let Some(PlayedBack { file, sha256, .. }) = &report.played_back {
        let of = if *sha256 == subject.sha256 { "this component".to_owned() } else { format!("another (sha256 {sha256})") };
        line!(text, "  played back   {file}, recorded with {of}");
    }
    let widest = report.checks().map(|check| check.id.chars().count()).max().unwrap_or(0);
    for section in &report.sections {
        line!(text, "\n{}", section.name);
        line!(text, "{}", "-".repeat(section.name.chars().count()));
        for check in &section.checks {
            line!(text, "  {:<7}  {:<widest$}  {:>9}  {}", check.outcome.word(), check.id, took(check.took), check.title);
            if let Outcome::Skipped { why } = &check.outcome {
                line!(text, "  {:<7}  {why}", "");
            }
        }
        let flat = section.figures.iter().filter(|figure| !matches!(figure.value, Value::Table(_)));
        let widest = flat.map(|figure| figure.title.chars().count()).max().unwrap_or(0);
        for figure in &section.figures {
            figures(&mut text, figure, widest);
        }
    }
    for check in report.checks() {
        if let Outcome::Failed { what, script } = &check.outcome {
            line!(text, "\nFAILED {}: {}\n  {}", check.id, check.title, what.replace('\n', "\n  "));
            if !script.is_empty() {
                line!(text, "  The operations:");
            }
            for step in script {
                line!(text, "    {step}");
            }
        }
    }
    if let Some(why) = &report.left_behind {
        line!(text, "\nWhat was written is still there, since it could not be removed: {why}");
    }
    if let Some(why) = report.nothing_tried() {
        line!(text, "\nNOT PASSED: {why}");
    }
    let count = |word: &str| report.checks().filter(|check| check.outcome.word() == word).count();
    let (passed, failed, skipped) = (count("passed"), count("FAILED"), count("skipped"));
    line!(text, "\n{passed} passed, {failed} failed, {skipped} skipped in {} (seed {})", took(report.took), report.seed);
    text
}

fn figures(text: &mut String, figure: &Figure, widest: usize) {
    let value = match &figure.value {
        Value::Table(table) => {
            line!(text, "  {}{}", figure.title, if table.rows.is_empty() { ": none" } else { "" });
            if !table.rows.is_empty() {
                for row in table.lines() {
                    line!(text, "    {row}");
                }
            }
            return;
        }
        Value::Number(number) => format!("{} {}", shown(*number), figure.unit),
        Value::Text(text) => text.clone(),
    };
    line!(text, "  {:<widest$}  {}", figure.title, value.trim_end());
}

fn took(time: Duration) -> String {
    if time < Duration::from_secs(10) { format!("{} ms", time.as_millis()) } else { format!("{:.1} s", time.as_secs_f64()) }
}
