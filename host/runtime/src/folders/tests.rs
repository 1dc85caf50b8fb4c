use std::time::Duration;

use cofferdam_backend::Error;
use tokio::time::{sleep, timeout};

use super::prune::{Delete, Pruning};
use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

impl Folders {
    /// How many of the key's folders, counted from the root, are known to exist.
    pub(super) fn known(&self, key: &Key) -> u32 {
        self.known_at(key).0
    }

    pub(super) fn path(&self, text: &str) -> Path {
        Path::new(self, &key(text))
    }

    async fn turn(&self, text: &str) -> Turn {
        self.share(std::iter::once(&self.path(text))).await
    }
}

fn folders() -> Arc<Folders> {
    Folders::new(false, Duration::from_secs(60))
}

async fn put(folders: &Folders, text: &str) {
    let _turn = folders.turn(text).await;
    Put::begin(folders, &folders.path(text)).unwrap().end();
}

/// Deletes, and returns what is asked of the guest then, which finds nothing below any folder.
async fn delete(folders: &Arc<Folders>, text: &str) -> Vec<String> {
    let path = folders.path(text);
    drop(Delete::begin(folders, &path));
    prune(folders, text, |_| true).await
}

async fn prune(folders: &Arc<Folders>, text: &str, empty: fn(&str) -> bool) -> Vec<String> {
    let asked = Mutex::new(Vec::new());
    let suspects = folders.suspects(std::iter::once(&folders.path(text)));
    let call = async |pruning: Pruning| {
        asked.lock().unwrap().push(pruning.folder().to_owned());
        let empty = empty(pruning.folder());
        pruning.end(empty);
        Ok(empty)
    };
    let (result, deferred) = folders.sweep(suspects, Duration::from_secs(60), call).await;
    result.unwrap();
    assert!(deferred.is_none());
    asked.into_inner().unwrap()
}

/// A prune of the key's deepest folder that is given up.
async fn given_up(folders: &Arc<Folders>, text: &str) -> Error {
    let suspects = folders.suspects(std::iter::once(&folders.path(text)));
    let call = async |pruning: Pruning| {
        drop(pruning);
        Err(Error::TimedOut(Duration::ZERO))
    };
    folders.sweep(suspects, Duration::from_secs(60), call).await.0.unwrap_err()
}

async fn blocked(future: impl Future) -> bool {
    timeout(Duration::from_millis(20), future).await.is_err()
}

async fn passes(future: impl Future) -> bool {
    timeout(Duration::from_secs(60), future).await.is_ok()
}

#[test]
fn a_path_has_its_folders_with_what_is_below_them() {
    let folders = folders();
    let hash = |text: &str| folders.hash(text);
    let expected = [("a/", hash("a/"), hash("a/b/")), ("a/b/", hash("a/b/"), hash("a/b/c"))];
    assert_eq!(folders.path("a/b/c").steps().collect::<Vec<_>>(), expected);
    assert_eq!(folders.path("a").steps().count(), 0);
    assert_eq!(folders.path("a").hash(), hash("a"));
}

#[tokio::test]
async fn puts_wait_for_a_prune_of_their_folders_and_for_nothing_else() {
    let folders = folders();
    let turn = folders.turn("a/b/c").await;
    assert!(passes(folders.turn("a/b/d")).await);
    let sweep = |text: &str, hang: bool| {
        let (folders, path) = (Arc::clone(&folders), folders.path(text));
        async move {
            let suspects = folders.suspects(std::iter::once(&path));
            let call = async |pruning: Pruning| {
                if hang {
                    sleep(Duration::from_secs(60)).await;
                }
                pruning.end(false);
                Ok(false)
            };
            folders.sweep(suspects, Duration::from_secs(60), call).await
        }
    };
    assert!(blocked(sweep("a/b/x", false)).await, "a put is under way below");
    assert!(passes(sweep("a/x/y", false)).await);
    drop(turn);
    let hanging = tokio::spawn(sweep("a/b/x", true));
    sleep(Duration::from_millis(10)).await;
    assert!(blocked(folders.turn("a/b/c")).await);
    assert!(blocked(folders.turn("a/b/c/d")).await, "also far below it");
    for elsewhere in ["a/c", "a/c/d", "b", "leaf"] {
        assert!(passes(folders.turn(elsewhere)).await, "{elsewhere}");
    }
    // A delete of a key whose folder has another in it does not wait either.
    put(&folders, "z/1").await;
    assert!(passes(delete(&folders, "z/2")).await);
    hanging.abort();
    _ = hanging.await;
    assert!(passes(folders.turn("a/b/c")).await);
}

