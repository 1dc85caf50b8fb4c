//! `cargo xtask demo --seal awskms`: the same, unsealed by a KMS on this machine, with no unseal key anywhere. Then the KMS key is replaced, and the
//! server follows. At the end what the guests could leave behind is searched for what they must not know.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bao::Bao;
use super::moto::Moto;
use super::search::{Search, contains};
use super::server::Server;
use super::store::{Storage, Store};
use super::{SECRETS, at, component_digest, configure, inspect, read_all, write_all};
use crate::stage::{Stages, output};
use crate::{build, fetch};

/// The entries that the seal encrypts, by the last part of their names.
const SEALED: [&str; 2] = ["barrier-unseal-keys", "recovery-key"];

/// What the server runs on.
struct Place {
    coffer: PathBuf,
    config: PathBuf,
    /// The digests of the components, the storage's and the seal's.
    digests: [String; 2],
}

impl Place {
    /// Starts the server; unsealed or not, its log names the storage's component.
    fn start(&self) -> Result<Server> {
        let [storage, _] = &self.digests;
        Server::start(&self.coffer, &self.config, storage)
    }

    /// Starts the server on a store that is initialised, and has it unseal itself.
    fn start_unsealed(&self) -> Result<Server> {
        let server = self.start()?;
        println!("    unsealed after {} ms without a key from anybody", server.until_active()?.as_millis());
        let [_, seal] = &self.digests;
        server.show_log(seal)?;
        Ok(server)
    }
}

/// Builds, then runs the demonstration.
pub(super) fn run(stages: &mut Stages, storage: Storage) -> Result<()> {
    build::run(stages)?;
    fetch::run(stages)?;
    let (coffer, tools) = (stages.root().join("target/release/coffer"), fetch::tools(stages.root()));
    let guests = stages.root().join("target/guests");
    let components = [guests.join(storage.component()), guests.join("awskms.wasm")];
    let work = tempfile::tempdir().context("cannot make a directory for the demonstration")?;
    let store = stages.stage("a place for the data", |_| Store::open(storage, &tools, work.path()))?;
    let mut kms = stages.stage("a local KMS", |_| Moto::start(&tools.join("py/bin/python3"), &work.path().join("moto.log")))?;
    let [_, seal] = &components;
    stages.stage("the components", |_| {
        components.iter().try_for_each(|component| inspect(&coffer, component))?;
        confined(&coffer, seal)
    })?;
    let config = stages.stage("the configuration", |_| {
        configure(work.path(), &format!("{}\n\n{}\n\nlog_level = \"debug\"", store.stanza(true), kms.stanzas()))
    })?;
    let [one, other] = &components;
    let place = Place { coffer, config, digests: [component_digest(one)?, component_digest(other)?] };

    let mut server = stages.stage("start a fresh server", |_| place.start())?;
    stages.stage("one set of credentials", |_| {
        let sources = server.show_log(": AWS credentials source=")?;
        ensure!(sources == 1, "{sources} sources of credentials, not one that all components share");
        Ok(())
    })?;
    let bao = Bao { program: tools.join("bin/bao"), address: server.address().to_owned(), home: work.path().to_path_buf() };
    let (recovery, root) = stages.stage("initialise with recovery keys", |_| initialise(&bao, &server))?;
    stages.stage("write and read secrets", |_| {
        write_all(&server, &root)?;
        read_all(&server, &root)
    })?;
    stages.stage("what the storage holds", |_| store.show(&SECRETS))?;
    stages.stage("kill -9, start again", |_| {
        server.kill()?;
        println!("    killed");
        server = place.start_unsealed()?;
        Ok(())
    })?;
    stages.stage("the same secrets", |_| read(&bao, &server, &root))?;
    let former = kms.key().to_owned();
    stages.stage("another KMS key, start again", |_| {
        kms.rotate()?;
        server.stop()?;
        server = place.start_unsealed()?;
        server.show_log("upgrading recovery key")?;
        server.show_log("upgrading stored keys")?;
        rewrapped(&store, &former, kms.key())
    })?;
    stages.stage("the same secrets", |_| read(&bao, &server, &root))?;
    stages.stage("what the guests know", |_| {
        let mut search = Search::default();
        search.text("the access key", &kms.keys().access);
        search.text("the secret access key", &kms.keys().secret);
        search.text("the root token", &root);
        recovery.iter().try_for_each(|key| search.base64("a recovery key", key))?;
        SECRETS.iter().for_each(|(path, value)| search.text(&format!("secret/{path}"), value));
        traces(&search, &store, work.path(), kms.key())
    })?;
    stages.stage("stop", |_| server.stop())?;
    println!("\nEvery secret was read back after the kill and under the new KMS key, and nobody gave an unseal key.");
    Ok(())
}

