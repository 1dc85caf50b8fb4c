use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A file `a/b/x.wasm` that all is well with.
fn tree() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a/b");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("x.wasm"), "content").unwrap();
    mode(&root.path().join("a"), 0o755);
    mode(&directory, 0o755);
    mode(&directory.join("x.wasm"), 0o644);
    (root, directory)
}

fn problems(path: &Path) -> Vec<Problem> {
    match Directory::open(path) {
        Ok(directory) => match directory.read(OsStr::new("x.wasm"), 100) {
            Err(FindError::Permissions(problems)) => problems,
            other => panic!("{other:?}"),
        },
        Err(WalkError::Permissions(problems)) => problems,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn what_others_may_write_is_refused_with_its_mode_and_what_mends_it() {
    for (bits, who) in [(0o020, "its group"), (0o002, "others"), (0o022, "group and others")] {
        for (name, usual) in [("a/b/x.wasm", 0o644), ("a/b", 0o755), ("a", 0o755)] {
            let (root, directory) = tree();
            let path = root.path().join(name);
            assert_eq!(Directory::open(&directory).unwrap().read(OsStr::new("x.wasm"), 100).unwrap().unwrap(), b"content");
            mode(&path, usual | bits);
            let found = problems(&directory);
            assert_eq!(found, [Problem::Writable { path: path.clone(), mode: usual | bits, above: name == "a" }]);
            let text = found[0].to_string();
            assert!(text.contains(who) && text.contains(&format!("mode {:04o}", usual | bits)), "{text}");
            assert!(text.ends_with(&format!("`chmod go-w {}`", path.display())), "{text}");
            // What it says mends it.
            let command = text.split('`').nth(1).unwrap();
            assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
            assert!(Directory::open(&directory).unwrap().read(OsStr::new("x.wasm"), 100).unwrap().is_some());
        }
    }
}

#[test]
fn a_sticky_bit_is_enough_above_the_directory_and_not_for_it() {
    let (root, directory) = tree();
    mode(&root.path().join("a"), 0o1777);
    assert!(Directory::open(&directory).is_ok());
    mode(&directory, 0o1777);
    assert_eq!(problems(&directory), [Problem::Writable { path: directory.clone(), mode: 0o1777, above: false }]);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let (root, directory) = tree();
    mode(&root.path().join("a"), 0o777);
    mode(&directory, 0o775);
    assert_eq!(problems(&directory).len(), 2);
}

/// Whoever runs this: as root the file is given away, else another user looks at it.
#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let own = rustix::process::geteuid().as_raw();
    for name in ["a", "a/b", "a/b/x.wasm"] {
        let (root, directory) = tree();
        let path = root.path().join(name);
        let (owner, user) = if own == 0 {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            (65_534, 0)
        } else {
            (own, own + 1)
        };
        let read = |opened: Directory| opened.read(OsStr::new("x.wasm"), 100).unwrap_err();
        let found = match Directory::open_as(&directory, if path.is_file() { own } else { user }) {
            Err(WalkError::Permissions(problems)) => problems,
            Err(other) => panic!("{other:?}"),
            Ok(opened) => match read(Directory { user, ..opened }) {
                FindError::Permissions(problems) => problems,
                other => panic!("{other:?}"),
            },
        };
        let problem = Problem::Owner { path: path.clone(), owner, user };
        assert!(found.contains(&problem), "{found:?}");
        let text = problem.to_string();
        assert!(
            text.contains(&format!("belongs to uid {owner}")) && text.contains(&format!("`chown {user} {}`", path.display())),
            "{text}"
        );
    }
}

#[test]
fn links_to_directories_are_followed_to_what_is_checked_and_links_to_files_are_refused() {
    let (root, directory) = tree();
    symlink("a", root.path().join("relative")).unwrap();
    symlink(&directory, root.path().join("absolute")).unwrap();
    for way in ["relative/b", "absolute", "relative/../absolute", "a/./b/../b"] {
        let opened = Directory::open(&root.path().join(way)).unwrap();
        assert_eq!(opened.read(OsStr::new("x.wasm"), 100).unwrap().unwrap(), b"content", "{way}");
    }
    mode(&root.path().join("a"), 0o777);
    assert_eq!(problems(&root.path().join("absolute")), [Problem::Writable { path: root.path().join("a"), mode: 0o777, above: true }]);
    mode(&root.path().join("a"), 0o755);
    symlink("x.wasm", directory.join("y.wasm")).unwrap();
    let refused = Directory::open(&directory).unwrap().read(OsStr::new("y.wasm"), 100).unwrap_err();
    assert!(matches!(&refused, FindError::NotAFile { what: "a symbolic link", .. }), "{refused}");
    assert!(refused.to_string().contains("cp --remove-destination"), "{refused}");
    symlink("loop", root.path().join("loop")).unwrap();
    assert!(matches!(Directory::open(&root.path().join("loop")), Err(WalkError::Io(..))));
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let (_root, directory) = tree();
    fs::create_dir(directory.join("d.wasm")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, directory.join("p.wasm"), Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.join("s.wasm")).unwrap();
    let opened = Directory::open(&directory).unwrap();
    for (name, expected) in [("d.wasm", "a directory"), ("p.wasm", "no file"), ("s.wasm", "no file")] {
        match opened.read(OsStr::new(name), 100) {
            Err(FindError::NotAFile { what, .. }) => assert_eq!(what, expected),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(opened.names().unwrap(), ["d.wasm", "p.wasm", "s.wasm", "x.wasm"]);
    assert!(opened.read(OsStr::new("none.wasm"), 100).unwrap().is_none());
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let (_root, directory) = tree();
    let opened = Directory::open(&directory).unwrap();
    assert!(opened.read(OsStr::new("x.wasm"), 7).unwrap().is_some());
    assert!(matches!(opened.read(OsStr::new("x.wasm"), 6), Err(FindError::TooLarge { limit: 6, .. })));
}

#[test]
fn a_command_takes_any_path() {
    let (_root, directory) = tree();
    let odd = directory.join("it's; rm -rf $HOME.wasm");
    fs::write(&odd, "").unwrap();
    mode(&odd, 0o666);
    let problem = Problem::Writable { path: odd.clone(), mode: 0o666, above: false }.to_string();
    let command = problem.split('`').nth(1).unwrap();
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    assert_eq!(fs::metadata(&odd).unwrap().permissions().mode() & 0o777, 0o644);
}
