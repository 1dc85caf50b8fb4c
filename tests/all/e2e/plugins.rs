//! Foreign components on a real server: what does not start and why, what starts once somebody vouches for it, and what an operator is told of one.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::process::{Server, coffer, finish, free_port, succeed, text};
use crate::runtime::{bytes, path};

const LIMIT: Duration = Duration::from_secs(180);

fn digest(file: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(file).unwrap()))
}

/// A plugin directory, and a configuration that uses it.
struct Place {
    root: tempfile::TempDir,
    address: String,
}

impl Place {
    fn new() -> Place {
        let place = Place { root: tempfile::tempdir().unwrap(), address: format!("127.0.0.1:{}", free_port()) };
        fs::create_dir(place.plugins()).unwrap();
        fs::set_permissions(place.plugins(), fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn plugins(&self) -> PathBuf {
        self.root.path().join("plugins")
    }

    /// Puts a component of the tests into the directory, under a name.
    fn put(&self, guest: &str, name: &str) -> PathBuf {
        let file = self.plugins().join(format!("{name}.wasm"));
        fs::write(&file, bytes(guest)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        file
    }

    /// A configuration with this text, the directory, and a listener.
    fn config(&self, text: &str) -> PathBuf {
        let (file, address) = (self.root.path().join("coffer.hcl"), &self.address);
        let common = format!(
            "plugin_directory = \"{}\"\napi_addr = \"http://{address}\"\nlistener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n",
            self.plugins().display()
        );
        fs::write(&file, common + text).unwrap();
        file
    }

    /// What is said by a server that does not start with this.
    fn refused(&self, text_of_config: &str) -> String {
        let output = finish(coffer().args(["server", "--config"]).arg(self.config(text_of_config)), LIMIT);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    }

    fn start(&self, text_of_config: &str) -> Server {
        Server::configured(&self.config(text_of_config), &self.address, self.root.path().join("log"))
    }

    /// A command of `coffer plugin`, and the JSON that it says.
    fn plugin(&self, arguments: &[&str], code: i32) -> Value {
        let output = finish(coffer().arg("plugin").args(arguments).args(["--format", "json"]), LIMIT);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn directory(&self) -> String {
        self.plugins().display().to_string()
    }
}

/// The stanza of the storage that keeps everything in one instance.
const HOSTILE: &str = "storage \"hostile\" {\n  pool { size = 1 }\n}\n";

fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

/// The server keeps what it is given.
fn serves(server: &mut Server) {
    server.initialise(1, 1);
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    server.done("PUT", "kv/a", Some(json!({"x": "y"})));
    assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
}

#[test]
fn nothing_runs_that_nobody_pinned() {
    let place = Place::new();
    let file = place.put("hostile", "hostile");
    let found = digest(&file);
    contains(&place.refused(HOSTILE), &["hostile.wasm", "neither pinned nor signed", &found, "coffer plugin pin"]);
    // Pinned, it runs, and the log says what vouches for it.
    let pinned = place.plugin(&["pin", "hostile", "--directory", &place.directory()], 0);
    assert_eq!((&pinned["pinned"][0]["sha256"], &pinned["pinned"][0]["kind"]), (&json!(found), &json!("storage")));
    assert_eq!(pinned["pinned"][0]["outcome"], "pinned");
    let mut server = place.start(HOSTILE);
    serves(&mut server);
    contains(&server.log(), &["plugin found", &found, "coffer-plugins.lock", "granted=nothing"]);
    server.stop();
    assert_eq!(place.plugin(&["pin", "--check", "--directory", &place.directory()], 0)["as_pinned"], true);
    // Another content does not, and both digests are named.
    place.put("needs_http", "hostile");
    let other = digest(&file);
    contains(&place.refused(HOSTILE), &[&found, &other, "coffer plugin pin"]);
    let checked = place.plugin(&["pin", "--check", "--directory", &place.directory()], 2);
    assert_eq!((&checked["plugins"][0]["state"], &checked["plugins"][0]["detail"]), (&json!("changed"), &json!(found)));
    // By its file it is pinned in its directory; then taken out.
    place.put("hostile", "hostile");
    place.plugin(&["pin", &file.display().to_string()], 0);
    place.plugin(&["pin", "--remove", "hostile", "--directory", &place.directory()], 0);
    contains(&place.refused(HOSTILE), &["neither pinned nor signed"]);
}

#[test]
fn a_pin_in_the_configuration_counts_and_a_wrong_one_refuses() {
    let place = Place::new();
    let file = place.put("hostile", "other-name");
    let block = |digest: &str| {
        format!("{HOSTILE}plugin \"storage\" \"hostile\" {{\n  path = \"{}\"\n  sha256 = \"{digest}\"\n}}\n", file.display())
    };
    let wrong = "0".repeat(64);
    contains(&place.refused(&block(&wrong)), &[&wrong, &digest(&file), "sha256"]);
    let mut server = place.start(&block(&digest(&file)));
    serves(&mut server);
    contains(&server.log(), &["pinned in the configuration"]);
}

#[test]
fn what_others_may_write_is_refused() {
    let place = Place::new();
    let file = place.put("hostile", "hostile");
    place.plugin(&["pin", "--all", "--directory", &place.directory()], 0);
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, mode, back) in [(file.as_path(), 0o664, 0o644), (&place.plugins(), 0o775, 0o755), (&place.plugins(), 0o777, 0o755)] {
        chmod(path, mode);
        contains(&place.refused(HOSTILE), &[&path.display().to_string(), &format!("{mode:04o}"), "chmod go-w"]);
        chmod(path, back);
    }
    place.start(HOSTILE).stop();
}

#[test]
fn the_name_of_a_component_of_the_release_is_taken_only_on_purpose() {
    let place = Place::new();
    let data = place.root.path().join("data");
    let stanza = format!("storage \"filesystem\" {{\n  path = \"{}\"\n  pool {{ size = 1 }}\n}}\n", data.display());
    let file = place.put("hostile", "filesystem");
    place.plugin(&["pin", "--all", "--directory", &place.directory()], 0);
    contains(&place.refused(&stanza), &["filesystem.wasm", "replaces_builtin"]);
    let listed = place.plugin(&["list", &place.directory()], 0);
    assert_eq!((&listed[0]["name"], &listed[0]["loads"]), (&json!("filesystem"), &json!(false)), "{listed}");
    let mut server = place.start(&format!("{stanza}plugin \"storage\" \"filesystem\" {{\n  replaces_builtin = true\n}}\n"));
    serves(&mut server);
    contains(&server.log(), &["a file is used in place of the component of this release", &digest(&file), "seen as /data"]);
    server.stop();
    // A copy of what the release has needs nothing.
    fs::remove_file(place.plugins().join("coffer-plugins.lock")).unwrap();
    place.put("filesystem", "filesystem");
    let mut server = place.start(&stanza);
    serves(&mut server);
    contains(&server.log(), &["the filesystem component of this release"]);
    // A grant for it would widen what its stanza says.
    let widened = place
        .refused(&format!("{stanza}plugin \"storage\" \"filesystem\" {{\n  grant \"http\" {{ scheme = \"https\" host = \"h\" }}\n}}\n"));
    contains(&widened, &["the grants of filesystem are derived from its stanza"]);
}

#[test]
fn a_signature_vouches_if_its_key_is_trusted() {
    let place = Place::new();
    let file = place.put("hostile", "hostile");
    let signature = place.plugins().join("hostile.wasm.minisig");
    let [own, other] = [(); 2].map(|()| minisign::KeyPair::generate_unencrypted_keypair().unwrap());
    let sign = |pair: &minisign::KeyPair, bytes: &[u8]| {
        let made = minisign::sign(None, &pair.sk, Cursor::new(bytes), Some("file:hostile.wasm"), None).unwrap();
        fs::write(&signature, made.to_string()).unwrap();
        fs::set_permissions(&signature, fs::Permissions::from_mode(0o644)).unwrap();
    };
    let trusting = format!("plugin_trusted_keys = [\"{}\"]\n{HOSTILE}", own.pk.to_base64());
    let bytes = fs::read(&file).unwrap();
    sign(&own, &bytes);
    contains(&place.refused(HOSTILE), &["neither pinned nor signed", "plugin_trusted_keys"]);
    let mut server = place.start(&trusting);
    serves(&mut server);
    contains(&server.log(), &["signed by "]);
    server.stop();
    let config = place.config(&trusting).display().to_string();
    let inspected = place.plugin(&["inspect", &file.display().to_string(), "--config", &config], 0);
    assert!(inspected["trust"]["loads"] == true && inspected["trust"]["why"].as_str().unwrap().starts_with("signed by"), "{inspected}");
    sign(&other, &bytes);
    contains(&place.refused(&trusting), &["hostile.wasm.minisig", "plugin_trusted_keys does not have"]);
    sign(&own, b"something else");
    contains(&place.refused(&trusting), &["does not fit the file"]);
    contains(&place.refused(&format!("plugin_trusted_keys = [\"nonsense\"]\n{HOSTILE}")), &["plugin_trusted_keys", "nonsense"]);
}

#[test]
fn a_component_without_its_grant_is_refused_with_the_block_to_paste() {
    let place = Place::new();
    for (name, grant) in [("needs_http", "grant \"http\""), ("needs_aws", "grant \"aws\"")] {
        let file = place.put(name, name);
        place.plugin(&["pin", &file.display().to_string()], 0);
        let said = place.refused(&format!("storage \"{name}\" {{}}\n"));
        contains(&said, &[&file.display().to_string(), "needs the grant", &format!("plugin \"storage\" \"{name}\" {{"), grant]);
    }
}

#[test]
fn what_inspect_says_can_be_pasted() {
    let place = Place::new();
    let file = place.put("hostile", "hostile");
    let inspected = place.plugin(&["inspect", &file.display().to_string(), "--directory", &place.directory()], 0);
    assert_eq!((&inspected["trust"]["loads"], &inspected["release"]), (&json!(false), &Value::Null), "{inspected}");
    let elsewhere = finish(coffer().args(["plugin", "inspect"]).arg(path("hostile")).args(["--directory", &place.directory()]), LIMIT);
    assert!(elsewhere.status.code() == Some(1) && text(&elsewhere).contains("is not in it"), "{}", text(&elsewhere));
    let block = inspected["block"].as_str().unwrap();
    contains(block, &["plugin \"storage\" \"hostile\"", &digest(&file), &file.display().to_string()]);
    let mut server = place.start(&format!("{HOSTILE}{block}"));
    serves(&mut server);
    let said = text(&succeed(coffer().args(["plugin", "inspect"]).arg(path("needs_http")), LIMIT));
    contains(&said, &["What it asks for", "Grant http (it does not start without)", "grant \"http\" {", "scheme = \"https\""]);
    let seal = text(&succeed(coffer().args(["plugin", "inspect"]).arg(path("sealing_http")), LIMIT));
    contains(&seal, &["could learn the root key"]);
}

#[test]
fn a_foreign_seal_unseals() {
    let place = Place::new();
    let file = place.put("sealing", "sealing");
    let data = place.root.path().join("data").display().to_string();
    let config = format!(
        "storage \"filesystem\" {{\n  path = \"{data}\"\n}}\nseal \"sealing\" {{\n  name = \"turned\"\n}}\nplugin \"seal\" \"sealing\" {{\n  sha256 = \"{}\"\n}}\n",
        digest(&file)
    );
    let mut server = place.start(&config);
    let made = server.done("PUT", "sys/init", Some(json!({"recovery_shares": 1, "recovery_threshold": 1})));
    server.token = made["root_token"].as_str().unwrap().to_owned();
    server.until_active();
    let status = server.done("GET", "sys/seal-status", None);
    assert_eq!((&status["type"], &status["sealed"]), (&json!("sealing"), &json!(false)));
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    server.done("PUT", "kv/a", Some(json!({"x": "y"})));
    let token = server.token.clone();
    server.stop();
    let mut server = place.start(&config);
    server.token = token;
    server.until_active();
    assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
    contains(&server.log(), &["seal opened", "granted=nothing"]);
}
