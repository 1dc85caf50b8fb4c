use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::scripted::{Answer, Hand, Scripted, Seen, auth, ok, refusal};

const TOKEN: [(&str, &str); 3] =
    [("COFFER_PROXY_AUTH_METHOD", "approle"), ("COFFER_PROXY_ROLE_ID", "r"), ("VAULT_AUTH_PROVIDER", "approle")];

fn files(server: &Scripted, variables: &[(&str, &str)], hand: &Hand) -> Files {
    let settings = server.settings(&[TOKEN.as_slice(), variables].concat());
    let upstream = Arc::new(Upstream::with(&settings, hand.clock(), Duration::from_millis(1)).unwrap());
    let keeper = Keeper::new(&settings, Arc::clone(&upstream), hand.clock());
    Files::new(&settings, upstream, keeper, hand.clock())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A login, and secrets by `answer`; each answer has another id.
fn secrets(mut answer: impl FnMut(&Seen) -> Answer + Send + 'static) -> impl FnMut(&Seen) -> Answer + Send + 'static {
    move |seen: &Seen| {
        if seen.line.ends_with("/login") {
            let (_, body) = auth("t", 0, false).unwrap();
            return Some(("200 OK\r\nx-vault-index: i-1".to_owned(), body));
        }
        answer(seen)
    }
}

#[tokio::test]
async fn files_hold_the_whole_answer_with_their_mode_and_what_fails_is_told_together() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("new/deep/one.json"), directory.path().join("two"));
    let server = Scripted::start(secrets(|seen: &Seen| match seen.line.as_str() {
        "GET /v1/kv/data/one" => {
            ok(&json!({"request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false, "data": {"k": "v"}, "warnings": null}))
        }
        "GET /v1/kv/data/text" => Some(("200 OK".to_owned(), "no json".to_owned())),
        _ => refusal("404 Not Found", "nothing here"),
    }))
    .await;
    let hand = Hand::new();
    let file = [("VAULT_SECRET_PATH", "kv/data/one"), ("VAULT_SECRET_FILE", one.to_str().unwrap())];
    files(&server, &file, &hand).write().await.unwrap();
    let text = fs::read_to_string(&one).unwrap();
    assert!(text.contains("\n  \"request_id\": \"r\"") && text.contains("\n    \"k\": \"v\"\n"), "{text}");
    assert_eq!((mode(&one), mode(one.parent().unwrap()), mode(&directory.path().join("new"))), (0o600, 0o700, 0o700));
    let seen = server.take().pop().unwrap();
    assert_eq!((seen.header("x-vault-index"), seen.header("x-vault-token")), (Some("i-1"), Some("t")));

    // Another mode, also for a file that is there.
    files(&server, &[file.as_slice(), &[("COFFER_PROXY_SECRET_FILE_MODE", "0640")]].concat(), &hand).write().await.unwrap();
    assert_eq!(mode(&one), 0o640);
    assert_eq!(fs::read_dir(one.parent().unwrap()).unwrap().count(), 1);

    let wrong = [
        ("VAULT_SECRET_PATH_A", "kv/data/none"),
        ("VAULT_SECRET_FILE_A", two.to_str().unwrap()),
        ("VAULT_SECRET_PATH_B", "kv/data/text"),
        ("VAULT_SECRET_FILE_B", "text.json"),
        ("VAULT_SECRET_PATH_C", "kv/data/one"),
        ("VAULT_SECRET_FILE_C", directory.path().to_str().unwrap()),
    ];
    let error = files(&server, &wrong, &hand).write().await.unwrap_err();
    let all = error.to_string();
    assert_eq!(error.failures().len(), 3, "{all}");
    for part in
        ["VAULT_SECRET_PATH_A: kv/data/none for ", "404", "nothing here", "VAULT_SECRET_PATH_B", "is no secret", "VAULT_SECRET_PATH_C"]
    {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(!two.exists());
}

#[tokio::test]
async fn watched_files_are_read_by_lease_or_interval_and_written_only_if_changed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let (asked, value) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(1)));
    let (count, held) = (Arc::clone(&asked), Arc::clone(&value));
    let server = Scripted::start(secrets(move |_: &Seen| {
        let id = count.fetch_add(1, Ordering::SeqCst);
        match held.load(Ordering::SeqCst) {
            0 => refusal("403 Forbidden", "permission denied"),
            value => ok(&json!({"request_id": id, "lease_id": "l", "lease_duration": 90, "data": {"v": value}})),
        }
    }))
    .await;
    let hand = Hand::new();
    let variables = [("VAULT_SECRET_PATH", "db/creds/x"), ("VAULT_SECRET_FILE", file.to_str().unwrap()), ("COFFER_PROXY_WATCH", "true")];
    let files = files(&server, &variables, &hand);
    files.write().await.unwrap();
    let read = || serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap();
    let asked = || asked.load(Ordering::SeqCst);
    assert_eq!((files.pass().await, asked()), (TICK, 1));
    hand.forward(57);
    assert_eq!((files.pass().await, asked()), (Duration::from_secs(3), 1));
    // Two thirds of the lease: read, and found to be the same.
    hand.forward(3);
    files.pass().await;
    assert_eq!((asked(), read()["request_id"].clone()), (2, json!(0)));
    // Frozen past its time: new.
    value.store(2, Ordering::SeqCst);
    hand.forward(10_000);
    files.pass().await;
    assert_eq!((asked(), read()["data"].clone()), (3, json!({"v": 2})));
    // Gone: written again though it is the same.
    fs::remove_file(&file).unwrap();
    hand.forward(60);
    files.pass().await;
    assert_eq!((asked(), file.exists()), (4, true));
    // What fails leaves the file, and is tried again later and later.
    value.store(0, Ordering::SeqCst);
    hand.forward(60);
    for (wait, times) in [(0, 5), (4, 5), (1, 6), (9, 6), (1, 7)] {
        hand.forward(wait);
        files.pass().await;
        assert_eq!((asked(), read()["data"].clone()), (times, json!({"v": 2})), "{wait}");
    }
    value.store(3, Ordering::SeqCst);
    hand.forward(60);
    files.pass().await;
    assert_eq!(read()["data"], json!({"v": 3}));
}

#[test]
fn leases_and_intervals_say_when() {
    let lease = |id: &str, seconds| Lease { lease_id: id.to_owned(), lease_duration: seconds, _data: None };
    for (interval, id, seconds, expected) in [
        (0, "", 0, 300),
        (0, "l", 900, 600),
        (0, "l", 1, 1),
        (60, "l", 900, 60),
        (60, "l", 30, 20),
        (60, "", 0, 60),
        (0, "", 30, 20),
        (0, "", 2_764_800, 300),
    ] {
        assert_eq!(until(Duration::from_secs(interval), &lease(id, seconds)), Duration::from_secs(expected), "{interval} {id} {seconds}");
    }
}
