//! The real server as a process: the oracle that ours is compared with.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::{Server, bao, free_port, listener, until};

/// A development server in memory, with the root token `root`.
pub(crate) fn dev() -> Server {
    let (dir, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", free_port()));
    let mut command = Command::new(bao());
    command.args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"]);
    command.arg(format!("-dev-listen-address={address}")).env("HOME", dir.path());
    let log = dir.path().join("log");
    let mut server = Server::start(&mut command, &format!("http://{address}"), log, Some(dir));
    server.token = "root".to_owned();
    server.until_active();
    // It mounts secret/ after it says that it is active.
    until("the mount of secret/", &server, || {
        server.call("GET", "sys/mounts/secret", None).0 == 200 && server.call("LIST", "secret/metadata", None).0 == 404
    });
    server
}

/// An empty server in memory that waits to be initialised; `more` is added to its configuration.
pub(crate) fn fresh_with(more: &str) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_owned();
    configured(&home, free_port(), &format!("storage \"inmem\" {{}}\n{more}"), Some(dir))
}

/// An empty server on integrated storage below the directory, one node of a cluster, that waits to be initialised; `more` is added to its configuration.
pub(crate) fn raft(dir: &Path, more: &str) -> Server {
    let (port, cluster, data) = (free_port(), free_port(), dir.join("raft"));
    fs::create_dir(&data).unwrap();
    let text =
        format!("storage \"raft\" {{\n  path = {data:?}\n  node_id = \"one\"\n}}\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n{more}");
    configured(dir, port, &text, None)
}

/// A server with this configuration and one plain listener.
fn configured(home: &Path, port: u16, text: &str, dir: Option<TempDir>) -> Server {
    let (address, config) = (format!("127.0.0.1:{port}"), home.join("bao.hcl"));
    fs::write(&config, listener(&address) + text).unwrap();
    let mut command = Command::new(bao());
    command.args(["server", "-config"]).arg(&config).env("HOME", home);
    Server::start(&mut command, &format!("http://{address}"), home.join("bao.log"), dir)
}
