use super::{RunError, Undo, whole};
use crate::config::Settings;
use crate::kinds::{Kind, Test};
use crate::load::Stop;
use crate::results::Target;
use crate::testing::{Asked, Server};

fn settings(server: &Server, kinds: &[&str]) -> Settings {
    let test = |kind: &&str| Test {
        name: format!("the {kind}"),
        weight: 100 / u32::try_from(kinds.len()).unwrap(),
        mount: None,
        kind: Kind::read(kind, None).unwrap(),
    };
    Settings { tests: kinds.iter().map(test).collect(), ..server.settings() }
}

fn run(settings: &Settings, stop: &Stop) -> Result<(Vec<Target>, bool), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(whole(settings, stop, &Undo::default()))
}

fn good(_: &Asked) -> (u16, String) {
    (200, String::new())
}

fn deleted(server: &Server) -> usize {
    server.lines().iter().filter(|line| line.starts_with("DELETE ")).count()
}

#[test]
fn a_run_sets_up_repeats_and_cleans_up() {
    let server = Server::start(good);
    let settings = Settings {
        repeat: 3,
        audit_path: Some("/audit".to_owned()),
        debug: true,
        annotations: [("word".to_owned(), "kept".to_owned())].into(),
        ..settings(&server, &["cubbyhole_read", "seal_status"])
    };
    let (targets, interrupted) = run(&settings, &Stop::default()).unwrap();
    let [target] = targets.as_slice() else { panic!("{targets:?}") };
    assert!(!interrupted);
    assert_eq!(target.target_addr, format!("http://{}", server.address));
    assert_eq!(target.tests().iter().map(|(test, _)| *test).collect::<Vec<_>>(), ["the cubbyhole_read", "the seal_status"]);
    assert_eq!(target.repetitions("the seal_status").count(), 3);
    assert_eq!(target.details.as_ref().unwrap().annotations["word"], "kept");
    let asked = server.asked();
    assert_eq!(asked[0].line(), "PUT /v1/sys/audit/bench-audit");
    assert_eq!(asked[0].json()["options"]["file_path"], "/audit");
    // The last to come is the first to go.
    let last = server.lines().split_off(asked.len() - 2);
    assert!(last[0].starts_with("DELETE /v1/cubbyhole/my-path-") && last[1] == "DELETE /v1/sys/audit/bench-audit", "{last:?}");
}

#[test]
fn without_cleanup_all_stays_and_each_server_gets_the_load() {
    let (one, two) = (Server::start(good), Server::start(good));
    let mut settings = Settings { cleanup: false, ..settings(&one, &["cubbyhole_write"]) };
    settings.addresses.extend(two.settings().addresses);
    let (targets, _) = run(&settings, &Stop::default()).unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!((deleted(&one), deleted(&two)), (0, 0));
    let posts = |server: &Server| server.lines().iter().filter(|line| line.starts_with("POST ")).count();
    for (target, server) in targets.iter().zip([&one, &two]) {
        assert_eq!(target.total().unwrap().requests, u64::try_from(posts(server)).unwrap());
    }
    assert_eq!(two.lines().len(), posts(&two));
}

#[test]
fn a_setup_that_fails_leaves_nothing() {
    let server = Server::start(|asked: &Asked| (if asked.path.contains("/secret-") { 500 } else { 204 }, String::new()));
    let settings = Settings { cleanup: false, ..settings(&server, &["cubbyhole_read", "kvv1_read"]) };
    let error = run(&settings, &Stop::default()).err().unwrap().to_string();
    assert!(error.starts_with("target setup failed: test \"the kvv1_read\": PUT ") && error.ends_with("/secret-1: 500"), "{error}");
    assert_eq!(deleted(&server), 2);
}

#[test]
fn a_probe_that_fails_ends_the_run() {
    let server = Server::start(|asked: &Asked| (if asked.method == "GET" { 403 } else { 204 }, String::new()));
    let settings = Settings { debug: true, cleanup: false, ..settings(&server, &["cubbyhole_read"]) };
    let error = run(&settings, &Stop::default()).err().unwrap().to_string();
    assert!(error.contains("its request is answered with status 403"), "{error}");
    assert_eq!(deleted(&server), 1);
}

#[test]
fn prometheus_sees_the_load_while_it_runs() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stop = Stop::default();
    let wish = stop.clone();
    let scraped = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let kept = std::sync::Arc::clone(&scraped);
    // The load ends once it was seen to run.
    let server = Server::start(move |asked: &Asked| {
        if asked.method != "GET" || wish.is_wished() {
            return (200, String::new());
        }
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        if text.contains("bench_attack_errors{") {
            *kept.lock().unwrap() = text;
            wish.wish();
        }
        (403, String::new())
    });
    let annotations = [("test-name".to_owned(), "a\"b".to_owned())].into();
    let settings = Settings {
        metrics_address: Some(address),
        annotations,
        duration: std::time::Duration::from_secs(3600),
        ..settings(&server, &["cubbyhole_read"])
    };
    run(&settings, &stop).unwrap();
    let text = scraped.lock().unwrap().clone();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\nbench_running{test_name=\"a\\\"b\"} 1\n"), "{text}");
    assert!(text.contains("bench_attack_time_seconds{attack=\"the cubbyhole_read\",quantile=\"0.99\"} 0."), "{text}");
    let count = |name: &str| -> u64 { text.split(name).nth(1).unwrap().split(['}', '\n']).nth(1).unwrap().trim().parse().unwrap() };
    assert_eq!(count("bench_attack_errors{"), count("bench_attack_time_seconds_count{"));
    assert!(text.contains("error=\"403 Forbidden\"}"), "{text}");
    // The port is free again.
    drop(std::net::TcpListener::bind(address).unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings { metrics_address: Some(taken.local_addr().unwrap()), ..settings };
    let error = run(&settings, &Stop::default()).err().unwrap().to_string();
    assert!(error.starts_with("--metrics-address: cannot listen at 127.0.0.1:"), "{error}");
}

#[test]
fn a_run_that_is_stopped_cleans_up_and_reports() {
    let stop = Stop::default();
    let wish = stop.clone();
    let server = Server::start(move |asked: &Asked| {
        if asked.method == "GET" {
            wish.wish();
        }
        (200, String::new())
    });
    let settings = Settings { repeat: 5, duration: std::time::Duration::from_secs(3600), ..settings(&server, &["cubbyhole_read"]) };
    let (targets, interrupted) = run(&settings, &stop).unwrap();
    assert!(interrupted && targets[0].details.as_ref().unwrap().load.interrupted);
    assert!(targets[0].total().unwrap().requests >= 1);
    assert_eq!(deleted(&server), 1);
    // Stopped before it began: nothing is set up at all.
    let before = server.lines().len();
    assert_eq!(run(&settings, &stop).err().unwrap().to_string(), "target setup failed: stopped");
    assert_eq!(server.lines().len(), before);
}
