//! Configurations as operators write them: what is read from them, and the whole text of every kind of error.

mod audit;
mod dynamodb;
mod examples;
mod fuzz;
mod lockout;
mod migrate;
mod plugin;
mod seal;

use super::{Config, Environment, Format, Level, load};
use cofferdam_runtime::PoolPolicy;
use std::path::PathBuf;
use std::time::Duration;

const STORAGE: &str = "storage \"file\" { path = \"/d\" }\n";
const LISTENER: &str = "listener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = true }\n";

/// Loads files of these names and texts, all named on the command line in this order. Errors have the directory taken out.
fn load_files(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let environment: Environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let prefix = format!("{}/", directory.path().display());
    load(&paths, &environment).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn load_text(text: &str) -> Result<Config, String> {
    load_files(&[("c.hcl", text)], &[])
}

/// A whole configuration with this text before it, so that positions are the text's.
fn with(text: &str) -> Result<Config, String> {
    load_text(&format!("{text}\n{STORAGE}{LISTENER}"))
}

fn in_listener(text: &str) -> Result<Config, String> {
    load_text(&format!("listener \"tcp\" {{ {text} }}\n{STORAGE}"))
}

fn in_storage(text: &str) -> Result<Config, String> {
    load_text(&format!("storage \"file\" {{ path = \"/d\"\n{text} }}\n{LISTENER}"))
}

#[test]
fn what_shares_alone_authorise_is_open_unless_a_listener_closes_it() {
    let listener = |keys: &str| format!("listener \"tcp\" {{ address = \"127.0.0.1:8200\" tls_disable = 1 {keys} }}\n");
    let one = "disable_unauthed_rekey_endpoints = true";
    let both = "disable_unauthed_rekey_endpoints = \"true\" disable_unauthed_generate_root_endpoints = 1";
    let text = [listener(""), listener(one), listener(both)].concat();
    let config = load_text(&format!("storage \"file\" {{ path = \"/d\" }}\n{text}")).unwrap();
    let closed = |at: usize| {
        let listener = &config.listeners[at].0;
        (listener.disable_unauthed_rekey_endpoints, listener.disable_unauthed_generate_root_endpoints)
    };
    assert_eq!([closed(0), closed(1), closed(2)], [(false, false), (true, false), (true, true)]);
    // OpenBao has them per listener, too.
    assert!(with(one).unwrap().warnings[0].contains("it is a key of listener"));
}

#[test]
fn an_operators_file_is_read_whole() {
    let config = load_text(
        r#"
        storage "file" { path = "/var/lib/vault", fsync = false }
        listener "tcp" {
          address = "127.0.0.1:8200"
          cluster_address = "127.0.0.1:8201"
          tls_cert_file = "/tls/cert.pem" tls_key_file = "/tls/key.pem"
          tls_client_ca_file = "/tls/ca.pem" tls_require_and_verify_client_cert = "true"
          tls_min_version = "tls13"
          max_request_size = 1048576
          telemetry { unauthenticated_metrics_access = true }
        }
        listener "tcp" { address = "[::1]:8300" tls_disable = 1 max_request_duration = "30s" }
        seal "shamir" {}
        plugin_directory = "/plugins"
        log_level = "DEBUG"
        log_format = "json"
        pid_file = "/run/coffer.pid"
        disable_mlock = true
        api_addr = "https://vault.example.com:8200"
        cluster_addr = "https://10.0.0.1:8201"
        cluster_name = "main"
        default_lease_ttl = "1h"
        max_lease_ttl = 86400
        default_max_request_duration = "2m"
        telemetry { prometheus_retention_time = "30s" disable_hostname = true }
        "#,
    )
    .unwrap();
    assert_eq!((config.storage.kind.as_str(), config.storage.component.as_str()), ("file", "filesystem"));
    assert_eq!(config.storage.path, Some(PathBuf::from("/var/lib/vault")));
    assert_eq!(config.storage.settings, [("fsync".to_owned(), "false".to_owned())]);
    let [first, second] = config.listeners.as_slice() else { panic!() };
    let tls = first.0.tls.as_ref().unwrap();
    assert_eq!(tls.cert_file, PathBuf::from("/tls/cert.pem"));
    assert_eq!((tls.client_ca_file.clone(), tls.require_client_cert), (Some(PathBuf::from("/tls/ca.pem")), true));
    assert_eq!(tls.min_version, cofferdam_server::TlsVersion::V13);
    assert!(first.0.unauthenticated_metrics && !second.0.unauthenticated_metrics);
    assert_eq!((first.0.max_request_size, first.0.max_request_duration), (1 << 20, Duration::from_secs(120)));
    assert_eq!((second.0.max_request_size, second.0.max_request_duration), (32 << 20, Duration::from_secs(30)));
    assert_eq!((second.0.address.to_string().as_str(), second.0.tls.is_none()), ("[::1]:8300", true));
    assert_eq!((config.log.level, config.log.format), (Some(Level::Debug), Some(Format::Json)));
    assert_eq!((config.default_lease_ttl.as_secs(), config.max_lease_ttl.as_secs()), (3_600, 86_400));
    assert!(config.cache && !with("disable_cache = 1").unwrap().cache);
    assert_eq!(config.cluster_name.as_deref(), Some("main"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn json_says_the_same() {
    let json = r#"{"storage": {"file": {"path": "/d"}},
        "listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": "true"}}, {"tcp": {"address": "127.0.0.1:2", "tls_disable": 1}}],
        "ui": false, "max_lease_ttl": "10h", "disable_mlock": "true"}"#;
    let config = load_files(&[("c.json", json)], &[]).unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!((config.max_lease_ttl.as_secs(), config.default_lease_ttl.as_secs()), (36_000, 36_000));
}

