use super::{Config, Level, Settings, Task};
use crate::arguments::RunArguments;
use crate::report::Mode;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const SEED: &str = r#"
vault_addr = "http://a.example:8200"
vault_token = "root"
vault_namespace="root"
duration = "30s"
cleanup = true
test "approle_auth" "approle_logins" {
  weight = 50
  config {
    role {
      role_name = "benchmark-role"
      token_ttl="2m"
    }
  }
}
test "kvv2_write" "static_secret_writes" {
  weight = 50
  config {
    numkvs = 100
    kvsize = 100
  }
}
"#;

fn at(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bench.hcl");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn load(text: &str, arguments: RunArguments, variables: &[(&str, &str)]) -> Result<Config, String> {
    let (_dir, path) = at(text);
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let arguments = RunArguments { config: Some(path.clone()), ..arguments };
    let variables = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    Config::load(&arguments, &variables).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
}

fn settings(config: &Config) -> &Settings {
    match &config.task {
        Task::Run(settings) => settings,
        Task::Review(_) => panic!("a review"),
    }
}

fn error(text: &str) -> String {
    load(text, RunArguments::default(), &[]).err().unwrap_or_else(|| panic!("taken: {text}"))
}

#[test]
fn the_guides_example_is_taken_as_it_is() {
    let config = load(SEED, RunArguments::default(), &[]).unwrap();
    let settings = settings(&config);
    assert_eq!(settings.addresses[0].url(), "http://a.example:8200");
    assert_eq!((settings.token.as_str(), settings.namespace.as_deref()), ("root", Some("root")));
    assert_eq!((settings.duration, settings.workers, settings.rps), (Duration::from_secs(30), 10, 0));
    assert!(settings.cleanup && settings.random_mounts && !settings.debug);
    assert_eq!((config.level, config.mode), (Level::Info, Mode::Terse));
    let tests: Vec<_> = settings.tests.iter().map(|test| (test.name.as_str(), test.weight)).collect();
    assert_eq!(tests, [("approle_logins", 50), ("static_secret_writes", 50)]);
}

