//! Plugins of a running server: another version takes over while clients work, what fails is kept from everybody else, and both are told.

mod grants;
mod leading;
mod pull;
mod reload;
mod sealing;
mod supervision;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::e2e::process::{Server, coffer, free_port, succeed};

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(180);

/// The component with other bytes: a custom section that says nothing.
fn variant(component: &[u8], mark: u8) -> Vec<u8> {
    let (name, size) = (b"version", 9);
    let mut other = component.to_vec();
    other.extend([0, size, 7]);
    other.extend(name);
    other.push(mark);
    other
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A plugin directory with one storage, which is granted the directory `data`; and a configuration.
struct Place {
    root: tempfile::TempDir,
    address: String,
    name: &'static str,
}

impl Place {
    fn new(name: &'static str, component: &[u8]) -> Place {
        let place = Place { root: tempfile::tempdir().unwrap(), address: format!("127.0.0.1:{}", free_port()), name };
        for (directory, mode) in [("plugins", 0o755), ("data", 0o700), ("other", 0o700)] {
            fs::create_dir(place.path(directory)).unwrap();
            fs::set_permissions(place.path(directory), fs::Permissions::from_mode(mode)).unwrap();
        }
        place.put(component);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a component in the plugin's place, whole at any time.
    fn put(&self, component: &[u8]) {
        let beside = self.path("plugins/.beside");
        fs::write(&beside, component).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(beside, self.path(&format!("plugins/{}.wasm", self.name))).unwrap();
    }

    fn pin(&self) {
        succeed(coffer().args(["plugin", "pin", self.name, "--directory"]).arg(self.path("plugins")), LONG);
    }

    /// Writes the configuration: `stanza` stands in the storage's, `block` in its plugin block.
    fn configure(&self, stanza: &str, block: &str, directory: &str) -> PathBuf {
        let (file, name, address) = (self.path("coffer.hcl"), self.name, &self.address);
        let text = format!(
            "plugin_directory = \"{}\"\napi_addr = \"http://{address}\"\n\
             storage \"{name}\" {{\n{stanza}\n}}\n\
             plugin \"storage\" \"{name}\" {{\n{block}\n  grant \"directory\" {{ path = \"{}\" access = \"read-write\" }}\n}}\n\
             listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n  telemetry {{ unauthenticated_metrics_access = true }}\n}}\n",
            self.path("plugins").display(),
            self.path(directory).display(),
        );
        fs::write(&file, text).unwrap();
        file
    }

    fn start(&self) -> Server {
        Server::configured(&self.path("coffer.hcl"), &self.address, self.path("log"))
    }

    /// A server with a vault and an engine at `kv/`; and its unseal keys.
    fn vault(&self) -> (Server, Vec<String>) {
        let mut server = self.start();
        let keys = server.initialise(1, 1);
        server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
        (server, keys)
    }
}

/// The only plugin of a server.
fn plugin(server: &Server) -> Value {
    server.done("GET", "sys/plugins", None)["data"]["plugins"][0].clone()
}
