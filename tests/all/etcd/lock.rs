//! Locks, and mutations that are bound to one.

use cofferdam_backend::{Fencing, Lock};

use super::*;
use crate::locks::{self, LOCK, acquire, claim};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_it_at_a_time() {
    let Some(ground) = Ground::new() else { return };
    let (one, other) = (ground.open().await.lock().unwrap(), ground.open().await.lock().unwrap());
    // Whoever asks again for what it holds already, since an answer was lost, has it.
    for _ in 0..2 {
        assert!(acquire(&*one, claim("one", "bar", 100), None).await);
    }
    one.release(&key(LOCK), "one").await.unwrap();
    locks::one_holds_it_at_a_time(&*one, &*other, u64::MAX).await;
    // Other locks are other locks, and none is an entry.
    assert!(one.try_acquire(&key("core"), claim("x", "", 1), None).await.unwrap());
    assert_eq!(one.read(&key("core")).await.unwrap().unwrap(), claim("x", "", 1));
    let storage = ground.open().await;
    assert!(list(&*storage, "").await.is_empty() && scan(&*storage, 1, 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_saw_the_same_one_gets_it() {
    let Some(ground) = Ground::new() else { return };
    let all: Vec<Arc<dyn Lock>> = join_all((0..6).map(async |_| ground.open().await.lock().unwrap())).await;
    locks::of_many_who_saw_the_same_one_gets_it(&all).await;
}

/// A guest whose mutations are bound to the lock, which it holds.
pub(crate) async fn fenced(ground: &Ground, identity: &str) -> (Arc<StorageBackend>, Arc<Lease>) {
    let lease = Lease::new(Fencing::Strict);
    let guest = ground.open_with(Some(Arc::clone(&lease))).await.unwrap();
    locks::hold(&guest, &lease, identity).await;
    (guest, lease)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_changes_nothing() {
    let Some(ground) = Ground::new() else { return };
    let (old, _held) = fenced(&ground, "old").await;
    put(&*old, "a/b/c", "old").await;
    put(&*old, "a/b/d", "old").await;
    // A renewal leaves the fence where it is.
    assert!(old.lock().unwrap().renew(&key(LOCK), "old", 2).await.unwrap());
    put(&*old, "a/b/c", "old still").await;
    // Another takes the lock, while the first believes that its lease goes on.
    let (new, _lease) = fenced(&ground, "new").await;
    let before = scan(&*new, 1, 100).await;
    locks::deposed(&*old).await;
    assert_eq!(scan(&*new, 1, 100).await, before);
    locks::succeeds(&new, &*old).await;
}
