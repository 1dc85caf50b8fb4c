use std::time::Instant;

use tokio::time::timeout;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Folders of which a put to `a/b/x` and one to `a/c/x` were the last to tell.
async fn filled() -> Arc<Folders> {
    let folders = Folders::new(true, Duration::ZERO);
    for text in ["a/b/x", "a/c/x"] {
        assert!(Put::begin(&folders, &key(text)).holds().await);
    }
    assert_eq!(folders.known(&key("a/b/y")), 2);
    folders
}

fn idle(folders: &Folders) -> bool {
    let running = folders.running();
    running.deletes.is_empty() && running.puts.iter().all(Option::is_none)
}

#[tokio::test]
async fn a_put_that_overlaps_nothing_holds_and_makes_its_folders_known() {
    let folders = filled().await;
    let leaf = key("a/b/c/y");
    let mut put = Put::begin(&folders, &leaf);
    assert_eq!(put.known, 2);
    assert!(put.holds().await);
    assert_eq!(folders.known(&leaf), 3);
    assert!(Put::begin(&folders, &key("leaf")).holds().await, "a leaf at the root has no folders");
    assert!(idle(&folders));
    assert!(folders.running().puts.len() == 1, "places are used again");
}

#[tokio::test]
async fn a_delete_begun_before_the_put_that_removed_a_hinted_folder_taints_it() {
    let folders = filled().await;
    let (gone, leaf) = (key("a/b/x"), key("a/b/y"));
    let delete = Delete::begin(&folders, &gone);
    let mut put = Put::begin(&folders, &leaf);
    assert_eq!(put.known, 2, "nothing is doubted in advance");
    delete.end(1);
    assert!(!put.holds().await);
    put.end();
    assert_eq!(folders.known(&leaf), 1, "nothing is learned of a put that was run again, and the folder is out");
    assert!(idle(&folders));
}

#[tokio::test]
async fn a_delete_begun_during_the_put_that_removed_a_hinted_folder_taints_it() {
    let folders = filled().await;
    let (gone, leaf) = (key("a/b/x"), key("a/b/y"));
    let mut put = Put::begin(&folders, &leaf);
    Delete::begin(&folders, &gone).end(1);
    assert!(!put.holds().await);
}

#[tokio::test]
async fn a_delete_ended_before_the_put_takes_the_folder_out_of_its_hint() {
    let folders = filled().await;
    Delete::begin(&folders, &key("a/b/x")).end(1);
    let leaf = key("a/b/y");
    let mut put = Put::begin(&folders, &leaf);
    assert_eq!(put.known, 1);
    assert!(put.holds().await);
    assert_eq!(folders.known(&leaf), 2);
}

#[tokio::test]
async fn a_delete_after_the_put_takes_the_folder_out() {
    let folders = filled().await;
    let leaf = key("a/b/y");
    assert!(Put::begin(&folders, &leaf).holds().await);
    Delete::begin(&folders, &leaf).end(2);
    assert_eq!(folders.known(&leaf), 0);
}

#[tokio::test]
async fn deletes_that_removed_nothing_or_something_else_taint_nothing() {
    let folders = filled().await;
    let leaf = key("a/b/y");
    for (gone, removed) in [("a/b/x", 0), ("a/c/x", 1), ("a/b/new/x", 1), ("z/b/x", 2), ("x", 0)] {
        let gone = key(gone);
        let delete = Delete::begin(&folders, &gone);
        let mut put = Put::begin(&folders, &leaf);
        delete.end(removed);
        assert!(put.holds().await, "{gone:?} {removed}");
        assert_eq!(folders.known(&leaf), 2);
    }
    assert_eq!(folders.known(&key("a/c/y")), 1);
}

#[tokio::test]
async fn a_put_waits_for_the_delete_that_it_overlaps() {
    let folders = filled().await;
    let (gone, leaf) = (key("a/b/x"), key("a/b/y"));
    for (removed, holds) in [(0, true), (1, false)] {
        let delete = Delete::begin(&folders, &gone);
        let mut put = Put::begin(&folders, &leaf);
        // It has looked, and waits, when the delete ends.
        let (held, ()) = tokio::join!(biased; put.holds(), async { delete.end(removed) });
        assert_eq!(held, holds, "{removed}");
    }
}

