use super::page;
use crate::results;
use crate::results::Details;
use crate::results::Target;
use std::collections::BTreeMap;

fn saved() -> Target {
    results::read(include_str!("../../tests/vault-benchmark.json")).unwrap().remove(0)
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = page(&[saved()]);
    assert!(page.contains("<polyline") && page.contains("6.566694ms") && page.contains("Latency by percentile"));
    for word in ["<script", "<link", "<img", "url(", "@import", " src=", " href="] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<section>").count(), page.matches("</section>").count());
}

#[test]
fn texts_of_others_are_escaped() {
    let mut target = saved();
    let metrics = target.metrics.remove("reads").unwrap();
    let hostile = "<script>alert('1')</script>\"&\u{7}";
    target.metrics.insert(hostile.to_owned(), results::Metrics { errors: Some(vec![hostile.to_owned()]), ..metrics });
    target.target_addr = hostile.to_owned();
    let annotations = BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]);
    let pace = BTreeMap::from([(hostile.to_owned(), vec![3, 5, 4])]);
    target.details = Some(Details { annotations, pace, ..Details::default() });
    let page = page(&[target]);
    assert!(!page.contains("<script") && !page.contains('\u{7}'));
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;"));
    assert!(page.contains("Throughput over time"));
}

#[test]
fn what_was_not_sent_and_an_outage_are_shown() {
    let mut target = saved();
    let pace = BTreeMap::from([("reads".to_owned(), vec![100, 100, 0])]);
    target.details = Some(Details { pace, unsent: vec![7, 0], ..Details::default() });
    let due = 7 + target.total().unwrap().requests;
    let page = page(&[target]);
    assert!(page.contains(&format!("7 of {due} requests that were due were not sent")), "{page}");
    // The line ends at the bottom, which is at 292.
    let line = page.split("Throughput over time").last().unwrap().split("points=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(line.split(' ').count() == 3 && line.ends_with(",292.0"), "{line}");
}

#[test]
fn long_runs_stay_small() {
    let mut target = saved();
    let pace = BTreeMap::from([("reads".to_owned(), vec![1_000; 172_800])]);
    target.details = Some(Details { pace, ..Details::default() });
    assert!(page(&[target]).len() < 40_000);
}

#[test]
fn nothing_measured_draws_nothing() {
    let target = Target { target_addr: "a".to_owned(), metrics: BTreeMap::new(), details: None };
    assert!(!page(&[target]).contains("<svg"));
}
