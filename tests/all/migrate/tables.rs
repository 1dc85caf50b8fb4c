//! Tables in Vault's layout with what years leave in them, to a directory and back into another table.

use std::collections::BTreeMap;
use std::path::Path;

use cofferdam_emulator::{Client, Dynalite};
use cofferdam_tests::table::{Table, item, lost, primary};
use serde_json::json;

use super::{DONE, config, directory, fresh, run, stored};

pub(super) fn table(endpoint: &str, name: &str) -> String {
    format!(
        "\"dynamodb\" {{ endpoint = \"{endpoint}\" region = \"eu-central-1\" table = \"{name}\" ha_enabled = \"true\" \
         access_key = \"AKIDEXAMPLE\" secret_key = \"example\" }}"
    )
}

/// Fills a table as old releases and Vault's own faults leave one; gives back the entries in it.
async fn fill(endpoint: &str) -> BTreeMap<String, Vec<u8>> {
    Client::new(endpoint).create_table("old").await.unwrap();
    let table = Table::new(endpoint, "old");
    let mut expected = BTreeMap::new();
    for number in 0..60 {
        let (key, value) = (format!("logical/m{}/k{number}", number % 3), format!("v{number}"));
        table.put_item(item(&key, value.as_bytes())).await.unwrap();
        expected.insert(key, value.into_bytes());
    }
    // The marks of folders: some are there, those of others have vanished.
    for mark in ["logical/", "core/"] {
        table.put_item(item(mark, b"")).await.unwrap();
    }
    // A leaf that Vault's listing takes for a lock, a leaf beside a folder of its name, one at the root, and an empty value.
    for (key, value) in [("core/_hidden", "1"), ("_root", "2"), ("a/foo", "3"), ("a/foo/bar", "4"), ("top", "5"), ("core/empty", "")] {
        table.put_item(item(key, value.as_bytes())).await.unwrap();
        expected.insert(key.to_owned(), value.as_bytes().to_vec());
    }
    // Values of early releases: base64 as text; none at all.
    let mut text = primary("sys/old/text");
    text["Value"] = json!({"S": "b2xk"});
    table.put_item(text).await.unwrap();
    expected.insert("sys/old/text".to_owned(), b"old".to_vec());
    table.put_item(primary("sys/old/none")).await.unwrap();
    expected.insert("sys/old/none".to_owned(), Vec::new());
    // The lock of servers, which is no entry.
    let mut lock = item("core/_lock", b"leader");
    lock["Identity"] = json!({"B": "aWQ="});
    lock["Expires"] = json!({"N": "1"});
    table.put_item(lock).await.unwrap();
    expected
}

async fn check(endpoint: &str, name: &str, expected: &BTreeMap<String, Vec<u8>>) {
    let table = Table::new(endpoint, name);
    let entries: BTreeMap<String, Vec<u8>> = table.entries().await.unwrap().into_iter().map(|(key, value)| (key, value.to_vec())).collect();
    assert_eq!(&entries, expected);
    assert!(lost(&table.items().await.unwrap()).is_empty(), "folders without marks");
}

fn large(root: &Path) {
    super::store(root, "logical/large", &vec![7; 500_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_in_a_table_goes_to_a_directory_and_into_another_table() {
    let dynalite = Dynalite::start(0).unwrap();
    let endpoint = dynalite.endpoint();
    let expected = fill(endpoint).await;
    let dir = tempfile::tempdir().unwrap();
    let to = fresh(dir.path(), "to");
    let said = run(&config(dir.path(), &table(endpoint, "old"), &directory(&to)), &[], 0);
    assert!(said.contains(DONE), "{said}");
    assert_eq!(stored(&to), expected);
    // Into a table that is made, and from table to table.
    run(&config(dir.path(), &directory(&to), &table(endpoint, "new")), &[], 0);
    check(endpoint, "new", &expected).await;
    run(&config(dir.path(), &table(endpoint, "old"), &table(endpoint, "third")), &["-max-parallel=3", "-skip-count"], 0);
    check(endpoint, "third", &expected).await;
    let same = run(&config(dir.path(), &table(endpoint, "old"), &table(endpoint, "old")), &[], 1);
    assert!(same.contains("are the same"), "{same}");

    // What no item can hold is named before anything is written, and nothing is locked.
    large(&to);
    let refused = run(&config(dir.path(), &directory(&to), &table(endpoint, "fourth")), &[], 2);
    assert!(refused.contains("\"logical/large\": value too large: 500000 bytes") && refused.contains("Nothing was copied"), "{refused}");
    assert!(Table::new(endpoint, "fourth").items().await.unwrap().is_empty());
    assert!(!to.join("core/_migration").exists());
}
