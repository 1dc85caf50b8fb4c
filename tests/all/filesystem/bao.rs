//! The real `bao` and its own file backend, which since 2.7 only `operator migrate` still has: a store that it wrote is read whole by the guest, and what
//! the guest copied is, migrated back, a store that it opens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::guest;
use crate::conformance::{key, list, put, scan};
use crate::e2e::process::free_port;

fn bao() -> PathBuf {
    let tools = std::env::var_os("TOOLS_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"), PathBuf::from);
    let bao = tools.join("bin/bao");
    assert!(bao.is_file(), "{} is missing: `cargo xtask test` installs it", bao.display());
    bao
}

fn raft(work: &Path) -> String {
    format!("\"raft\" {{\n  path = {:?}\n  node_id = \"n\"\n}}\n", work.join("raft"))
}

/// Has `bao` copy a store: `storage_source` and `storage_destination`, each a type and a block.
fn migrate(work: &Path, source: &str, destination: &str, cluster: u16) {
    let config = work.join("migrate.hcl");
    let text = format!("storage_source {source}\nstorage_destination {destination}\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n");
    fs::write(&config, text).unwrap();
    let output = Command::new(bao()).args(["operator", "migrate", "-config"]).arg(&config).output().unwrap();
    assert!(output.status.success(), "bao operator migrate: {}", String::from_utf8_lossy(&output.stderr));
}

/// A server on raft storage in the directory.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(work: &Path, cluster: u16) -> Server {
        let port = free_port();
        let config = work.join("bao.hcl");
        let text = format!(
            "storage {}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n  tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n",
            raft(work)
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(work.join("bao.log")).unwrap();
        let mut command = Command::new(bao());
        command.arg("server").arg("-config").arg(&config).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Server { child: command.spawn().unwrap(), address: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(180);
        // 2: it answers and is sealed.
        while server.command("", &["status"]).output().unwrap().status.code() != Some(2) {
            assert!(Instant::now() < deadline, "bao did not start: {}", fs::read_to_string(work.join("bao.log")).unwrap());
            assert!(server.child.try_wait().unwrap().is_none(), "bao ended: {}", fs::read_to_string(work.join("bao.log")).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(bao());
        command.args(arguments).env_clear().env("HOME", "/nonexistent").env("BAO_ADDR", &self.address).env("BAO_TOKEN", token);
        command
    }

    fn run(&self, token: &str, arguments: &[&str]) -> serde_json::Value {
        let output = self.command(token, arguments).output().unwrap();
        assert!(output.status.success(), "bao {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Unseals and waits until the one node has elected itself.
    fn unseal(&self, share: &str, token: &str) {
        self.run("", &["operator", "unseal", "-format=json", share]);
        let deadline = Instant::now() + Duration::from_secs(180);
        while !self.command(token, &["token", "lookup"]).output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "bao did not become active");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The entries of a directory, as plain files have them.
fn entries(root: &Path, at: &Path, found: &mut BTreeMap<String, Bytes>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path != root.join(".cofferdam") {
                entries(root, &path, found);
            }
            continue;
        }
        let (folders, name) = (path.parent().unwrap().strip_prefix(root).unwrap(), path.file_name().unwrap().to_str().unwrap());
        let key = folders.join(name.strip_prefix('_').expect("a leaf begins with an underscore"));
        let content: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let value = STANDARD.decode(content["Value"].as_str().unwrap()).unwrap();
        found.insert(key.to_str().unwrap().to_owned(), value.into());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_real_bao_is_read_whole_and_a_copy_of_it_opens_there() {
    let work = crate::filesystem::directory();
    fs::create_dir(work.path().join("raft")).unwrap();
    let cluster = free_port();
    let server = Server::start(work.path(), cluster);
    let init = server.run("", &["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
    let share = init["unseal_keys_b64"][0].as_str().unwrap();
    let token = init["root_token"].as_str().unwrap();
    server.unseal(share, token);
    server.run(token, &["secrets", "enable", "-path=two", "-version=2", "kv"]);
    server.run(token, &["secrets", "enable", "-path=one", "-version=1", "kv"]);
    for number in 0..20 {
        server.run(
            token,
            &[
                "kv",
                "put",
                "-format=json",
                &format!("-mount={}", ["one", "two"][number % 2]),
                &format!("app/{}/s{number}", number % 3),
                &format!("n={number}"),
            ],
        );
    }
    server.run(token, &["kv", "delete", "-mount=one", "app/0/s0"]);
    server.run(token, &["policy", "list", "-format=json"]);
    drop(server);
    let theirs = crate::filesystem::directory();
    migrate(work.path(), &raft(work.path()), &format!("\"file\" {{ path = {:?} }}", theirs.path()), cluster);

    let mut expected = BTreeMap::new();
    entries(theirs.path(), theirs.path(), &mut expected);
    assert!(expected.len() > 40 && expected.contains_key("core/keyring"), "{} entries", expected.len());
    let reader = guest(theirs.path()).await;
    assert!(scan(&*reader, 3, 10).await == expected, "the scan differs from the files");
    let mut listed = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        for name in list(&*reader, &at).await {
            let path = format!("{at}{name}");
            if name.ends_with('/') { folders.push(path) } else { listed.push(path) }
        }
    }
    listed.sort();
    assert!(listed.iter().eq(expected.keys()), "the listings differ from the files");
    for (at, value) in &expected {
        assert_eq!(reader.get(&key(at)).await.unwrap().as_ref(), Some(value), "{at}");
    }
    assert_eq!(reader.get(&key("core/absent")).await.unwrap(), None);

    // A copy that the guest wrote is a store to bao.
    let ours = crate::filesystem::directory();
    let writer = guest(ours.path()).await;
    for (at, value) in &expected {
        put(&*writer, at, value.clone()).await;
    }
    drop(writer);
    fs::remove_dir_all(work.path().join("raft")).unwrap();
    fs::create_dir(work.path().join("raft")).unwrap();
    migrate(work.path(), &format!("\"file\" {{ path = {:?} }}", ours.path()), &raft(work.path()), cluster);
    let server = Server::start(work.path(), cluster);
    server.unseal(share, token);
    for (mount, at, number) in [("one", "app/2/s2", "2"), ("two", "app/2/s5", "5"), ("two", "app/1/s19", "19")] {
        let secret = server.run(token, &["kv", "get", "-format=json", &format!("-mount={mount}"), at]);
        let data = if mount == "two" { &secret["data"]["data"] } else { &secret["data"] };
        assert_eq!(data["n"], number, "{mount}/{at}");
    }
}
