use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn storage(_: &str, bytes: &[u8]) -> Result<Kind, String> {
    if bytes.starts_with(b"bad") { Err("it is no component".to_owned()) } else { Ok(Kind::Storage) }
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        put(directory.path(), name, content);
    }
    directory
}

fn put(directory: &Path, name: &str, content: &str) {
    fs::write(directory.join(name), content).unwrap();
    fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o644)).unwrap();
}

fn states(directory: &Path) -> Vec<(String, State)> {
    verify(directory).unwrap().into_iter().map(|status| (status.file, status.state)).collect()
}

fn lock(directory: &Path) -> Lock {
    Lock::parse(&fs::read(directory.join(LOCK_FILE)).unwrap()).unwrap()
}

#[test]
fn files_are_pinned_changed_and_taken_out_again() {
    let directory = directory(&[("a.wasm", "one"), ("b.wasm", "two"), ("notes.txt", "three")]);
    let at = directory.path();
    assert_eq!(states(at), [("a.wasm".to_owned(), State::Unpinned), ("b.wasm".to_owned(), State::Unpinned)]);
    let pinned = pin(at, &["a.wasm".to_owned()], &storage).unwrap();
    assert_eq!(pinned, [Pinned { file: "a.wasm".to_owned(), kind: Kind::Storage, sha256: sha256(b"one"), change: Change::New }]);
    assert_eq!(fs::metadata(at.join(LOCK_FILE)).unwrap().permissions().mode() & 0o7777, 0o644);
    // All that are there; what is pinned already keeps its time.
    let before = lock(at).plugins["a.wasm"].clone();
    let all: Vec<Change> = pin(at, &[], &|_, _| Ok(Kind::Storage)).unwrap().into_iter().map(|pinned| pinned.change).collect();
    assert_eq!(all, [Change::Unchanged, Change::New]);
    assert_eq!(lock(at).plugins["a.wasm"], before);
    assert!(OffsetDateTime::parse(&before.pinned, &Rfc3339).is_ok(), "{}", before.pinned);
    put(at, "a.wasm", "other");
    fs::remove_file(at.join("b.wasm")).unwrap();
    assert_eq!(states(at), [("a.wasm".to_owned(), State::Changed(sha256(b"one"))), ("b.wasm".to_owned(), State::Missing)]);
    assert_eq!(pin(at, &["a.wasm".to_owned()], &storage).unwrap()[0].change, Change::From(sha256(b"one")));
    unpin(at, &["b.wasm".to_owned()]).unwrap();
    assert_eq!(states(at), [("a.wasm".to_owned(), State::Pinned)]);
    assert!(matches!(unpin(at, &["b.wasm".to_owned()]), Err(PinError::NotPinned(_))));
    // Nothing is left over.
    let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a.wasm", LOCK_FILE, "notes.txt"]);
}

#[test]
fn what_is_not_fit_changes_nothing() {
    let directory = directory(&[("a.wasm", "one"), ("bad.wasm", "bad")]);
    let at = directory.path();
    for (files, expected) in [
        (vec!["a.wasm", "bad.wasm"], "it is no component"),
        (vec!["a.wasm", "none.wasm"], "does not exist"),
        (vec!["a.wasm", "../a.wasm"], "not the name of a .wasm file"),
        (vec!["notes.txt"], "not the name of a .wasm file"),
    ] {
        let files: Vec<String> = files.into_iter().map(str::to_owned).collect();
        let error = pin(at, &files, &storage).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!at.join(LOCK_FILE).exists());
    }
}

#[test]
fn a_lock_file_that_others_may_write_or_that_is_damaged_is_not_used() {
    let directory = directory(&[("a.wasm", "one")]);
    let at = directory.path();
    pin(at, &[], &storage).unwrap();
    fs::set_permissions(at.join(LOCK_FILE), fs::Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(verify(at), Err(PinError::Find(FindError::Permissions(_)))));
    assert!(matches!(pin(at, &[], &storage), Err(PinError::Find(FindError::Permissions(_)))));
    put(at, LOCK_FILE, "{}");
    assert!(matches!(pin(at, &[], &storage), Err(PinError::Find(FindError::Lock { .. }))));
    assert_eq!(fs::read_to_string(at.join(LOCK_FILE)).unwrap(), "{}");
}

#[test]
fn what_a_writer_that_died_has_left_is_in_nobodys_way() {
    let directory = directory(&[("a.wasm", "one")]);
    put(directory.path(), &format!(".{LOCK_FILE}.{}.new", std::process::id()), "half");
    pin(directory.path(), &[], &storage).unwrap();
    assert_eq!(states(directory.path()), [("a.wasm".to_owned(), State::Pinned)]);
}

#[test]
fn many_who_pin_at_once_lose_nothing() {
    let names: Vec<String> = (0..16).map(|number| format!("p{number}.wasm")).collect();
    let directory = directory(&[]);
    let at = directory.path();
    for name in &names {
        put(at, name, name);
    }
    let start = std::sync::Barrier::new(names.len());
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| {
                start.wait();
                pin(at, std::slice::from_ref(name), &storage).unwrap();
            });
        }
    });
    assert_eq!(lock(at).plugins.len(), names.len());
    assert!(states(at).iter().all(|(_, state)| *state == State::Pinned));
}
