//! What must hold of a lock that several servers share, and of mutations that are bound to it, whatever the storage.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{BootInstant, Error, Fence, Held, Lease, Lock, Operation, Storage};
use cofferdam_runtime::StorageBackend;
use futures_util::future::join_all;

use crate::conformance::{delete, get, key, list, put};

pub(crate) const LOCK: &str = "core/lock";

pub(crate) fn claim(identity: &str, value: &'static str, expires: u64) -> Held {
    Held { value: value.into(), identity: identity.to_owned(), expires }
}

pub(crate) async fn read(lock: &dyn Lock) -> Option<Held> {
    lock.read(&key(LOCK)).await.unwrap()
}

pub(crate) async fn acquire(lock: &dyn Lock, claim: Held, seen: Option<Held>) -> bool {
    lock.try_acquire(&key(LOCK), claim, seen).await.unwrap()
}

/// Two servers, and a lock that nobody holds; in the end "one again" holds it until `last`.
pub(crate) async fn one_holds_it_at_a_time(one: &dyn Lock, other: &dyn Lock, last: u64) {
    assert_eq!(read(one).await, None);
    assert!(acquire(one, claim("one", "bar", 100), None).await);
    // Who does not hold it sees who does, with the value.
    let seen = read(other).await.unwrap();
    assert_eq!(seen, claim("one", "bar", 100));
    assert!(!acquire(other, claim("other", "baz", 200), None).await);
    for stale in [claim("one", "bar", 99), claim("nobody", "bar", 100), claim("", "bar", 100)] {
        assert!(!acquire(other, claim("other", "baz", 200), Some(stale)).await);
    }
    assert_eq!(read(one).await.unwrap(), seen);

    // A renewal voids what was seen before it; strangers renew and release nothing.
    assert!(one.renew(&key(LOCK), "one", 150).await.unwrap());
    assert!(!acquire(other, claim("other", "baz", 200), Some(seen)).await);
    assert!(!other.renew(&key(LOCK), "other", 300).await.unwrap());
    other.release(&key(LOCK), "other").await.unwrap();
    assert_eq!(read(one).await.unwrap(), claim("one", "bar", 150));

    // Released, it is gone, and no renewal brings it back.
    one.release(&key(LOCK), "one").await.unwrap();
    assert_eq!(read(other).await, None);
    assert!(!one.renew(&key(LOCK), "one", 160).await.unwrap());
    assert_eq!(read(other).await, None);
    one.release(&key(LOCK), "one").await.unwrap();
    assert!(!acquire(other, claim("other", "baz", 200), Some(claim("one", "bar", 150))).await);
    assert!(acquire(other, claim("other", "baz", 200), None).await);

    // Taken over by whoever saw what is stored. Whether the time for that has come is the host's to say.
    let seen = read(one).await;
    assert!(acquire(one, claim("one again", "bar", last), seen).await);
    assert!(!other.renew(&key(LOCK), "other", 400).await.unwrap());
    other.release(&key(LOCK), "other").await.unwrap();
    assert_eq!(read(other).await.unwrap(), claim("one again", "bar", last));
}

/// Each lock is another server's.
pub(crate) async fn of_many_who_saw_the_same_one_gets_it(locks: &[Arc<dyn Lock>]) {
    let mut seen = None;
    for round in 0..10 {
        let names: Vec<String> = (0..locks.len()).map(|number| format!("{round}-{number}")).collect();
        let tries = locks.iter().zip(&names).map(|(lock, name)| acquire(&**lock, claim(name, "v", round), seen.clone()));
        let won: Vec<&String> = join_all(tries).await.into_iter().zip(&names).filter_map(|(won, name)| won.then_some(name)).collect();
        seen = read(&*locks[0]).await;
        assert!(won.len() == 1 && *won[0] == seen.as_ref().unwrap().identity, "{won:?} won, {seen:?} is stored");
    }
}

/// Has a guest that was opened with the lease take the lock, so that its mutations are bound to it.
pub(crate) async fn hold(guest: &StorageBackend, lease: &Lease, identity: &str) {
    let lock = guest.lock().unwrap();
    let seen = read(&*lock).await;
    assert!(acquire(&*lock, claim(identity, "v", 1), seen).await);
    let end = BootInstant::now().after(Duration::from_secs(600));
    lease.begin(Fence { key: key(LOCK), identity: identity.to_owned() }, end);
}

fn conflict(result: Result<(), Error>) {
    assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
}

/// None of the mutations of a leader that has lost the lock takes effect.
pub(crate) async fn deposed(old: &dyn Storage) {
    conflict(old.put(&key("a/b/c"), "late".into()).await);
    conflict(old.put(&key("x/y/z"), "late".into()).await);
    conflict(old.delete(&key("a/b/c")).await);
    conflict(old.batch(vec![Operation::Put(key("q"), "late".into()), Operation::Delete(key("a/b/d"))]).await);
}

/// The new leader's mutations take effect on the `a/b/c` and `a/b/d` of the old one, until it releases the lock.
pub(crate) async fn succeeds(new: &StorageBackend, old: &dyn Storage) {
    put(new, "a/b/c", "new").await;
    delete(new, "a/b/d").await;
    assert_eq!(get(old, "a/b/c").await.unwrap(), "new");
    // Without any lock no fenced mutation takes effect either.
    new.lock().unwrap().release(&key(LOCK), "new").await.unwrap();
    conflict(new.delete(&key("a/b/c")).await);
    assert_eq!(list(new, "a/b/").await, ["c"]);
}
