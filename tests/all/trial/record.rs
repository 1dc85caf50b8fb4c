//! `--record` and `--replay`: what a service answered once is enough to try a component again, with no service, no network and no credentials; and neither these nor a
//! key is in the file.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_emulator::Etcd;
use serde_json::Value;

use super::{checks, try_out, written};
use crate::awskms::kms;
use crate::dynamodb::{Emulator, REGION, ground};
use crate::e2e::process::text;
use crate::runtime::path;

const ACCESS: &str = "AKIAPLANTEDPLANTED01";
const SECRET: &str = "planted/secret/of/nobody/0123456789abcdef";

/// An endpoint that somebody would notice to be asked.
struct Watched(TcpListener);

impl Watched {
    fn new() -> Watched {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Watched(listener)
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn was_not_asked(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// What the command makes of it, off the threads that serve the emulator.
async fn tried(arguments: &[&str], file: PathBuf) -> std::process::Output {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let run = move || try_out(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &file);
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

/// Of a report: how many passed and how many were skipped. None failed.
fn counts(report: &Value) -> (usize, usize) {
    let all = checks(report);
    let count = |wanted: &str| all.iter().filter(|(_, outcome)| outcome == wanted).count();
    assert_eq!(count("failed"), 0, "{report:#}");
    (count("passed"), count("skipped"))
}

/// None of these is in the text, in no writing; the last is, as the search would find the others.
fn none_is_in(text: &str, secrets: &[&[u8]], control: &[u8]) {
    let found = |bytes: &[u8]| {
        let base64 = STANDARD.encode(bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let raw = std::str::from_utf8(bytes).is_ok_and(|raw| text.contains(raw));
        raw || text.contains(base64.trim_end_matches('=')) || text.to_lowercase().contains(&hex)
    };
    for secret in secrets {
        assert!(!found(secret), "{}", String::from_utf8_lossy(secret));
    }
    assert!(found(control), "the search finds what is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_on_dynamodb_is_tried_without_dynamodb() {
    let ground = ground(Emulator::Mini).await;
    let directory = tempfile::tempdir().unwrap();
    let stanza = |table: &str, endpoint: &str, keys: &str| {
        format!("storage \"dynamodb\" {{ table = \"{table}\" region = \"{REGION}\" endpoint = \"{endpoint}\" {keys} }}")
    };
    let keys = format!("access_key = \"{ACCESS}\" secret_key = \"{SECRET}\"");
    let config = written(directory.path(), "c.hcl", &stanza(&ground.name, ground.proxy.endpoint(), &keys));
    let file = directory.path().join("dynamodb.trial");
    let (config, file) = (config.to_str().unwrap().to_owned(), file.to_str().unwrap().to_owned());
    let only = "contract/openbao-ten-keys,contract/restart,contract/random-operations,contract/lock-clocks,contract/lock-race,\
                contract/scan-complete,cost";
    let record = ["--quick", "--config", &config, "--only", only, "--format", "json", "--record", &file];
    let recorded = tried(&record, path("dynamodb")).await;
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded));
    let said = String::from_utf8_lossy(&recorded.stderr).into_owned();
    assert!(said.contains("recorded: 6 checks") && said.contains("contract/lock-race: not recorded"), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ground.table.items().await.unwrap().is_empty(), "what was written is removed");
    let again = tried(&record, path("dynamodb")).await;
    assert!(again.status.code() == Some(1) && text(&again).contains("it exists"), "{}", text(&again));

    let recording = fs::read_to_string(&file).unwrap();
    none_is_in(&recording, &[ACCESS.as_bytes(), SECRET.as_bytes(), b"AWS4-HMAC-SHA256"], b"overwritten");

    // The service is gone, and whoever has the file has no keys.
    let table = ground.name.clone();
    drop(ground);
    let watched = Watched::new();
    let dead = written(directory.path(), "dead.hcl", &stanza(&table, &watched.endpoint(), ""));
    let dead = dead.to_str().unwrap().to_owned();
    let replay = |config: &str, file: &str| {
        let arguments = ["--config", config, "--format", "json", "--replay", file].map(str::to_owned);
        async move { tried(&arguments.each_ref().map(String::as_str), path("dynamodb")).await }
    };
    let replayed = replay(&dead, &file).await;
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    let report = json(&replayed);
    let (passed, skipped) = counts(&report);
    assert!(passed == 5 && skipped >= 2, "{report:#}");
    assert_eq!(report["seed"], serde_json::from_slice::<Value>(&recorded.stdout).unwrap()["seed"]);
    assert_eq!((&report["quick"], &report["played_back"]["file"]), (&Value::from(true), &Value::from(file.as_str())));
    assert_eq!(report["played_back"]["sha256"], report["subject"]["sha256"]);
    // Of which nothing was recorded.
    let none = tried(&["--config", &dead, "--only", "cost", "--replay", &file], path("dynamodb")).await;
    assert!(none.status.code() == Some(2) && text(&none).contains("not passed: every check was skipped"), "{}", text(&none));
    assert!(watched.was_not_asked());

    // Another value in one answer.
    let value = STANDARD.encode("overwritten");
    let doctored = directory.path().join("doctored.trial");
    let at = recording.rfind(&format!("\\\"{value}\\\"")).unwrap();
    let (before, rest) = recording.split_at(at + 2);
    let after = rest.strip_prefix(&value).unwrap();
    fs::write(&doctored, [before, &STANDARD.encode("0verwritten"), after].concat()).unwrap();
    let replayed = replay(&dead, doctored.to_str().unwrap()).await;
    assert_eq!(replayed.status.code(), Some(2), "{}", text(&replayed));
    assert!(checks(&json(&replayed)).contains(&("contract/restart".to_owned(), "failed".to_owned())), "{}", text(&replayed));
    // Other requests than those that were recorded.
    let other = written(directory.path(), "other.hcl", &stanza("another-table", &watched.endpoint(), ""));
    let replayed = replay(other.to_str().unwrap(), &file).await;
    assert_eq!(replayed.status.code(), Some(2), "{}", text(&replayed));
    assert!(text(&replayed).contains("which is not in the recording; next in it is"), "{}", text(&replayed));
    assert!(watched.was_not_asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_on_kms_is_tried_without_kms_and_no_key_is_in_the_file() {
    let (kms, arn) = kms().await;
    let directory = tempfile::tempdir().unwrap();
    let stanza = |endpoint: &str, keys: &str| {
        format!("seal \"awskms\" {{ kms_key_id = \"alias/vault\" region = \"eu-west-1\" endpoint = \"{endpoint}\" {keys} }}\n")
    };
    let keys = format!("access_key = \"{ACCESS}\" secret_key = \"{SECRET}\"");
    let live = stanza(kms.endpoint(), &keys);
    let config = written(directory.path(), "c.hcl", &live);
    let file = directory.path().join("awskms.trial");
    let (config, file) = (config.to_str().unwrap().to_owned(), file.to_str().unwrap().to_owned());
    let recorded =
        tried(&["--quick", "--config", &config, "--only", "contract", "--format", "json", "--record", &file], path("awskms")).await;
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded));
    let before = checks(&json(&recorded));
    let recording = fs::read_to_string(&file).unwrap();
    // The keys that the checks make up beside those that they draw, of which there is a placeholder.
    let account = arn.split(':').nth(4).unwrap();
    let keys: [&[u8]; 7] = [&[255; 32], &[9; 32], &[3; 32], ACCESS.as_bytes(), SECRET.as_bytes(), account.as_bytes(), b"Credential="];
    none_is_in(&recording, &keys, b"CiphertextBlob");
    assert!(recording.contains("{{key 2 base64}}") && recording.contains("arn:aws:kms:eu-west-1:000000000001:key/"));
    drop(kms);

    let watched = Watched::new();
    let dead = written(directory.path(), "dead.hcl", &stanza(&watched.endpoint(), ""));
    let replayed = tried(&["--config", dead.to_str().unwrap(), "--format", "json", "--replay", &file], path("awskms")).await;
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    assert_eq!(checks(&json(&replayed)), before);
    assert!(watched.was_not_asked());

    // The seal of a vault that exists passes what opens it.
    let vault = directory.path().join("vault");
    let stored = format!("storage \"file\" {{ path = \"{}\" }}\n", vault.display());
    let with = written(directory.path(), "vault.hcl", &format!("{live}{stored}"));
    let other = directory.path().join("other.trial");
    let record = ["--config", with.to_str().unwrap(), "--record", other.to_str().unwrap()];
    fs::create_dir_all(vault.join("core")).unwrap();
    fs::write(vault.join("core/_keyring"), "{}").unwrap();
    let refused = tried(&record, path("awskms")).await;
    assert!(refused.status.code() == Some(1) && text(&refused).contains("initialised store is not recorded"), "{}", text(&refused));
    // Nor where that cannot be told.
    fs::remove_dir_all(&vault).unwrap();
    fs::write(&vault, "no directory").unwrap();
    let refused = tried(&record, path("awskms")).await;
    assert!(refused.status.code() == Some(1) && text(&refused).contains("cannot be told"), "{}", text(&refused));
    assert!(!other.exists());
}

#[test]
fn a_storage_by_http_is_tried_without_its_server_and_what_the_host_adds_is_not_in_the_file() {
    let Some(etcd) = Etcd::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let planted = written(directory.path(), "planted", SECRET);
    let stanza = |host: &str, port: u16| {
        let (file, planted) = (path("etcd"), planted.display());
        format!(
            "storage \"etcd\" {{ endpoint = \"http://{host}:{port}\" prefix = \"trial/\" }}\nplugin \"storage\" \"etcd\" {{ path = \"{}\" grant \"http\" {{ \
             scheme = \"http\" host = \"{host}\" port = {port} header \"x-planted\" {{ file = \"{planted}\" }} }} }}\n",
            file.display()
        )
    };
    let config = written(directory.path(), "c.hcl", &stanza("127.0.0.1", etcd.port()));
    let file = directory.path().join("etcd.trial");
    let (config, file) = (config.to_str().unwrap(), file.to_str().unwrap());
    let only = "contract/openbao-ten-keys,contract/restart,contract/lock-seen";
    // In a folder: of another name each time, but for the recording.
    let record = ["--quick", "--force", "--config", config, "--only", only, "--format", "json", "--record", file];
    let recorded = try_out(&record, &path("etcd"));
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded));
    let recording = fs::read_to_string(file).unwrap();
    none_is_in(&recording, &[SECRET.as_bytes(), b"x-planted", format!("127.0.0.1:{}", etcd.port()).as_bytes()], b"server-1");

    // What others keep there would come into the recording by a scan.
    let entry = serde_json::json!({ "key": STANDARD.encode("trial/e/of-others"), "value": STANDARD.encode("x") });
    ureq::post(format!("{}/v3/kv/put", etcd.endpoint())).send_json(entry).unwrap();
    let other = directory.path().join("other.trial");
    let beside = try_out(&["--force", "--config", config, "--only", only, "--record", other.to_str().unwrap()], &path("etcd"));
    assert!(beside.status.code() == Some(1) && text(&beside).contains("what others keep") && !other.exists(), "{}", text(&beside));

    drop(etcd);
    fs::remove_file(&planted).unwrap();
    let watched = Watched::new();
    let dead = written(directory.path(), "dead.hcl", &stanza("127.0.0.1", watched.0.local_addr().unwrap().port()));
    let replayed = try_out(&["--config", dead.to_str().unwrap(), "--format", "json", "--replay", file], &path("etcd"));
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    assert_eq!(counts(&json(&replayed)).0, 3, "{}", text(&replayed));
    assert!(watched.was_not_asked());
}

#[test]
fn what_has_no_traffic_is_not_recorded_and_what_is_no_recording_not_played() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.trial");
    let tried = try_out(&["--record", file.to_str().unwrap()], &path("filesystem"));
    assert!(tried.status.code() == Some(1) && text(&tried).contains("neither aws nor http") && !file.exists(), "{}", text(&tried));
    let none = written(directory.path(), "none.trial", "{}\n");
    let tried = try_out(&["--replay", none.to_str().unwrap()], &path("filesystem"));
    assert!(tried.status.code() == Some(1) && text(&tried).contains("line 1: not a line of a recording"), "{}", text(&tried));
}
