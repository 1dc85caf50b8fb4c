//! The files of examples/bench are read as they stand.

use crate::Config;
use crate::RunArguments;
use std::path::Path;

#[test]
fn every_example_is_read_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bench");
    let variables = |name: &str| (name == "VAULT_TOKEN").then(|| "root".to_owned());
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let arguments = RunArguments { config: Some(entry.unwrap().path()), repeat: 1, ..RunArguments::default() };
        let config = Config::load(&arguments, &variables).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        found += 1;
    }
    assert!(found >= 2);
}