#[tokio::test]
async fn a_put_without_a_hint_waits_for_no_delete_and_learns_no_folder_that_one_removed() {
    let folders = Folders::new(true, Duration::ZERO);
    let (gone, leaf) = (key("a/b/x"), key("a/b/y"));
    let delete = Delete::begin(&folders, &gone);
    let at_once = timeout(Duration::ZERO, Put::begin(&folders, &leaf).holds()).await;
    assert_eq!(at_once, Ok(true), "it waited");
    assert_eq!(folders.known(&leaf), 2);
    delete.end(1);
    assert_eq!(folders.known(&leaf), 1, "the delete takes out at its end what it has removed");

    let folders = Folders::new(true, Duration::ZERO);
    let mut put = Put::begin(&folders, &leaf);
    Delete::begin(&folders, &gone).end(1);
    assert!(put.holds().await);
    assert_eq!(folders.known(&leaf), 1, "the delete has ended: what it removed is not learned");
}

#[tokio::test]
async fn a_delete_without_an_outcome_counts_as_having_removed_everything() {
    let folders = filled().await;
    let (gone, leaf) = (key("a/c/x"), key("a/b/y"));
    let mut put = Put::begin(&folders, &leaf);
    drop(Delete::begin(&folders, &gone));
    assert!(!put.holds().await);
    put.end();
    assert!(idle(&folders));
    // The folder `a/b/` itself was none of its key's.
    for gone in ["a/", "a/c/"] {
        assert!(folders.read().get(gone, folders.hash(gone)).is_none());
    }
}

#[tokio::test]
async fn a_put_that_failed_counts_as_having_removed_its_folders() {
    let folders = filled().await;
    let (failing, leaf) = (key("a/b/x"), key("a/b/y"));
    let failed = Put::begin(&folders, &failing);
    let mut put = Put::begin(&folders, &leaf);
    drop(failed);
    assert!(!put.holds().await);
    put.end();
    assert_eq!(folders.known(&leaf), 0);
    assert!(idle(&folders));
}

#[tokio::test]
async fn a_delete_that_does_not_end_taints_after_a_wait_that_only_the_first_put_has() {
    let folders = filled().await;
    let (gone, leaf) = (key("a/b/x"), key("a/b/y"));
    let delete = Delete::begin(&folders, &gone);
    for first in [true, false] {
        let begun = Instant::now();
        let mut put = Put::begin(&folders, &leaf);
        if first {
            assert!(!put.holds().await);
            assert!(begun.elapsed() >= WAIT, "{:?}", begun.elapsed());
        } else {
            assert_eq!(timeout(Duration::ZERO, put.holds()).await, Ok(false), "it waited");
        }
        put.end();
    }
    delete.end(0);
    assert!(Put::begin(&folders, &leaf).holds().await);
}

#[tokio::test]
async fn a_batch_tells_of_each_delete_and_learns_nothing() {
    let folders = filled().await;
    let (gone, new, leaf) = (key("a/b/x"), key("n/x"), key("a/b/y"));
    let operations = [Mutation::begin(&folders, &gone, true), Mutation::begin(&folders, &new, false)];
    let mut put = Put::begin(&folders, &leaf);
    for (operation, removed) in operations.into_iter().zip([1, 0]) {
        operation.end(removed);
    }
    assert!(!put.holds().await);
    assert_eq!(folders.known(&new), 0);
}

#[tokio::test]
async fn what_was_begun_before_forgetting_is_not_learned() {
    let folders = Folders::new(true, Duration::ZERO);
    let leaf = key("a/leaf");
    let mut put = Put::begin(&folders, &leaf);
    folders.forget();
    assert!(put.holds().await);
    assert_eq!(folders.known(&leaf), 0);
}
