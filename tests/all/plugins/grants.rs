//! Grants by the configuration, in use: a foreign storage on one table of DynamoDB, and one on one port of etcd, run by the command line alone; and what a narrower grant
//! keeps from each, in words that name it.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use cofferdam_emulator::{Etcd, Mini, Proxy};
use serde_json::{Value, json};

use super::{LONG, Place, digest, variant};
use crate::e2e::process::{Server, bao, coffer, finish, text};
use crate::e2e::traces::collector::Collector;
use crate::e2e::traces::{spans_of, traced};
use crate::runtime::bytes;

/// What the component of DynamoDB sends.
pub(super) const OPERATIONS: [&str; 10] = [
    "GetItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "PutItem",
    "DeleteItem",
    "UpdateItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "DescribeTable",
];

/// A grant of these operations on a table.
pub(super) fn on_table(table: &str, endpoint: &str, operations: &[&str], access_key: &str) -> String {
    let operations: Vec<String> = operations.iter().map(|operation| format!("\"{operation}\"")).collect();
    format!(
        "  grant \"aws\" {{\n    service = \"dynamodb\"\n    operations = [{}]\n    resource = \"arn:aws:dynamodb:eu-central-1:111122223333:table/{table}\"\n    \
         endpoint = \"{endpoint}\"\n    access_key = \"{access_key}\"\n    secret_key = \"none\"\n  }}\n",
        operations.join(", ")
    )
}

/// Writes a configuration with this stanza and this grant for the place's storage, which the block pins.
pub(super) fn configure(place: &Place, component: &[u8], stanza: &str, grant: &str) {
    let (name, address) = (place.name, &place.address);
    let text = format!(
        "plugin_directory = \"{}\"\napi_addr = \"http://{address}\"\nstorage \"{name}\" {{\n{stanza}}}\n\
         plugin \"storage\" \"{name}\" {{\n  sha256 = \"{}\"\n{grant}}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n",
        place.path("plugins").display(),
        digest(component),
    );
    fs::write(place.path("coffer.hcl"), text).unwrap();
}

/// A command for the server, which must end with this code, and what it says.
fn run(command: Command, server: &Server, arguments: &[&str], code: i32) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = finish(server.client(command, home.path()).args(arguments), LONG);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}\n{}", text(&output), server.log());
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A vault is made, sealed again by a restart, and opened; a secret stays. `granted` is what the log tells of the grant. Gives unseal key and token.
fn lives(place: &Place, granted: &[&str]) -> (String, String) {
    let mut server = place.start();
    let made = json_of(&run(coffer(), &server, &["operator", "init", "--key-shares=1", "--key-threshold=1", "--format=json"], 0));
    let key = made["unseal_keys_b64"][0].as_str().unwrap().to_owned();
    server.token = made["root_token"].as_str().unwrap().to_owned();
    let unseal = |server: &Server| {
        run(coffer(), server, &["operator", "unseal", &key], 0);
        server.until_active();
    };
    unseal(&server);
    run(Command::new(bao()), &server, &["secrets", "enable", "-path=secret", "-version=2", "kv"], 0);
    run(Command::new(bao()), &server, &["kv", "put", "secret/app/db", "password=correct-horse"], 0);
    let log = server.log();
    for part in granted {
        assert!(log.contains(part), "{part:?} is not in the log:\n{log}");
    }
    server.stop();
    let token = server.token.clone();
    let mut server = place.start();
    server.token = token;
    run(coffer(), &server, &["status"], 2);
    unseal(&server);
    let got = json_of(&run(Command::new(bao()), &server, &["kv", "get", "-format=json", "secret/app/db"], 0));
    assert_eq!(got["data"]["data"]["password"], "correct-horse", "{got}");
    server.stop();
    (key, server.token.clone())
}

