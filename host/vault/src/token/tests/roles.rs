//! Token roles, and the tokens that are made by them.

use super::super::roles::{Role, glob, is_name, suffix_matches};
use super::*;

async fn role(vault: &Vault, name: &str) -> Value {
    Value::Object(vault.ask(&vault.root, Operation::Read, &format!("roles/{name}"), json!({})).await.unwrap().data.unwrap())
}

#[tokio::test]
async fn a_role_is_made_changed_listed_and_deleted_as_by_the_reference() {
    let vault = Vault::new().await;
    let root = &vault.root;
    assert!(vault.write(root, "roles/r", json!({"allowed_policies": "B, a,,A", "period": "1h"})).await.unwrap().warnings.is_empty());
    assert_eq!(
        role(&vault, "r").await,
        json!({
            "allowed_entity_aliases": null, "allowed_policies": ["a", "b"], "allowed_policies_glob": [], "disallowed_policies": [],
            "disallowed_policies_glob": [], "explicit_max_ttl": 0, "name": "r", "orphan": false, "path_suffix": "", "period": 3600,
            "renewable": true, "token_explicit_max_ttl": 0, "token_no_default_policy": false, "token_period": 3600,
            "token_type": "default-service",
        })
    );
    let changed = json!({
        "token_period": "2h", "period": 5, "token_bound_cidrs": "127.0.0.1/32,10.1.2.3/8", "bound_cidrs": "::1", "token_num_uses": "3",
        "token_explicit_max_ttl": "2000h", "explicit_max_ttl": 1, "disallowed_policies": ["X ", "x"], "colour": "red",
        "allowed_entity_aliases": "A*",
    });
    let warnings = vault.write(root, "roles/r", changed).await.unwrap().warnings;
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    assert_eq!(warnings[0], "Endpoint ignored these unrecognized parameters: [colour]");
    assert_eq!(warnings[1], "Both 'token_period' and deprecated 'period' value supplied, ignoring the deprecated value");
    assert!(warnings[4].starts_with("Given explicit max TTL of 7200000 is greater than system/mount allowed value of 2764800 seconds;"));
    let shown = role(&vault, "r").await;
    for (name, value) in [
        ("period", json!(0)),
        ("token_period", json!(7_200)),
        ("token_bound_cidrs", json!(["127.0.0.1", "10.1.2.3/8"])),
        ("token_num_uses", json!(3)),
        ("disallowed_policies", json!(["x"])),
        ("allowed_policies", json!(["a", "b"])),
        ("allowed_entity_aliases", json!(["a*"])),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown.get("bound_cidrs").is_none());
    let listed = vault.ask(root, Operation::List, "roles/", json!({})).await.unwrap().data.unwrap();
    assert_eq!(listed["keys"], json!(["r"]));
    let asked = request(&vault.caller(root).await.unwrap(), Operation::Update, "roles/r", json!({}));
    assert_eq!(vault.backend.exists(&asked).await.unwrap(), Some(true));
    vault.ask(root, Operation::Delete, "roles/r", json!({})).await.unwrap();
    assert!(matches!(vault.ask(root, Operation::Read, "roles/r", json!({})).await, Err(Error::NotFound)));
    assert_eq!(vault.backend.exists(&asked).await.unwrap(), Some(false));
}

