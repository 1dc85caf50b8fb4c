//! `coffer status`: the seal's state and who leads, as Vault prints it.

use crate::args::{ClientArguments, OutputFormat};
use crate::client::{Client, ClientError};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{cell, or, print, print_json, table};
use http::Method;
use serde_json::{Value, json};

/// Exit code 0 if unsealed, 2 if sealed, 1 on any error.
pub(crate) async fn run(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    let status = client.send(Method::GET, "sys/seal-status", None).await;
    let status = status.map_err(|error| Failure::usage(format!("Error checking seal status: {error}")))?;
    let sealed = status.get("sealed").and_then(Value::as_bool) != Some(false);
    show(&client, status, format).await?;
    Ok(if sealed { Exit::Failed } else { Exit::Success })
}

/// Prints a seal status, with who leads.
pub(crate) async fn show(client: &Client, mut status: Value, format: OutputFormat) -> Result<(), Failure> {
    let leader = leader(client).await?;
    if let (Some(status), Value::Object(leader)) = (status.as_object_mut(), leader) {
        status.extend(leader);
    }
    match format {
        OutputFormat::Json => print_json(&status),
        OutputFormat::Table => print(&table(["Key", "Value"], &rows(&status))),
    }
}

/// What `sys/leader` says. A server that is one of several does not say it while it is sealed.
async fn leader(client: &Client) -> Result<Value, Failure> {
    match client.send(Method::GET, "sys/leader", None).await {
        Ok(leader) => Ok(leader),
        Err(ClientError::Refused { errors, .. }) if errors.iter().any(|error| error.contains("Vault is sealed")) => {
            Ok(json!({"ha_enabled": true}))
        }
        Err(error) => Err(Failure::usage(format!("Error checking leader status: {error}"))),
    }
}

fn rows(status: &Value) -> Vec<[String; 2]> {
    let text = |name: &str| cell(status.get(name)).unwrap_or_default();
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push([key.to_owned(), value]);
    let on = |name: &str| status.get(name).and_then(Value::as_bool) == Some(true);
    row("Seal Type", text("type"));
    if !text("recovery_seal_type").is_empty() {
        row("Recovery Seal Type", text("recovery_seal_type"));
    }
    row("Initialized", text("initialized"));
    row("Sealed", text("sealed"));
    row(if on("recovery_seal") { "Total Recovery Shares" } else { "Total Shares" }, text("n"));
    row("Threshold", text("t"));
    if status.get("sealed").and_then(Value::as_bool) == Some(true) {
        row("Unseal Progress", format!("{}/{}", text("progress"), text("t")));
        row("Unseal Nonce", or(text("nonce"), "n/a"));
    }
    if on("migration") {
        row("Seal Migration in Progress", "true".to_owned());
    }
    row("Version", text("version"));
    for (key, name) in
        [("Build Date", "build_date"), ("Storage Type", "storage_type"), ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id")]
    {
        if !text(name).is_empty() {
            row(key, text(name));
        }
    }
    row("HA Enabled", or(text("ha_enabled"), "false"));
    if on("ha_enabled") && !on("sealed") {
        row("HA Cluster", or(text("leader_cluster_address"), "n/a"));
        row("HA Mode", if on("is_self") { "active" } else { "standby" }.to_owned());
        if on("is_self") {
            row("Active Since", or(text("active_time"), "n/a"));
        } else {
            row("Active Node Address", or(text("leader_address"), "<none>"));
        }
    }
    for (plugin, trouble) in status.get("plugins").and_then(Value::as_object).into_iter().flatten() {
        row("Plugin Trouble", format!("{plugin}: {}", trouble.as_str().unwrap_or_default()));
    }
    for warning in status.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        row("Warning", warning.as_str().unwrap_or_default().to_owned());
    }
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

    #[test]
    fn a_seal_that_unseals_by_itself_has_a_recovery_key() {
        let status = json!({"type": "awskms", "recovery_seal": true, "recovery_seal_type": "shamir", "initialized": true, "sealed": true, "n": 5, "t": 3,
            "progress": 0, "nonce": "", "version": "1", "migration": true, "warnings": ["one", "two"]});
        let lines: Vec<String> = rows(&status).into_iter().map(|[key, value]| format!("{key}={value}")).collect();
        assert_eq!(
            lines[..5],
            ["Seal Type=awskms", "Recovery Seal Type=shamir", "Initialized=true", "Sealed=true", "Total Recovery Shares=5"]
        );
        assert!(lines.contains(&"Seal Migration in Progress=true".to_owned()));
        assert_eq!(lines[lines.len() - 2..], ["Warning=one", "Warning=two"]);
    }

    #[test]
    fn a_plugin_in_trouble_is_shown() {
        let status = json!({"sealed": false, "plugins": {"storage/x": "quarantined: breach"}});
        assert_eq!(rows(&status).last().unwrap(), &["Plugin Trouble", "storage/x: quarantined: breach"].map(str::to_owned));
    }

    #[test]
    fn who_leads_is_shown_once_unsealed() {
        let lines = |status: serde_json::Value| -> Vec<String> {
            let rows = rows(&status).into_iter().map(|[key, value]| format!("{key}={value}"));
            rows.skip_while(|line| !line.starts_with("HA Enabled")).collect()
        };
        let active = json!({"sealed": false, "ha_enabled": true, "is_self": true, "active_time": "2026-01-01T00:00:00Z",
            "leader_address": "https://one:8200", "leader_cluster_address": ""});
        assert_eq!(lines(active), ["HA Enabled=true", "HA Cluster=n/a", "HA Mode=active", "Active Since=2026-01-01T00:00:00Z"]);
        let standby = json!({"sealed": false, "ha_enabled": true, "is_self": false, "leader_address": "https://one:8200",
            "leader_cluster_address": "https://one:8201"});
        assert_eq!(
            lines(standby),
            ["HA Enabled=true", "HA Cluster=https://one:8201", "HA Mode=standby", "Active Node Address=https://one:8200"]
        );
        assert!(lines(json!({"sealed": false, "ha_enabled": true})).contains(&"Active Node Address=<none>".to_owned()));
        assert_eq!(lines(json!({"sealed": true, "ha_enabled": true, "is_self": false})), ["HA Enabled=true"]);
    }
}
