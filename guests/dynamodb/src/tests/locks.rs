//! Steps on a lock, also those whose answer was lost.

use cofferdam_guest::Error;
use cofferdam_guest::lock::Held;
use serde_json::json;

use super::fake::{Fake, Upset};
use super::store_with;
use crate::store::Store;

const KEY: &str = "core/lock";

fn store() -> (Store, std::sync::Arc<Fake>) {
    let (store, fake) = store_with(&[]);
    store.begin_lock();
    (store, fake)
}

fn held(identity: &str, expires: u64) -> Held {
    Held { value: b"leader".to_vec(), identity: identity.into(), expires }
}

fn read(store: &Store) -> Option<(String, u64)> {
    store.read_lock(KEY).unwrap().map(|held| (held.identity, held.expires))
}

#[test]
fn a_lock_is_the_item_that_vault_writes() {
    let (store, fake) = store();
    assert!(store.try_acquire(KEY, held("me", 1_700_000_000_000_000_000), None).unwrap());
    let item = fake.world().items[&("core".to_owned(), "_lock".to_owned())].clone();
    assert_eq!(
        json!(item),
        json!({
            "Path": { "S": "core" }, "Key": { "S": "_lock" }, "Value": { "B": "bGVhZGVy" }, "Identity": { "B": "bWU=" },
            "Expires": { "N": "1700000000000000000" },
        })
    );
    let back = store.read_lock(KEY).unwrap().unwrap();
    assert_eq!((back.value.as_slice(), back.identity.as_str(), back.expires), (b"leader".as_slice(), "me", 1_700_000_000_000_000_000));
}

#[test]
fn a_claim_needs_what_was_seen() {
    let (store, _fake) = store();
    assert!(!store.try_acquire(KEY, held("me", 1), Some(held("you", 1))).unwrap());
    assert!(store.try_acquire(KEY, held("me", 1), None).unwrap());
    assert!(!store.try_acquire(KEY, held("you", 2), None).unwrap());
    assert!(!store.try_acquire(KEY, held("you", 2), Some(held("me", 7))).unwrap());
    assert!(!store.try_acquire(KEY, held("you", 2), Some(held("", 1))).unwrap());
    assert!(store.try_acquire(KEY, held("you", 2), Some(held("me", 1))).unwrap());
    assert_eq!(read(&store), Some(("you".into(), 2)));
}

#[test]
fn only_the_holder_renews_and_releases() {
    let (store, _fake) = store();
    assert!(!store.renew(KEY, "me", 5).unwrap());
    assert_eq!(read(&store), None);
    assert!(store.try_acquire(KEY, held("me", 1), None).unwrap());
    assert!(store.renew(KEY, "me", 5).unwrap());
    assert!(!store.renew(KEY, "you", 6).unwrap());
    store.release(KEY, "you").unwrap();
    assert_eq!(read(&store), Some(("me".into(), 5)));
    store.release(KEY, "me").unwrap();
    store.release(KEY, "me").unwrap();
    assert_eq!(read(&store), None);
}

#[test]
fn a_lock_of_an_early_release_is_taken_over_by_what_it_lacks() {
    let (store, fake) = store();
    fake.plant("core", "_lock", json!({ "Value": { "B": "eA==" }, "Expires": { "N": "9" } }));
    assert_eq!(read(&store), Some((String::new(), 9)));
    assert!(!store.try_acquire(KEY, held("me", 10), Some(held("", 8))).unwrap());
    assert!(store.try_acquire(KEY, held("me", 10), Some(held("", 9))).unwrap());
    assert!(!store.try_acquire(KEY, held("you", 11), Some(held("", 9))).unwrap());
    fake.plant("core", "_lock", json!({ "Value": { "B": "eA==" } }));
    assert!(store.try_acquire(KEY, held("me", 10), Some(held("", 0))).unwrap());
}

#[test]
fn after_a_lost_answer_the_lock_itself_is_asked() {
    let (store, fake) = store();
    fake.upset([Upset::Lost]);
    assert!(store.try_acquire(KEY, held("me", 1), None).unwrap());
    assert_eq!(fake.operations(), ["UpdateItem", "UpdateItem", "GetItem"]);

    store.begin_lock();
    fake.upset([Upset::Answer(500, "InternalServerError")]);
    assert!(!store.try_acquire(KEY, held("you", 1), None).unwrap());
    store.begin_lock();
    fake.upset([Upset::Lost]);
    assert!(store.renew(KEY, "me", 2).unwrap());
    assert_eq!(read(&store), Some(("me".into(), 2)));

    store.begin_lock();
    fake.operations();
    assert!(!store.try_acquire(KEY, held("you", 1), None).unwrap());
    assert_eq!(fake.operations(), ["UpdateItem"]);
}

#[test]
fn a_step_does_not_try_for_long() {
    let (store, fake) = store();
    fake.world().always = Some(Upset::Answer(400, "ProvisionedThroughputExceededException"));
    assert!(matches!(store.renew(KEY, "me", 1), Err(Error::Throttled(_))));
    assert_eq!(fake.operations().len(), 3);
    assert!(fake.world().time.as_secs() < 3);
}

/// As long as mutations are fenced, each of their transactions is in the way of a renewal.
#[test]
fn a_step_gets_past_transactions_on_the_lock() {
    const CONFLICT: Upset = Upset::Answer(400, "TransactionConflictException");
    let (store, fake) = store();
    fake.upset(std::iter::repeat_n(CONFLICT, 10));
    assert!(store.try_acquire(KEY, held("me", 1), None).unwrap());
    assert_eq!(fake.operations().len(), 11);
    store.begin_lock();
    fake.upset(std::iter::repeat_n(CONFLICT, 10));
    store.release(KEY, "me").unwrap();
    assert_eq!(read(&store), None);

    store.begin_lock();
    fake.world().always = Some(CONFLICT);
    let before = fake.world().time;
    assert!(matches!(store.renew(KEY, "me", 1), Err(Error::Throttled(_))));
    assert!((fake.world().time - before).as_secs() < 3);
}