#[test]
fn flags_come_over_the_environment_and_that_over_the_file() {
    let variables = [
        ("VAULT_ADDR", "https://env.example"),
        ("VAULT_TOKEN", "env"),
        ("VAULT_NAMESPACE", ""),
        ("VAULT_BENCHMARK_LOG_LEVEL", "DEBUG"),
        ("VAULT_CLIENT_TIMEOUT", "7"),
        ("VAULT_CACERT", "/env.pem"),
    ];
    let config = load(SEED, RunArguments::default(), &variables).unwrap();
    let found = settings(&config);
    assert_eq!((found.addresses[0].host(), found.token.as_str(), found.namespace.as_deref()), ("env.example", "env", Some("root")));
    assert_eq!((config.level, found.timeout), (Level::Debug, Duration::from_secs(7)));
    assert_eq!(found.tls.ca_cert, Some(PathBuf::from("/env.pem")));
    let arguments = RunArguments {
        vault_addr: Some("http://flag.example".to_owned()),
        vault_token: Some("flag".to_owned().into()),
        duration: Some(Duration::from_secs(1)),
        cleanup: Some(false),
        random_mounts: Some(false),
        report_mode: Some(Mode::Json),
        workers: Some(3),
        log_level: Some("warn".to_owned()),
        annotate: Some("a=b,c=d=e".to_owned()),
        ca_pem_file: Some(PathBuf::from("/flag.pem")),
        repeat: 4,
        ..RunArguments::default()
    };
    let config = load(SEED, arguments, &variables).unwrap();
    let found = settings(&config);
    assert_eq!((found.addresses[0].host(), found.token.as_str(), found.workers, found.repeat), ("flag.example", "flag", 3, 4));
    assert!(!found.cleanup && !found.random_mounts && found.duration == Duration::from_secs(1));
    assert_eq!((config.level, config.mode), (Level::Warn, Mode::Json));
    assert_eq!(found.annotations, [("a", "b"), ("c", "d=e")].map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(found.tls.ca_cert, Some(PathBuf::from("/flag.pem")));
    let bao = load(SEED, RunArguments::default(), &[("BAO_ADDR", "http://bao.example"), ("VAULT_ADDR", "http://vault.example")]).unwrap();
    assert_eq!(settings(&bao).addresses[0].host(), "bao.example");
}

#[test]
fn mistakes_are_named_with_their_place_and_what_is_known() {
    let test = "test \"seal_status\" \"s\" { weight = 100 }\nvault_token = \"t\"\n";
    for (text, expected) in [
        (format!("vault_adr = 1\n{test}"), "FILE:1:1: \"vault_adr\" is no key of the top level: known are annotate, audit_path, "),
        (format!("workers = 1\nworkers = 2\n{test}"), "FILE:2:1: workers is there twice in the top level"),
        (format!("workers = 0\n{test}"), "FILE:1:11: workers: expected a whole number from 1"),
        (format!("duration = \"soon\"\n{test}"), "FILE:1:12: duration: expected a duration"),
        (format!("duration = \"0s\"\n{test}"), "duration: expected a time that is longer than nothing"),
        (format!("report_mode = \"normal\"\n{test}"), "report_mode must be one of terse, verbose, or json, found \"normal\""),
        (format!("log_level = \"loud\"\n{test}"), "log_level: expected trace, debug, info, warn or error"),
        (format!("annotate = \"word\"\n{test}"), "annotate: should contain comma-separated list of name=value pairs"),
        (format!("vault_addr = \"vault.example\"\n{test}"), "vault_addr: expected a URL such as"),
        (format!("random_mounts = false\ncleanup = true\n{test}"), "cleanup can only be enabled when random mounts is enabled"),
        (format!("test \"seal_status\" \"two\" {{ weight = 1 }}\n{test}"), "FILE: test percentage total comes to 101, should be 100"),
        (format!("{test}test \"ha_status\" \"s\" {{ }}"), "FILE:3:1: two tests are called \"s\""),
        (format!("{test}test \"ha_status\" \"total\" {{ }}"), "FILE:3:1: a test cannot be called \"total\""),
        (
            format!("{test}test \"approle_logins\" \"x\" {{ }}"),
            "FILE:3:1: invalid test type found: \"approle_logins\"; known are approle_auth, ",
        ),
        (
            format!("{test}test \"pki_issue\" \"x\" {{ }}"),
            "FILE:3:1: test type \"pki_issue\" is vault-benchmark's, and is not built in here",
        ),
        (format!("{test}test \"ha_status\" {{ }}"), "FILE:3:1: expected test \"TYPE\" \"NAME\""),
        (
            format!("{test}test \"ha_status\" \"x\" {{ wieght = 1 }}"),
            "\"wieght\" is no key of test \"ha_status\": known are config, mount_name, weight",
        ),
        (
            format!("vault_token = \"a b\"\n{}", test.replace("vault_token", "vault_namespace")),
            "vault_token: has characters that no header can carry",
        ),
        ("vault_token = \"t\"".to_owned(), "FILE: has no test"),
        ("test \"seal_status\" \"s\" { weight = 100 }".to_owned(), "vault_token: must specify one of the following"),
        ("test = [".to_owned(), "FILE:1:"),
    ] {
        let found = error(&text);
        assert!(found.contains(expected), "{text}: {found}");
    }
    assert!(Config::load(&RunArguments::default(), &|_| None).err().unwrap().to_string().starts_with("--config: "));
    let missing = RunArguments { config: Some(PathBuf::from("/nowhere/x.hcl")), ..RunArguments::default() };
    assert!(Config::load(&missing, &|_| None).err().unwrap().to_string().starts_with("/nowhere/x.hcl: cannot be read: "));
}

#[test]
fn a_cluster_is_read_and_its_token_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (path, results) = (dir.path().join("cluster.json"), dir.path().join("results.json"));
    fs::write(&path, r#"{"token": "of the file", "vault_addrs": ["http://one.example", "https://two.example:1"]}"#).unwrap();
    let text = format!("cluster_json = {path:?}\ntest \"metrics\" \"m\" {{ weight = 100 }}");
    // A token with spaces is refused only once it is used.
    assert!(error(&text).contains("vault_token: has characters"));
    fs::write(&path, r#"{"token": "t-1", "vault_addrs": ["http://one.example", "https://two.example:1"]}"#).unwrap();
    let config = load(&text, RunArguments::default(), &[]).unwrap();
    let found = settings(&config);
    assert_eq!(
        found.addresses.iter().map(cofferdam_connect::Address::url).collect::<Vec<_>>(),
        ["http://one.example", "https://two.example:1"]
    );
    assert_eq!(found.token.as_str(), "t-1");
    for (wrong, expected) in
        [("{\"token\": 7777}", "line 1, column 14: expected {"), ("{\"vault_addrs\": []}", "names no server"), ("t-2", "line 1")]
    {
        fs::write(&path, wrong).unwrap();
        let found = error(&text);
        assert!(found.contains("cluster_json ") && found.contains(expected) && !found.contains("7777"), "{found}");
    }
    // Saved results need neither tests nor a token.
    let arguments = RunArguments { input_results: Some(results.clone()), ..RunArguments::default() };
    assert!(matches!(Config::load(&arguments, &|_| None).unwrap().task, Task::Review(path) if path == results));
}

#[test]
fn what_means_nothing_here_is_said() {
    let text = format!("pprof_interval = \"5s\"\ndisable_http2 = false\n{SEED}");
    let config = load(&text, RunArguments::default(), &[]).unwrap();
    assert_eq!(config.warnings.len(), 2);
    assert!(load(&format!("disable_http2 = true\n{SEED}"), RunArguments::default(), &[]).unwrap().warnings.is_empty());
}