/// The seal's component asks for its key service and for nothing else that is granted.
fn confined(coffer: &Path, component: &Path) -> Result<()> {
    let text = output(Command::new(coffer).args(["plugin", "inspect", "--format", "json"]).arg(component))?;
    let facts: Value = serde_json::from_str(&text)?;
    let (needed, usable) = (at(&facts, "/grants_needed"), at(&facts, "/grants_usable"));
    ensure!(*needed == json!(["aws"]) && *usable == json!([]), "awskms.wasm asks for {needed} and can use {usable}, not for aws alone");
    println!("    awskms.wasm asks for the grant aws and can use no other");
    Ok(())
}

/// Initialises by the real client. Gives the recovery keys and the root token.
fn initialise(bao: &Bao, server: &Server) -> Result<(Vec<String>, String)> {
    let made = bao.run(None, &["operator", "init", "-recovery-shares=3", "-recovery-threshold=2"])?;
    let keys = |place| at(&made, place).as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let (unseal, recovery) = (keys("/unseal_keys_b64"), keys("/recovery_keys_b64"));
    ensure!(unseal.is_empty() && recovery.len() == 3, "{} unseal keys and {} recovery keys, not 0 and 3", unseal.len(), recovery.len());
    let root = at(&made, "/root_token").as_str().context("initialisation gave no root token")?.to_owned();
    println!("    3 recovery keys, no unseal key");
    server.until_active()?;
    let status = bao.run(None, &["status"])?;
    let said = ["type", "sealed", "recovery_seal_type", "t", "n"].map(|key| (key, at(&status, &format!("/{key}")).clone()));
    println!("    {}", said.each_ref().map(|(key, value)| format!("{key} {value}")).join(", "));
    let expected = [json!("awskms"), json!(false), json!("shamir"), json!(2), json!(3)];
    ensure!(said.map(|(_, value)| value) == expected, "the status is another: {status}");
    Ok((recovery, root))
}

/// Reads all secrets, the first of them by the real client, too.
fn read(bao: &Bao, server: &Server, root: &str) -> Result<()> {
    read_all(server, root)?;
    let [(path, value), ..] = SECRETS;
    let found = bao.run(Some(root), &["kv", "get", "-mount=secret", path])?;
    ensure!(at(&found, "/data/data/value") == value, "bao reads another value of secret/{path}");
    println!("    the same by bao");
    Ok(())
}

/// What the seal encrypts names the new key, and no longer the former.
fn rewrapped(store: &Store, former: &str, key: &str) -> Result<()> {
    let entries = store.entries()?;
    for name in SEALED {
        let (_, bytes) = entries.iter().find(|(path, _)| path.contains(name)).with_context(|| format!("no entry {name} is stored"))?;
        ensure!(contains(bytes, key.as_bytes()), "{name} does not name the new key {key}");
        ensure!(!contains(bytes, former.as_bytes()), "{name} still names the former key {former}");
        println!("    the stored {name} names the new key");
    }
    Ok(())
}

/// Nothing of what is searched for is in the logs, where the guests' lines stand, nor in what the storage's guest was given to keep.
/// `key`, the KMS key's name, is no secret and in both: it is the control.
fn traces(search: &Search, store: &Store, work: &Path, key: &str) -> Result<()> {
    let logs = Server::logs(work)?;
    search.finds_nothing_in(logs.iter().map(|(name, text)| (name.as_str(), text.as_bytes())), key)?;
    let lines: Vec<_> = logs.iter().flat_map(|(_, text)| text.lines()).collect();
    let guests = lines.iter().filter(|line| line.contains("coffer::guest")).count();
    println!("    {} lines of log at level debug, {guests} of them the guests': no credential, token, recovery key or secret", lines.len());
    let entries = store.entries()?;
    search.finds_nothing_in(entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())), key)?;
    println!("    {} stored entries: none either", entries.len());
    println!("    the same search finds the KMS key's name, which is no secret, in both");
    Ok(())
}
