//! What a put and a delete cost, as the crate's documentation says, beside what they cost in Vault.

use serde_json::{Value, json};

use super::fake::Fake;
use super::{model, store};

/// Requests, write units and read units of small items.
fn costs(fake: &Fake) -> [usize; 3] {
    let sent = std::mem::take(&mut fake.world().sent);
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let mut costs = [sent.len(), 0, 0];
    for (operation, body) in &sent {
        let (writes, reads) = match operation.as_str() {
            "PutItem" | "DeleteItem" => (1, 0),
            "BatchWriteItem" => (count(&body["RequestItems"]["vault"]), 0),
            "BatchGetItem" => (0, count(&body["RequestItems"]["vault"]["Keys"])),
            "Query" => (0, 1),
            "TransactWriteItems" => (2 * count(&body["TransactItems"]), 0),
            other => panic!("{other}"),
        };
        costs[1] += writes;
        costs[2] += reads;
    }
    costs
}

#[test]
fn puts_and_deletes_cost_what_is_documented() {
    for depth in [1, 3, 6] {
        let folders: String = (0..depth).map(|level| format!("f{level}/")).collect();
        let (store, fake) = store();
        let depth32 = u32::try_from(depth).unwrap();
        let first = format!("{folders}first");
        store.put(&first, vec![1; 900], 0).unwrap();
        assert_eq!(costs(&fake), [3, depth + 1, depth]);
        store.put(&format!("{folders}second"), vec![1; 900], 0).unwrap();
        assert_eq!(costs(&fake), [2, 1, depth]);
        store.put(&format!("{folders}third"), vec![1; 900], depth32).unwrap();
        assert_eq!(costs(&fake), [1, 1, 0]);
        // Vault writes the leaf and every mark, each time: depth + 1 units.

        for last in ["third", "second"] {
            store.delete(&format!("{folders}{last}")).unwrap();
            model::prune(&store, &format!("{folders}{last}"));
            assert_eq!(costs(&fake), [2, 1, 1]);
        }
        store.delete(&first).unwrap();
        model::prune(&store, &first);
        assert_eq!(costs(&fake), [1 + 2 * depth, depth + 1, depth]);
        assert_eq!(fake.places(), Vec::<String>::new());

        fake.plant("core", "_lock", json!({ "Identity": { "B": "bWU=" } }));
        fake.world().fence = Some(cofferdam_guest::fencing::Fence { key: "core/lock".into(), identity: "me".into() });
        store.put(&first, vec![1; 900], depth32).unwrap();
        assert_eq!(costs(&fake), [1, 4, 0]);
    }
}
