//! etcd: Debian's `etcd-server`, a cluster of one.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::debian::Server;
use crate::free_port;

/// An etcd, empty when it starts. It ends when this is dropped, and with this process.
#[derive(Debug)]
pub struct Etcd {
    server: Option<Server>,
    directory: TempDir,
    ports: (u16, u16),
}

impl Etcd {
    /// Starts one on 127.0.0.1. `None` where the program is absent and may be.
    pub fn start() -> Result<Option<Etcd>> {
        let (ports, directory) = ((free_port()?, free_port()?), tempfile::tempdir()?);
        let server = start(directory.path(), ports)?;
        Ok(server.map(|server| Etcd { server: Some(server), directory, ports }))
    }

    /// Kills it and starts it again with what it has on its disk.
    pub fn restart(&mut self) -> Result<()> {
        self.server = None;
        self.server = start(self.directory.path(), self.ports)?;
        Ok(())
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.0)
    }

    /// Where it listens for clients.
    pub fn port(&self) -> u16 {
        self.ports.0
    }
}

fn start(directory: &Path, (clients, peers): (u16, u16)) -> Result<Option<Server>> {
    let (clients_url, peers_url) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    let cluster = format!("one={peers_url}");
    let data = directory.join("data");
    let arguments = [
        OsStr::new("--name=one"),
        OsStr::new("--log-level=error"),
        OsStr::new("--data-dir"),
        data.as_os_str(),
        OsStr::new("--listen-client-urls"),
        OsStr::new(&clients_url),
        OsStr::new("--advertise-client-urls"),
        OsStr::new(&clients_url),
        OsStr::new("--listen-peer-urls"),
        OsStr::new(&peers_url),
        OsStr::new("--initial-advertise-peer-urls"),
        OsStr::new(&peers_url),
        OsStr::new("--initial-cluster"),
        OsStr::new(&cluster),
    ];
    Server::start("etcd-server", "usr/bin/etcd", &arguments, clients)
}