#[tokio::test]
async fn batches_that_share_stripes_never_wait_for_each_other() {
    let folders = folders();
    let paths: Vec<Path> = (0..3000).map(|n| folders.path(&format!("f{n}/leaf"))).collect();
    let _one = folders.share(paths.iter()).await;
    assert!(passes(folders.share(paths.iter().rev())).await);
}

#[tokio::test]
async fn folders_are_known_after_a_put_and_not_after_their_prune() {
    let folders = folders();
    let leaf = key("a/b/c/leaf");
    assert_eq!(folders.known(&leaf), 0);
    put(&folders, "a/b/c/leaf").await;
    assert_eq!(folders.known(&leaf), 3);
    assert_eq!(folders.known(&key("a/b/x/y")), 2);
    assert_eq!(folders.known(&key("z/y")), 0);
    assert_eq!(delete(&folders, "a/b/c/leaf").await, ["a/b/c/", "a/b/", "a/"]);
    assert_eq!(folders.known(&leaf), 0);

    put(&folders, "a/b/c/leaf").await;
    assert_eq!(prune(&folders, leaf.as_str(), |folder| folder == "a/b/c/").await, ["a/b/c/", "a/b/"], "the first that stays ends it");
    assert_eq!(folders.known(&leaf), 2, "what was known and stays is known again");
    folders.forget();
    assert_eq!(prune(&folders, leaf.as_str(), |_| false).await, ["a/b/c/"]);
    assert_eq!(folders.known(&leaf), 0, "what stays was seen to be full, not to have its mark");
}

#[tokio::test]
async fn a_witness_saves_the_prune_until_it_is_deleted_itself() {
    let folders = folders();
    put(&folders, "a/b/1").await;
    put(&folders, "a/b/2").await;
    assert!(delete(&folders, "a/b/1").await.is_empty(), "2 is there");
    assert!(delete(&folders, "a/b/none").await.is_empty());
    put(&folders, "a/c/3").await;
    assert_eq!(delete(&folders, "a/b/2").await, ["a/b/"], "c/ is below a/");
    assert_eq!(delete(&folders, "a/c/3").await, ["a/c/", "a/"]);
    assert_eq!(delete(&folders, "a/c/3").await, ["a/c/", "a/"], "a delete that is repeated prunes again");
    assert!(delete(&folders, "leaf").await.is_empty());
}

#[tokio::test]
async fn a_put_beside_a_delete_of_its_key_is_no_witness() {
    let folders = folders();
    let (one, other) = (folders.path("a/1"), folders.path("a/2"));
    for order in 0..3 {
        put(&folders, "a/2").await;
        let (putting, deleting);
        if order == 0 {
            deleting = Delete::begin(&folders, &one);
            putting = Put::begin(&folders, &one).unwrap();
        } else {
            putting = Put::begin(&folders, &one).unwrap();
            deleting = Delete::begin(&folders, &one);
        }
        if order == 2 {
            drop(deleting);
            putting.end();
        } else {
            putting.end();
            drop(deleting);
        }
        assert!(folders.suspects(std::iter::once(&one)).is_empty(), "2 is there");
        drop(Delete::begin(&folders, &other));
        assert!(!folders.suspects(std::iter::once(&other)).is_empty(), "of 1 nobody knows");
    }
}

#[tokio::test]
async fn what_was_begun_before_forgetting_is_not_learned() {
    let folders = folders();
    let leaf = key("a/leaf");
    let path = folders.path("a/leaf");
    let put_before = Put::begin(&folders, &path).unwrap();
    folders.forget();
    put_before.end();
    assert_eq!(folders.known(&leaf), 0);
    put(&folders, "a/leaf").await;
    assert_eq!(folders.known(&leaf), 1);
}

