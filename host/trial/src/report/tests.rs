use std::time::Duration;

use cofferdam_runtime::World;

use super::*;

fn report(outcomes: Vec<Outcome>) -> Report {
    let subject = Info {
        file: "x.wasm".to_owned(),
        name: Some("x".to_owned()),
        version: Some("1.2.3".to_owned()),
        sha256: "00ff".to_owned(),
        contract: "0.1.0".to_owned(),
        size: 17,
        grants: vec!["a fresh temporary directory".to_owned()],
        ..Info::new("", World::Storage)
    };
    let check = |(number, outcome)| Check {
        id: format!("contract/check-{number}"),
        title: "It holds".to_owned(),
        outcome,
        took: Duration::from_millis(5),
    };
    let figure = Figure { id: "contract/size".to_owned(), title: "Size".to_owned(), value: Value::Number(1.5), unit: "MiB".to_owned() };
    let mut table = Table::new(&[("operation", "operation"), ("size", "size"), ("p50_us", "p50 µs"), ("ratio", "ratio")]);
    table.rows.push(vec!["get".into(), "4 KiB".into(), 12.345.into(), Cell::None]);
    table.rows.push(vec!["put".into(), "64 B".into(), 1_234.5.into(), 0.5.into()]);
    let rows = Figure { id: "contract/times".to_owned(), title: "Times".to_owned(), value: Value::Table(table), unit: String::new() };
    let checks = outcomes.into_iter().enumerate().map(check).collect();
    let section = Section { name: "contract".to_owned(), checks, figures: vec![figure, rows] };
    Report { sections: vec![section], took: Duration::from_millis(9), ..Report::new(subject, &Options { seed: 7, ..Options::default() }) }
}

fn failed() -> Outcome {
    Outcome::Failed { what: "expected [b], found [] <&\u{1}".to_owned(), script: vec!["put a/b = 0x00".to_owned()] }
}

fn skipped() -> Outcome {
    Outcome::Skipped { why: "no lock".to_owned() }
}

#[test]
fn it_passes_only_if_something_passed_and_nothing_failed() {
    assert!(report(vec![Outcome::Passed, skipped()]).passed());
    for other in [vec![], vec![skipped()], vec![Outcome::Passed, failed()]] {
        assert!(!report(other).passed());
    }
}

#[test]
fn how_it_was_tried_is_told() {
    let whole = report(vec![Outcome::Passed]);
    assert!(!whole.table().contains("quick") && whole.junit().unwrap().contains("name=\"quick\" value=\"false\""));
    let played_back = Some(PlayedBack { file: "x.trial".to_owned(), sha256: "00fe".to_owned(), time: 17 });
    let played = Report { quick: true, played_back, ..whole };
    let (table, xml) = (played.table(), played.junit().unwrap());
    assert!(table.contains("--quick") && table.contains("x.trial, recorded with another (sha256 00fe)"), "{table}");
    for part in ["name=\"quick\" value=\"true\"", "name=\"played_back\" value=\"x.trial\"", "value=\"00fe\"", "value=\"17\""] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    let json: serde_json::Value = serde_json::from_str(&played.json().unwrap()).unwrap();
    assert_eq!(json["quick"], true);
    assert_eq!(json["played_back"], serde_json::json!({"file": "x.trial", "sha256": "00fe", "time": 17}));
}

#[test]
fn that_nothing_was_tried_is_told() {
    for (outcomes, told) in [
        (vec![], Some("no check was run")),
        (vec![skipped(), skipped()], Some("every check was skipped")),
        (vec![skipped(), failed()], None),
    ] {
        let report = report(outcomes);
        assert_eq!(report.nothing_tried().is_some(), told.is_some());
        assert!(told.is_none_or(|told| report.table().contains(told)), "{}", report.table());
    }
}

#[test]
fn what_is_left_behind_fails_and_is_told() {
    let report = Report { left_behind: Some("unavailable".to_owned()), ..report(vec![Outcome::Passed]) };
    assert!(!report.passed());
    for text in [report.table(), report.json().unwrap(), report.junit().unwrap()] {
        assert!(text.contains("unavailable"), "{text}");
    }
    assert!(report.junit().unwrap().contains("errors=\"1\""), "{}", report.junit().unwrap());
}

#[test]
fn people_see_what_failed_and_how_to_get_there() {
    let text = report(vec![Outcome::Passed, failed(), skipped()]).table();
    for part in [
        "x 1.2.3",
        "storage-backend",
        "FAILED",
        "found []",
        "    put a/b = 0x00",
        "no lock",
        "1 passed, 1 failed, 1 skipped",
        "seed 7",
        "Size  1.50 MiB",
        "  Times\n    operation  size   p50 µs  ratio\n    get        4 KiB    12.3      -\n    put        64 B     1234   0.50\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn programs_read_the_same() {
    let json: serde_json::Value = serde_json::from_str(&report(vec![Outcome::Passed, failed(), skipped()]).json().unwrap()).unwrap();
    assert_eq!(json["passed"], false);
    assert_eq!(json["subject"]["world"], "storage-backend");
    let checks = &json["sections"][0]["checks"];
    assert_eq!(checks[0], serde_json::json!({"id": "contract/check-0", "title": "It holds", "outcome": "passed", "took_ms": 5}));
    assert_eq!((&checks[1]["outcome"], &checks[1]["script"][0]), (&"failed".into(), &"put a/b = 0x00".into()));
    assert_eq!((&checks[2]["outcome"], &checks[2]["why"]), (&"skipped".into(), &"no lock".into()));
    let figures = &json["sections"][0]["figures"];
    assert_eq!(figures[0]["value"], 1.5);
    let row = serde_json::json!({"operation": "get", "size": "4 KiB", "p50_us": 12.35, "ratio": null});
    assert_eq!(figures[1]["value"][0], row);
}

#[test]
fn ci_systems_count_failures_and_skips() {
    let xml = report(vec![Outcome::Passed, failed(), skipped()]).junit().unwrap();
    for part in ["tests=\"3\"", "failures=\"1\"", "skipped", "contract/check-1", "&lt;&amp;", "put a/b = 0x00", "no lock"] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert!(!xml.contains('\u{1}'));
    assert!(xml.contains("name=\"contract/times/put 64 B\" value=\"p50_us=1234 ratio=0.50\""), "{xml}");
}
