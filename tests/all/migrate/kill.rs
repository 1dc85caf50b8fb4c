//! kill -9 of the migration, again and again, at no chosen moment.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::{DONE, command, config, directory, fresh, store, stored};
use crate::e2e::process::text;

const ENTRIES: usize = 6_000;
const KILLS: usize = 5;

/// How many entries are at the destination, roughly: only the folders that the entries are in are looked into.
fn arrived(root: &Path) -> usize {
    (0..20).filter_map(|folder| fs::read_dir(root.join(format!("logical/{folder}"))).ok()).map(Iterator::count).sum()
}

#[test]
fn killed_anywhere_and_run_again_it_comes_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (fresh(dir.path(), "from"), fresh(dir.path(), "to"));
    for number in 0..ENTRIES {
        store(&from, &format!("logical/{}/k{number}", number % 20), format!("{number}:").repeat(1 + number % 90).as_bytes());
    }
    store(&from, "core/lock", b"a former leader");
    let config = config(dir.path(), &directory(&from), &directory(&to));
    let mut expected = stored(&from);
    expected.remove("core/lock");
    let mut kills = 0;
    loop {
        let mut child = command(&config, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let at = (kills + 1) * ENTRIES / (KILLS + 2);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if kills < KILLS && arrived(&to) >= at {
                break None;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        if ended.is_none() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        match ended {
            Some(status) => {
                assert!(status.success() && text(&output).contains(DONE), "{status}: {}", text(&output));
                assert!(kills == 0 || text(&output).contains("an earlier run had stopped"), "{}", text(&output));
                break;
            }
            None => {
                kills += 1;
                // Neither end may be taken for a store that nobody works at.
                assert!(to.join("core/_migration").exists() && from.join("core/_migration").exists());
            }
        }
    }
    assert!(kills > 0, "it was never killed");
    assert_eq!(stored(&to), expected);
    assert!(!from.join("core/_migration").exists());
}