/// The server does not start, and says all of this.
fn refused(place: &Place, code: i32, parts: &[&str]) {
    let output = finish(coffer().args(["server", "--config"]).arg(place.path("coffer.hcl")), LONG);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_storage_has_one_table_of_dynamodb_and_no_more() {
    let mini = Arc::new(Mini::new());
    let proxy = Proxy::start(&mini).await.unwrap();
    // Not the component of the release, though it does the same.
    let component = variant(&bytes("dynamodb"), 1);
    let place = Place::new("tables", &component);
    let with = |operations: &[&str], table: &str| {
        configure(&place, &component, "  table = \"granted\"\n", &on_table(table, proxy.endpoint(), operations, "AKIDEXAMPLE"));
    };
    let create = [&OPERATIONS[..], &["CreateTable"]].concat();

    // Without the grant it does not load; with a narrower one it is told what it may not.
    configure(&place, &component, "  table = \"granted\"\n", "");
    refused(&place, 1, &["tables.wasm", "needs the grant aws", "grant \"aws\""]);
    with(&["GetItem", "PutItem"], "granted");
    refused(&place, 2, &["DescribeTable", "the operator has not granted this operation"]);
    with(&OPERATIONS, "granted");
    refused(&place, 2, &["CreateTable", "the operator has not granted this operation"]);
    with(&create, "another");
    refused(&place, 2, &["storage \"tables\"", "reason=\"table\""]);

    with(&create, "granted");
    let (key, token) = lives(&place, &["storage=tables", "the DynamoDB table granted at"]);

    // What is there can be read without the right to change it. Of who writes nevertheless the log has the operation, and the client the case.
    with(&["GetItem", "Query", "BatchGetItem", "DescribeTable"], "granted");
    let mut server = place.start();
    server.token = token;
    server.unseal(&[key]);
    assert_eq!(server.done("GET", "secret/data/app/db", None)["data"]["data"]["password"], "correct-horse");
    let (code, answer) = server.call("PUT", "secret/data/app/db", Some(json!({"data": {"password": "another"}})));
    let said = answer.to_string();
    assert!(code == 500 && said.contains("denied") && !said.contains("granted"), "{code} {said}");
    let log = server.log();
    assert!(log.contains("BatchWriteItem: the operator has not granted this operation"), "{log}");
}

#[test]
fn a_foreign_storage_has_one_port_of_etcd_and_no_more() {
    let Some(etcd) = Etcd::start().unwrap() else { return };
    let component = bytes("etcd");
    let place = Place::new("etcd", &component);
    let with = |port: u16, methods: &str, path: &str| {
        let grant = format!(
            "  grant \"http\" {{\n    scheme = \"http\"\n    host = \"127.0.0.1\"\n    port = {port}\n    methods = [\"{methods}\"]\n    \
             path_prefixes = [\"{path}\"]\n  }}\n"
        );
        configure(&place, &component, &format!("  endpoint = \"{}\"\n  prefix = \"granted/\"\n  timeout = 60\n", etcd.endpoint()), &grant);
    };
    let asked = format!("http://127.0.0.1:{}", etcd.port());

    configure(&place, &component, &format!("  endpoint = \"{}\"\n", etcd.endpoint()), "");
    refused(&place, 1, &["etcd.wasm", "needs the grant http", "grant \"http\""]);
    with(cofferdam_emulator::free_port().unwrap(), "POST", "/v3/kv");
    refused(&place, 2, &["http: refused", &asked, "not among the servers that the grant names"]);
    with(etcd.port(), "GET", "/v3/kv");
    refused(&place, 2, &["http: refused: the grant does not allow POST for", &asked]);
    with(etcd.port(), "POST", "/v3/lease");
    refused(&place, 2, &["http: refused: the grant does not allow this path of", &asked]);

    with(etcd.port(), "POST", "/v3/kv");
    let (key, token) = lives(&place, &[&format!("HTTP requests to {asked} (only POST; below /v3/kv)")]);

    // What it sends for a client's request is a part of that one's trace.
    let collector = Collector::start();
    let config = fs::read_to_string(place.path("coffer.hcl")).unwrap();
    fs::write(place.path("coffer.hcl"), format!("{config}telemetry {{\n  otlp_endpoint = \"{}\"\n}}\n", collector.endpoint)).unwrap();
    let mut server = place.start();
    server.token = token;
    server.unseal(&[key]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(traced(&server, "GET", "secret/data/app/db", "", trace).0, 200);
    let spans = spans_of(&collector, &server, trace);
    let sent = spans.iter().find(|span| span.name == "http request").unwrap_or_else(|| panic!("no request is shown: {spans:#?}"));
    let shown = ["backend", "server.address", "server.port", "http.request.method", "http.response.status_code"].map(|name| sent.is(name));
    assert_eq!(shown, ["etcd", "127.0.0.1", &format!("int {}", etcd.port()), "POST", "int 200"]);
    assert!(spans.iter().any(|span| span.id == sent.parent && span.name == "guest call"), "{spans:#?}");
}
