//! Decisions, compared with those of a real OpenBao 2.7.2 (`testdata/answers.jsonl`, one case a line: what `sys/capabilities` answered for a
//! token with these policies, or whether it let a write of these fields pass), and with a model that is slow and plain.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::{Acl, Policy};
use crate::logical::{Fields, Operation};

#[derive(serde::Deserialize)]
struct Case {
    policies: Vec<String>,
    #[serde(default)]
    capabilities: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    writes: Vec<(Fields, bool)>,
}

fn acl(policies: &[String]) -> Acl {
    let parsed = policies.iter().enumerate().map(|(at, text)| Arc::new(Policy::parse(&format!("p{at}"), text).unwrap()));
    Acl::new(&parsed.collect::<Vec<_>>()).unwrap()
}

#[test]
fn decisions_are_those_of_a_real_server() {
    let (mut paths, mut writes) = (0, 0);
    for line in include_str!("testdata/answers.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let acl = acl(&case.policies);
        for (path, wanted) in case.capabilities {
            assert_eq!(acl.capabilities(&path), wanted, "{path:?} with {:#?}", case.policies);
            paths += 1;
        }
        for (data, wanted) in case.writes {
            assert_eq!(acl.allows(Operation::Update, "kv/k", &data), wanted, "{data:?} with {:#?}", case.policies);
            writes += 1;
        }
    }
    assert!(paths > 80 && writes > 50, "{paths} {writes}");
}

#[test]
fn root_may_do_anything() {
    let acl = Acl::new(&[Arc::new(Policy::root())]).unwrap();
    assert!(acl.root() && acl.sudo("x") && acl.allows(Operation::Delete, "sys/mounts/x", &Fields::new()));
    assert_eq!(acl.capabilities("x"), ["root"]);
    let other = Arc::new(Policy::parse("other", "").unwrap());
    assert!(Acl::new(&[Arc::new(Policy::root()), other]).is_err());
}

#[test]
fn no_policy_allows_nothing() {
    let acl = Acl::new(&[]).unwrap();
    assert!(!acl.allows(Operation::Read, "x", &Fields::new()) && !acl.sudo("x") && !acl.mount_visible("x/"));
    assert_eq!(acl.capabilities("x"), ["deny"]);
}

#[test]
fn every_operation_needs_its_own_capability() {
    use Operation::{Create, Delete, List, Patch, Read, Update};
    for (name, operation) in
        [("create", Create), ("read", Read), ("update", Update), ("delete", Delete), ("list", List), ("patch", Patch), ("sudo", Update)]
    {
        let acl = acl(&[format!("path \"a\" {{ capabilities = [\"{name}\"] }}")]);
        for other in [Create, Read, Update, Delete, List, Patch] {
            let path = if other == List { "a/" } else { "a" };
            assert_eq!(acl.allows(other, path, &Fields::new()), other == operation && name != "sudo", "{name} {other:?}");
        }
        assert_eq!(acl.sudo("a"), name == "sudo");
    }
}

#[test]
fn a_mount_is_visible_if_anything_below_it_is_granted() {
    for (path, visible) in [
        ("kv/data/x", true),
        ("kv/*", true),
        ("kv/data/*", true),
        ("*", true),
        ("k*", true),
        ("+/data/x", true),
        ("kv/+/x", true),
        ("+/*", true),
        ("kv", true),
        ("kv2/x", false),
        ("other/+/x", false),
        ("kv2/*", false),
    ] {
        let granting = |capability: &str| acl(&[format!("path {path:?} {{ capabilities = [{capability:?}] }}")]);
        assert_eq!(granting("read").mount_visible("kv/"), visible, "{path}");
        assert!(!granting("deny").mount_visible("kv/"), "{path}");
    }
}

#[test]
fn errors_name_the_key_and_the_line() {
    for (text, message) in [
        ("x=1", "1 error occurred:\n\t* invalid key \"x\" on line 1\n\n"),
        (
            "path \"a\" {\n foo=1\n bar=2\n}",
            "path \"a\": 2 errors occurred:\n\t* invalid key \"foo\" on line 2\n\t* invalid key \"bar\" on line 3\n\n",
        ),
        ("path \"a\" {capabilities=[\"reed\"]}", "path \"a\": path \"a\": invalid capability \"reed\""),
        ("path \"a\" {policy=\"x\"}", "path \"a\": path \"a\": invalid policy \"x\""),
        ("path \"a/+*\" {}", "path \"a/+*\": path \"a/+*\": invalid use of wildcards ('+*' is forbidden)"),
        (
            "path \"a\" {min_wrapping_ttl=\"1h\" max_wrapping_ttl=\"1m\"}",
            "path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        ("path \"x/{{\" {}", "path \"x/{{\": failed to validate policy templating: unbalanced templating characters"),
        ("path \"a\" {mfa_methods=[\"x\"]}", "path \"a\": \"mfa_methods\" on line 1 is not supported by this server"),
        ("path \"a\" {Capabilities=[\"read\"]}", "path \"a\": 1 error occurred:\n\t* invalid key \"Capabilities\" on line 1\n\n"),
        ("{\"foo\":1}", "1 error occurred:\n\t* invalid key \"foo\" on line 1\n\n"),
    ] {
        assert_eq!(Policy::parse("p", text).unwrap_err().to_string(), message, "{text}");
    }
    for text in [
        "path \"a\" {",
        "path = \"a\"",
        "path \"a\" {capabilities=\"read\"}",
        "path \"a\" {allowed_parameters=\"x\"}",
        "[1]",
        "{\"path\":1}",
    ] {
        assert!(Policy::parse("p", text).is_err(), "{text}");
    }
}

