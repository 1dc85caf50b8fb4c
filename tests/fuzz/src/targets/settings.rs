//! What an operator writes: configurations and policies.

use cofferdam_hcl::{Kind, Object, Value};
use cofferdam_vault::fuzz;

use super::{JSON, texts};
use crate::Target;

/// What configurations and policies are made of.
const HCL: &[&str] = &[
    "path \"a/*\" {",
    "capabilities = [\"read\"]",
    "storage \"file\" {",
    "listener \"tcp\" {",
    "seal \"awskms\" {",
    "plugin \"storage\" \"etcd\" {",
    "grant \"http\" {",
    "pool {",
    "limits {",
    "<<EOT\n",
    "<<-EOT\n",
    "EOT\n",
    "${",
    "$${",
    "# c\n",
    "// c\n",
    "/* c */",
    "= \"1h\"",
    "= \"10MiB\"",
    "= [",
    "= {",
    "true",
    "\"\\x41\"",
    "\"\\u00e4\"",
    "\"\\777\"",
    "1.5e3",
    "0b1",
    "-0x1F",
    "a.b",
    "\"a\" \"b\" {}",
    "{{identity.entity.id}}",
    "+*",
    "deny",
    "allowed_parameters = { \"*\" = [] }",
    "min_wrapping_ttl = 1",
];

pub(super) const CONFIGURATION: Target = Target { name: "configuration", run: configuration, seeds: configurations, words: HCL };
pub(super) const POLICY: Target = Target { name: "policy", run: fuzz::policy, seeds: policies, words: HCL };
pub(super) const AUDIT_SETTINGS: Target = Target { name: "audit_settings", run: fuzz::audit_settings, seeds: audits, words: JSON };

/// Parses, and asks every value for everything.
fn configuration(bytes: &[u8]) {
    if let Ok(object) = cofferdam_hcl::parse_bytes(bytes) {
        read(&object);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (cofferdam_hcl::parse_duration(text), cofferdam_hcl::parse_size(text), cofferdam_hcl::parse_boolean(text));
        // Both languages, whatever the first character is.
        let _ = (cofferdam_hcl::parse_hcl(text), cofferdam_hcl::parse_json(text));
    }
}

fn read(object: &Object) {
    for item in &object.items {
        let _ = (item.label(0), item.label(1), object.get(item.name()), item.error("e").to_string());
        value(&item.value);
    }
    if let Some(first) = object.items.first() {
        let _ = object.named(first.name()).count();
    }
}

fn value(value: &Value) {
    let _ = (value.described(), value.as_str(), value.string(), value.setting(), value.boolean(), value.integer(), value.duration());
    let _ = (value.size(), value.strings(), value.comma_strings());
    if let Kind::Number(number) = &value.kind {
        let _ = (number.to_i64(), number.to_f64());
    }
    for inner in value.list().into_iter().flatten() {
        // A value that is no list counts as a list of itself.
        if !std::ptr::eq(inner, value) {
            self::value(inner);
        }
    }
    if let Ok(object) = value.object() {
        read(object);
    }
}

/// Configurations that are taken whole.
fn configurations() -> Vec<Vec<u8>> {
    texts(&[
        include_str!("../../../../examples/single-node.hcl"),
        include_str!("../../../../examples/dynamodb/ha-a.hcl"),
        include_str!("../../../../examples/awskms/two-regions.hcl"),
        PLUGINS,
        "{\"storage\": {\"file\": {\"path\": \"/d\"}}, \"listener\": [{\"tcp\": {\"address\": \"127.0.0.1:1\", \"tls_disable\": true}}]}",
        "storage \"file\" { path = \"/d\" }\nlistener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = true }\nmax_lease_ttl = \"768h\"\nlog_level = \"warn\"\n",
        "a = <<EOT\nx ${b}\n  EOT\nb = [1, \"2\", { c = 0x1f }, [],]\nd \"e\" \"f\" { g = -1.5e3 }\n/* h */ i = true // j\n",
    ])
}

const PLUGINS: &str = r#"
storage "etcd" { endpoints = "http://127.0.0.1:2379" }
listener "tcp" { address = "127.0.0.1:1" tls_disable = true telemetry { unauthenticated_metrics_access = true } }
plugin_directory = "/etc/coffer/plugins"
plugin "storage" "etcd" {
  path = "/etc/coffer/plugins/etcd.wasm"
  sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  pool { policy = "ephemeral" size = 4 }
  limits { memory = "64MiB" }
  grant "http" { scheme = "https" host = "etcd.internal" port = 2379 addresses = ["10.0.0.0/8"]
    header "authorization" { env = "T" prefix = "Bearer " } }
  grant "aws" { service = "dynamodb" operations = ["GetItem"] resource = "arn:aws:dynamodb:eu-central-1:111122223333:table/t" }
}
audit "file" "a" { file_path = "/var/log/a.log" options { mode = "0600" } }
"#;

fn policies() -> Vec<Vec<u8>> {
    let answers = include_str!("../../../../host/vault/src/policy/testdata/answers.jsonl");
    let cases = answers.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut seeds: Vec<Vec<u8>> = cases
        .filter_map(|case| {
            let policies = case.get("policies")?.as_array()?.iter().filter_map(|text| text.as_str());
            Some(policies.collect::<Vec<_>>().join("\0").into_bytes())
        })
        .collect();
    seeds.extend(texts(&[
        "path \"secret/data/+/a*\" { capabilities = [\"create\", \"update\"] allowed_parameters = { \"a\" = [\"x*\", 1] \"*\" = [] } denied_parameters = { \"b\" = [] } required_parameters = [\"a\"] }",
        "path \"a/{{identity.entity.id}}/*\" { policy = \"write\" min_wrapping_ttl = \"1s\" max_wrapping_ttl = \"1h\" }",
        "{\"path\": {\"a/*\": {\"capabilities\": [\"deny\"]}, \"+/b\": {\"capabilities\": [\"sudo\", \"list\"]}}}",
    ]));
    seeds
}

fn audits() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"file_path":"/var/log/a.log","mode":"0600","format":"json","log_raw":"true","hmac_accessor":"f","elide_list_responses":"1","prefix":"x","skip_test":"true"}"#,
        r#"{"path":"stdout","mode":"0000"}"#,
        r#"{"file_path":"discard","mode":"+7"}"#,
    ])
}
