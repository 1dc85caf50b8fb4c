use std::time::Duration;

use tokio::time::timeout;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn blocked(future: impl Future) -> bool {
    timeout(Duration::from_millis(20), future).await.is_err()
}

#[tokio::test]
async fn puts_share_their_folders_and_a_delete_has_them_alone() {
    let folders = Folders::new(false);
    let put = folders.put(&key("a/b")).await;
    assert!(!blocked(folders.put(&key("a/c/d"))).await);
    assert!(blocked(folders.delete(&key("a/x"))).await);
    drop(put);
    let delete = folders.delete(&key("a/x")).await;
    assert!(blocked(folders.put(&key("a/b"))).await);
    assert!(blocked(folders.delete(&key("a/b"))).await);
    assert!(!blocked(folders.put(&key("a"))).await, "a leaf at the root has no folder");
    drop(delete);
    assert!(!blocked(folders.put(&key("a/b"))).await);
}

#[tokio::test]
async fn a_batch_holds_alone_what_it_deletes_and_shares_the_rest() {
    let folders = Folders::new(false);
    let (put, delete, both) = (key("p/1"), key("d/1"), key("d/2"));
    let held = folders.batch([(&put, false), (&both, false), (&delete, true)].into_iter()).await;
    assert!(!blocked(folders.put(&key("p/2"))).await);
    assert!(blocked(folders.delete(&key("p/2"))).await);
    assert!(blocked(folders.put(&key("d/3"))).await);
    drop(held);
}

#[tokio::test]
async fn folders_are_known_after_a_put_and_not_after_the_delete_that_removed_them() {
    let folders = Folders::new(false);
    let leaf = key("a/b/c/leaf");
    let turn = folders.put(&leaf).await;
    assert_eq!(folders.known(&leaf), 0);
    folders.established(&turn, &leaf, 0);
    drop(turn);
    assert_eq!(folders.known(&leaf), 3);
    assert_eq!(folders.known(&key("a/b/x/y")), 2);
    assert_eq!(folders.known(&key("z/y")), 0);

    let turn = folders.delete(&leaf).await;
    assert_eq!(folders.doubt(&leaf), 3);
    assert_eq!(folders.known(&leaf), 0, "a delete that is cut short leaves nothing known");
    folders.learn(&turn, &leaf, 3 - 2);
    assert_eq!(folders.known(&leaf), 1);
}

#[tokio::test]
async fn what_was_learned_before_forgetting_does_not_come_back() {
    let folders = Folders::new(false);
    let leaf = key("a/leaf");
    let turn = folders.put(&leaf).await;
    folders.forget();
    folders.established(&turn, &leaf, 0);
    assert_eq!(folders.known(&leaf), 0);
    drop(turn);
    let turn = folders.put(&leaf).await;
    folders.established(&turn, &leaf, 0);
    assert_eq!(folders.known(&leaf), 1);
}

#[tokio::test]
async fn the_set_is_bounded() {
    let folders = Folders::new(false);
    let turn = folders.put(&key("a/b")).await;
    for n in 0..MOST * 2 {
        folders.established(&turn, &key(&format!("f{n}/leaf")), 0);
    }
    assert!(folders.read().folders.len() <= MOST);
}
