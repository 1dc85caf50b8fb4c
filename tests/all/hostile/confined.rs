use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::Error;
use cofferdam_runtime::{Directory, StorageBackend};
use tempfile::TempDir;

use super::{logged, tight};
use crate::runtime::commit;

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_network() {
    let backend = tight(|_| {}).await;
    // A TCP socket, a UDP socket, a name.
    let told = commit(&backend, "sockets").await.unwrap();
    assert!(told.matches("access-denied").count() == 3 && !told.contains("Ok"), "{told}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = commit(&backend, &format!("connect:{port}")).await.unwrap();
    assert!(told.starts_with("Err("), "{told}");
    assert!(listener.accept().is_err(), "nobody came");
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(listener.accept().is_ok(), "who can, comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_environment_no_argument_and_no_input() {
    assert!(std::env::vars().count() > 0, "there is something to hide");
    let backend = tight(|_| {}).await;
    assert_eq!(commit(&backend, "environment").await.unwrap(), "[] false");
    assert_eq!(commit(&backend, "stdin").await.unwrap(), "Ok(0) \"\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_there_is_no_directory() {
    let backend = tight(|_| {}).await;
    assert_eq!(commit(&backend, "directories").await.unwrap(), "[]");
    let told = commit(&backend, "read:~etc~hostname").await.unwrap();
    assert!(told.starts_with("no directory; by std: Err("), "{told}");
}

/// A granted directory with a secret beside it.
async fn granted() -> (TempDir, Arc<StorageBackend>) {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("data");
    let directory = Directory::open(&path, true).unwrap();
    fs::write(temporary.path().join("secret"), "secret").unwrap();
    fs::write(path.join("own"), "own").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    let backend = tight(|config| config.grants.directory = Some(directory)).await;
    (temporary, backend)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_granted_directory() {
    let (temporary, backend) = granted().await;
    let path = temporary.path().join("data");
    symlink("../secret", path.join("link-out")).unwrap();
    symlink(temporary.path().join("secret"), path.join("link-absolute")).unwrap();
    symlink("..", path.join("link-up")).unwrap();
    symlink("own", path.join("link-in")).unwrap();
    assert_eq!(commit(&backend, "directories").await.unwrap(), r#"["/data"]"#);
    for way_in in ["own", "sub/../own", "link-in"] {
        assert_eq!(commit(&backend, &format!("read:{}", way_in.replace('/', "~"))).await.unwrap(), "read: own", "{way_in}");
    }
    let absolute = temporary.path().join("secret");
    for way_out in
        ["../secret", "sub/../../secret", "/etc/hostname", absolute.to_str().unwrap(), "link-out", "link-absolute", "link-up/secret"]
    {
        let told = commit(&backend, &format!("read:{}", way_out.replace('/', "~"))).await.unwrap();
        assert!(told.starts_with("refused: "), "{way_out}: {told}");
    }
    for target in ["../secret", absolute.to_str().unwrap()] {
        let told = commit(&backend, &format!("link:{}", target.replace('/', "~"))).await.unwrap();
        assert!(told.contains("refused: "), "{target}: {told}");
        _ = fs::remove_file(path.join("made-link"));
    }
}

/// What the process has open, and how much memory it holds in KiB.
fn held() -> (usize, u64) {
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (files, resident.trim().trim_end_matches(" kB").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_files_and_memory_stay_bounded() {
    let (_temporary, backend) = granted().await;
    let round = async || {
        for misdeed in ["memory", "files", "handles", "recurse", "huge", "log-long", "panic"] {
            _ = commit(&backend, misdeed).await;
        }
    };
    round().await;
    let (files, memory) = held();
    for _ in 0..20 {
        round().await;
    }
    // Other tests run beside this one; what it would leak is far more than they hold, or they give it back soon.
    let begun = Instant::now();
    loop {
        let (files_after, memory_after) = held();
        if files_after < files + 200 && memory_after < memory + (400 << 10) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{files} files and {memory} KiB before, {files_after} and {memory_after} after");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is logged while a guest commits the misdeed.
fn told(misdeed: &str) -> String {
    logged(async {
        let backend = tight(|config| (config.name, config.limits.log_lines) = ("main".to_owned(), 10)).await;
        _ = commit(&backend, misdeed).await;
    })
}

#[test]
fn a_flood_of_lines_is_dropped() {
    let text = told("log-flood");
    let lines = text.lines().filter(|line| line.contains("line ")).count();
    assert!((20..200).contains(&lines), "{lines} lines");
    assert!(text.contains("backend=\"main\""), "{text}");
}

#[test]
fn a_long_line_is_cut() {
    let text = told("log-long");
    assert!(text.contains("long long") && text.contains("(cut)"), "{text}");
    assert!(text.len() < 6_000, "{}", text.len());
}

#[test]
fn a_forged_line_stays_one_line() {
    let text = told("log-forge");
    let forged = text.lines().find(|line| line.contains("forged")).unwrap();
    assert!(forged.contains("backend=\"main\"") && forged.contains("begin\\n2026"), "{forged}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains('\r') && !text.contains('\u{7}'), "{text:?}");
    assert!(text.lines().any(|line| line.contains("printed\\u{7}")), "standard output goes to the log: {text}");
    let panicked = told("panic");
    assert!(panicked.contains("a panic") && !panicked.contains('\u{1b}'), "{panicked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_an_error_is_cut_and_escaped() {
    let backend = tight(|_| {}).await;
    let Err(Error::Denied(text)) = commit(&backend, "error-forge").await else { panic!("denied was expected") };
    assert!(text.starts_with("no\\n\\u{1b}[2Jxxx") && text.len() < 5_000, "{text}");
}