#[test]
fn blocks_may_be_objects() {
    let config =
        load_text("storage = { \"file\" = { path = \"/d\" } }\nlistener = { tcp { tls_disable = true } }\n\"seal\" \"shamir\" { }")
            .unwrap();
    assert_eq!(config.storage.path, Some(PathBuf::from("/d")));
    assert_eq!(config.listeners[0].0.address.to_string(), "127.0.0.1:8200");
}

#[test]
fn host_settings_are_taken_out_of_the_stanza() {
    let config = in_storage(
        "fsync = \"false\" extra = 5 deep = true\n pool { policy = \"ephemeral\" size = 4 wait = \"5s\" calls = 10 memory_mark = \"8MiB\" }\n limits { memory = \"64MiB\" cpu = \"2s\" call = 7 handles = 12 log_lines = 3 response = 1024 random = 16 open = \"1m\" }",
    )
    .unwrap();
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(config.storage.settings, [setting("fsync", "false"), setting("extra", "5"), setting("deep", "true")]);
    let pool = &config.storage.pool;
    assert_eq!((pool.policy, pool.size, pool.wait.as_secs(), pool.calls, pool.memory_mark), (PoolPolicy::Ephemeral, 4, 5, 10, 8 << 20));
    let limits = &config.storage.limits;
    assert_eq!((limits.memory, limits.cpu.as_secs(), limits.call.as_secs(), limits.open.as_secs()), (64 << 20, 2, 7, 60));
    assert_eq!((limits.handles, limits.log_lines, limits.response, limits.random), (12, 3, 1024, 16));
    assert_eq!(in_storage("max_parallel = \"128\"").unwrap().storage.pool.size, 128);
}

#[test]
fn another_storage_is_the_component_of_its_name() {
    let config = load_text(&format!("storage \"my-store\" {{ region = \"x\" }}\n{LISTENER}")).unwrap();
    assert_eq!((config.storage.component.as_str(), config.storage.path), ("my-store", None));
}

