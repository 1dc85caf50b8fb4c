//! The audit log: entry by entry against that of the real server, and the file as an operator handles it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::bao::fresh_with;
use super::process::{Server, until};

/// An audit block for the file. Devices are the configuration's alone, as the real server has it.
fn device(file: &Path, more: &str) -> String {
    format!(
        "unsafe_allow_api_audit_creation = false\naudit \"file\" \"to-file\" {{\n  options {{\n    file_path = \"{}\"\n    {more}\n  }}\n}}\n",
        file.display()
    )
}

fn entries(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.ends_with('\n'), "the last line is cut");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// As another token, or none.
fn with_token<T>(server: &mut Server, token: &str, work: impl FnOnce(&Server) -> T) -> T {
    let own = std::mem::replace(&mut server.token, token.to_owned());
    let done = work(server);
    server.token = own;
    done
}

fn create_token(server: &Server, body: Value) -> (String, String) {
    let auth = server.done("POST", "auth/token/create", Some(body))["auth"].clone();
    (auth["client_token"].as_str().unwrap().to_owned(), auth["accessor"].as_str().unwrap().to_owned())
}

/// Requests of every kind, and every way in which one is refused. Gives back the secrets that it used.
fn exercise(server: &mut Server) -> Vec<String> {
    let open = json!({"audit_non_hmac_request_keys": ["open"], "audit_non_hmac_response_keys": ["open"]});
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv", "config": open})));
    server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}})));
    let data = json!({"key": "hunter2", "open": "shown", "n": 5, "deep": [{"x": "hunter3"}, "hunter4", null, true], "empty": ""});
    for (method, path, body) in [
        ("PUT", "kv/a", Some(data.clone())),
        ("PUT", "kv/a", Some(data.clone())),
        ("GET", "kv/a", None),
        ("LIST", "kv", None),
        ("GET", "kv/none", None),
        ("DELETE", "kv/a", None),
        ("PUT", "secret/data/a", Some(json!({"data": data, "options": {"cas": 0}}))),
        ("PUT", "secret/data/a", Some(json!({"data": data, "options": {"cas": 0}}))),
        ("GET", "secret/data/a?version=1", None),
        ("GET", "secret/data/none", None),
        ("PUT", "secret/metadata/a", Some(json!({"custom_metadata": {"owner": "blue"}}))),
        ("GET", "secret/metadata/a", None),
        ("LIST", "secret/metadata", None),
        ("DELETE", "secret/data/a", None),
        ("GET", "secret/data/a", None),
        ("GET", "nosuch/a", None),
        ("GET", "sys/nosuch", None),
        ("GET", "sys/mounts", None),
        ("GET", "sys/auth", None),
        ("GET", "sys/key-status", None),
        ("GET", "sys/internal/ui/mounts", None),
        ("POST", "sys/capabilities-self", Some(json!({"paths": ["kv/a"]}))),
        ("PUT", "sys/audit/other", Some(json!({"type": "file", "options": {"file_path": "discard"}}))),
        ("DELETE", "sys/audit/to-file", None),
        ("GET", "sys/audit/to-file", None),
        ("PUT", "sys/audit-hash/to-file", Some(json!({"input": "hunter2"}))),
        ("PUT", "cubbyhole/c", Some(json!({"k": "hunter5"}))),
        ("GET", "cubbyhole/c", None),
        ("PUT", "sys/policies/acl/p1", Some(json!({"policy": "path \"kv/*\" { capabilities = [\"read\", \"create\"] }"}))),
        ("PUT", "sys/policies/acl/p2", Some(json!({"policy": "path \"kv/*\" { capabilities = [\"read\"] }"}))),
    ] {
        server.call(method, path, body);
    }
    let (token, accessor) =
        create_token(server, json!({"policies": ["default"], "meta": {"team": "blue"}, "display_name": "dn", "ttl": "1h"}));
    server.done("POST", "auth/token/lookup", Some(json!({"token": token})));
    server.done("POST", "auth/token/lookup-accessor", Some(json!({"accessor": accessor})));
    server.done("POST", "auth/token/renew", Some(json!({"token": token})));
    with_token(server, &token, |server| {
        server.done("GET", "auth/token/lookup-self", None);
        assert_eq!(server.call("GET", "kv/a", None).0, 403);
        assert_eq!(server.call("PUT", "kv/a", Some(json!({"k": "hunter6"}))).0, 403);
    });
    server.done("POST", "auth/token/revoke", Some(json!({"token": token})));
    with_token(server, &token, |server| assert_eq!(server.call("GET", "auth/token/lookup-self", None).0, 403));
    with_token(server, "", |server| {
        assert_eq!(server.call("GET", "kv/a", None).0, 403);
        server.call("GET", "sys/internal/ui/mounts", None);
    });
    let (twice, second) = create_token(server, json!({"policies": ["default"], "num_uses": 2}));
    with_token(server, &twice, |server| server.done("GET", "auth/token/lookup-self", None));
    let (both, third) = create_token(server, json!({"policies": ["p1", "p2"], "no_default_policy": true, "period": "1h"}));
    with_token(server, &both, |server| {
        server.done("PUT", "kv/b", Some(json!({"k": "hunter7"})));
        server.done("GET", "kv/b", None);
        assert_eq!(server.call("PUT", "kv/b", Some(json!({"k": "hunter7"}))).0, 403);
        assert_eq!(server.call("LIST", "kv", None).0, 403);
    });
    let mut secrets: Vec<String> = (2..=7).map(|n| format!("hunter{n}")).collect();
    secrets.extend([server.token.clone(), token, accessor, twice, second, both, third]);
    secrets
}