#[test]
fn what_denies_is_never_lost_in_a_merge() {
    let acl = acl(&[
        "path \"a\" { capabilities = [\"update\"] denied_parameters = { \"x\" = [] } }".to_owned(),
        "path \"a\" { capabilities = [\"read\"] max_wrapping_ttl = \"1m\" }".to_owned(),
    ]);
    let data: Fields = serde_json::from_str("{\"y\":1}").unwrap();
    assert!(!acl.allows(Operation::Update, "a", &data));
}

/// Segments of a pattern or of a path.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "ab", "b", "+", "", "+x"]), 1..5).prop_map(|parts| parts.join("/"))
}

/// Whether a pattern matches, as its documentation says, by trying.
fn matches(pattern: &str, path: &str) -> bool {
    let (body, prefix) = pattern.strip_suffix('*').map_or((pattern, false), |body| (body, true));
    fn walk(pattern: &[&str], path: &[&str], prefix: bool) -> bool {
        match (pattern, path) {
            ([], rest) => rest.is_empty() || prefix,
            ([last], [first, ..]) if prefix => *last == "+" || first.starts_with(last),
            ([one, more @ ..], [first, rest @ ..]) => (*one == "+" || one == first) && walk(more, rest, prefix),
            (_, []) => false,
        }
    }
    let segments = pattern == "+" || pattern.contains("/+") || pattern.starts_with("+/");
    if segments {
        walk(&body.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>(), prefix)
    } else if prefix {
        path.starts_with(body)
    } else {
        pattern == path
    }
}

proptest! {
    #[test]
    fn one_pattern_decides_as_the_model_does(mut pattern in text(), star in any::<bool>(), path in text()) {
        let pattern = { if star && !pattern.ends_with('+') { pattern.push('*') } pattern };
        let pattern = pattern.trim_start_matches('/').to_owned();
        let path = path.trim_start_matches('/').to_owned();
        let acl = acl(&[format!("path {pattern:?} {{ capabilities = [\"read\"] }}")]);
        prop_assert_eq!(acl.allows(Operation::Read, &path, &Fields::new()), matches(&pattern, &path), "{} {}", pattern, path);
    }

    #[test]
    fn of_many_prefixes_the_longest_decides(prefixes in prop::collection::btree_set("[ab/]{0,5}", 0..12), path in "[ab/]{0,6}") {
        let path = path.trim_start_matches('/').to_owned();
        let prefixes: Vec<String> = prefixes.into_iter().filter(|prefix| !prefix.starts_with('/')).collect();
        let longest = prefixes.iter().filter(|prefix| path.starts_with(prefix.as_str())).max_by_key(|prefix| prefix.len());
        for wanted in &prefixes {
            let rules: String = prefixes
                .iter()
                .map(|prefix| format!("path \"{prefix}*\" {{ capabilities = [\"{}\"] }}\n", if prefix == wanted { "read" } else { "list" }))
                .collect();
            let read = acl(&[rules]).allows(Operation::Read, &path, &Fields::new());
            prop_assert_eq!(read, longest == Some(wanted));
        }
    }

    #[test]
    fn the_order_of_policies_does_not_matter(texts in prop::collection::vec((text(), 0..4_usize), 1..6), path in text()) {
        let policies: Vec<String> = texts
            .iter()
            .map(|(pattern, which)| format!("path {pattern:?} {{ capabilities = [{:?}] }}", ["read", "list", "deny", "update"][*which]))
            .collect();
        let reversed: Vec<String> = policies.iter().rev().cloned().collect();
        prop_assert_eq!(acl(&policies).capabilities(&path), acl(&reversed).capabilities(&path));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z{}\\[\\]\"=*+/, \n]{0,60}|path \"[^\"]{0,20}\" \\{ [a-z_]{0,20} = [\\[\\]\"a-z]{0,10} \\}") {
        let _ = Policy::parse("p", &text);
    }

    #[test]
    fn fields_never_pass_what_denies_them(name in "[a-zA-Z]{1,4}", value in "[a-z*]{0,4}") {
        let acl = acl(&[format!("path \"a\" {{ capabilities = [\"update\"] denied_parameters = {{ {name:?} = [] }} }}")]);
        let data: Fields = [(name, Value::from(value))].into_iter().collect();
        prop_assert!(!acl.allows(Operation::Update, "a", &data));
    }
}
