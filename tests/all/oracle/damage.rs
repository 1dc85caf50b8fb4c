//! Snapshots with something wrong, and disks and tables that give out: each a clear error, and nothing half-imported passes for whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cofferdam_emulator::Dynalite;
use serde_json::Value;

use super::{LONG, carry, directory, keys, migrate, oracle, read};
use crate::e2e::process::{Server, coffer, configuration, finish, free_port, refused, table, text};
use crate::migrate::{config, snapshot};

/// A snapshot that cannot be taken at all, and what is said of it.
// Where the flipped bit lies differs from run to run, and so does what is said of it.
const REFUSED: [(&str, &str); 17] = [
    ("truncated", "it is cut off"),
    ("empty", "it is cut off"),
    ("text", "it is no gzip of a tar"),
    ("unpacked", "it is no gzip of a tar"),
    ("flipped", "flipped.snap"),
    ("digest", "hash check failed for \"state.bin\""),
    ("size", "size didn't match"),
    ("version", "version 7"),
    ("member", "unexpected file \"more.txt\""),
    ("sums", "SHA256SUMS"),
    ("state", "file missing for \"state.bin\""),
    ("meta", "hash check failed for \"meta.json\""),
    ("cut", "it is cut off"),
    ("overlong", "no number of at most 64 bits"),
    ("bytes", "not UTF-8"),
    ("nameless", "it has no key"),
    ("huge", "1099511627776 bytes"),
];

struct Ground {
    dir: tempfile::TempDir,
    facts: Value,
}

