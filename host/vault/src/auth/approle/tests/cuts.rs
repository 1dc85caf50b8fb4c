//! The storage is cut off after every write of an operation; what the next server finds is whole.

use super::*;

/// Runs the operation with 0, 1, 2, … writes let through until it succeeds, each time from the same state; hands each state to a new server. How many
/// writes it takes of a storage to which every change is one, and of one that takes a batch as a whole.
async fn cut_everywhere(before: &Mount, operation: impl AsyncFn(&Mount) -> bool, check: impl AsyncFn(&Mount, bool)) -> [i64; 2] {
    let one_by_one = cut_on(async || before.reopened_one_by_one().await, &operation, &check).await;
    [one_by_one, cut_on(async || before.reopened().await, &operation, &check).await]
}

async fn cut_on(reopen: impl AsyncFn() -> Mount, operation: &impl AsyncFn(&Mount) -> bool, check: &impl AsyncFn(&Mount, bool)) -> i64 {
    for writes in 0.. {
        let mount = reopen().await;
        mount.cut.allow(writes);
        let done = operation(&mount).await;
        let after = mount.reopened().await;
        check(&after, done).await;
        if done {
            return writes;
        }
    }
    0
}

/// Every index points to something, and the other way round, once all is tidied.
async fn whole(mount: &Mount) {
    mount.method.tidy().await.unwrap();
    let mut secrets = 0;
    for folder in mount.view.list("secret_id/").await.unwrap() {
        secrets += mount.view.list(&format!("secret_id/{folder}")).await.unwrap().len();
    }
    assert_eq!(mount.view.list("accessor/").await.unwrap().len(), secrets);
}

#[tokio::test]
async fn a_use_that_was_answered_is_counted() {
    for uses in [1_u64, 2, 5] {
        let mount = Mount::new().await;
        mount.role("r", json!({})).await;
        mount.secret("r", "s", json!({ "num_uses": uses })).await;
        let writes = cut_everywhere(
            &mount,
            async |mount| mount.log_in("r", "s").await.is_ok(),
            async |mount, done| {
                let mut left = 0;
                while mount.log_in("r", "s").await.is_ok() {
                    left += 1;
                }
                // One that was not answered may be lost, but none is given twice.
                assert!(left + u64::from(done) <= uses && left + 1 >= uses, "{left} of {uses} are left, {done}");
                whole(mount).await;
                assert!(mount.view.list("accessor/").await.unwrap().is_empty());
            },
        )
        .await;
        assert_eq!(writes, [if uses == 1 { 2 } else { 1 }, 1]);
    }
}

#[tokio::test]
async fn a_secret_id_is_made_whole_or_not_at_all() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    let make = async |mount: &Mount| mount.write("role/r/custom-secret-id", json!({"secret_id": "s"})).await.is_ok();
    let writes = cut_everywhere(&mount, make, async |mount, done| {
        assert_eq!(mount.log_in("r", "s").await.is_ok(), done);
        whole(mount).await;
        assert!(done || mount.view.list("accessor/").await.unwrap().is_empty());
        assert_eq!(mount.write("role/r/custom-secret-id", json!({"secret_id": "s"})).await.is_ok(), !done);
    })
    .await;
    assert_eq!(writes, [2, 1]);
}

#[tokio::test]
async fn a_destruction_that_was_begun_has_taken_effect() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    mount.secret("r", "s", json!({})).await;
    let destroy = async |mount: &Mount| mount.write("role/r/secret-id/destroy", json!({"secret_id": "s"})).await.is_ok();
    let writes = cut_everywhere(&mount, destroy, async |mount, done| {
        let begun = mount.log_in("r", "s").await.is_err();
        assert!(begun || !done);
        assert!(destroy(mount).await);
        assert!(mount.log_in("r", "s").await.is_err());
        whole(mount).await;
    })
    .await;
    assert_eq!(writes, [2, 1]);
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted_whole_or_again() {
    let mount = Mount::new().await;
    let make = async |mount: &Mount| mount.write("role/r", json!({"role_id": "one"})).await.is_ok();
    cut_everywhere(&mount, make, async |mount, done| {
        assert_eq!(mount.method.role("r").await.unwrap().is_some(), done);
        assert!(make(mount).await);
        mount.secret("r", "s", json!({})).await;
        mount.log_in("one", "s").await.unwrap();
        // An id that was only half taken is free.
        mount.ask(Operation::Delete, "role/r", json!({})).await.unwrap();
        mount.role("other", json!({})).await;
        mount.write("role/other", json!({"role_id": "one"})).await.unwrap();
    })
    .await;

    assert!(make(&mount).await);
    mount.secret("r", "s", json!({})).await;
    let rename = async |mount: &Mount| mount.write("role/r/role-id", json!({"role_id": "two"})).await.is_ok();
    cut_everywhere(&mount, rename, async |mount, done| {
        let (one, two) = (mount.log_in("one", "s").await.is_ok(), mount.log_in("two", "s").await.is_ok());
        assert!(one != two && (two || !done), "{one} {two} {done}");
        assert!(rename(mount).await);
        mount.log_in("two", "s").await.unwrap();
        // The other one's index may be left, and means nothing.
        mount.role("other", json!({})).await;
        mount.write("role/other", json!({"role_id": "one"})).await.unwrap();
        mount.secret("other", "t", json!({})).await;
        mount.log_in("one", "t").await.unwrap();
    })
    .await;

    let delete = async |mount: &Mount| mount.ask(Operation::Delete, "role/r", json!({})).await.is_ok();
    cut_everywhere(&mount, delete, async |mount, done| {
        let refused = mount.log_in("one", "s").await.is_err();
        assert!(refused || !done);
        assert!(delete(mount).await);
        assert_eq!(mount.view.list("").await.unwrap(), ["salt"]);
    })
    .await;
}