#[tokio::test]
async fn what_a_role_cannot_be_is_refused_with_the_references_words() {
    let vault = Vault::new().await;
    for (data, message) in [
        (json!({"token_type": "batch"}), "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens"),
        (json!({"token_type": "batch", "orphan": true}), "'token_type' cannot be 'batch' when role is set to generate renewable tokens"),
        (json!({"token_type": "nonsense"}), "invalid 'token_type' value \"nonsense\""),
        (json!({"token_type": "default"}), "invalid 'token_type' value \"default\""),
        (json!({"token_type": null}), "Invalid 'token_type' value: null"),
        (json!({"path_suffix": "a"}), "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w"),
        (json!({"path_suffix": "a..b"}), "error registering path suffix: path cannot contain parent references"),
        (json!({"token_num_uses": -1}), "error parsing role fields: 'token_num_uses' cannot be negative"),
        (json!({"token_period": "-1h"}), "error converting input for field \"token_period\": cannot provide negative value '-3600'"),
        (json!({"token_period": "x"}), "error converting input for field \"token_period\": time: invalid duration \"x\""),
        (
            json!({"bound_cidrs": ["a b"]}),
            "error parsing bound_cidrs: error parsing address \"a b\": Unable to convert \"a b\" to an IPv4 or IPv6 address, or a UNIX Socket",
        ),
    ] {
        assert_eq!(text(vault.write(&vault.root, "roles/r", data.clone()).await), message, "{data}");
    }
    for path in ["roles/a/b", "roles/-a", "roles/", "create/a/b"] {
        assert!(matches!(vault.write(&vault.root, path, json!({})).await, Err(Error::NoRoute(_) | Error::UnsupportedOperation)), "{path}");
    }
    assert_eq!(text(vault.write(&vault.root, "create/nosuch", json!({})).await), "unknown role nosuch");
}

#[tokio::test]
async fn a_roles_lists_decide_which_policies_its_tokens_have() {
    let vault = Vault::new().await;
    for (name, data) in [
        ("some", json!({"allowed_policies": "a,b", "allowed_policies_glob": "dev-*"})),
        ("not", json!({"disallowed_policies": "bad", "disallowed_policies_glob": "prod-*,def*"})),
        ("plain", json!({})),
        ("bare", json!({"allowed_policies": "a", "token_no_default_policy": true})),
    ] {
        vault.write(&vault.root, &format!("roles/{name}"), data).await.unwrap();
    }
    // Has no `a`: a role gives what its user does not have.
    let user = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    for (role, data, policies) in [
        ("some", json!({}), vec!["a", "b", "default"]),
        ("some", json!({"policies": ["A", "dev-x"]}), vec!["a", "default", "dev-x"]),
        ("some", json!({"no_default_policy": true}), vec!["a", "b"]),
        ("not", json!({"policies": ["other"]}), vec!["other"]),
        ("plain", json!({}), vec!["default", "p1"]),
        ("bare", json!({}), vec!["a"]),
    ] {
        let auth = vault.write(&user, &format!("create/{role}"), data.clone()).await.unwrap().auth.unwrap();
        assert_eq!(auth.policies, policies, "{role} {data}");
    }
    for (role, data, message) in [
        (
            "some",
            json!({"policies": ["c"]}),
            "token policies ([\"c\" \"default\"]) must be subset of the role's allowed policies ([\"a\" \"b\" \"default\"]) or glob policies \
             ([\"dev-*\"])",
        ),
        ("not", json!({"policies": ["bad"]}), "token policy \"bad\" is disallowed by this role"),
        ("not", json!({"policies": ["prod-1"]}), "token policy \"prod-1\" is disallowed by this role"),
        ("not", json!({}), "token policy \"default\" is disallowed by this role"),
        ("not", json!({"policies": ["root"]}), "root tokens may not be created without parent token being root"),
        ("plain", json!({"policies": ["a"]}), "child policies must be subset of parent"),
        ("plain", json!({"entity_alias": "x"}), "invalid 'entity_alias' value"),
    ] {
        assert_eq!(text(vault.write(&user, &format!("create/{role}"), data.clone()).await), message, "{role} {data}");
    }
    vault.write(&vault.root, "roles/plain", json!({"allowed_entity_aliases": "X*"})).await.unwrap();
    let refused = text(vault.write(&user, "create/plain", json!({"entity_alias": "xy"})).await);
    assert_eq!(refused, "this server has no entity aliases: leave out 'entity_alias'");
}

