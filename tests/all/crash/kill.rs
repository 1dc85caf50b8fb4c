//! kill -9 during a storm of writes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::Storage;

use crate::conformance::{get, list, put, scan};
use crate::filesystem::guest;

/// How the child knows that it is one, and where to write.
const DIRECTORY: &str = "COFFERDAM_TEST_KILL_DIRECTORY";

const KILLS: usize = 50;
const WRITERS: usize = 4;

fn key_of(writer: usize, number: usize) -> String {
    format!("w{writer}/{}/k{}", number % 5, number % 40)
}

/// Long enough that half of it would show, and different for every write.
fn value_of(writer: usize, number: usize) -> Bytes {
    format!("{writer}:{number}:").repeat(1 + number % 200).into()
}

/// The child: writes without end and says what was acknowledged. Not a test of its own: the parent starts it with the directory.
#[test]
#[ignore = "the process that the test below kills"]
fn storm() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("only the test below starts this"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let storage = guest(&directory).await;
        let tasks = (0..WRITERS).map(|writer| {
            let storage = storage.clone();
            tokio::spawn(async move {
                for number in 0.. {
                    // A delete now and then, so that folders come and go.
                    if number % 7 == 6 {
                        storage.delete(&crate::conformance::key(&key_of(writer, number))).await.unwrap();
                        say(&format!("deleted {writer} {number}"));
                    } else {
                        put(&*storage, &key_of(writer, number), value_of(writer, number)).await;
                        say(&format!("put {writer} {number}"));
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

/// One line in one write, past the test harness.
fn say(line: &str) {
    std::io::stderr().write_all(format!("\nACK {line}\n").as_bytes()).unwrap();
}

/// Kills a child after so many acknowledgements and a moment. Returns, for each writer, the last number acknowledged.
fn round(directory: &Path, acknowledgements: usize, moment: Duration) -> Vec<Option<usize>> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::kill::storm", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut before = String::new();
    let mut seen = 0;
    while seen < acknowledgements {
        let begin = before.len();
        assert!(said.read_line(&mut before).unwrap() > 0, "the child ended by itself: {before}");
        seen += usize::from(before.get(begin..).is_some_and(|line| line.starts_with("ACK")));
    }
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        rest
    });
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = before + &reader.join().unwrap();
    assert!(!said.contains("panicked"), "{said}");
    let mut last = vec![None; WRITERS];
    for line in said.lines().filter_map(|line| line.strip_prefix("ACK ")) {
        let fields: Vec<&str> = line.split(' ').collect();
        last[fields[1].parse::<usize>().unwrap()] = Some(fields[2].parse().unwrap());
    }
    last
}

/// What must be stored after a writer was told of its writes up to `last`; the next one may have taken effect or not.
fn expected(writer: usize, last: Option<usize>) -> (BTreeMap<String, Bytes>, String, Option<Bytes>) {
    let mut entries = BTreeMap::new();
    let apply = |number: usize| if number % 7 == 6 { None } else { Some(value_of(writer, number)) };
    for number in 0..last.map_or(0, |last| last + 1) {
        match apply(number) {
            Some(value) => entries.insert(key_of(writer, number), value),
            None => entries.remove(&key_of(writer, number)),
        };
    }
    let next = last.map_or(0, |last| last + 1);
    (entries, key_of(writer, next), apply(next))
}

async fn check(storage: &dyn Storage, last: &[Option<usize>]) {
    let found = scan(storage, 2, 100).await;
    for (writer, last) in last.iter().enumerate() {
        let (entries, next_key, next_value) = expected(writer, *last);
        for key in entries.keys().chain([&next_key]) {
            let value = get(storage, key).await;
            let may = entries.get(key);
            assert!(
                value.as_ref() == may || (*key == next_key && value == next_value),
                "{key} after {last:?} is {:?}",
                value.map(|value| value.len())
            );
            assert_eq!(found.get(key), value.as_ref(), "the scan has another {key}");
            let (above, leaf) = key.split_at(key.rfind('/').unwrap() + 1);
            assert_eq!(list(storage, above).await.contains(&leaf.to_owned()), value.is_some(), "{key} in the listing");
        }
    }
    let mut known = 0;
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        for name in list(storage, &at).await {
            if name.ends_with('/') { folders.push(format!("{at}{name}")) } else { known += 1 }
        }
    }
    assert_eq!(known, found.len(), "listings and scan differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_no_acknowledged_write() {
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let directory = crate::filesystem::directory();
        let path = directory.path().to_owned();
        // From the very beginning to hundreds of writes later, at any moment of a write.
        let (acknowledgements, moment) = (1 + kill * 6, Duration::from_micros(700 * (kill as u64 % 11)));
        let last = tokio::task::spawn_blocking(move || round(&path, acknowledgements, moment)).await.unwrap();
        acknowledged += last.iter().map(|last| last.map_or(0, |last| last + 1)).sum::<usize>();
        let storage = guest(directory.path()).await;
        check(&*storage, &last).await;
        let left: Vec<_> =
            std::fs::read_dir(directory.path().join(".cofferdam")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "left over: {left:?}");
    }
    assert!(acknowledged > KILLS * KILLS, "only {acknowledged} writes in all: no storm");
}
