//! What the README tells a stranger to paste, run as it stands there: whoever changes the one changes the other.
//!
//! Of its section everything fenced as `sh` is run by a shell, in order, in a directory that holds what a build leaves, with a home of its own and the umask of a
//! usual account. Only the port is another, and what the trial draws at random is the same in every run. A block that ends with a server ends what the first
//! terminal does; the rest is the second's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Server, coffer, free_port, given, root, succeed, text};
use crate::runtime::path;

const SECTION: &str = "## Drop in a community backend";
const SERVER: &str = "coffer server ";

/// The commands of the first terminal before the server's block, that block with what was exported before it, and the commands of the second.
fn terminals(readme: &str) -> [String; 3] {
    let section = readme.split_once(SECTION).expect(SECTION).1;
    let section = section.split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section.split("\n```sh\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect();
    let is_server = |block: &&str| block.lines().last().is_some_and(|line| line.starts_with(SERVER));
    let server = blocks.iter().position(is_server).expect("a block that ends with the server");
    let (first, second) = blocks.split_at(server + 1);
    assert!(first.len() > 1 && second.len() > 1, "blocks got lost: {blocks:#?}");
    let (last, before) = first.split_last().unwrap();
    let exported: Vec<&str> = before.iter().flat_map(|block| block.lines()).filter(|line| line.starts_with("export ")).collect();
    [before.join("\n"), format!("{}\n{last}", exported.join("\n")), second.join("\n")]
}

/// A shell that has this pasted into it, and stops at what fails.
fn shell(home: &Path, commands: &str) -> Command {
    // It has what every command of these tests has.
    let mut command = Command::new("bash");
    command.envs(coffer().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["-ec", &format!("umask 002\n{commands}")]).current_dir(home.join("checkout")).env("HOME", home);
    for variable in ["VAULT_ADDR", "VAULT_TOKEN", "BAO_ADDR", "BAO_TOKEN", "VAULT_FORMAT", "BAO_FORMAT"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn what_the_readme_says_can_be_pasted() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("checkout/target");
    fs::create_dir_all(target.join("release")).unwrap();
    symlink(given("COFFER_BIN", "target/release/coffer"), target.join("release/coffer")).unwrap();
    symlink(path("memory").parent().unwrap(), target.join("guests")).unwrap();

    let port = free_port().to_string();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let [look, serve, work] =
        terminals(&readme).map(|commands| commands.replace("8200", &port).replace("plugin test ", "plugin test --seed=1 "));
    // A trial takes its time on a slow machine.
    let said = text(&succeed(&mut shell(home.path(), &look), Duration::from_secs(900)));
    for part in ["grant \"directory\"", " passed, 0 failed"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    // The shell gives its place to the server, so that this ends it.
    let serve = serve.replace(&format!("\n{SERVER}"), &format!("\nexec {SERVER}"));
    let mut server = Server::start(&mut shell(home.path(), &serve), &format!("http://127.0.0.1:{port}"), home.path().join("log"), None);
    let said = server.log();
    for part in ["memory.wasm", "trust=pinned in"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }

    let said = text(&succeed(&mut shell(home.path(), &work), Duration::from_secs(600)));
    for part in ["\"password\":\"correct-horse\"", "storage/memory", "running", "reloaded"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}\n{}", server.log());
    }
    assert!(server.log().contains("the plugin was reloaded"), "{}", server.log());
    server.stop();
}