#[tokio::test]
async fn the_set_is_bounded() {
    let folders = folders();
    for n in 0..MOST * 2 {
        put(&folders, &format!("f{n}/leaf")).await;
    }
    assert!(folders.read().folders.len() <= MOST);
    assert_eq!(folders.known(&key(&format!("f{}/leaf", MOST * 2 - 1))), 1);
}

#[tokio::test]
async fn puts_below_a_prune_that_was_given_up_are_refused_while_it_may_take_effect() {
    let folders = folders();
    assert!(matches!(given_up(&folders, "a/b/c").await, Error::TimedOut(_)));
    for below in ["a/b/c", "a/b/d", "a/b/c/d"] {
        let refused = Put::begin(&folders, &folders.path(below)).err();
        assert!(matches!(&refused, Some(Error::Unavailable(text)) if text.contains("a/b/") && text.contains("again in ")), "{refused:?}");
    }
    for elsewhere in ["a/c", "a/b", "b", "x/y"] {
        put(&folders, elsewhere).await;
    }
    assert_eq!(delete(&folders, "a/b/c").await, ["a/b/", "a/"].map(str::to_owned)[..1], "the delete may be repeated, and prunes again");

    let folders = Folders::new(false, Duration::from_millis(80));
    assert!(matches!(given_up(&folders, "a/b/c").await, Error::TimedOut(_)));
    sleep(Duration::from_millis(90)).await;
    put(&folders, "a/b/c").await;
}

#[tokio::test]
async fn folders_of_a_put_that_was_given_up_are_pruned_only_when_it_can_take_effect_no_more() {
    let sweep = async |folders: &Arc<Folders>, suspects| {
        let asked = Mutex::new(Vec::new());
        let call = async |pruning: Pruning| {
            asked.lock().unwrap().push(pruning.folder().to_owned());
            pruning.end(true);
            Ok(true)
        };
        let (result, deferred) = folders.sweep(suspects, Duration::from_secs(60), call).await;
        result.unwrap();
        (asked.into_inner().unwrap(), deferred)
    };
    // A machine that stalls may let a short time pass before anybody looks.
    for unknown in [80, 3_000, 20_000].map(Duration::from_millis) {
        let folders = Folders::new(false, unknown);
        let leaf = folders.path("a/b/c");
        let begun = std::time::Instant::now();
        drop(Put::begin(&folders, &leaf).unwrap());
        Put::begin(&folders, &folders.path("x/y")).unwrap().failed();
        assert_eq!(delete(&folders, "x/y").await, ["x/"], "what the guest has refused has no such consequence");
        let (asked, deferred) = sweep(&folders, folders.suspects(std::iter::once(&leaf))).await;
        let (again, twice) = sweep(&folders, folders.suspects(std::iter::once(&leaf))).await;
        if begun.elapsed() >= unknown {
            continue;
        }
        assert!(asked.is_empty());
        let deferred = deferred.unwrap();
        assert!(again.is_empty() && twice.is_none(), "it is deferred once");
        tokio::time::sleep_until(deferred.until.into()).await;
        let (asked, deferred) = sweep(&folders, deferred.resume(&folders)).await;
        assert_eq!(asked, ["a/b/", "a/"]);
        assert!(deferred.is_none());
        return;
    }
    panic!("this machine stands still");
}

#[tokio::test]
async fn prunes_that_wait_for_one_folder_are_answered_by_one_that_began_after_their_removals() {
    let folders = folders();
    let calls = AtomicU64::new(0);
    let paths: Vec<Path> = (0..50).map(|n| folders.path(&format!("a/{n}"))).collect();
    let sweeps = paths.iter().map(|path| {
        let suspects = folders.suspects(std::iter::once(path));
        folders.sweep(suspects, Duration::from_secs(60), async |pruning: Pruning| {
            calls.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(5)).await;
            pruning.end(false);
            Ok(false)
        })
    });
    let mut set = Vec::new();
    for sweep in sweeps {
        set.push(Box::pin(sweep));
    }
    for (result, _) in join(set).await {
        result.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Polls all of them together.
pub(super) async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = std::pin::Pin::new(future).poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