impl Ground {
    /// A whole store's facts, and every damaged snapshot of it.
    fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let (whole, facts) = (dir.path().join("whole.snap"), dir.path().join("facts.json"));
        fs::create_dir(dir.path().join("damaged")).unwrap();
        oracle(&["scratch", whole.to_str().unwrap(), facts.to_str().unwrap()]);
        oracle(&["damage", whole.to_str().unwrap(), dir.path().join("damaged").to_str().unwrap()]);
        Ground { facts: read(&facts), dir }
    }

    fn damaged(&self, name: &str) -> PathBuf {
        self.dir.path().join("damaged").join(format!("{name}.snap"))
    }

    /// A directory of this name for an import and the server on it.
    fn place(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

/// Whether a directory holds any entry.
fn holds_any(directory: &Path) -> bool {
    let Ok(names) = fs::read_dir(directory) else { return false };
    names.map(|entry| entry.unwrap()).any(|entry| {
        let name = entry.file_name();
        let name = name.to_str().unwrap();
        name != ".cofferdam" && (name.starts_with('_') || entry.path().is_dir() && holds_any(&entry.path()))
    })
}

/// Nothing is there, or no server starts on what is.
fn passes_for_nothing(place: &Path, what: &str) {
    if !holds_any(&place.join("data")) {
        return;
    }
    let config = place.join("half.hcl");
    fs::write(&config, configuration(place, &format!("127.0.0.1:{}", free_port()))).unwrap();
    let said = refused(&config);
    assert!(said.contains("migration in progress"), "{what}: {said}");
}

#[test]
fn a_snapshot_with_something_wrong_is_refused_and_leaves_nothing_that_serves() {
    let ground = Ground::new();
    let place = ground.place("refused");
    for (name, said) in REFUSED {
        let (code, output) = migrate(ground.dir.path(), &snapshot(&ground.damaged(name)), &directory(&place));
        assert!(code == 2 && output.contains(&format!("{name}.snap")) && output.contains(said), "{name}: {code}: {output}");
        // Nothing was begun, and nothing else is said.
        assert!(
            !output.contains("Success") && !output.contains("panicked") && output.contains("nothing was copied out of it"),
            "{name}: {output}"
        );
        passes_for_nothing(&place, name);
        assert!(!holds_any(&place.join("data")), "{name} left entries");
    }
    // The place is as good as new.
    carry(ground.dir.path(), &snapshot(&ground.dir.path().join("whole.snap")), &directory(&place));
    let server = Server::on(&place, "");
    server.unseal(&keys(&ground.facts)[..2]);
}

#[test]
fn entries_that_are_odd_or_damaged_are_named_and_harm_nothing_else() {
    let ground = Ground::new();
    let root = ground.facts["tokens"]["root"]["signed"].as_str().unwrap().to_owned();
    let shares = keys(&ground.facts);
    let up = |name: &str| {
        let mut server = Server::on(&ground.dir.path().join(name), "");
        root.clone_into(&mut server.token);
        server
    };

    // Keys that no storage here has are named; everything else is there.
    let place = ground.place("odd");
    let (code, output) = migrate(ground.dir.path(), &snapshot(&ground.damaged("odd")), &directory(&place));
    assert_eq!(code, 3, "{output}");
    for key in ["core/sscGenCounter/", "a//b", "./x", "y/../z", "/first", "line\\nfeed"] {
        assert!(output.contains(&format!("{key:?}").replace("\\\\", "\\")), "{key} is not named: {output}");
    }
    let server = up("odd");
    server.unseal(&shares[..2]);
    assert_eq!(server.done("GET", "plain/old/two", None)["data"]["c"], "d");
    drop(server);

    // A secret that does not decrypt is an error of its own.
    carry(ground.dir.path(), &snapshot(&ground.damaged("secret")), &directory(&ground.place("secret")));
    let server = up("secret");
    server.unseal(&shares[..2]);
    assert_eq!(server.call("GET", "plain/old/one", None).0, 500);
    assert_eq!(server.done("GET", "plain/old/two", None)["data"]["c"], "d");
    assert!(server.log().contains("/old/one") && server.log().contains("message authentication failed"), "{}", server.log());
    drop(server);

    // Without its mounts a vault does not open; an entry at another's place does not either.
    for name in ["table", "moved"] {
        carry(ground.dir.path(), &snapshot(&ground.damaged(name)), &directory(&ground.place(name)));
        let server = up(name);
        let answers: Vec<_> =
            shares[..2].iter().map(|key| server.call("PUT", "sys/unseal", Some(serde_json::json!({"key": key})))).collect();
        assert_eq!(answers[1].0, 500, "{name}: {answers:?}");
        assert!(server.log().contains("core/mounts"), "{name}: {}", server.log());
        assert_eq!(server.done("GET", "sys/seal-status", None)["sealed"], true);
    }

    // An entry of 3 MB is one like any other for files, and named before anything is written where none fits.
    carry(ground.dir.path(), &snapshot(&ground.damaged("large")), &directory(&ground.place("large")));
    assert!(fs::metadata(ground.dir.path().join("large/data/logical/_large")).unwrap().len() > 4_000_000);
    let dynalite = Dynalite::start(0).unwrap();
    let (code, output) = migrate(ground.dir.path(), &snapshot(&ground.damaged("large")), &table(dynalite.endpoint()));
    assert!(code == 2 && output.contains("\"logical/large\"") && output.contains("Nothing was copied"), "{code}: {output}");

    // A disk that takes no more: neither a snapshot nor a directory passes for whole, and with room the same command ends the work.
    let large = directory(&ground.dir.path().join("large"));
    let exported = ground.dir.path().join("exported.snap");
    let full = ground.place("full");
    for (source, destination) in [(large.clone(), snapshot(&exported)), (snapshot(&ground.damaged("large")), directory(&full))] {
        let config = config(ground.dir.path(), &source, &destination);
        // In blocks of 512 bytes; what is over it fails as on a full disk, with another reason.
        let mut command = Command::new("sh");
        let binary = coffer();
        command.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" migrate --config \"$1\""]).arg(binary.get_program()).arg(&config);
        command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = finish(&mut command, LONG);
        let said = text(&output);
        assert!(output.status.code() == Some(2) && !said.contains("Success") && !said.contains("panicked"), "{destination}: {said}");
        assert!(!destination.contains("exported") || !exported.exists());
        passes_for_nothing(&full, "a full disk");
        carry(ground.dir.path(), &source, &destination);
    }
    carry(ground.dir.path(), &snapshot(&exported), &directory(&ground.place("whole-again")));
    let server = up("whole-again");
    server.unseal(&shares[..2]);
    assert_eq!(server.done("GET", "plain/old/two", None)["data"]["c"], "d");
}
