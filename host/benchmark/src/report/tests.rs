use super::Mode;
use super::go::rounded;
use super::go_duration;
use super::render;
use crate::results;
use crate::results::Details;
use crate::results::Target;
use crate::results::natural;

/// As vault-benchmark saves its results.
const SAVED: &str = include_str!("../../tests/vault-benchmark.json");

fn saved() -> Vec<Target> {
    results::read(SAVED).unwrap()
}

#[test]
fn the_table_is_vault_benchmarks() {
    let expected = "\
Target: http://vault.example:8200
op      count  rate    throughput  mean        95th%        99th%        successRatio
reads   1210   60.54   60.51       6.566694ms  23.284373ms  30.921207ms  100.00%
writes  907    45.38   45.35       7.286757ms  22.875811ms  31.078756ms  100.00%
---     ---    ---     ---         ---         ---          ---          ---
TOTAL   2117   105.87  105.81      6.875185ms  23.101001ms  31ms         100.00%

";
    assert_eq!(render(Mode::Terse, &saved()).unwrap(), expected);
}

#[test]
fn the_verbose_report_is_vegetas() {
    let mut targets = saved();
    let read = targets[0].metrics.remove("reads").unwrap();
    targets[0].metrics.clear();
    let read = results::Metrics { errors: Some(vec!["403 Forbidden".to_owned(), "a\tb\u{1b}[2J".to_owned()]), ..read };
    targets[0].metrics.insert("read".to_owned(), read);
    let expected = "
read
Requests      [total, rate, throughput]         1210, 60.54, 60.51
Duration      [total, attack, wait]             19.997s, 19.987s, 10.368ms
Latencies     [min, mean, 50, 90, 95, 99, max]  836.338µs, 6.567ms, 2.865ms, 18.212ms, 23.284ms, 30.921ms, 41.418ms
Bytes In      [total, mean]                     395670, 327.00
Bytes Out     [total, mean]                     0, 0.00
Success       [ratio]                           100.00%
Status Codes  [code:count]                      200:1210  \nError Set:
403 Forbidden
a\u{fffd}b\u{fffd}[2J
";
    assert_eq!(render(Mode::Verbose, &targets).unwrap(), expected);
}

#[test]
fn what_is_read_is_written_again() {
    let targets = saved();
    let again = render(Mode::Json, &targets).unwrap();
    assert_eq!(results::read(&again).unwrap(), targets);
    let (before, after): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(SAVED).unwrap(), serde_json::from_str(&again).unwrap());
    assert_eq!(before, after, "the shape is the original's");
}

#[test]
fn results_of_old_releases_have_no_target() {
    let value: serde_json::Value = serde_json::from_str(SAVED).unwrap();
    let targets = results::read(&value["metrics"].to_string()).unwrap();
    assert_eq!(targets[0].target_addr, "N/A");
    assert_eq!(targets[0].metrics, saved()[0].metrics);
}

#[test]
fn what_was_not_sent_is_said_below_the_figures() {
    let mut target = saved().remove(0);
    target.details = Some(Details { unsent: vec![90, 10], ..Details::default() });
    let due = 100 + target.total().unwrap().requests;
    for mode in [Mode::Terse, Mode::Verbose] {
        let text = render(mode, std::slice::from_ref(&target)).unwrap();
        assert!(text.contains(&format!("\n\nNote: 100 of {due} requests that were due were not sent")), "{text}");
    }
    let kept = results::read(&render(Mode::Json, std::slice::from_ref(&target)).unwrap()).unwrap();
    assert_eq!(kept, [target]);
}

#[test]
fn other_texts_are_refused() {
    assert!(results::read("").unwrap_err().to_string().contains("holds no results"));
    assert!(results::read("Target: x").unwrap_err().to_string().contains("is not JSON"));
    let error = results::read("{\"target_addr\":\"a\",\"metrics\":{}}\n{\"version\":1}").unwrap_err().to_string();
    assert!(error.contains("object 2 is not a benchmark's result"), "{error}");
}

#[test]
fn durations_are_gos() {
    for (nanoseconds, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (61_307_741, "61.307741ms"),
        (3_300_000_000, "3.3s"),
        (60_000_000_000, "1m0s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (480_000_000_001, "8m0.000000001s"),
    ] {
        assert_eq!(go_duration(nanoseconds), text);
    }
    for (nanoseconds, text) in [
        (0, "0s"),
        (999, "999ns"),
        (836_338, "836.338µs"),
        (6_566_694, "6.567ms"),
        (2_931_734_500, "2.932s"),
        (175_400_000_000, "2m55s"),
        (7_290_000_000_000, "2h2m0s"),
        (999_999_999, "1s"),
    ] {
        assert_eq!(rounded(nanoseconds), text);
    }
}

#[test]
fn names_are_in_natural_order() {
    let mut names = ["test10", "test2", "a", "test", "test02", "10", "9", "test2b"];
    names.sort_by(|one, two| natural(one, two));
    assert_eq!(names, ["9", "10", "a", "test", "test2", "test2b", "test02", "test10"]);
}
