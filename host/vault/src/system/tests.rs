//! The system backend through the core. What is expected here is what OpenBao 2.7.2 answered to the same requests.

mod config;
mod leases;
mod lockouts;
mod wrapping;

use serde_json::{Value, json};

use crate::core::tests::{Vault, call, data};
use crate::logical::{Error, Operation, Response};

fn text<T>(result: crate::logical::Result<T>) -> String {
    match result.err().unwrap() {
        Error::BadRequest(text) => text,
        other => panic!("{other:?}"),
    }
}

fn is_empty(response: &Response) -> bool {
    response.data.is_none() && response.warnings.is_empty() && response.auth.is_none()
}

#[tokio::test]
async fn a_new_mount_is_shown_as_it_was_asked_for() {
    let vault = Vault::new().await;
    let body = json!({
        "type": "kv-v2", "description": "d", "local": true, "seal_wrap": true, "bogus": 1,
        "config": {"default_lease_ttl": "1h", "max_lease_ttl": 7200, "listing_visibility": "unauth", "force_no_cache": true,
            "passthrough_request_headers": ["a"], "audit_non_hmac_request_keys": "b,c", "bogus": 2},
    });
    assert!(is_empty(&vault.write("sys/mounts/deep/v2", body).await.unwrap()));
    let mut mount = vault.read("sys/mounts/deep/v2").await.unwrap();
    let (accessor, uuid) = (mount["accessor"].take(), mount["uuid"].take());
    assert!(accessor.as_str().unwrap().starts_with("kv_") && uuid.as_str().unwrap().len() == 36);
    assert_eq!(
        mount,
        json!({
            "accessor": null, "uuid": null, "type": "kv", "description": "d", "local": true, "seal_wrap": true, "external_entropy_access": false,
            "options": {"version": "2"}, "deprecation_status": "supported", "plugin_version": "", "running_sha256": "",
            "running_plugin_version": "v1.2.3+builtin.cofferdam",
            "config": {"default_lease_ttl": 3600, "max_lease_ttl": 7200, "force_no_cache": true, "listing_visibility": "unauth",
                "passthrough_request_headers": ["a"], "audit_non_hmac_request_keys": ["b", "c"]},
        })
    );
    let all = vault.call(Operation::Read, "sys/mounts", Value::Null).await.unwrap();
    assert!(all.flatten);
    let all = data(all);
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["cubbyhole/", "deep/v2/", "identity/", "sys/"]);
    assert_eq!(all["deep/v2/"]["uuid"], uuid);
    assert_eq!(all["sys/"]["config"]["passthrough_request_headers"], json!(["Accept"]));
    let auth = vault.read("sys/auth").await.unwrap();
    assert_eq!(auth["token/"]["config"]["token_type"], "default-service");
    assert_eq!(vault.read("sys/auth/token").await.unwrap(), auth["token/"]);
}

#[tokio::test]
async fn mounts_that_cannot_be_are_refused_with_the_texts_of_the_field() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/a/b", json!({"type": "kv"})).await.unwrap();
    for (path, body, expected) in [
        ("a/b", json!({"type": "kv"}), "path is already in use at a/b/"),
        ("a", json!({"type": "kv"}), "path is already in use at a/b/"),
        ("a/b/c", json!({"type": "kv"}), "path is already in use at a/b/"),
        ("x", json!({}), "backend type must be specified as a string"),
        ("x", json!({"type": "nope"}), "plugin not found in the catalog: nope"),
        ("x", json!({"type": 7}), "plugin not found in the catalog: 7"),
        ("x", json!({"type": "token"}), "mount type of \"token\" is not mountable"),
        ("x", json!({"type": "system"}), "mount type of \"system\" is not mountable"),
        ("sys", json!({"type": "kv"}), "cannot mount \"sys/\""),
        ("auth/x", json!({"type": "kv"}), "cannot mount \"auth/x/\""),
        ("cubbyhole/x", json!({"type": "kv"}), "cannot mount \"cubbyhole/x/\""),
        (
            "x",
            json!({"type": "kv", "config": {"default_lease_ttl": "3h", "max_lease_ttl": "2h"}}),
            "given default lease TTL greater than given max lease TTL",
        ),
        (
            "x",
            json!({"type": "kv", "config": {"default_lease_ttl": "100000h"}}),
            "given default lease TTL greater than system max lease TTL of 2764800",
        ),
        (
            "x",
            json!({"type": "kv", "config": {"default_lease_ttl": "x"}}),
            "unable to parse default TTL of x: time: invalid duration \"x\"",
        ),
        ("x", json!({"type": "kv", "config": {"listing_visibility": "x"}}), "invalid listing_visibility x"),
    ] {
        assert_eq!(text(vault.write(&format!("sys/mounts/{path}"), body).await), expected);
    }
    assert!(text(vault.write("sys/mounts/x", json!({"type": "kv", "options": {"version": "3"}})).await).contains("\"3\""));
    assert!(text(vault.write("sys/mounts/x", json!({"type": "kv", "local": "yes"})).await).contains("\"local\""));
    assert_eq!(text(vault.read("sys/mounts/nope").await), "No secret engine mount at nope/");
    assert_eq!(text(vault.read("sys/auth/nope").await), "No auth engine at nope/");
    assert_eq!(text(vault.write("sys/auth/x", json!({"type": "userpass"})).await), "plugin not found in the catalog: userpass");
    assert_eq!(text(vault.call(Operation::Delete, "sys/auth/token", Value::Null).await), "token credential backend cannot be disabled");
    assert_eq!(text(vault.call(Operation::Delete, "sys/mounts/sys", Value::Null).await), "cannot unmount \"sys/\"");
    for missing in ["sys/mounts/nope", "sys/auth/nope"] {
        assert!(is_empty(&vault.call(Operation::Delete, missing, Value::Null).await.unwrap()));
    }
}

