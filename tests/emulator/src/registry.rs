//! A registry of OCI artifacts: Debian's `docker-registry`, the reference implementation.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::debian::Server;
use crate::free_port;

/// Whom [`RegistryOptions::password`] lets in, with which password.
const USER: (&str, &str, &str) = ("reader", "correct horse", "$2b$04$RK/M1xwkvyurrGi2kkKAq.esEqVMFSLPN4wkAGjmm/AI.TbMCmK6u");

/// How a registry is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryOptions<'a> {
    /// Only with a name and a password.
    pub password: bool,
    /// The files of a certificate and of its key (PEM): TLS.
    pub tls: Option<(&'a Path, &'a Path)>,
}

/// A registry, empty when it starts. It ends when this is dropped, and with this process.
#[derive(Debug)]
pub struct Registry {
    _server: Server,
    _directory: TempDir,
    port: u16,
}

impl Registry {
    /// Starts one on 127.0.0.1. `None` where the program is absent and may be.
    pub fn start(options: RegistryOptions<'_>) -> Result<Option<Registry>> {
        let (port, directory) = (free_port()?, tempfile::tempdir()?);
        let at = directory.path().display();
        let mut config = format!("version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\n");
        if options.password {
            std::fs::write(directory.path().join("users"), format!("{}:{}\n", USER.0, USER.2))?;
            writeln!(config, "auth: {{htpasswd: {{realm: test, path: {at}/users}}}}")?;
        }
        let tls = match options.tls {
            Some((certificate, key)) => format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display()),
            None => String::new(),
        };
        writeln!(config, "http: {{addr: '127.0.0.1:{port}'{tls}}}")?;
        let file = directory.path().join("config.yml");
        std::fs::write(&file, config)?;
        let arguments = [OsStr::new("serve"), file.as_os_str()];
        let server = Server::start("docker-registry", "usr/bin/docker-registry", &arguments, port)?;
        Ok(server.map(|server| Registry { _server: server, _directory: directory, port }))
    }

    /// `127.0.0.1:PORT`, as references begin.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The name and the password that a registry with a password lets in.
    pub fn user() -> (&'static str, &'static str) {
        (USER.0, USER.1)
    }
}
