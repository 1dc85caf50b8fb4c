//! The configurations of examples/ are read as they stand, without a warning.

use super::load_text;
use crate::config::{Config, Environment, load};
use cofferdam_backend::Fencing;
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn load_example(name: &str, environment: &[(&str, &str)]) -> Config {
    let environment: Environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let config = load(&[examples().join(name)], &environment).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
    config
}

/// Every file below the directory that ends so.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_configuration_is_read_without_a_warning() {
    let found = files(&examples(), "hcl");
    assert!(found.len() >= 9, "{found:?}");
    for path in found {
        let name = path.strip_prefix(examples()).unwrap().to_str().unwrap();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("migrate-")) {
            // For `coffer migrate`; `super::migrate` reads them.
            continue;
        }
        if name.starts_with("bench/") {
            // For `coffer bench`, whose crate reads them.
            continue;
        }
        if name.starts_with("proxy/") {
            // For `coffer proxy`; its own tests read them.
            continue;
        }
        if path.ends_with("trial.hcl") {
            // For `coffer plugin test`, which wants no more than the plugin's own stanza.
            let text = std::fs::read_to_string(&path).unwrap();
            let config = load_text(&format!("{text}\nstorage \"file\" {{ path = \"/d\" }}\nlistener \"tcp\" {{ tls_disable = true }}"));
            assert_eq!(config.map(|config| config.warnings), Ok(Vec::new()), "{name}");
            continue;
        }
        // In Kubernetes the address is each pod's own.
        load_example(name, &[("VAULT_API_ADDR", "https://coffer-0:8200")]);
    }
}

#[test]
fn the_pair_shares_a_table_and_differs_in_its_addresses() {
    let [one, two] = ["dynamodb/ha-a.hcl", "dynamodb/ha-b.hcl"].map(|name| load_example(name, &[]));
    assert_ne!(one.api_addr, two.api_addr);
    for config in [one, two] {
        assert_eq!(config.storage.ha.unwrap().fencing, Fencing::Lease);
        assert_eq!(config.storage.dynamodb.unwrap().table.name, "coffer-data");
    }
}

#[test]
fn the_table_of_one_server_is_created_as_its_comments_say() {
    let table = load_example("dynamodb/single-node.hcl", &[]).storage.dynamodb.unwrap().table;
    assert_eq!((table.billing_mode.as_str(), table.tags["application"].as_str()), ("PAY_PER_REQUEST", "coffer"));
    assert!(table.point_in_time_recovery && table.deletion_protection);
}

#[test]
fn each_seal_says_what_its_comments_say() {
    let seals = |name: &str| load_example(&format!("awskms/{name}.hcl"), &[]).seals.active;
    let [plain, endpoint, other] = ["plain", "vpc-endpoint", "cross-account"].map(|name| {
        let [seal] = seals(name).try_into().unwrap();
        seal.awskms.unwrap()
    });
    assert_eq!((plain.key_id.as_str(), plain.access.endpoint), ("alias/coffer-unseal", None));
    assert_eq!((endpoint.access.region.as_deref(), endpoint.access.endpoint.is_some()), (Some("eu-central-1"), true));
    assert!(other.access.identity.role_arn.is_some() && other.access.identity.external_id.is_some());
    assert_eq!(other.previous_key_ids, Some(Vec::new()));
    let [first, second] = seals("two-regions").try_into().unwrap();
    assert_eq!((first.priority, second.priority), (1, 2));
    assert!(first.name != second.name && first.awskms.unwrap().access.region != second.awskms.unwrap().access.region);
}

#[test]
fn the_config_map_holds_the_file_beside_it() {
    let text = |name: &str| std::fs::read_to_string(examples().join("dynamodb/eks").join(name)).unwrap();
    let manifests = text("coffer.yaml");
    let (_, map) = manifests.split_once("  coffer.hcl: |\n").unwrap();
    let map: Vec<&str> = map.lines().take_while(|line| *line != "---").map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let settings = |lines: &[&str]| {
        let lines = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(settings(&map), settings(&text("coffer.hcl").lines().collect::<Vec<_>>()));
    load_text(&format!("{}\napi_addr = \"https://coffer-0:8200\"", map.join("\n"))).unwrap();
}
