//! `cargo xtask demo`: from an empty directory to a secret that survives a hard kill of the server, every step shown.
//! It checks what it shows: a step that does not come out as said ends the demonstration with an error.

mod auto;
mod bao;
mod dynalite;
mod moto;
mod owned;
mod search;
mod server;
mod store;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::stage::{Stages, output};
use crate::{build, fetch};
use server::Server;
use store::Store;

pub(crate) use store::Storage;

/// The seals that the demonstration has.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Seal {
    /// Shares of an unseal key, given at each start
    Shamir,
    /// A key of a KMS that runs on this machine (moto): the server unseals itself
    Awskms,
}

/// Builds, then runs the demonstration.
pub(crate) fn run(stages: &mut Stages, storage: Storage, seal: Seal) -> Result<()> {
    match seal {
        Seal::Shamir => shamir(stages, storage),
        Seal::Awskms => auto::run(stages, storage),
    }
}

fn shamir(stages: &mut Stages, storage: Storage) -> Result<()> {
    build::run(stages)?;
    let coffer = stages.root().join("target/release/coffer");
    let component = stages.root().join("target/guests").join(storage.component());
    let work = tempfile::tempdir().context("cannot make a directory for the demonstration")?;
    if matches!(storage, Storage::Dynamodb) {
        fetch::run(stages)?;
    }
    let store = stages.stage("a place for the data", |stages| Store::open(storage, &fetch::tools(stages.root()), work.path()))?;
    stages.stage("the component", |_| inspect(&coffer, &component))?;
    let config = stages.stage("the configuration", |_| configure(work.path(), &store.stanza(false)))?;
    let mut server = stages.stage("start a fresh server", |_| Server::start(&coffer, &config, &component_digest(&component)?))?;
    let (keys, root) = stages.stage("initialise and unseal", |_| {
        let (keys, root) = initialise(&server)?;
        unseal(&server, &keys)?;
        Ok((keys, root))
    })?;
    stages.stage("write and read secrets", |_| {
        write_all(&server, &root)?;
        read_all(&server, &root)
    })?;
    stages.stage("what the storage holds", |_| store.show(&SECRETS))?;
    stages.stage("kill -9, start again, unseal", |_| {
        server.kill()?;
        println!("    killed");
        server = Server::start(&coffer, &config, &component_digest(&component)?)?;
        let sealed = server.call("GET", "sys/seal-status", None, None)?;
        ensure!(at(&sealed, "/initialized") == true && at(&sealed, "/sealed") == true, "the server did not come back sealed: {sealed}");
        println!("    initialised and sealed, as it should be");
        unseal(&server, &keys)
    })?;
    stages.stage("the same secrets", |_| read_all(&server, &root))?;
    stages.stage("stop", |_| server.stop())?;
    println!("\nEvery secret was read back after the kill.");
    Ok(())
}

const SECRETS: [(&str, &str); 3] = [("app/database", "correct horse"), ("app/api-key", "battery staple"), ("team/note", "gr\u{fc}n")];

/// Shows what a component asks for before it is trusted.
fn inspect(coffer: &Path, component: &Path) -> Result<()> {
    println!("    $ coffer plugin inspect {}", component.display());
    let text = output(Command::new(coffer).args(["plugin", "inspect"]).arg(component))?;
    for line in text.lines() {
        println!("    {line}");
    }
    let digest = component_digest(component)?;
    ensure!(text.contains(&digest), "`coffer plugin inspect` does not name the file's SHA-256 {digest}");
    Ok(())
}

fn component_digest(component: &Path) -> Result<String> {
    let bytes = fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// Writes the configuration of a server with these stanzas and gives back its path.
fn configure(work: &Path, stanzas: &str) -> Result<std::path::PathBuf> {
    let address = server::free_address()?;
    let text = format!(
        "{stanzas}\n\nlistener \"tcp\" {{\n  address     = \"{address}\"\n  tls_disable = true\n}}\n\napi_addr = \"http://{address}\"\n"
    );
    let path = work.join("coffer.hcl");
    fs::write(&path, &text)?;
    for line in text.lines() {
        println!("    {line}");
    }
    Ok(path)
}

fn initialise(server: &Server) -> Result<(Vec<String>, String)> {
    let answer = server.call("PUT", "sys/init", None, Some(json!({"secret_shares": 3, "secret_threshold": 2})))?;
    let keys: Vec<String> =
        at(&answer, "/keys_base64").as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    ensure!(keys.len() == 3, "initialisation gave {} unseal keys instead of 3", keys.len());
    let root = at(&answer, "/root_token").as_str().context("initialisation gave no root token")?.to_owned();
    println!("    initialised with 3 unseal keys, 2 of them needed");
    Ok((keys, root))
}

fn unseal(server: &Server, keys: &[String]) -> Result<()> {
    for (number, key) in keys.iter().take(2).enumerate() {
        let answer = server.call("PUT", "sys/unseal", None, Some(json!({"key": key})))?;
        println!(
            "    unseal key {}: sealed {}, progress {}/{}",
            number + 1,
            at(&answer, "/sealed"),
            at(&answer, "/progress"),
            at(&answer, "/t")
        );
    }
    let status = server.call("GET", "sys/seal-status", None, None)?;
    ensure!(at(&status, "/sealed") == false, "two unseal keys did not unseal the server: {status}");
    Ok(())
}

/// A value inside an answer; null where there is none.
fn at<'a>(answer: &'a Value, place: &str) -> &'a Value {
    answer.pointer(place).unwrap_or(&Value::Null)
}

fn write_all(server: &Server, root: &str) -> Result<()> {
    server.call("POST", "sys/mounts/secret", Some(root), Some(json!({"type": "kv", "options": {"version": "2"}})))?;
    println!("    kv v2 mounted at secret/");
    for (path, value) in SECRETS {
        let answer = server.call("POST", &format!("secret/data/{path}"), Some(root), Some(json!({"data": {"value": value}})))?;
        println!("    wrote secret/{path}, version {}", at(&answer, "/data/version"));
    }
    Ok(())
}

fn read_all(server: &Server, root: &str) -> Result<()> {
    for (path, value) in SECRETS {
        let answer = server.call("GET", &format!("secret/data/{path}"), Some(root), None)?;
        let found = at(&answer, "/data/data/value");
        if found != value {
            bail!("secret/{path} holds {found} instead of {value:?}");
        }
        println!("    read secret/{path}: {found}");
    }
    Ok(())
}