#[tokio::test]
async fn tuning_changes_what_is_given_and_shows_the_servers_times_for_the_rest() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv", "config": {"max_lease_ttl": "2h"}})).await.unwrap();
    let tune = async |body| vault.write("sys/mounts/m/tune", body).await;
    assert_eq!(
        vault.read("sys/mounts/m/tune").await.unwrap(),
        json!({"default_lease_ttl": 2_764_800, "max_lease_ttl": 7200, "force_no_cache": false, "description": ""})
    );
    assert!(is_empty(&tune(json!({"description": "x", "default_lease_ttl": "30m", "options": {"foo": "bar"}})).await.unwrap()));
    assert_eq!(
        vault.read("sys/mounts/m/tune").await.unwrap(),
        json!({"default_lease_ttl": 1800, "max_lease_ttl": 7200, "force_no_cache": false, "description": "x", "options": {"foo": "bar"}})
    );
    // kv v1 tells of the mount's time with every secret.
    vault.write("m/a", json!({"k": "v"})).await.unwrap();
    let read = vault.call(Operation::Read, "m/a", Value::Null).await.unwrap();
    assert_eq!(read.lease_duration.as_secs(), 1800);
    for (body, expected) in [
        (json!({"default_lease_ttl": "30h"}), "backend max lease TTL of 7200 would be less than backend default lease TTL of 108000"),
        (json!({"listing_visibility": "zz"}), "invalid listing_visibility zz"),
        (json!({"token_type": "batch"}), "'token_type' can only be modified on auth mounts"),
        (json!({"options": {"version": "3"}}), "invalid version provided: 3"),
        (json!({"options": {"version": ""}}), "invalid version provided: 0"),
    ] {
        assert_eq!(text(tune(body).await), expected);
    }
    assert!(is_empty(&tune(json!({"default_lease_ttl": "system", "max_lease_ttl": "", "options": {"foo": ""}})).await.unwrap()));
    assert_eq!(
        vault.read("sys/mounts/m").await.unwrap()["config"],
        json!({"default_lease_ttl": 0, "max_lease_ttl": 7200, "force_no_cache": false})
    );
    assert_eq!(text(vault.write("sys/mounts/sys/tune", json!({"description": "x"})).await), "cannot tune parameter description of sys/");
    assert_eq!(
        text(vault.write("sys/mounts/nope/tune", json!({"description": "x"})).await),
        "tune of path \"nope/\" failed: no mount entry found"
    );
    assert_eq!(text(vault.read("sys/mounts/nope/tune").await), "cannot fetch sysview for path \"nope/\"");
    assert!(is_empty(&vault.write("sys/mounts/sys/tune", json!({})).await.unwrap()));
}

#[tokio::test]
async fn versions_are_switched_on_once_and_never_off() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv"})).await.unwrap();
    vault.write("m/a", json!({"k": "v"})).await.unwrap();
    let response = vault.write("sys/mounts/m/tune", json!({"options": {"version": "2"}})).await.unwrap();
    assert!(response.warnings[0].starts_with("Upgrading mount from version 1 to version 2"));
    let secret = vault.read("m/data/a").await.unwrap();
    assert_eq!((&secret["data"], &secret["metadata"]["version"]), (&json!({"k": "v"}), &json!(1)));
    assert_eq!(text(vault.write("sys/mounts/m/tune", json!({"options": {"version": "1"}})).await), "cannot downgrade mount from version 2");
}

