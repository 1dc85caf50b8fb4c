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
