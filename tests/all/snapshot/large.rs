use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::exchange::our_client;
use crate::e2e::process::{Server, succeed};

const LIMIT: Duration = Duration::from_secs(1_200);
/// Writers at a time.
const WRITERS: usize = 8;
/// What a save or a restore may take beside what the server has already: buffers and pages, not the store.
const MORE: u64 = 96 << 20;

/// The most memory that the process had in pages since the last reset, in bytes; and the reset.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    // What resets it; where that is not allowed the peak only grows, and the test is the stricter.
    drop(fs::write(format!("/proc/{}/clear_refs", server.id()), "5"));
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_large_store_is_saved_and_restored_in_memory_that_does_not_grow_with_it() {
    let count: usize = if std::env::var_os("COFFERDAM_FULL").is_some() { 100_000 } else { 1_500 };
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    let keys = server.initialise(1, 1);
    server.done("POST", "sys/mounts/plain", Some(json!({"type": "kv"})));
    let value = "x".repeat(1_024);
    let put = &|number: usize| server.done("POST", &format!("plain/{:03}/{number}", number % 500), Some(json!({ "v": value })));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || (writer..count).step_by(WRITERS).for_each(|number| drop(put(number))));
        }
    });
    println!("{count} entries written in {:.1} s", begun.elapsed().as_secs_f64());
    let file = dir.path().join("large.snap");
    peak(&server);
    let before = peak(&server);
    for verb in ["save", "restore"] {
        let begun = Instant::now();
        succeed(our_client(&server, dir.path(), &[verb]).arg(&file), LIMIT);
        let (seconds, after) = (begun.elapsed().as_secs_f64(), peak(&server));
        let size = fs::metadata(&file).unwrap().len();
        println!(
            "{verb} of {count} entries, {} MiB: {seconds:.1} s, server {} MiB before, at most {} MiB",
            size >> 20,
            before >> 20,
            after >> 20
        );
        assert!(after < before + MORE, "{verb}: {after} bytes of memory, {before} before");
    }
    server.reopen(&keys);
    for number in [0, count / 2, count - 1] {
        assert_eq!(server.done("GET", &format!("plain/{:03}/{number}", number % 500), None)["data"]["v"], value);
    }
    server.stop();
}