#[tokio::test]
async fn a_mount_moves_with_its_secrets() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv"})).await.unwrap();
    vault.write("sys/mounts/taken", json!({"type": "kv"})).await.unwrap();
    vault.write("m/a", json!({"k": "v"})).await.unwrap();
    for (from, to, expected) in [
        ("nope", "x", "no matching mount at \"nope/\""),
        ("m", "sys/x", "cannot remount to destination sys/x/"),
        ("m", "taken", "path already in use at \"taken/\""),
        ("m", "taken/x", "path already in use at \"taken/\""),
        ("m", "m", "path already in use at \"m/\""),
        ("sys", "x", "cannot remount \"sys/\""),
        ("auth/token", "x", "cannot remount auth mount to non-auth mount \"x/\""),
        ("auth/token", "auth/x", "cannot remount \"auth/token/\""),
        ("m", "auth/x", "cannot remount to destination auth/x/"),
        ("", "x", "both 'from' and 'to' path must be specified as a string"),
    ] {
        assert_eq!(text(vault.write("sys/remount", json!({"from": from, "to": to})).await), expected);
    }
    let moved = data(vault.write("sys/remount", json!({"from": "m/", "to": "/other/inner"})).await.unwrap());
    let id = moved["migration_id"].as_str().unwrap();
    assert_eq!(
        vault.read(&format!("sys/remount/status/{id}")).await.unwrap(),
        json!({"migration_id": id, "migration_info": {"source_mount": "m/", "target_mount": "other/inner/", "status": "success"}})
    );
    assert_eq!(vault.read("other/inner/a").await.unwrap(), json!({"k": "v"}));
    assert!(matches!(vault.read("m/a").await, Err(Error::NoRoute(_))));
    assert!(matches!(vault.read("sys/remount/status/nope").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_mount_moves_to_no_path_that_is_taken_or_cannot_be_reached() {
    let vault = Vault::new().await;
    for mount in ["a/b", "a/c", "d"] {
        vault.write(&format!("sys/mounts/{mount}"), json!({"type": "kv"})).await.unwrap();
    }
    let missing = "both 'from' and 'to' path must be specified as a string";
    for (from, to, expected) in [
        // Whichever of several comes first: the mount itself is no reason to look no further.
        ("a/c", "a", r#"path already in use at "a/b/""#),
        ("d", "d/below", r#"path already in use at "d/""#),
        ("d", "d", r#"path already in use at "d/""#),
        ("d", "a/b/below", r#"path already in use at "a/b/""#),
        ("d", "/", r#"invalid destination mount path "/""#),
        ("d", "q/../z", "invalid destination mount: path 'q/../z/' does not match cleaned path 'z/'"),
        ("d", "a/./b", "invalid destination mount: path 'a/./b/' does not match cleaned path 'a/b/'"),
        ("d", "q//z", "invalid destination mount: path 'q//z/' does not match cleaned path 'q/z/'"),
        ("d", "..", "invalid destination mount: path '../' does not match cleaned path '/'"),
        ("d", "q\u{1}", "invalid destination mount: path cannot contain non-printable characters"),
        ("d", "q ", "'to' path cannot contain trailing whitespace"),
        (" d", "q", "'from' path cannot contain trailing whitespace"),
        ("/", "q", r#"no matching mount at """#),
        ("x/../d", "q", r#"no matching mount at "x/../d/""#),
        ("d", "", missing),
    ] {
        assert_eq!(text(vault.write("sys/remount", json!({"from": from, "to": to})).await), expected, "{from:?} to {to:?}");
    }
    vault.write("sys/remount", json!({"from": "/d/", "to": "/moved/"})).await.unwrap();
    assert!(vault.read("sys/mounts").await.unwrap().get("moved/").is_some());
}

#[tokio::test]
async fn the_root_policy_is_the_last_of_the_list() {
    let vault = Vault::new().await;
    vault.write("sys/policies/acl/zeta", json!({"policy": r#"path "x" { capabilities = ["read"] }"#})).await.unwrap();
    let names = json!(["default", "zeta", "root"]);
    assert_eq!(data(vault.call(Operation::List, "sys/policies/acl", Value::Null).await.unwrap())["keys"], names);
    assert_eq!(vault.read("sys/policy").await.unwrap()["policies"], names);
}

#[tokio::test]
async fn policies_are_read_as_they_were_written_on_both_paths() {
    let vault = Vault::new().await;
    let rules = r#"path "a" { capabilities = ["read"] }"#;
    assert!(is_empty(&vault.write("sys/policies/acl/P1", json!({"policy": rules})).await.unwrap()));
    assert_eq!(vault.read("sys/policies/acl/p1").await.unwrap(), json!({"name": "p1", "policy": rules}));
    let legacy = vault.call(Operation::Read, "sys/policy/p1", Value::Null).await.unwrap();
    assert!(legacy.flatten);
    assert_eq!(data(legacy), json!({"name": "p1", "rules": rules}));
    let names = json!(["default", "p1", "root"]);
    assert_eq!(data(vault.call(Operation::List, "sys/policies/acl", Value::Null).await.unwrap()), json!({"keys": names}));
    assert_eq!(vault.read("sys/policy").await.unwrap(), json!({"keys": names, "policies": names}));
    let warned = vault.write("sys/policy/p2", json!({"rules": rules})).await.unwrap();
    assert_eq!(warned.warnings, ["'rules' is deprecated, please use 'policy' instead"]);
    assert!(is_empty(&vault.call(Operation::Delete, "sys/policies/acl/p2", Value::Null).await.unwrap()));
    assert!(matches!(vault.read("sys/policies/acl/p2").await, Err(Error::NotFound)));
    assert_eq!(text(vault.write("sys/policies/acl/x", json!({"policy": ""})).await), "'policy' parameter not supplied or empty");
    assert_eq!(text(vault.call(Operation::Delete, "sys/policies/acl/default", Value::Null).await), "cannot delete default policy");
    assert_eq!(text(vault.write("sys/policies/acl/root", json!({"policy": rules})).await), "cannot update \"root\" policy");
    assert!(text(vault.write("sys/policies/acl/x", json!({"policy": rules, "ttl": "1h"})).await).contains("\"ttl\""));
    assert!(matches!(vault.read("sys/policies/acl").await, Err(Error::UnsupportedOperation)));
}

#[tokio::test]
async fn capabilities_are_those_of_the_token_that_is_asked_about() {
    let vault = Vault::new().await;
    let token = vault.token(r#"path "secret/*" { capabilities = ["read", "list"] }"#).await;
    let own =
        call(&vault.core, Some(&token), Operation::Update, "sys/capabilities-self", json!({"paths": ["secret/a", "x"]})).await.unwrap();
    assert!(own.flatten);
    assert_eq!(data(own), json!({"secret/a": ["list", "read"], "x": ["deny"]}));
    let asked = data(vault.write("sys/capabilities", json!({"token": token, "path": "secret/a"})).await.unwrap());
    assert_eq!(asked, json!({"secret/a": ["list", "read"], "capabilities": ["list", "read"]}));
    let accessor = data(vault.write("auth/token/lookup", json!({"token": token})).await.unwrap())["accessor"].clone();
    assert_eq!(data(vault.write("sys/capabilities-accessor", json!({"accessor": accessor, "path": "secret/a"})).await.unwrap()), asked);
    assert_eq!(data(vault.write("sys/capabilities-self", json!({"path": "any"})).await.unwrap())["any"], json!(["root"]));
    assert_eq!(text(vault.write("sys/capabilities-self", json!({})).await), "paths must be supplied");
    assert!(text(vault.write("sys/capabilities", json!({"token": "bad", "path": "x"})).await).contains("invalid token"));
    assert!(text(vault.write("sys/capabilities-accessor", json!({"accessor": "bad", "path": "x"})).await).contains("invalid accessor"));
}

#[tokio::test]
async fn clients_find_the_mount_of_a_path_if_they_may_do_anything_there() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/secret", json!({"type": "kv-v2"})).await.unwrap();
    vault.write("sys/mounts/other", json!({"type": "kv"})).await.unwrap();
    let token = vault.token(r#"path "secret/data/x/*" { capabilities = ["read"] }"#).await;
    let ask =
        async |path: &str| call(&vault.core, Some(&token), Operation::Read, &format!("sys/internal/ui/mounts{path}"), Value::Null).await;
    let mount = data(ask("/secret/data/x/y").await.unwrap());
    assert_eq!((&mount["path"], &mount["type"], &mount["options"]), (&json!("secret/"), &json!("kv"), &json!({"version": "2"})));
    for hidden in ["other", "nope"] {
        let error = ask(&format!("/{hidden}")).await.unwrap_err();
        let expected =
            format!("preflight capability check returned 403, please ensure client's policies grant access to path \"{hidden}/\"");
        assert!(matches!(&error, Error::Forbidden(text) if *text == expected), "{error:?}");
    }
    let seen = data(ask("").await.unwrap());
    assert!(seen["secret"].get("secret/").is_some() && seen["secret"].get("other/").is_none());
}

#[tokio::test]
async fn the_keyring_is_rotated_and_what_was_written_before_is_still_read() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv"})).await.unwrap();
    vault.write("m/a", json!({"k": "v"})).await.unwrap();
    assert_eq!(vault.read("sys/key-status").await.unwrap()["term"], 1);
    for path in ["sys/rotate", "sys/rotate/keyring"] {
        assert!(is_empty(&vault.write(path, Value::Null).await.unwrap()));
    }
    let status = vault.read("sys/key-status").await.unwrap();
    assert!(status["term"] == 3 && status["install_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(vault.read("m/a").await.unwrap(), json!({"k": "v"}));
    let config = vault.read("sys/rotate/config").await.unwrap();
    assert_eq!(config, json!({"enabled": true, "interval": 0, "max_operations": 3_865_470_566_u64}));
    assert_eq!(
        text(vault.write("sys/rotate/config", json!({"max_operations": 5})).await),
        "max_operations must be in the range [1000000,3865470566]"
    );
    assert_eq!(text(vault.write("sys/rotate/config", json!({"interval": "1h"})).await), "interval must be greater or equal to 24h0m0s");
    vault.write("sys/rotate/config", json!({"interval": "48h", "max_operations": 2_000_000})).await.unwrap();
    vault.write("sys/rotate/config", json!({"enabled": false})).await.unwrap();
    vault.core.shutdown().await;
    let other = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(
        other.read("sys/rotate/keyring/config").await.unwrap(),
        json!({"enabled": false, "interval": "48h0m0s", "max_operations": 2_000_000})
    );
    assert_eq!(other.read("sys/key-status").await.unwrap()["term"], 3);
}

#[tokio::test]
async fn what_there_is_not_says_so() {
    let vault = Vault::new().await;
    for path in ["sys/nope", "sys/mounts/", "sys/license/status", "sys/internal/counters/x", "sys"] {
        let error = vault.read(path).await.unwrap_err();
        assert!(matches!(&error, Error::NoRoute(text) if text == "1 error occurred:\n\t* unsupported path\n\n"), "{path}: {error:?}");
    }
    for (operation, path) in [
        (Operation::Delete, "sys/key-status"),
        (Operation::Update, "sys/key-status"),
        (Operation::Read, "sys/capabilities-self"),
        (Operation::Read, "sys/rotate"),
        (Operation::Delete, "sys/rotate"),
    ] {
        assert!(matches!(vault.call(operation, path, Value::Null).await, Err(Error::UnsupportedOperation)), "{path}");
    }
    assert_eq!(vault.read("sys/audit").await.unwrap(), json!({}));
    assert!(text(vault.write("sys/audit/x", json!({"type": "file"})).await).contains("audit"));
    assert!(matches!(vault.read("sys/audit/x").await, Err(Error::UnsupportedOperation)));
    assert!(matches!(vault.write("sys/audit", Value::Null).await, Err(Error::UnsupportedOperation)));
    assert_eq!(vault.read("sys/ha-status").await.unwrap()["nodes"][0]["active_node"], true);
}

#[tokio::test]
async fn mounts_of_engines_that_are_not_offered_are_kept_listed_and_refused() {
    let vault = Vault::new().await;
    let aws = crate::mounts::Entry::new("mounts", "aws/", "aws", "kept").unwrap();
    let ssh = crate::mounts::Entry::new("auth", "oidc/", "oidc", "").unwrap();
    vault
        .core
        .with_tables(async |tables| {
            tables.add(aws.clone()).await.unwrap();
            tables.add(ssh).await.unwrap();
        })
        .await;
    vault.core.shutdown().await;
    let vault = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(vault.read("sys/mounts/aws").await.unwrap()["uuid"], aws.uuid);
    for path in ["aws/creds/x", "auth/oidc/login", "identity/entity/id"] {
        let error = text(vault.read(path).await);
        assert!(error.contains("does not offer"), "{error}");
    }
    assert!(text(vault.call(Operation::Delete, "sys/auth/oidc", Value::Null).await).contains("deletes no data"));
    assert_eq!(text(vault.write("sys/mounts/aws/x", json!({"type": "kv"})).await), "path is already in use at aws/");
}
