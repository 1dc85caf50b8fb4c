//! Files of `coffer migrate`, those of examples/ among them.

use crate::config::{Environment, MigrationConfig, MigrationEnd, Raft, load_migration};
use std::path::Path;

fn load(text: &str) -> Result<MigrationConfig, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.hcl");
    std::fs::write(&path, text).unwrap();
    let text = |error: String| error.replace(&path.display().to_string(), "m.hcl");
    load_migration(&path, &Environment::default()).map_err(|error| text(error.to_string()))
}

fn example(name: &str) -> MigrationConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let config = load_migration(&path, &Environment::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
    config
}

fn kind(end: &MigrationEnd) -> String {
    match end {
        MigrationEnd::Storage(config) => config.storage.component.clone(),
        MigrationEnd::Snapshot(path) => path.display().to_string(),
        MigrationEnd::Raft(_) => "raft".to_owned(),
    }
}

#[test]
fn the_examples_name_the_ends_that_their_names_say() {
    for (name, source, destination) in [
        ("dynamodb-to-snapshot", "dynamodb", "/var/backups/vault/migrate.snap"),
        ("snapshot-to-dynamodb", "/var/backups/vault/vault.snap", "dynamodb"),
        ("snapshot-to-filesystem", "/var/backups/vault/vault.snap", "filesystem"),
        ("filesystem-to-dynamodb", "filesystem", "dynamodb"),
        ("dynamodb-to-raft", "dynamodb", "raft"),
    ] {
        let config = example(&format!("migrate-{name}.hcl"));
        assert_eq!((kind(&config.source).as_str(), kind(&config.destination).as_str()), (source, destination), "{name}");
    }
}

#[test]
fn raft_is_recognised_in_any_case_with_what_the_guide_writes() {
    let MigrationEnd::Raft(raft) = example("migrate-dynamodb-to-raft.hcl").destination else { panic!() };
    let [path, node_id, cluster_addr] =
        ["/opt/vault/data", "vault-1", "https://vault-1.example.com:8201"].map(|text| Some(text.to_owned()));
    assert_eq!(raft, Raft { path, node_id, cluster_addr });
    let source = "storage_source \"RAFT\" { path = \"/d\" } storage_destination \"file\" { path = \"/e\" }";
    assert!(load(source).unwrap_err().contains("raft snapshot save"));
}

#[test]
fn ends_are_read_as_a_servers_storage_and_share_the_blocks_beside_them() {
    let config = load(
        "plugin_directory = \"/p\"\nlog_level = \"debug\"\nplugin \"storage\" \"etcd\" { sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }\n\
         storage_source \"etcd\" { prefix = \"x\" }\nstorage_destination \"dynamodb\" { table = \"vault\" region = \"eu-west-1\" ha_enabled = \"true\" max_parallel = \"7\" }",
    )
    .unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.level, Some(crate::config::Level::Debug));
    let (MigrationEnd::Storage(source), MigrationEnd::Storage(destination)) = (config.source, config.destination) else { panic!() };
    assert!(source.storage.plugin.is_some() && destination.storage.ha.is_none());
    assert_eq!((source.plugin_directory, destination.storage.pool.size), (Some("/p".into()), 7));
    let idle = load(
        "plugin \"storage\" \"etcd\" { path = \"/e.wasm\" }\nstorage_source \"file\" { path = \"/a\" }\nstorage_destination \"file\" { path = \"/b\" }",
    );
    assert!(idle.unwrap().warnings[0].contains("is not used"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let from = "storage_source \"file\" { path = \"/a\" }\n";
    let to = "storage_destination \"raft_snapshot\" { path = \"/b\" }\n";
    for (text, said) in [
        (from.to_owned(), "exactly one \"storage_destination\" block is required"),
        (to.to_owned(), "exactly one \"storage_source\" block is required"),
        (format!("{from}{from}{to}"), "m.hcl:2:1: exactly one \"storage_source\" block is required"),
        (format!("{from}storage_destination \"raft_snapshot\" {{}}"), "path is missing"),
        (format!("{from}storage_destination \"raft_snapshot\" {{ path = \"\" }}"), "expected a file"),
        (format!("{from}storage_destination \"raft_snapshot\" {{ pth = \"/b\" }}"), "did you mean \"path\"?"),
        (format!("{from}{to}listener \"tcp\" {{}}"), "it is a key of the server's configuration"),
        (format!("{from}{to}storage \"file\" {{ path = \"/c\" }}"), "storage_source and storage_destination"),
        (format!("{from}storage_destination \"consul\" {{}}"), "storage \"consul\" is not supported"),
        (format!("{from}storage_destination \"raft\" {{}}\ncluster_addr = \"nonsense\""), "expected an address"),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.contains(said) && error.starts_with("m.hcl"), "{text}: {error}");
    }
    let directory = load_migration(Path::new("/"), &Environment::default()).unwrap_err();
    assert_eq!(directory.to_string(), "/: location is a directory, not a file");
}