/// What two servers' entries have in common: what differs from run to run is replaced by what it is.
fn normal(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), normal(name, value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(values) => values.iter().map(|value| normal(name, value)).collect(),
        Value::String(text) if text.starts_with("hmac-sha256:") => {
            assert!(text.len() == 12 + 64 && text.bytes().skip(12).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{text}");
            "a hash".into()
        }
        Value::String(text) => match name {
            "id" if text != "root" => "an id".into(),
            "mount_accessor" => text.rsplit_once('_').unwrap().0.into(),
            "mount_running_version" | "mount_running_plugin_version" => "a version".into(),
            _ if text.len() >= 20 && text.starts_with("20") && text.ends_with('Z') && text.contains('T') => "a time".into(),
            _ => text.as_str().into(),
        },
        Value::Number(_) if matches!(name, "remote_port" | "creation_time" | "last_renewal_time" | "ttl" | "encryptions") => {
            "a number".into()
        }
        other => other.clone(),
    }
}

#[test]
fn entries_are_those_of_the_real_server() {
    let (our_dir, their_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (our_file, their_file) = (our_dir.path().join("audit.log"), their_dir.path().join("audit.log"));
    let mut servers = [Server::on(our_dir.path(), &device(&our_file, "")), fresh_with(&device(&their_file, ""))];
    for server in &mut servers {
        server.initialise(1, 1);
        exercise(server);
        server.done("PUT", "sys/seal", None);
    }
    let (ours, theirs) = (entries(&our_file), entries(&their_file));
    let shape = |entries: &[Value]| -> Vec<String> {
        entries.iter().map(|entry| format!("{} {} {}", entry["type"], entry["request"]["operation"], entry["request"]["path"])).collect()
    };
    assert_eq!(shape(&ours), shape(&theirs));
    assert!(ours.len() > 90, "{}", ours.len());
    let mut differences = String::new();
    for (our, their) in ours.iter().zip(&theirs) {
        let (our, their) = (normal("", our), normal("", their));
        if our != their {
            differences += &format!("ours   {our}\ntheirs {their}\n\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    // The order of the members too, which is lost above.
    let first = |file: &Path| {
        fs::read_to_string(file)
            .unwrap()
            .lines()
            .find(|line| line.contains("auth/token/create") && line.contains("\"response\""))
            .unwrap()
            .to_owned()
    };
    assert_eq!(names(&first(&our_file)), names(&first(&their_file)));
}

/// The names of a line's members as they stand there.
fn names(line: &str) -> Vec<String> {
    line.split('"').collect::<Vec<_>>().windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| pair[0].to_owned()).collect()
}

#[test]
fn no_secret_is_in_the_file_and_a_hash_can_be_looked_up() {
    for raw in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("logs/audit.log");
        let mut server = Server::on(dir.path(), &device(&file, if raw { "log_raw = \"true\"" } else { "" }));
        server.initialise(1, 1);
        let secrets = exercise(&mut server);
        let text = fs::read_to_string(&file).unwrap();
        for secret in &secrets {
            assert_eq!(text.contains(secret), raw, "{secret}");
        }
        let hash =
            server.done("PUT", "sys/audit-hash/to-file", Some(json!({"input": "hunter2"})))["data"]["hash"].as_str().unwrap().to_owned();
        // The answer that gives the hash has it in any case.
        let mut others = text.lines().filter(|line| !line.contains("sys/audit-hash/"));
        assert_eq!(others.any(|line| line.contains(&hash)), !raw);
    }
}

#[test]
fn a_renamed_file_is_let_go_on_sighup_and_a_full_disk_refuses_requests_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (file, rotated) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
    let mut server = Server::on(dir.path(), &device(&file, ""));
    let keys = server.initialise(1, 1);
    fs::rename(&file, &rotated).unwrap();
    server.signal("HUP");
    until("a new file", &server, || file.exists());
    server.done("PUT", "cubbyhole/a", Some(json!({"k": "v"})));
    let paths = |file: &Path| entries(file).iter().map(|entry| entry["request"]["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(&file), ["cubbyhole/a", "cubbyhole/a"]);
    assert_eq!(paths(&rotated), ["sys/audit/test"]);

    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    server.signal("HUP");
    until("the full disk", &server, || server.call("GET", "cubbyhole/a", None).0 == 500);
    assert_eq!(server.call("PUT", "cubbyhole/b", Some(json!({"k": "v"}))).0, 500);
    assert_eq!(server.call("GET", "sys/health", None).0, 200);
    fs::remove_file(&file).unwrap();
    assert_eq!(server.call("GET", "cubbyhole/b", None).0, 404, "a refused write was done:\n{}", server.log());
    assert_eq!(paths(&file), ["cubbyhole/b", "cubbyhole/b"]);

    // The device is stored, and used again after a restart, with the same salt.
    let hash = server.done("PUT", "sys/audit-hash/to-file", Some(json!({"input": "x"})));
    server.stop();
    let token = server.token.clone();
    let mut server = Server::on(dir.path(), &device(&file, ""));
    server.token = token;
    server.unseal(&keys);
    assert_eq!(server.done("PUT", "sys/audit-hash/to-file", Some(json!({"input": "x"})))["data"], hash["data"]);
}