#[test]
fn errors_name_place_key_and_remedy() {
    let mut wrong = Vec::new();
    for (result, message) in [
        (with("storge \"x\" {}"), "c.hcl:1:1: unknown key \"storge\" at the top level: did you mean \"storage\"?"),
        (with("\n  completely_different = 1"), "c.hcl:2:3: unknown key \"completely_different\" at the top level: remove it"),
        (with("log_level = \"info\"\nlog_level = \"warn\""), "c.hcl:2:1: log_level: set twice at the top level, first at 1:1: remove one"),
        (with("log_level = \"loud\""), "c.hcl:1:13: log_level: expected trace, debug, info, warn or error, found \"loud\""),
        (with("log_format = \"xml\""), "c.hcl:1:14: log_format: expected standard or json, found \"xml\""),
        (
            with("max_lease_ttl = \"long\""),
            "c.hcl:1:17: max_lease_ttl: expected a duration, such as \"90\" (seconds), \"90s\", \"1h30m\" or \"2d\", found \"long\"",
        ),
        (
            with("default_lease_ttl = \"3h\"\nmax_lease_ttl = \"2h\""),
            "c.hcl:1:21: default_lease_ttl: 10800 s is longer than max_lease_ttl, which is 7200 s: lower one or raise the other",
        ),
        (
            with("api_addr = \"vault:8200\""),
            "c.hcl:1:1: api_addr: expected an address such as https://vault.example.com:8200, found \"vault:8200\"",
        ),
        (
            with("raw_storage_endpoint = true"),
            "c.hcl:1:1: raw_storage_endpoint cannot be turned on at the top level: sys/raw is not built in: remove it",
        ),
        (
            with("ha_storage \"consul\" {}"),
            "c.hcl:1:1: ha_storage is not supported at the top level: the lock of several servers is kept in the storage itself: remove it, and set ha_enabled = true in the storage block",
        ),
        (with("ui = \"maybe\""), "c.hcl:1:6: ui: expected true or false, found \"maybe\""),
        (with("seal \"shamir\" { shares = 5 }"), "c.hcl:1:17: shares: a shamir seal has no settings: remove it"),
        (
            with("seal \"shamir\" {}\nseal \"shamir\" {}"),
            "c.hcl:2:6: seal \"shamir\": it is another seal's place: without a stanza the seal is Shamir's; remove this stanza",
        ),
        (with("storage \"file\" { path = \"/e\" }"), "c.hcl:2:1: storage file: only one storage block is allowed: remove all but one"),
        (with("a = b"), "c.hcl:1:5: expected a value, found the name \"b\": a string is written \"b\""),
        (load_text(LISTENER), "c.hcl: no storage is configured: add storage \"filesystem\" { path = \"/var/lib/coffer\" }"),
        (load_text(STORAGE), "c.hcl: no listener is configured: add listener \"tcp\" { address = \"127.0.0.1:8200\" … }"),
        (
            load_text("storage \"raft\" {}"),
            "c.hcl:1:9: storage \"raft\" is not supported: use storage \"filesystem\" or \"dynamodb\", or a component in plugin_directory",
        ),
        (
            in_storage("fencing = \"strict\""),
            "c.hcl:2:11: fencing: only a leader is fenced, and without ha_enabled = true there is none: set that, or remove it",
        ),
        (in_storage("ha_enabled = \"yes\""), "c.hcl:2:14: ha_enabled: expected true or false, found \"yes\""),
        (
            load_text("storage \"../x\" {}"),
            "c.hcl:1:9: storage \"../x\": a type has letters, digits, '-' and '_' only, since it names a file in plugin_directory",
        ),
        (load_text("storage \"file\" {}"), "c.hcl:1:9: storage: path is missing: set it to the directory for the data"),
        (load_text("storage {}"), "c.hcl:1:1: storage: expected a storage's type, as in storage \"filesystem\" { … }"),
        (load_text("storage = 5"), "c.hcl:1:11: storage: expected an object, found a number"),
        (in_listener("adress = \"x:1\""), "c.hcl:1:18: unknown key \"adress\" in listener \"tcp\": did you mean \"address\"?"),
        (
            in_listener("tls_disable = true tls_disable = false"),
            "c.hcl:1:37: tls_disable: set twice in listener \"tcp\", first at 1:18: remove one",
        ),
        (
            in_listener("address = \"127.0.0.1\" tls_disable = true"),
            "c.hcl:1:28: address: expected HOST:PORT, such as \"127.0.0.1:8200\" or \"[::1]:8200\", found \"127.0.0.1\"",
        ),
        (
            in_listener("address = \"::1:8200\" tls_disable = true"),
            "c.hcl:1:28: address: expected HOST:PORT, such as \"127.0.0.1:8200\" or \"[::1]:8200\", found \"::1:8200\"",
        ),
        (in_listener("tls_disable = \"perhaps\""), "c.hcl:1:32: tls_disable: expected true or false, found \"perhaps\""),
        (
            in_listener(""),
            "c.hcl:1:10: listener \"tcp\": tls_cert_file is missing: set tls_cert_file and tls_key_file, or tls_disable = true",
        ),
        (
            in_listener("tls_cert_file = \"c\""),
            "c.hcl:1:10: listener \"tcp\": tls_key_file is missing: set tls_cert_file and tls_key_file, or tls_disable = true",
        ),
        (
            in_listener("tls_cert_file = \"c\" tls_key_file = \"k\" tls_min_version = \"ssl3\""),
            "c.hcl:1:75: tls_min_version: expected tls12 or tls13, found \"ssl3\"",
        ),
        (
            in_listener("tls_cert_file = \"c\" tls_key_file = \"k\" tls_max_version = \"tls12\""),
            "c.hcl:1:57: tls_max_version: TLS 1.3 cannot be turned off: remove it or set \"tls13\"",
        ),
        (
            in_listener("tls_cert_file = \"c\" tls_key_file = \"k\" tls_require_and_verify_client_cert = true"),
            "c.hcl:1:10: listener \"tcp\": tls_require_and_verify_client_cert needs tls_client_ca_file: the authorities of the system are not used",
        ),
        (
            in_listener("tls_disable = true max_request_size = -1"),
            "c.hcl:1:56: max_request_size: a listener without a limit is not supported: set a size in bytes",
        ),
        (
            in_listener("tls_disable = true max_request_duration = \"-1s\""),
            "c.hcl:1:60: max_request_duration: expected a duration that is not negative, found \"-1s\"",
        ),
        (
            in_listener("tls_disable = true telemetry { unauthenticated = true }"),
            "c.hcl:1:49: unknown key \"unauthenticated\" in telemetry of listener \"tcp\": remove it",
        ),
        (
            in_listener("tls_disable = true require_request_header = true"),
            "c.hcl:1:37: require_request_header cannot be turned on in listener \"tcp\": the header X-Vault-Request is not demanded: remove it if that is acceptable",
        ),
        (load_text("listener \"unix\" { address = \"/s\" }"), "c.hcl:1:10: listener \"unix\": no such type; supported is \"tcp\""),
        (in_storage("path = \"/e\""), "c.hcl:2:1: path: set twice in storage, first at 1:18: remove one"),
        (in_storage("nested { a = 1 }"), "c.hcl:2:8: nested: expected a string, found an object"),
        (in_storage("pool { sice = 1 }"), "c.hcl:2:8: unknown key \"sice\" in pool of storage: did you mean \"size\"?"),
        (in_storage("pool { size = 0 }"), "c.hcl:2:15: size: expected a whole number of at least 1, found 0"),
        (in_storage("pool { policy = \"cold\" }"), "c.hcl:2:17: policy: expected warm or ephemeral, found \"cold\""),
        (in_storage("pool = 5"), "c.hcl:2:8: pool: expected a block, found a number"),
        (
            in_storage("limits { memory = \"lots\" }"),
            "c.hcl:2:19: memory: expected a size in bytes, such as 33554432, \"32MiB\" or \"32mb\", found \"lots\"",
        ),
        (in_storage("limits { cpu = 0 }"), "c.hcl:2:16: cpu: expected a duration longer than 0"),
        (in_storage("max_parallel = 2\npool { size = 1 }"), "c.hcl:2:1: max_parallel: is the same as size in pool: remove one"),
    ] {
        let found = result.map_or_else(|error| error, |_| "a configuration".to_owned());
        if found != message {
            wrong.push(format!("found    {found}\nexpected {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_weaken_safety_is_ignored_with_a_warning() {
    let config = with("ui = true\ncache_size = 5\ntelemetry { statsd_address = \"x\" }\nui_extra_free = 0");
    assert!(config.unwrap_err().contains("unknown key \"ui_extra_free\""));
    let config = with("ui = true\ncache_size = 5\ntelemetry { statsd_address = \"x\" }").unwrap();
    let warnings: Vec<&str> = config.warnings.iter().filter_map(|warning| warning.rsplit_once('/')).map(|(_, rest)| rest).collect();
    assert_eq!(config.warnings.len(), 3);
    assert!(config.warnings[0].ends_with("c.hcl:1:1: ui at the top level is ignored: there is no web interface"), "{warnings:?}");
    assert!(with("ui = false\nraw_storage_endpoint = false\ndisable_mlock = false").unwrap().warnings.is_empty());
}

#[test]
fn raising_the_oldest_tls_version_is_said() {
    let old = in_listener("tls_cert_file = \"c\" tls_key_file = \"k\" tls_min_version = \"tls10\"").unwrap();
    assert!(old.warnings.iter().any(|warning| warning.contains("raised to tls12")), "{:?}", old.warnings);
    assert!(in_listener("tls_cert_file = \"c\" tls_key_file = \"k\" tls_min_version = \"tls12\"").unwrap().warnings.is_empty());
}

#[test]
fn several_files_are_merged_as_vault_merges_them() {
    let one = format!("{STORAGE}{LISTENER}log_level = \"info\"\nmax_lease_ttl = \"100h\"\ncluster_name = \"one\"");
    let two = "listener \"tcp\" { address = \"127.0.0.1:2\" tls_disable = 1 }\nlog_level = \"warn\"\nmax_lease_ttl = \"50h\"\nstorage \"file\" { path = \"/e\" }";
    let config = load_files(&[("1.hcl", &one), ("2.hcl", two)], &[]).unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.log.level, Some(Level::Warn));
    assert_eq!(config.max_lease_ttl, Duration::from_secs(360_000));
    assert_eq!(config.storage.path, Some(PathBuf::from("/e")));
    assert_eq!(config.cluster_name.as_deref(), Some("one"));
}

#[test]
fn a_directory_is_read_in_lexical_order_without_what_editors_leave() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let none = load(&[directory.path().to_owned()], &Environment::default()).unwrap_err().to_string();
    assert!(none.ends_with("the directory holds no *.hcl and no *.json file"), "{none}");
    write("10.hcl", &format!("{STORAGE}{LISTENER}cluster_name = \"ten\""));
    write("20.json", r#"{"cluster_name": "twenty"}"#);
    write("30.hcl.bak", "broken (");
    write(".#40.hcl", "broken (");
    write("40.hcl~", "broken (");
    let config = load(&[directory.path().to_owned()], &Environment::default()).unwrap();
    assert_eq!(config.cluster_name.as_deref(), Some("twenty"));
    let missing = load(&[directory.path().join("no.hcl")], &Environment::default()).unwrap_err().to_string();
    assert!(missing.contains("no.hcl: cannot be read: "), "{missing}");
}

#[test]
fn the_environment_comes_over_the_files() {
    let text = format!("api_addr = \"http://file:1\"\nlog_level = \"info\"\n{STORAGE}{LISTENER}");
    let config = |environment: &[(&str, &str)]| load_files(&[("c.hcl", &text)], environment);
    let both = config(&[("VAULT_API_ADDR", "http://vault:1"), ("BAO_API_ADDR", "http://bao:1"), ("VAULT_LOG_LEVEL", "trace")]).unwrap();
    assert_eq!(both.api_addr.as_deref(), Some("http://bao:1"));
    assert_eq!(both.log.level, Some(Level::Trace));
    assert_eq!(config(&[("VAULT_REDIRECT_ADDR", "http://old:1")]).unwrap().api_addr.as_deref(), Some("http://old:1"));
    assert_eq!(config(&[("VAULT_ADVERTISE_ADDR", "http://older:1")]).unwrap().api_addr.as_deref(), Some("http://older:1"));
    assert_eq!(config(&[("BAO_API_ADDR", "")]).unwrap().api_addr.as_deref(), Some("http://file:1"));
    assert_eq!(
        config(&[("BAO_LOG_LEVEL", "loud")]).unwrap_err(),
        "BAO_LOG_LEVEL: expected trace, debug, info, warn or error, found \"loud\""
    );
    assert_eq!(
        config(&[("VAULT_CLUSTER_ADDR", "nonsense")]).unwrap_err(),
        "VAULT_CLUSTER_ADDR: expected an address such as https://vault.example.com:8200, found \"nonsense\""
    );
}

#[test]
fn no_key_is_known_twice_and_every_refusal_says_why() {
    use super::keys::Verdict;
    for keys in [super::schema::TOP, super::schema::LISTENER, super::schema::TELEMETRY, super::schema::LISTENER_TELEMETRY] {
        for (index, (name, verdict)) in keys.iter().enumerate() {
            assert!(!keys[..index].iter().any(|(other, _)| other == name), "{name} twice");
            if let Verdict::Refused(why) | Verdict::RefusedIfOn(why) | Verdict::Ignored(why) | Verdict::IgnoredIfOn(why) = verdict {
                assert!(why.len() > 15, "{name}");
            }
        }
    }
}