#[tokio::test]
async fn a_roles_limits_are_those_of_its_tokens_and_of_their_renewal() {
    let vault = Vault::new().await;
    let root = &vault.root;
    let limits = json!({
        "orphan": true, "path_suffix": "v1/abc", "token_num_uses": 5, "token_bound_cidrs": "10.0.0.0/8", "token_period": "1h",
        "token_explicit_max_ttl": "10h", "renewable": true,
    });
    vault.write(root, "roles/r", limits).await.unwrap();
    let made = vault.write(root, "create/r", json!({"policies": ["p1"], "period": "3h", "num_uses": 9})).await.unwrap();
    assert_eq!(made.warnings, ["Period specified both during creation call and in role; using the lesser value of 3600 seconds"]);
    let auth = made.auth.unwrap();
    assert!(auth.orphan && auth.renewable && auth.num_uses == 5 && auth.lease_duration == HOUR);
    let token = auth.client_token.to_string();
    assert!(!vault.alive(&token).await, "it is bound to other addresses");
    let data = vault.write(root, "lookup", json!({"token": token})).await.unwrap().data.unwrap();
    for (name, value) in [
        ("path", json!("auth/token/create/r/v1/abc")),
        ("role", json!("r")),
        ("period", json!(10_800)),
        ("bound_cidrs", json!(["10.0.0.0/8"])),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    vault.write(root, "roles/r", json!({"token_period": "2h"})).await.unwrap();
    let renewed = vault.write(root, "renew", json!({"token": token})).await.unwrap().auth.unwrap();
    assert_eq!(renewed.lease_duration, HOUR * 2);
    vault.ask(root, Operation::Delete, "roles/r", json!({})).await.unwrap();
    let refused = text(vault.write(root, "renew", json!({"token": token})).await);
    assert!(refused.contains("original token role \"r\" could not be found, not renewing"), "{refused}");
    vault.store.end_leases("auth/token/create/r/v1").await.unwrap();
    assert_eq!(text(vault.write(root, "lookup", json!({"token": token})).await), "bad token");

    vault.write(root, "roles/short", json!({"renewable": false, "token_explicit_max_ttl": "1h"})).await.unwrap();
    let auth = vault.write(root, "create/short", json!({"policies": ["p1"]})).await.unwrap().auth.unwrap();
    assert!(!auth.renewable && !auth.orphan && auth.lease_duration == HOUR);
}

#[test]
fn patterns_match_as_vaults_do() {
    for (pattern, text, matches) in [
        ("dev-*", "dev-1", true),
        ("dev-*", "dev", false),
        ("*", "", true),
        ("*-a-*", "x-a-y", true),
        ("*-a-*", "xay", false),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("", "", true),
        ("", "a", false),
        ("a*b*c", "abbc", true),
        ("a*bc*c", "abc", false),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
}

#[test]
fn names_and_suffixes_are_those_of_vaults_patterns() {
    for (name, good) in [("a", true), ("a-b.c_d", true), ("-a", false), ("a.", false), ("a/b", false), ("", false), ("\u{e4}", false)] {
        assert_eq!(is_name(name), good, "{name}");
    }
    for (suffix, good) in
        [("abc", true), ("v1/xyz", true), ("ab", false), ("v1/x", false), ("a-b", true), ("--a-", false), ("abc//d", false)]
    {
        assert_eq!(suffix_matches(suffix), good, "{suffix}");
    }
}

#[test]
fn a_role_of_another_server_is_read_and_keeps_what_is_not_known_here() {
    let stored = br#"{"token_bound_cidrs":null,"token_explicit_max_ttl":0,"token_type":"default-batch","period":3600000000000,"name":"old","allowed_policies":["a"],"bound_cidrs":["10.0.0.0/8"],"token_strictly_bind_ip":true}"#;
    let role = Role::from_stored("old", stored).unwrap();
    assert_eq!((role.token_period.as_secs(), role.kind().name()), (3_600, "default-batch"));
    assert_eq!(role.token_bound_cidrs.as_deref(), Some(&["10.0.0.0/8".to_owned()][..]));
    let again = String::from_utf8(role.to_stored().unwrap()).unwrap();
    assert!(again.contains("\"token_strictly_bind_ip\":true") && again.contains("\"token_type\":4"), "{again}");
}
