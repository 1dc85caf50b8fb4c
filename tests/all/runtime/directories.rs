use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cofferdam_runtime::{Access, Directory, DirectoryError};
use tempfile::TempDir;

use super::{commit, hostile};

fn place() -> (TempDir, PathBuf) {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("data");
    (temporary, path)
}

fn made() -> (TempDir, PathBuf) {
    let (temporary, path) = place();
    Directory::open(&path, true).unwrap();
    (temporary, path)
}

#[test]
fn a_missing_directory_is_made_private_if_asked_for() {
    let (_temporary, path) = place();
    assert!(matches!(Directory::open(&path, false), Err(DirectoryError::Io { .. })));
    Directory::open(&path, true).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    Directory::open(&path, false).unwrap();
}

#[test]
fn rights_of_others_are_refused() {
    let (_temporary, path) = made();
    for mode in [0o750, 0o701, 0o770, 0o704] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Directory::open(&path, true).unwrap_err();
        assert!(matches!(error, DirectoryError::Mode { .. }) && error.to_string().contains(&format!("{mode:04o}")), "{error}");
    }
}

#[test]
fn another_owner_is_refused() {
    let (_temporary, path) = made();
    // Only root can give a directory away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        let error = Directory::open(&path, true).unwrap_err();
        assert!(matches!(error, DirectoryError::Owner { owner: 4711, user: 0, .. }), "{error}");
    }
}

#[test]
fn a_symbolic_link_or_a_file_is_refused() {
    let (temporary, path) = made();
    let link = temporary.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(Directory::open(&link, true), Err(DirectoryError::NotADirectory { .. })));
    let file = temporary.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Directory::open(&file, true), Err(DirectoryError::NotADirectory { .. })));
}

#[test]
fn a_link_in_the_place_of_the_lock_is_refused() {
    let (temporary, path) = made();
    let aim = temporary.path().join("aim");
    fs::write(&aim, "keep").unwrap();
    fs::remove_file(path.join(".cofferdam/lock")).unwrap();
    symlink(&aim, path.join(".cofferdam/lock")).unwrap();
    assert!(Directory::open(&path, true).is_err());
    assert_eq!(fs::read_to_string(&aim).unwrap(), "keep");
}

#[test]
fn a_second_holder_is_refused_and_the_first_is_named() {
    let (_temporary, path) = place();
    let first = Directory::open(&path, true).unwrap();
    let clone = first.clone();
    drop(first);
    let error = Directory::open(&path, true).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(clone);
    Directory::open(&path, true).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_keeps_the_directory_that_was_granted_when_its_path_is_swapped() {
    let (temporary, path) = place();
    let directory = Directory::open(&path, true).unwrap();
    fs::write(path.join("which"), "granted").unwrap();
    fs::rename(&path, temporary.path().join("moved")).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("which"), "swapped").unwrap();
    let backend = hostile(|config| config.grants.directory = Some(directory)).await;
    assert_eq!(commit(&backend, "directories").await.unwrap(), r#"["/data"]"#);
    assert_eq!(commit(&backend, "read:which").await.unwrap(), "read: granted");
}

#[test]
fn a_directory_to_read_may_be_the_administrators_but_others_must_not_write_it() {
    let (_temporary, path) = made();
    for mode in [0o755, 0o750, 0o500] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let directory = Directory::open_read_only(&path).unwrap();
        assert_eq!(directory.access(), Access::ReadOnly);
        assert!(directory.describe().starts_with("read what is in"), "{}", directory.describe());
        Directory::open_read_only(&path).unwrap();
    }
    for mode in [0o770, 0o722, 0o702] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Directory::open_read_only(&path).unwrap_err();
        assert!(matches!(error, DirectoryError::Writable { .. }) && error.to_string().contains(&format!("{mode:04o}")), "{error}");
    }
    let (temporary, path) = made();
    symlink(&path, temporary.path().join("link")).unwrap();
    assert!(matches!(Directory::open_read_only(&temporary.path().join("link")), Err(DirectoryError::NotADirectory { .. })));
    assert!(Directory::open_read_only(&temporary.path().join("absent")).is_err());
}

/// Names, sizes, contents, times, modes and numbers of links of all that is in a directory.
fn tree(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&entry).unwrap();
        let (modified, links, mode) = (metadata.modified().unwrap(), metadata.nlink(), metadata.mode());
        let content = if metadata.is_file() { fs::read(&entry).unwrap() } else { Vec::new() };
        found.push(format!("{} {modified:?} {links} {mode:o} {content:?}", entry.display()));
        if metadata.is_dir() {
            found.extend(tree(&entry));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_directory_to_read_can_be_changed() {
    let (_temporary, path) = made();
    fs::write(path.join("own"), "own").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    let before = (tree(&path), fs::metadata(&path).unwrap().modified().unwrap());
    let read = hostile(|config| config.grants.directory = Some(Directory::open_read_only(&path).unwrap())).await;
    assert_eq!(commit(&read, "read:own").await.unwrap(), "read: own");
    let told = commit(&read, "mutations").await.unwrap();
    let tries: Vec<_> = told.lines().collect();
    assert!(tries.len() >= 24, "{told}");
    for line in tries {
        assert!(line.contains("Err("), "this was let through: {line}");
    }
    assert_eq!((tree(&path), fs::metadata(&path).unwrap().modified().unwrap()), before, "{told}");

    // The same tries where they are allowed: most of them come off, so that a refusal above is one.
    let write = hostile(|config| config.grants.directory = Some(Directory::open(&path, false).unwrap())).await;
    let told = commit(&write, "mutations").await.unwrap();
    assert!(told.matches("Ok(").count() >= 12, "{told}");
    assert_ne!(tree(&path), before.0);
}
