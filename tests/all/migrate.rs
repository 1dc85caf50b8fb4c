//! `coffer migrate` as operators run it: between directories, tables and snapshots, killed at any moment, and what it says.

mod files;
mod kill;
mod many;
mod raft;
mod tables;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::e2e::process::{coffer, finish, text};

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(600);

const DONE: &str = "Success! All of the keys have been migrated.";

/// A file for `coffer migrate`.
pub(crate) fn config(dir: &Path, source: &str, destination: &str) -> PathBuf {
    let path = dir.join("migrate.hcl");
    fs::write(&path, format!("storage_source {source}\nstorage_destination {destination}\n")).unwrap();
    path
}

/// The directory as an end; nothing here has to survive a loss of power.
fn directory(path: &Path) -> String {
    format!("\"file\" {{ path = \"{}\" fsync = false }}", path.display())
}

/// The file of a snapshot as an end.
pub(crate) fn snapshot(path: &Path) -> String {
    format!("\"raft_snapshot\" {{ path = \"{}\" }}", path.display())
}

/// `coffer migrate` with this file.
pub(crate) fn command(config: &Path, flags: &[&str]) -> Command {
    let mut command = coffer();
    command.arg("migrate").arg("--config").arg(config).args(flags);
    command
}

/// Runs to the end, which must be this exit code.
pub(crate) fn run(config: &Path, flags: &[&str], code: i32) -> String {
    let output: Output = finish(&mut command(config, flags), LONG);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
    said
}

/// An empty directory that only its owner may use.
fn fresh(dir: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Stores an entry as Vault's file storage does.
fn store(root: &Path, key: &str, value: &[u8]) {
    let (folder, leaf) = key.rsplit_once('/').unwrap_or(("", key));
    fs::create_dir_all(root.join(folder)).unwrap();
    fs::write(root.join(folder).join(format!("_{leaf}")), format!("{{\"Value\":\"{}\"}}\n", STANDARD.encode(value))).unwrap();
}

/// Every entry of a directory, by its key.
fn stored(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(directory: &Path, folder: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if folder.is_empty() && name == ".cofferdam" {
                continue;
            }
            match name.strip_prefix('_') {
                _ if entry.file_type().unwrap().is_dir() => walk(&entry.path(), &format!("{folder}{name}/"), found),
                Some(leaf) => {
                    let file: serde_json::Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
                    found.insert(format!("{folder}{leaf}"), STANDARD.decode(file["Value"].as_str().unwrap()).unwrap());
                }
                None => panic!("{name} is no entry"),
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, "", &mut found);
    found
}
