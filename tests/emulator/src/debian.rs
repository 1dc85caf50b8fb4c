//! Servers that `cargo xtask fetch` has from Debian's archive. Not every machine can have them: without one, a test says that it is skipped, and fails
//! where `CI` is set.

use std::ffi::OsStr;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::tool;

/// Ends the server when standard input ends, and with it when the tests do, however these end.
const GUARD: &str = r#""$@" </dev/null & read -r _; kill -9 $!; wait $!"#;

/// A server that takes connections. It ends when this is dropped, and with this process.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts the program of the package, and waits until it takes connections at this port of 127.0.0.1. `None` where the package is absent.
    pub(crate) fn start(package: &str, program: &str, arguments: &[&OsStr], port: u16) -> Result<Option<Server>> {
        let path = match tool(&format!("deb/{package}/{program}")) {
            Ok(path) => path,
            Err(error) if std::env::var_os("CI").is_some() => return Err(error),
            Err(error) => {
                eprintln!("skipped: {error}");
                return Ok(None);
            }
        };
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(path).args(arguments);
        let mut server = Server(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.0.try_wait()? {
                bail!("{package} ended with {status}");
            }
            if Instant::now() > end {
                bail!("{package} takes no connections at port {port} after 60 s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(server))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not a signal: it would end the guard and leave the server.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
