//! Writing a backend: what `coffer plugin new` makes builds by the commands of its README and passes every check, as the examples do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::e2e::process::{coffer, finish, root, succeed, text};
use crate::runtime::path;

const LIMIT: Duration = Duration::from_secs(900);

/// The commands of a README: its indented lines.
fn commands(readme: &str) -> Vec<Vec<String>> {
    let lines = readme.lines().filter_map(|line| line.strip_prefix("    "));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    lines.map(words).filter(|words| matches!(words.first().map(String::as_str), Some("cargo" | "coffer"))).collect()
}

/// Cargo, as an author has it, without the network.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
    command
}

/// Makes a project, does what its README says, and returns what the last command said.
fn follow(name: &str, kind: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let made = succeed(coffer().current_dir(place.path()).args(["plugin", "new", name, "--kind", kind, "--language", "rust"]), LIMIT);
    assert!(text(&made).contains("README.md") && text(&made).contains("coffer plugin test"), "{}", text(&made));
    let project = place.path().join(name);
    // The crates, and the compiled ones too, are those of the guests: nothing is fetched.
    fs::copy(root().join("guests/Cargo.lock"), project.join("Cargo.lock")).unwrap();
    fs::create_dir_all(root().join("guests/target")).unwrap();
    symlink(root().join("guests/target"), project.join("target")).unwrap();
    let commands = commands(&fs::read_to_string(project.join("README.md")).unwrap());
    assert_eq!(commands.iter().map(|command| command[0].as_str()).collect::<Vec<_>>(), ["cargo", "coffer", "coffer"], "{commands:?}");
    let mut said = String::new();
    for words in &commands {
        let mut command = if words[0] == "cargo" { cargo() } else { coffer() };
        // A whole trial measures for half a minute, and makes ten thousand calls: that shows no more of the project.
        let quick = if words[1..].contains(&"test".to_owned()) { Some("--quick") } else { None };
        said = text(&succeed(command.current_dir(&project).args(&words[1..]).args(quick), LIMIT));
    }
    assert!(said.contains(" 0 failed"), "{said}");
    // What an author gives away is formatted and has no warning.
    succeed(cargo().current_dir(&project).args(["fmt", "--check"]), LIMIT);
    let clippy = ["clippy", "--release", "--locked", "--target", "wasm32-wasip2", "--", "-D", "warnings"];
    succeed(cargo().current_dir(&project).args(clippy), LIMIT);
    said
}

#[test]
fn a_new_storage_passes_every_check() {
    let said = follow("my-store", "storage");
    assert!(said.contains("contract/restart") && said.contains("contract/instances-share-nothing"), "{said}");
}

#[test]
fn a_new_seal_passes_every_check() {
    let said = follow("my-seal", "seal");
    assert!(said.contains("contract/seal-tampering"), "{said}");
}

#[test]
fn the_examples_pass_every_check() {
    let tried =
        |file: &Path, arguments: &[&str]| text(&succeed(coffer().args(["plugin", "test", "--quick"]).arg(file).args(arguments), LIMIT));
    let said = tried(&path("memory"), &[]);
    assert!(said.contains(" 0 failed") && said.contains("contract/batch-stopped"), "{said}");
    let trial = root().join("examples/local-seal/trial.hcl");
    let said = tried(&path("local_seal"), &["--config", trial.to_str().unwrap()]);
    assert!(said.contains(" 0 failed"), "{said}");
}

#[test]
fn what_cannot_be_made_is_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("mine")).unwrap();
    for (arguments, reason) in [
        (["mine", "--kind", "storage", "--language", "rust"], "is something of that name already"),
        (["other", "--kind", "storage", "--language", "go"], "docs/authors.md"),
        (["other", "--kind", "lock", "--language", "rust"], "storage"),
        (["Other", "--kind", "storage", "--language", "rust"], "a-z, 0-9 and -"),
        (["../other", "--kind", "storage", "--language", "rust"], "a-z, 0-9 and -"),
        (["filesystem", "--kind", "seal", "--language", "rust"], "choose another"),
    ] {
        let refused = finish(coffer().current_dir(place.path()).args(["plugin", "new"]).args(arguments), LIMIT);
        let said = text(&refused);
        assert!(refused.status.code() == Some(1) && said.contains(reason), "{arguments:?}: {said}");
    }
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
}
