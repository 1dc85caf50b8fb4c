//! Locks, and mutations that are bound to one.

use std::time::Duration;

use cofferdam_backend::{BootInstant, Fence, Fencing, Held, Lock, Operation};

use super::*;
use crate::conformance::delete;

const LOCK: &str = "core/lock";

fn claim(identity: &str, value: &'static str, expires: u64) -> Held {
    Held { value: value.into(), identity: identity.to_owned(), expires }
}

async fn read(lock: &dyn Lock) -> Option<Held> {
    lock.read(&key(LOCK)).await.unwrap()
}

async fn acquire(lock: &dyn Lock, claim: Held, seen: Option<Held>) -> bool {
    lock.try_acquire(&key(LOCK), claim, seen).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_it_at_a_time() {
    let Some(ground) = Ground::new() else { return };
    let (one, other) = (ground.open().await.lock().unwrap(), ground.open().await.lock().unwrap());
    assert_eq!(read(&*one).await, None);
    assert!(acquire(&*one, claim("one", "bar", 100), None).await);
    let seen = read(&*other).await.unwrap();
    assert_eq!(seen, claim("one", "bar", 100));
    assert!(!acquire(&*other, claim("other", "baz", 200), None).await);
    for stale in [claim("one", "bar", 99), claim("nobody", "bar", 100), claim("", "bar", 100)] {
        assert!(!acquire(&*other, claim("other", "baz", 200), Some(stale)).await);
    }
    assert_eq!(read(&*one).await.unwrap(), seen);
    // Whoever asks again for what it holds already, since an answer was lost, has it.
    assert!(acquire(&*one, claim("one", "bar", 100), None).await);

    // A renewal voids what was seen before it; strangers renew and release nothing.
    assert!(one.renew(&key(LOCK), "one", 150).await.unwrap());
    assert!(!acquire(&*other, claim("other", "baz", 200), Some(seen)).await);
    assert!(!other.renew(&key(LOCK), "other", 300).await.unwrap());
    other.release(&key(LOCK), "other").await.unwrap();
    assert_eq!(read(&*one).await.unwrap(), claim("one", "bar", 150));

    // Released, it is gone, and no renewal brings it back.
    one.release(&key(LOCK), "one").await.unwrap();
    assert_eq!(read(&*other).await, None);
    assert!(!one.renew(&key(LOCK), "one", 160).await.unwrap());
    assert_eq!(read(&*other).await, None);
    one.release(&key(LOCK), "one").await.unwrap();
    assert!(!acquire(&*other, claim("other", "baz", 200), Some(claim("one", "bar", 150))).await);
    assert!(acquire(&*other, claim("other", "baz", 200), None).await);

    // Taken over by whoever saw what is stored. Whether the time for that has come is the host's to say.
    let seen = read(&*one).await;
    assert!(acquire(&*one, claim("one again", "bar", u64::MAX), seen).await);
    assert!(!other.renew(&key(LOCK), "other", 400).await.unwrap());
    assert_eq!(read(&*other).await.unwrap(), claim("one again", "bar", u64::MAX));
    // Other locks are other locks, and none is an entry.
    assert!(one.try_acquire(&key("core"), claim("x", "", 1), None).await.unwrap());
    assert_eq!(one.read(&key("core")).await.unwrap().unwrap(), claim("x", "", 1));
    let storage = ground.open().await;
    assert!(list(&*storage, "").await.is_empty() && scan(&*storage, 1, 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_saw_the_same_one_gets_it() {
    let Some(ground) = Ground::new() else { return };
    let locks: Vec<Arc<dyn Lock>> = join_all((0..6).map(async |_| ground.open().await.lock().unwrap())).await;
    let mut seen = None;
    for round in 0..10 {
        let names: Vec<String> = (0..locks.len()).map(|number| format!("{round}-{number}")).collect();
        let tries = locks.iter().zip(&names).map(|(lock, name)| acquire(&**lock, claim(name, "v", round), seen.clone()));
        let won: Vec<&String> = join_all(tries).await.into_iter().zip(&names).filter_map(|(won, name)| won.then_some(name)).collect();
        seen = read(&*locks[0]).await;
        assert!(won.len() == 1 && *won[0] == seen.as_ref().unwrap().identity, "{won:?} won, {seen:?} is stored");
    }
}

/// A guest whose mutations are bound to the lock, which it holds.
pub(crate) async fn fenced(ground: &Ground, identity: &str) -> (Arc<StorageBackend>, Arc<Lease>) {
    let lease = Lease::new(Fencing::Strict);
    let guest = ground.open_with(Some(Arc::clone(&lease))).await.unwrap();
    let lock = guest.lock().unwrap();
    let seen = read(&*lock).await;
    assert!(acquire(&*lock, claim(identity, "v", 1), seen).await);
    let end = BootInstant::now().after(Duration::from_secs(600));
    lease.begin(Fence { key: key(LOCK), identity: identity.to_owned() }, end);
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
    let conflict = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
    conflict(old.put(&key("a/b/c"), "late".into()).await);
    conflict(old.put(&key("x/y/z"), "late".into()).await);
    conflict(old.delete(&key("a/b/c")).await);
    conflict(old.batch(vec![Operation::Put(key("q"), "late".into()), Operation::Delete(key("a/b/d"))]).await);
    assert_eq!(scan(&*new, 1, 100).await, before);
    put(&*new, "a/b/c", "new").await;
    delete(&*new, "a/b/d").await;
    assert_eq!(get(&*old, "a/b/c").await.unwrap(), "new");
    // Without any lock no fenced mutation takes effect either.
    new.lock().unwrap().release(&key(LOCK), "new").await.unwrap();
    conflict(new.delete(&key("a/b/c")).await);
    assert_eq!(list(&*new, "a/b/").await, ["c"]);
}
