//! `coffer status`: the seal's state, as Vault prints it.

use crate::args::{ClientArguments, OutputFormat};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use http::Method;
use serde_json::Value;

/// Exit code 0 if unsealed, 2 if sealed, 1 on any error.
pub(crate) async fn run(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    let status = client.send(Method::GET, "sys/seal-status", None).await;
    let status = status.map_err(|error| Failure::usage(format!("Error checking seal status: {error}")))?;
    show(&status, format)?;
    Ok(if status.get("sealed").and_then(Value::as_bool) == Some(false) { Exit::Success } else { Exit::Failed })
}

/// Prints a seal status.
pub(crate) fn show(status: &Value, format: OutputFormat) -> Result<(), Failure> {
    match format {
        OutputFormat::Json => print_json(status),
        OutputFormat::Table => print(&table(["Key", "Value"], &rows(status))),
    }
}

fn rows(status: &Value) -> Vec<[String; 2]> {
    let text = |name: &str| match status.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    };
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push([key.to_owned(), value]);
    row("Seal Type", text("type"));
    row("Initialized", text("initialized"));
    row("Sealed", text("sealed"));
    row("Total Shares", text("n"));
    row("Threshold", text("t"));
    if status.get("sealed").and_then(Value::as_bool) == Some(true) {
        row("Unseal Progress", format!("{}/{}", text("progress"), text("t")));
        row("Unseal Nonce", Some(text("nonce")).filter(|nonce| !nonce.is_empty()).unwrap_or_else(|| "n/a".to_owned()));
    }
    row("Version", text("version"));
    for (key, name) in
        [("Build Date", "build_date"), ("Storage Type", "storage_type"), ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id")]
    {
        if !text(name).is_empty() {
            row(key, text(name));
        }
    }
    row("HA Enabled", Some(text("ha_enabled")).filter(|enabled| !enabled.is_empty()).unwrap_or_else(|| "false".to_owned()));
    rows
}

#[cfg(test)]
mod tests {
    use super::rows;
    use serde_json::json;

    #[test]
    fn progress_is_shown_only_while_sealed() {
        let keys = |sealed: bool| -> Vec<String> {
            let status = json!({"type": "shamir", "initialized": true, "sealed": sealed, "n": 5, "t": 3, "progress": 1, "nonce": "", "version": "1", "cluster_name": "c"});
            rows(&status).into_iter().map(|[key, value]| format!("{key}={value}")).collect()
        };
        assert!(keys(true).contains(&"Unseal Progress=1/3".to_owned()) && keys(true).contains(&"Unseal Nonce=n/a".to_owned()));
        assert!(!keys(false).iter().any(|line| line.starts_with("Unseal")));
        assert!(keys(false).contains(&"Cluster Name=c".to_owned()) && keys(false).contains(&"HA Enabled=false".to_owned()));
    }
}
