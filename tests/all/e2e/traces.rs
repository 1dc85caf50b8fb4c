//! What an operator sees of a server at work: traces at a collector, metrics under Vault's names, and the dashboard that is made of them.

pub(crate) mod collector;

use std::fs;
use std::path::Path;
use std::time::Duration;

use cofferdam_emulator::{Dynalite, Keys, Kms, NewKey};
use serde_json::{Value, json};

use self::collector::{Collector, Span};
use super::process::{Server, coffer, free_port, root, until};

const REGION: &str = "eu-central-1";
/// What must not get into a trace: a secret's name, its field, its value, and what a client has put into its trace's state.
const HIDDEN: [&str; 4] = ["hidden-name-of-it", "hidden-field-of-it", "hidden-value-of-it", "hidden-state-of-it"];

/// A server on a table, sealed by a key service, with an audit device.
struct Ground {
    dir: tempfile::TempDir,
    config: String,
    _dynalite: Dynalite,
    _kms: Kms,
}

impl Ground {
    async fn new() -> Ground {
        let (dir, dynalite, kms) = (tempfile::tempdir().unwrap(), Dynalite::start(50).unwrap(), Kms::start().await.unwrap());
        let key = kms.create(NewKey::new(REGION));
        let Keys { access, secret, .. } = Keys::any();
        let config = format!(
            "aws {{\n  region = \"{REGION}\"\n  access_key = \"{access}\"\n  secret_key = \"{secret}\"\n}}\n\
             storage \"dynamodb\" {{\n  endpoint = \"{}\"\n  table = \"traced\"\n}}\n\
             seal \"awskms\" {{\n  kms_key_id = \"{key}\"\n  endpoint = \"{}\"\n}}\n\
             audit \"file\" \"to-file\" {{\n  options {{\n    file_path = \"{}\"\n  }}\n}}\n",
            dynalite.endpoint(),
            kms.endpoint(),
            dir.path().join("audit.log").display()
        );
        Ground { dir, config, _dynalite: dynalite, _kms: kms }
    }

    /// Starts a server with more in its configuration and its environment.
    fn start(&self, more: &str, environment: &[(&str, &str)]) -> Server {
        let address = format!("127.0.0.1:{}", free_port());
        let listener =
            format!("listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\napi_addr = \"http://{address}\"\n");
        let file = self.dir.path().join("coffer.hcl");
        fs::write(&file, format!("{}{listener}log_level = \"trace\"\n{more}", self.config)).unwrap();
        let mut command = coffer();
        command.args(["server", "--config"]).arg(&file).envs(environment.iter().copied());
        Server::start(&mut command, &format!("http://{address}"), self.dir.path().join("log"), None)
    }
}

/// A request that is part of a trace of the client's; its status and body.
pub(crate) fn traced(server: &Server, method: &str, path: &str, body: &str, trace: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(90))).build().into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}/v1/{path}", server.address))
        .header("X-Vault-Token", &server.token)
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("tracestate", format!("client={}", HIDDEN[3]));
    let mut answer = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// The spans of a request, once they are all there: its own is the last that ends.
pub(crate) fn spans_of(collector: &Collector, server: &Server, trace: &str) -> Vec<Span> {
    until("the spans of a request", server, || collector.trace(trace).iter().any(|span| span.name == "request"));
    let spans = collector.trace(trace);
    for span in &spans {
        assert!(span.end >= span.start && span.start > 1_600_000_000_000_000_000, "{span:?}");
        if span.name == "request" {
            assert_eq!((span.kind, span.parent.as_str()), (2, "00f067aa0ba902b7"), "{span:?}");
        } else {
            let parent =
                spans.iter().find(|other| other.id == span.parent).unwrap_or_else(|| panic!("{span:?} is nobody's child: {spans:?}"));
            assert!(parent.start <= span.start && span.end <= parent.end, "{span:?} is not within {parent:?}");
        }
    }
    spans
}

/// The one span of this name below the parent; its attributes must be these.
fn below<'a>(spans: &'a [Span], parent: &Span, name: &str, attributes: &[(&str, &str)]) -> &'a Span {
    let fits =
        |span: &&Span| span.parent == parent.id && span.name == name && attributes.iter().all(|(name, value)| span.is(name) == *value);
    let found: Vec<_> = spans.iter().filter(fits).collect();
    let [one] = found.as_slice() else { panic!("{} spans {name:?} {attributes:?} below {parent:?}: {spans:#?}", found.len()) };
    one
}

fn request<'a>(spans: &'a [Span], attributes: &[(&str, &str)]) -> &'a Span {
    let found = spans.iter().find(|span| span.name == "request").unwrap();
    for (name, value) in attributes {
        assert_eq!(found.is(name), *value, "{name} of {found:?}");
    }
    assert!(!found.failed && !found.is("coffer.request_id").is_empty(), "{found:?}");
    found
}

