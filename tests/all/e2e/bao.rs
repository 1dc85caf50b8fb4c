//! The real server as a process: the oracle that ours is compared with.

use std::fs;
use std::process::Command;

use super::process::{Server, bao, free_port, until};

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
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = dir.path().join("bao.hcl");
    let text = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
         api_addr = \"http://127.0.0.1:{port}\"\n{more}"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(bao());
    command.args(["server", "-config"]).arg(&config).env("HOME", dir.path());
    let log = dir.path().join("log");
    Server::start(&mut command, &format!("http://127.0.0.1:{port}"), log, Some(dir))
}
