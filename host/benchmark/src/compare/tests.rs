use super::CompareArguments;
use super::Measure;
use super::Verdict;
use super::compare;
use super::run;
use super::table;
use crate::report::Mode;
use crate::results;
use crate::results::Details;
use crate::results::Load;
use crate::results::Metrics;
use crate::results::Target;
use std::collections::BTreeMap;

fn metrics(throughput: f64, latency: u64) -> Metrics {
    let mut targets = results::read(include_str!("../../tests/vault-benchmark.json")).unwrap();
    let mut metrics = targets[0].metrics.remove("reads").unwrap();
    metrics.throughput = throughput;
    metrics.latencies.mean = latency;
    metrics.latencies.p95 = 2 * latency;
    metrics.latencies.p99 = 3 * latency;
    metrics
}

/// A target whose repetitions have these throughputs and mean latencies.
fn target(repetitions: &[(f64, u64)], load: Load) -> Target {
    let by_test = |(throughput, latency): &(f64, u64)| BTreeMap::from([("kv".to_owned(), metrics(*throughput, *latency))]);
    let metrics = by_test(&repetitions[0]);
    let repetitions = if repetitions.len() > 1 { repetitions.iter().map(by_test).collect() } else { Vec::new() };
    let details = Details { load, repetitions, ..Details::default() };
    Target { target_addr: "http://a:8200".to_owned(), metrics, details: Some(details) }
}

fn verdicts(before: &[(f64, u64)], after: &[(f64, u64)], margin: f64) -> Vec<(Measure, Verdict)> {
    let comparison = compare(&[target(before, Load::default())], &[target(after, Load::default())], margin).unwrap();
    comparison.targets[0].lines.iter().map(|line| (line.measure, line.verdict)).collect()
}

const BEFORE: [(f64, u64); 3] = [(100.0, 5_000_000), (102.0, 5_100_000), (98.0, 4_900_000)];

#[test]
fn a_difference_beyond_chance_is_better_or_worse() {
    let faster = [(200.0, 2_500_000), (201.0, 2_600_000), (199.0, 2_400_000)];
    use Measure::*;
    use Verdict::*;
    let expected = |verdict| vec![(Throughput, verdict), (Mean, verdict), (P95, verdict), (P99, verdict), (Success, NoDifference)];
    assert_eq!(verdicts(&BEFORE, &faster, 0.0), expected(Better));
    assert_eq!(verdicts(&faster, &BEFORE, 0.0), expected(Worse));
    assert_eq!(verdicts(&BEFORE, &BEFORE, 0.0), expected(NoDifference));
    assert_eq!(verdicts(&BEFORE, &faster, 150.0), expected(NoDifference), "all within the margin");
}

#[test]
fn one_run_shows_nothing() {
    let one = [(1_000.0, 100)];
    assert!(verdicts(&BEFORE, &one, 0.0).iter().all(|(_, verdict)| *verdict == Verdict::OneRun));
    let comparison = compare(&[target(&one, Load::default())], &[target(&one, Load::default())], 0.0).unwrap();
    assert!(table::text(&comparison).contains("run both with --repeat 5"));
}

#[test]
fn results_of_one_target_in_one_file_are_repetitions() {
    let single = |throughput| target(&[(throughput, 5_000_000)], Load::default());
    let before = [single(100.0), single(101.0), single(99.0)];
    let after = [single(50.0), single(51.0), single(49.0)];
    let comparison = compare(&before, &after, 0.0).unwrap();
    assert_eq!((comparison.targets.len(), comparison.targets[0].repetitions), (1, [3, 3]));
    assert_eq!(comparison.targets[0].lines[0].verdict, Verdict::Worse);
}

#[test]
fn what_does_not_fit_is_said() {
    let load = |workers| Load { workers, duration: 10_000_000_000, ..Load::default() };
    let (before, mut after) = (target(&BEFORE, load(10)), target(&BEFORE, load(20)));
    let comparison = compare(std::slice::from_ref(&before), std::slice::from_ref(&after), 0.0).unwrap();
    assert_eq!(comparison.targets[0].notes, ["the loads differ: workers 10 in A and 20 in B"]);
    after.details = None;
    let kv = after.metrics.remove("kv").unwrap();
    after.metrics.insert("other".to_owned(), kv);
    assert!(compare(std::slice::from_ref(&before), std::slice::from_ref(&after), 0.0).unwrap_err().contains("no test in common"));
    let mut elsewhere = before.clone();
    elsewhere.target_addr = "http://b:8200".to_owned();
    assert!(compare(&[before.clone(), elsewhere], &[before], 0.0).unwrap_err().contains("2 targets"));
}