fn guest_call(spans: &[Span], cache: &Span, operation: &str) {
    let call = below(spans, cache, "guest call", &[("backend", "dynamodb"), ("operation", operation)]);
    let sent: Vec<_> = spans.iter().filter(|span| span.parent == call.id).collect();
    assert!(!sent.is_empty(), "the guest sent nothing: {spans:#?}");
    for aws in sent {
        assert_eq!((aws.name.as_str(), aws.kind, aws.failed), ("aws request", 3, false), "{aws:?}");
        assert_eq!((aws.is("rpc.service"), aws.is("http.response.status_code")), ("DynamoDB_20120810", "int 200"), "{aws:?}");
        assert!(!aws.is("rpc.method").is_empty(), "{aws:?}");
    }
}

const LOGICAL: [(&str, &str); 2] = [("operation", "get"), ("area", "logical")];

#[tokio::test(flavor = "multi_thread")]
async fn one_request_shows_barrier_cache_guest_call_and_aws_request_and_metrics_have_the_names_of_vault() {
    let ground = Ground::new().await;
    let collector = Collector::start();
    let mut server = ground.start(&format!("telemetry {{\n  otlp_endpoint = \"{}\"\n}}\n", collector.endpoint), &[]);
    let made = server.done("PUT", "sys/init", Some(json!({"recovery_shares": 1, "recovery_threshold": 1})));
    server.token = made["root_token"].as_str().unwrap().to_owned();
    server.until_active();
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (path, body) = (format!("kv/{}", HIDDEN[0]), json!({ HIDDEN[1]: HIDDEN[2] }).to_string());
    assert_eq!(traced(&server, "PUT", &path, &body, trace).0, 204);
    let spans = spans_of(&collector, &server, trace);
    let whole = request(
        &spans,
        &[
            ("http.request.method", "PUT"),
            ("coffer.mount", "kv/"),
            ("coffer.operation", "create"),
            ("http.response.status_code", "int 204"),
        ],
    );
    assert_eq!(whole.service, "coffer");
    let barrier = below(&spans, whole, "barrier", &[("operation", "put"), ("area", "logical")]);
    guest_call(&spans, below(&spans, barrier, "cache", &[("operation", "put")]), "put");

    // A server that has cached nothing yet, told of the collector by its environment. What it has not sent it sends at its end.
    server.stop();
    let token = server.token.clone();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=of-the-collector"),
        ("OTEL_SERVICE_NAME", "vault-eu"),
    ];
    server = ground.start("", &environment);
    server.until_active();
    server.token = token;
    let trace = "00000000000000000000000000000b0b";
    let (status, body) = traced(&server, "GET", &path, "", trace);
    assert!(status == 200 && body.contains(HIDDEN[1]) && body.contains(HIDDEN[2]), "{status} {body}");
    let spans = spans_of(&collector, &server, trace);
    let whole = request(&spans, &[("coffer.mount", "kv/"), ("coffer.operation", "read"), ("http.response.status_code", "int 200")]);
    assert_eq!(whole.service, "vault-eu");
    let barrier = below(&spans, whole, "barrier", &LOGICAL);
    guest_call(&spans, below(&spans, barrier, "cache", &[("operation", "get"), ("hit", "false")]), "get");

    // A second read comes from the cache, and so do the token and its policies once all leases are loaded: no guest has a part in it.
    let mut number = 0;
    until("a request that asks no guest", &server, || {
        number += 1;
        let trace = format!("{number:032x}");
        assert_eq!(traced(&server, "GET", &path, "", &trace).0, 200);
        let spans = spans_of(&collector, &server, &trace);
        let barrier = below(&spans, request(&spans, &[]), "barrier", &LOGICAL);
        let cache = below(&spans, barrier, "cache", &[("operation", "get"), ("hit", "true")]);
        assert!(spans.iter().all(|span| span.parent != cache.id), "{spans:#?}");
        spans.iter().all(|span| !matches!(span.name.as_str(), "guest call" | "aws request"))
    });

    server.done("PUT", "kv/b", Some(json!({"x": "y"})));
    server.done("LIST", "kv", None);
    server.done("DELETE", "kv/b", None);
    server.done("PUT", "sys/policies/acl/some", Some(json!({"policy": "path \"kv/*\" { capabilities = [\"read\"] }"})));
    let token = server.done("POST", "auth/token/create", Some(json!({"ttl": "1h"})))["auth"]["client_token"].clone();
    server.done("POST", "auth/token/revoke", Some(json!({ "token": token })));
    let (status, metrics) = traced(&server, "GET", "sys/metrics", "", "00000000000000000000000000abcdef");
    assert_eq!(status, 200);
    has_the_names_of_vault(&metrics);
    has_what_the_dashboard_asks_for(&metrics);
    server.stop();

    // Every trace is of a request, and nothing that is secret is in any; what is looked for is found where it is.
    let spans = collector.spans();
    assert!(spans.iter().all(|span| !span.parent.is_empty() || span.name == "request"), "{spans:#?}");
    for shown in ["kv/", "GetItem", "barrier", "vault-eu"] {
        assert!(collector.has_seen(shown), "{shown:?} was not sent");
    }
    for hidden in HIDDEN.into_iter().chain([server.token.as_str()]) {
        assert!(!collector.has_seen(hidden), "{hidden:?} was sent");
    }
    assert!(collector.heads().iter().all(|head| head.starts_with("post /v1/traces http/1.1")));
    assert!(collector.heads().iter().any(|head| head.contains("x-collector-key: of-the-collector")));
    // The log is as without traces, also at its lowest level.
    let log = server.log();
    assert!(log.contains("traces of requests are sent"), "{log}");
    assert!(!log.contains("guest call") && !log.contains("coffer.request_id") && !log.contains("of-the-collector"), "{log}");
}

