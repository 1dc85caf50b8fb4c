//! Against scripted registries, which lie and lead astray, and a real one.

mod hostile;
mod parsing;
mod real;
mod server;

use super::*;
use crate::Kind;
use server::{Answer, Server};
use std::fs;
use tempfile::TempDir;

/// A plugin directory that is empty.
fn ground() -> (TempDir, Options) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new(directory.path());
    (directory, options)
}

fn component(_: &str, bytes: &[u8]) -> Result<Kind, String> {
    if bytes.starts_with(b"\0asm") { Ok(Kind::Storage) } else { Err("it is no component".to_owned()) }
}

async fn resolve(reference: &str, options: &Options) -> Result<String, PullError> {
    Ok(resolved(&Reference::parse(reference)?, options).await?.to_string())
}

fn names(directory: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const BYTES: &[u8] = b"\0asm the component";

fn manifest_of(bytes: &[u8]) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": format!("sha256:{}", sha256(b"{}")), "size": 2},
        "layers": [{"mediaType": "application/wasm", "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()}],
    })
    .to_string()
}

/// Answers as an honest registry does, for one component.
fn honest(path: &str) -> Answer {
    let manifest = manifest_of(BYTES);
    let digest = sha256(manifest.as_bytes());
    if path == format!("/v2/plugins/etcd/manifests/sha256:{digest}") || path == "/v2/plugins/etcd/manifests/1.0" {
        Answer::ok(manifest)
    } else if path == format!("/v2/plugins/etcd/blobs/sha256:{}", sha256(BYTES)) {
        Answer::ok(BYTES)
    } else {
        Answer::status(404).with_body(r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such\u001b[2J thing"}]}"#)
    }
}

fn reference(server: &Server) -> String {
    format!("{}/plugins/etcd@sha256:{}", server.host(), sha256(manifest_of(BYTES).as_bytes()))
}