#[test]
fn means_and_change_are_those_of_the_interval() {
    // Arithmetic means would say 200 and 200: no change at all, beside an interval around -57 %.
    let (before, after) = ([(200.0, 5), (200.0, 5), (200.0, 6)], [(20.0, 5), (380.0, 5), (200.0, 6)]);
    let comparison = compare(&[target(&before, Load::default())], &[target(&after, Load::default())], 0.0).unwrap();
    let line = &comparison.targets[0].lines[0];
    assert!((line.before - 200.0).abs() < 1e-9 && (line.after - 1_520_000_f64.cbrt()).abs() < 1e-9, "{line:?}");
    let (change, interval) = (line.change.unwrap(), line.interval.unwrap());
    assert!((((1.0 + interval.low) * (1.0 + interval.high)).sqrt() - 1.0 - change).abs() < 1e-9, "{line:?}");
}

#[test]
fn a_side_without_any_success_is_worse_and_a_zero_among_others_shows_nothing() {
    let throughput = |after: &[(f64, u64)], margin| verdicts(&BEFORE, after, margin)[0].1;
    assert_eq!(throughput(&[(0.0, 5), (0.0, 5)], 0.0), Verdict::Worse);
    assert_eq!(throughput(&[(0.0, 5), (0.0, 5)], 100.0), Verdict::Unclear);
    assert_eq!(throughput(&[(0.0, 5), (100.0, 5)], 0.0), Verdict::Unclear);
    assert_eq!(throughput(&[(0.0, 5)], 0.0), Verdict::OneRun);
    assert_eq!(verdicts(&[(0.0, 5), (0.0, 6)], &BEFORE, 0.0)[0].1, Verdict::Better);
    // No scatter on either side.
    assert_eq!(verdicts(&[(1.0, 5), (1.0, 5)], &[(2.0, 5), (2.0, 5)], 0.0)[0].1, Verdict::Unclear);
}

#[test]
fn what_was_never_sent_is_compared() {
    let with = |unsent: &[u64]| {
        let mut target = target(&BEFORE, Load::default());
        for repetition in &mut target.details.as_mut().unwrap().repetitions {
            let total = repetition["kv"].clone();
            repetition.insert(results::TOTAL.to_owned(), Metrics { requests: 100, ..total });
        }
        target.details.as_mut().unwrap().unsent = unsent.to_vec();
        target
    };
    let lines = |before: &[u64], after: &[u64]| compare(&[with(before)], &[with(after)], 0.0).unwrap().targets.remove(0);
    let pair = lines(&[0, 0, 0], &[100, 105, 95]);
    let line = pair.lines.last().unwrap();
    assert_eq!((line.op.as_str(), line.measure, line.verdict), ("TOTAL", Measure::Unsent, Verdict::Worse));
    assert!(line.before == 0.0 && (line.after - 0.5).abs() < 0.01, "{line:?}");
    assert!(pair.notes[0].contains("never sent"), "{:?}", pair.notes);
    // The same in all repetitions, to the last one: no interval, and no doubt either.
    assert_eq!(lines(&[], &[100, 100, 100]).lines.last().unwrap().verdict, Verdict::Worse);
    assert!(lines(&[], &[0, 0, 0]).lines.iter().all(|line| line.measure != Measure::Unsent));
}

#[test]
fn the_command_reads_files_and_fails_if_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, repetitions: &[(f64, u64)]| {
        let path = directory.path().join(name);
        std::fs::write(&path, results::write(&[target(repetitions, Load::default())]).unwrap()).unwrap();
        path
    };
    let slower = [(50.0, 9_000_000), (51.0, 9_100_000), (49.0, 8_900_000)];
    let mut arguments = CompareArguments {
        before: file("a.json", &BEFORE),
        after: file("b.json", &slower),
        margin: 0.0,
        fail_on_worse: false,
        report_mode: Mode::Terse,
        html: Some(directory.path().join("report.html")),
    };
    let compared = run(&arguments).unwrap();
    let expected = "\
A: http://a:8200 (3 runs)
B: http://a:8200 (3 runs)
op  measure       A         B         change       interval             verdict
kv  throughput    99.99     49.99     -50.0%       -52.2 to -47.7%      worse
kv  mean          4.999ms   9ms       +80.0%       +72.6 to +87.7%      worse
kv  95th%         9.999ms   17.999ms  +80.0%       +72.6 to +87.7%      worse
kv  99th%         14.998ms  26.999ms  +80.0%       +72.6 to +87.7%      worse
kv  successRatio  100.00%   100.00%   +0.0 points  +0.0 to +0.0 points  no difference shown

4 worse, 1 no difference shown (at 95 % confidence)
";
    assert_eq!(compared.text, expected);
    assert!(!compared.failed);
    assert!(std::fs::read_to_string(directory.path().join("report.html")).unwrap().contains("no difference shown"));
    arguments.fail_on_worse = true;
    arguments.report_mode = Mode::Json;
    let compared = run(&arguments).unwrap();
    assert!(compared.failed);
    let value: serde_json::Value = serde_json::from_str(&compared.text).unwrap();
    assert_eq!(value["targets"][0]["lines"][0]["verdict"], "worse");
    arguments.after = directory.path().join("none.json");
    assert!(run(&arguments).unwrap_err().to_string().contains("none.json: cannot be read"));
}