#[test]
fn a_collector_that_is_away_costs_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("telemetry {{\n  otlp_endpoint = \"http://127.0.0.1:{}\"\n}}\n", free_port());
    let mut server = Server::on(dir.path(), &nobody);
    server.initialise(1, 1);
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    let failed = "coffer_traces_spans{outcome=\"failed\"}";
    until("spans that nobody took", &server, || {
        server.done("PUT", "kv/a", Some(json!({"x": "y"})));
        assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
        traced(&server, "GET", "sys/metrics", "", "00000000000000000000000000000001").1.contains(failed)
    });
    server.stop();
    let log = server.log();
    assert!(log.contains("spans of traces were lost") && log.contains("Connection refused"), "{log}");
}

/// The names of what is recorded, of summaries without what is added to them.
fn names(metrics: &str) -> Vec<String> {
    let name = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
    metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).filter_map(name).collect()
}

fn has_the_names_of_vault(metrics: &str) {
    let names = names(metrics);
    let has = |name: &str| names.iter().any(|found| found == name);
    for gauge in ["vault_core_unsealed", "vault_core_active"] {
        assert!(metrics.lines().any(|line| line == format!("{gauge} 1")), "{gauge}: {metrics}");
    }
    for name in [
        "vault_core_in_flight_requests",
        "vault_expire_num_leases",
        "vault_cache_hit",
        "vault_cache_miss",
        "vault_cache_write",
        "vault_cache_delete",
        "vault_token_creation",
        "vault_audit_log_request_failure",
        "vault_audit_log_response_failure",
        "vault_seal_decrypt",
        "vault_seal_awskms_decrypt",
        "vault_seal_unreachable_time",
    ] {
        assert!(has(name), "{name} is not in\n{metrics}");
    }
    for summary in [
        "vault_core_handle_request",
        "vault_core_check_token",
        "vault_core_post_unseal",
        "vault_barrier_get",
        "vault_barrier_put",
        "vault_barrier_list",
        "vault_barrier_delete",
        "vault_route_read_kv_",
        "vault_route_update_auth_token_",
        "vault_token_create",
        "vault_token_lookup",
        "vault_token_revoke",
        "vault_token_store",
        "vault_expire_register_auth",
        "vault_policy_get_policy",
        "vault_policy_set_policy",
        "vault_audit_log_request",
        "vault_audit_log_response",
        "vault_dynamodb_get",
        "vault_dynamodb_list",
    ] {
        let quantile = format!("{summary}{{quantile=\"0.99\"}}");
        assert!(
            metrics.contains(&quantile) && has(&format!("{summary}_count")) && has(&format!("{summary}_sum")),
            "{summary} is not in\n{metrics}"
        );
    }
}

/// The names of metrics in a query: words that no function, keyword or label is.
fn asked(query: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut depth = 0;
    for c in query.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let words = outside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| ["vault_", "coffer_", "process_"].iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

fn has_what_the_dashboard_asks_for(metrics: &str) {
    fn queries(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| queries(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
            _ => {}
        }
    }
    let file = root().join(Path::new("examples/grafana/cofferdam.json"));
    let dashboard: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    let (names, mut all) = (names(metrics), Vec::new());
    for query in &found {
        let wanted = asked(query);
        assert!(!wanted.is_empty(), "no metric in {query:?}");
        for name in wanted {
            assert!(names.contains(&name), "{name}, which {query:?} asks for, is not in\n{metrics}");
            all.push(name);
        }
    }
    // What is looked for above is found, and a wrong name would not be.
    assert!(all.len() >= 20, "{all:?}");
    assert_eq!(asked("sum by (plugin) (rate(vault_x_count{a=\"vault_y\"}[5m])) / coffer_z"), ["vault_x_count", "coffer_z"]);
    assert!(!names.contains(&"vault_x_count".to_owned()));
}
