//! No text makes the reading of a configuration panic, take long, or take much memory.

use std::cell::RefCell;

use cofferdam_fuzz::{TARGETS, Target, budget, drive, seed};
use tempfile::NamedTempFile;

use crate::config::{Environment, load};

thread_local! {
    /// Where a thread puts the text that it loads.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::with_suffix(".hcl").unwrap());
}

fn read(bytes: &[u8]) {
    let environment: Environment = [("VAULT_API_ADDR".to_owned(), "https://coffer-0:8200".to_owned())].into_iter().collect();
    FILE.with_borrow(|file| {
        std::fs::write(file.path(), bytes).unwrap();
        match load(&[file.path().to_owned()], &environment) {
            Ok(config) => assert!(!config.listeners.is_empty(), "a configuration without a listener is taken"),
            Err(error) => assert!(!error.to_string().is_empty(), "a configuration is refused without a word"),
        }
    });
}

#[test]
fn no_text_makes_it_panic() {
    // The seeds and words of the parser's own target.
    let parser = TARGETS.iter().find(|target| target.name == "configuration").unwrap();
    let whole = Target { name: "configuration_whole", run: read, ..*parser };
    let taken = (whole.seeds)().iter().filter(|seed| cofferdam_hcl::parse_bytes(seed).is_ok()).count();
    assert!(taken > 4, "{taken}");
    if let Err(finding) = drive(&whole, budget(), seed()) {
        panic!("{finding}");
    }
}
