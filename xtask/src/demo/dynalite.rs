//! A DynamoDB on this machine, dynalite, for the demonstration: in memory, and gone with it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::owned::Owned;

const START: Duration = Duration::from_secs(30);
const TABLE: &str = "coffer-demo";
/// AWS's own example key: dynalite wants the shape of a signature and checks no more.
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The running server.
pub(super) struct Dynalite {
    child: Owned,
    endpoint: String,
}

impl Dynalite {
    /// Starts it and waits until it says its address.
    pub(super) fn start(program: &Path, log: &Path) -> Result<Self> {
        let out = File::create(log)?;
        // As the number 0 the port would mean the usual one; as a text with a space it means any that is free.
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", " 0", "--createTableMs", "200"])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {}: Node.js 20 or later is needed", program.display()))?;
        let mut dynalite = Self { child: Owned(child), endpoint: String::new() };
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(log)?;
            if let Some((_, endpoint)) = text.lines().find_map(|line| line.split_once("listening at: ")) {
                dynalite.endpoint = endpoint.trim().to_owned();
                println!("    dynalite at {}", dynalite.endpoint);
                return Ok(dynalite);
            }
            let ended = dynalite.child.try_wait()?;
            ensure!(ended.is_none() && begin.elapsed() < START, "dynalite does not start:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The storage stanza of a server on it; `shared` if region and credentials stand in a block that it shares.
    pub(super) fn stanza(&self, shared: bool) -> String {
        let identity = format!("  region     = \"us-east-1\"\n  access_key = \"{ACCESS_KEY}\"\n  secret_key = \"{SECRET_KEY}\"\n");
        format!(
            "storage \"dynamodb\" {{\n  endpoint   = \"{}\"\n  table      = \"{TABLE}\"\n{}}}",
            self.endpoint,
            if shared { "" } else { &identity }
        )
    }

    /// Every item of the table: its Path and Key, and the bytes of its Value.
    pub(super) fn items(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut start = Value::Null;
        let mut items = Vec::new();
        loop {
            let mut request = json!({"TableName": TABLE, "ConsistentRead": true});
            if !start.is_null()
                && let Some(request) = request.as_object_mut()
            {
                request.insert("ExclusiveStartKey".to_owned(), start);
            }
            let page = self.call("Scan", &request)?;
            for item in page.pointer("/Items").and_then(Value::as_array).into_iter().flatten() {
                let text = |place| item.pointer(place).and_then(Value::as_str).unwrap_or_default();
                let value = STANDARD.decode(text("/Value/B")).context("a Value is no base64")?;
                items.push((format!("Path {:?}  Key {:?}", text("/Path/S"), text("/Key/S")), value));
            }
            start = page.pointer("/LastEvaluatedKey").cloned().unwrap_or_default();
            if start.is_null() {
                items.sort();
                return Ok(items);
            }
        }
    }

    fn call(&self, operation: &str, request: &Value) -> Result<Value> {
        let scope = format!("{ACCESS_KEY}/20260101/us-east-1/dynamodb/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0");
        let mut response = ureq::post(&self.endpoint)
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Target", format!("DynamoDB_20120810.{operation}"))
            .header("X-Amz-Date", "20260101T000000Z")
            .header("Authorization", signature)
            .send(request.to_string())
            .with_context(|| format!("{operation} on dynalite"))?;
        Ok(serde_json::from_str(&response.body_mut().read_to_string()?)?)
    }
}
