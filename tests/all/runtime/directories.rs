use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use cofferdam_runtime::{Directory, DirectoryError};
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
