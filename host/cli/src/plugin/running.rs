//! `coffer plugin list` and `coffer plugin reload` of a running server: what runs there, how it fares, and its replacement.

use crate::args::{ClientArguments, OutputFormat, ReloadArguments};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Outcome};
use crate::output::{cell, or_dash, print, print_json, table};
use http::Method;
use serde_json::{Map, Value, json};

/// Whether a server was named, so that a list is one of its plugins.
pub(super) fn named(client: &ClientArguments, environment: &Environment) -> bool {
    client.address.is_some() || environment.get("ADDR").is_some()
}

/// `plugin list` of a server.
pub(super) async fn list(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    let answer = client.send(Method::GET, "sys/plugins", None).await?;
    let plugins = answer.pointer("/data/plugins").cloned().unwrap_or_default();
    match format {
        OutputFormat::Json => print_json(&plugins)?,
        OutputFormat::Table => print(&tables(plugins.as_array().map_or(&[], Vec::as_slice)))?,
    }
    Ok(Exit::Success)
}

/// `plugin reload`.
pub(super) async fn reload(arguments: &ReloadArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    let body = arguments.plugin.as_ref().map_or_else(|| json!({}), |plugin| json!({ "plugin": plugin }));
    let answer = client.send(Method::PUT, "sys/plugins/reload", Some(&body)).await?;
    let plugins = answer.pointer("/data/plugins").cloned().unwrap_or_default();
    match format {
        OutputFormat::Json => print_json(&plugins)?,
        OutputFormat::Table => {
            let none = Map::new();
            let rows: Vec<[String; 4]> = plugins
                .as_object()
                .unwrap_or(&none)
                .iter()
                .map(|(name, done)| [name.clone(), text(done, "/result"), text(done, "/from"), first(done, &["/to", "/sha256"])])
                .collect();
            print(&table(["Plugin", "Result", "Before", "Now"], &rows))?;
        }
    }
    Ok(Exit::Success)
}

/// What is at this place, as text; a dash for nothing.
fn text(value: &Value, pointer: &str) -> String {
    or_dash(cell(value.pointer(pointer)))
}

fn first(value: &Value, pointers: &[&str]) -> String {
    or_dash(pointers.iter().find_map(|pointer| cell(value.pointer(pointer))))
}

fn tables(plugins: &[Value]) -> String {
    let mut shown = table(
        ["Plugin", "State", "Contract", "SHA-256", "Instances", "Calls", "Errors", "Traps", "Memory", "Last Error", "Grants"],
        &plugins.iter().map(row).collect::<Vec<_>>(),
    );
    let operations: Vec<[String; 8]> = plugins.iter().flat_map(operations).collect();
    if !operations.is_empty() {
        shown += "\n";
        shown += &table(["Plugin", "Operation", "Calls", "Errors", "p50 µs", "p90 µs", "p99 µs", "Max µs"], &operations);
    }
    shown
}

fn row(plugin: &Value) -> [String; 11] {
    let state = match (text(plugin, "/status/state"), text(plugin, "/status/case")) {
        (state, case) if case == "-" => state,
        (state, case) => format!("{state}: {case}"),
    };
    let last = match (text(plugin, "/stats/last_error/operation"), text(plugin, "/stats/last_error/case")) {
        (_, case) if case == "-" => case,
        (operation, case) => format!("{operation}: {case}"),
    };
    let grants = plugin.pointer("/about/grants").and_then(Value::as_object);
    let grants: Vec<String> = grants.into_iter().flatten().map(|(name, allows)| format!("{name}: {}", text(allows, ""))).collect();
    let instances = format!("{} of {}", text(plugin, "/stats/pool/instances"), text(plugin, "/stats/pool/size"));
    [
        text(plugin, "/plugin"),
        state,
        text(plugin, "/contract"),
        text(plugin, "/sha256"),
        if plugin.pointer("/stats/pool").is_some() { instances } else { "not open".to_owned() },
        text(plugin, "/stats/calls"),
        text(plugin, "/stats/errors"),
        or_dash(plugin.pointer("/stats/breaches").map(|_| total(plugin).to_string())),
        text(plugin, "/stats/pool/memory_highest"),
        last,
        if grants.is_empty() { "-".to_owned() } else { grants.join("; ") },
    ]
}

/// Instances lost, whatever to.
fn total(plugin: &Value) -> u64 {
    let breaches = plugin.pointer("/stats/breaches").and_then(Value::as_object);
    breaches.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

fn operations(plugin: &Value) -> Vec<[String; 8]> {
    let operations = plugin.pointer("/stats/operations").and_then(Value::as_object);
    let row = |(operation, counts): (&String, &Value)| {
        let count = |name| text(counts, name);
        [
            text(plugin, "/plugin"),
            operation.clone(),
            count("/calls"),
            count("/errors"),
            count("/p50"),
            count("/p90"),
            count("/p99"),
            count("/max"),
        ]
    };
    operations.into_iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::tables;
    use serde_json::json;

    #[test]
    fn a_plugin_in_trouble_and_one_that_is_not_open_are_told_apart() {
        let broken = json!({"plugin": "storage/x", "contract": "0.1.0", "sha256": "abc",
            "status": {"state": "quarantined", "case": "breach"}, "about": {"grants": {"directory": "/d"}},
            "stats": {"calls": 7, "errors": 5, "breaches": {"trap": 3, "cpu": 2}, "last_error": {"operation": "get", "case": "breach"},
                "pool": {"size": 4, "instances": 1, "memory_highest": 1024},
                "operations": {"get": {"calls": 7, "errors": 5, "p50": 10, "p90": 20, "p99": 30, "max": 40}}}});
        let closed =
            json!({"plugin": "seal/y", "contract": "0.1.0", "sha256": "def", "status": {"state": "running"}, "about": null, "stats": null});
        let shown = tables(&[broken, closed]);
        let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line("storage/x"), "storage/x quarantined: breach 0.1.0 abc 1 of 4 7 5 5 1024 get: breach directory: /d");
        assert_eq!(line("seal/y"), "seal/y running 0.1.0 def not open - - - - - -");
        let last = shown.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(last, "storage/x get 7 5 10 20 30 40");
    }
}
