//! Roles: what is taken, what is refused, what is shown.

use super::*;

use Operation::{Create, Delete, List, Read, Update};

#[tokio::test]
async fn a_role_has_the_defaults_of_the_reference() {
    let mount = Mount::new().await;
    assert!(mount.write("role/q1", json!({})).await.unwrap().data.is_none());
    assert_eq!(
        mount.read("role/q1").await,
        json!({
            "bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": null, "secret_id_num_uses": 0, "secret_id_ttl": 0,
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 0,
            "token_period": 0, "token_policies": [], "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default",
        })
    );
    assert_eq!(mount.read("role/q1/role-id").await["role_id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn what_is_odd_is_taken_with_a_warning() {
    let mount = Mount::new().await;
    let body = json!({"token_max_ttl": "9999h", "token_type": "default-service", "bogus": 1, "role_name": "zz", "policies": "b,a,B, c", "period": "1h"});
    let response = mount.write("role/q2", body).await.unwrap();
    assert_eq!(
        response.warnings,
        [
            "default-service has no useful meaning; adjusting to service",
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated",
            "Endpoint ignored these unrecognized parameters: [bogus]",
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [role_name]",
        ]
    );
    let shown = mount.read("role/q2").await;
    for (name, value) in [
        ("period", json!(3600)),
        ("policies", json!(["a", "b", "c"])),
        ("token_max_ttl", json!(35_996_400)),
        ("token_period", json!(3600)),
        ("token_policies", json!(["a", "b", "c"])),
        ("token_type", json!("service")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    // The new name drives the old one out.
    mount.write("role/q2", json!({"token_policies": ["B", "a", "B"], "token_period": 5})).await.unwrap();
    let shown = mount.read("role/q2").await;
    assert_eq!((&shown["token_policies"], &shown["token_period"]), (&json!(["B", "a", "B"]), &json!(5)));
    assert!(shown.get("policies").is_none() && shown.get("period").is_none());
    // Both: the new one counts.
    mount.write("role/q2", json!({"token_policies": "y", "policies": "z"})).await.unwrap();
    assert_eq!(mount.read("role/q2/policies").await, json!({"policies": ["y"], "token_policies": ["y"]}));
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_in_the_words_of_the_reference() {
    let mount = Mount::new().await;
    mount.role("rid", json!({})).await;
    for (body, status, text) in [
        (json!({"bind_secret_id": false}), 500, once("at least one constraint should be enabled on the role")),
        (
            json!({"bind_secret_id": "maybe"}),
            400,
            "error converting input for field \"bind_secret_id\": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"
                .to_owned(),
        ),
        (json!({"role_id": ""}), 400, "invalid role_id supplied, or failed to generate a role_id".to_owned()),
        (json!({"role_id": "rid"}), 500, once("role_id already in use")),
        (json!({"token_type": "other"}), 400, "invalid 'token_type' value \"other\"".to_owned()),
        (
            json!({"token_type": "batch", "token_num_uses": 2}),
            400,
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count".to_owned(),
        ),
        (
            json!({"token_type": "batch", "token_period": 2}),
            400,
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens".to_owned(),
        ),
        (json!({"token_ttl": "2h", "token_max_ttl": "1h"}), 400, "'token_ttl' cannot be greater than 'token_max_ttl'".to_owned()),
        (json!({"token_num_uses": -2}), 400, "'token_num_uses' cannot be negative".to_owned()),
        (json!({"secret_id_num_uses": -2}), 400, "secret_id_num_uses cannot be negative".to_owned()),
        (
            json!({"secret_id_ttl": -2}),
            400,
            "error converting input for field \"secret_id_ttl\": cannot provide negative value '-2'".to_owned(),
        ),
        (
            json!({"token_bound_cidrs": "nonsense"}),
            400,
            "error parsing address \"nonsense\": Unable to convert \"nonsense\" to an IPv4 or IPv6 address, or a UNIX Socket".to_owned(),
        ),
        (
            json!({"token_bound_cidrs": "10.0.0.0/8", "token_strictly_bind_ip": true}),
            400,
            "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one".to_owned(),
        ),
        (json!({"secret_id_bound_cidrs": "10.0.0.1"}), 500, once("failed to validate CIDR blocks: invalid CIDR address: 10.0.0.1")),
        (
            json!({"period": "9999h"}),
            400,
            "period of \"9999h0m0s\" is greater than the backend's maximum lease TTL of \"768h0m0s\"".to_owned(),
        ),
    ] {
        assert_eq!(mount.refused(Create, "role/new", body.clone()).await, (status, text), "{body}");
    }
    assert_eq!(mount.refused(Read, "role/new", json!({})).await, (404, String::new()));
    assert_eq!(mount.view.list("role_id/").await.unwrap().len(), 1);
    let local = "local_secret_ids can only be modified during role creation".to_owned();
    assert_eq!(mount.refused(Update, "role/rid", json!({"local_secret_ids": true})).await, (400, local));
}

#[tokio::test]
async fn every_setting_has_a_path_of_its_own() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    for (setting, body, shown, reset) in [
        ("bind-secret-id", json!({"bind_secret_id": true}), json!({"bind_secret_id": true}), json!({"bind_secret_id": true})),
        ("period", json!({"period": 7}), json!({"period": 7, "token_period": 7}), json!({"token_period": 0})),
        ("period", json!({"token_period": "1m"}), json!({"token_period": 60}), json!({"token_period": 0})),
        (
            "policies",
            json!({"policies": "b,A,b"}),
            json!({"policies": ["a", "b"], "token_policies": ["a", "b"]}),
            json!({"token_policies": []}),
        ),
        ("secret-id-num-uses", json!({"secret_id_num_uses": "3"}), json!({"secret_id_num_uses": 3}), json!({"secret_id_num_uses": 0})),
        ("secret-id-ttl", json!({"secret_id_ttl": "1h"}), json!({"secret_id_ttl": 3600}), json!({"secret_id_ttl": 0})),
        ("token-num-uses", json!({"token_num_uses": 3}), json!({"token_num_uses": 3}), json!({"token_num_uses": 0})),
        ("token-ttl", json!({"token_ttl": 3}), json!({"token_ttl": 3}), json!({"token_ttl": 0})),
        ("token-max-ttl", json!({"token_max_ttl": 3}), json!({"token_max_ttl": 3}), json!({"token_max_ttl": 0})),
        (
            "secret-id-bound-cidrs",
            json!({"secret_id_bound_cidrs": "10.0.0.0/8,127.0.0.1/32"}),
            json!({"secret_id_bound_cidrs": ["10.0.0.0/8", "127.0.0.1/32"]}),
            json!({"secret_id_bound_cidrs": null}),
        ),
        (
            "token-bound-cidrs",
            json!({"token_bound_cidrs": "10.0.0.0/8,127.0.0.1/32"}),
            json!({"token_bound_cidrs": ["10.0.0.0/8", "127.0.0.1"]}),
            json!({"token_bound_cidrs": null}),
        ),
    ] {
        let path = format!("role/r/{setting}");
        assert!(mount.write(&path, body).await.unwrap().data.is_none());
        assert_eq!(mount.read(&path).await, shown, "{setting}");
        assert!(mount.ask(Delete, &path, json!({})).await.unwrap().data.is_none());
        assert_eq!(mount.read(&path).await, reset, "{setting}");
        assert_eq!(mount.refused(Read, &format!("role/none/{setting}"), json!({})).await, (404, String::new()));
        assert_eq!(mount.refused(Update, &format!("role/none/{setting}"), json!({})).await, (404, once("unsupported path")));
        assert!(mount.ask(Delete, &format!("role/none/{setting}"), json!({})).await.unwrap().data.is_none());
    }
    mount.write("role/r/bound-cidr-list", json!({"bound_cidr_list": "10.0.0.0/8"})).await.unwrap();
    assert_eq!(mount.read("role/r/secret-id-bound-cidrs").await, json!({"secret_id_bound_cidrs": ["10.0.0.0/8"]}));
    let old = mount.ask(Read, "role/r/bound-cidr-list", json!({})).await.unwrap();
    assert_eq!((old.warnings.len(), data(old)), (1, json!({"bound_cidr_list": null})));
    assert_eq!(mount.read("role/r/local-secret-ids").await, json!({"local_secret_ids": false}));
}

#[tokio::test]
async fn settings_refuse_what_is_missing_or_wrong() {
    let mount = Mount::new().await;
    mount.role("r", json!({"token_ttl": "2h"})).await;
    mount.role("other", json!({})).await;
    for (setting, body, status, text) in [
        ("policies", json!({}), 400, "missing token_policies".to_owned()),
        ("period", json!({}), 400, "missing period".to_owned()),
        ("role-id", json!({}), 400, "missing role_id".to_owned()),
        ("role-id", json!({"role_id": "other"}), 500, once("role_id already in use")),
        ("token-ttl", json!({}), 400, "missing token_ttl".to_owned()),
        ("token-max-ttl", json!({"token_max_ttl": "1h"}), 400, "token_max_ttl should be greater than or equal to token_ttl".to_owned()),
        ("token-num-uses", json!({"token_num_uses": -4}), 400, "'token_num_uses' cannot be negative".to_owned()),
        ("secret-id-bound-cidrs", json!({"secret_id_bound_cidrs": ""}), 400, "missing bound_cidr_list".to_owned()),
        (
            "bound-cidr-list",
            json!({"bound_cidr_list": "10.0.0.0/8,127.0.0.1"}),
            400,
            "failed to validate CIDR blocks: invalid CIDR address: 127.0.0.1".to_owned(),
        ),
        (
            "token-bound-cidrs",
            json!({"token_bound_cidrs": "x"}),
            400,
            "failed to parse token_bound_cidrs: error parsing address \"x\": Unable to convert \"x\" to an IPv4 or IPv6 address, or a UNIX Socket"
                .to_owned(),
        ),
        (
            "period",
            json!({"token_period": "9999h"}),
            400,
            "period of \"0s\" is greater than the backend's maximum lease TTL of \"768h0m0s\"".to_owned(),
        ),
        ("token-policies", json!({}), 404, once("unsupported path")),
        ("local-secret-ids", json!({}), 405, String::new()),
    ] {
        assert_eq!(mount.refused(Update, &format!("role/r/{setting}"), body).await, (status, text), "{setting}");
    }
    assert_eq!(mount.refused(Delete, "role/r/role-id", json!({})).await.0, 405);
}

#[tokio::test]
async fn paths_that_there_are_not_answer_as_the_reference_does() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    for (operation, path, status) in [
        (Read, "", 404),
        (Read, "nope", 404),
        (Update, "role/a b", 404),
        (Update, "role/-a", 404),
        (Read, "role/r/", 404),
        (Read, "role/r/nope", 404),
        (Read, "role/r/secret-id/nope", 404),
        (Read, "role/r/secret-id", 405),
        (Read, "role/r/secret-id/lookup", 405),
        (Read, "role", 405),
        (Read, "login", 405),
        (Read, "tidy/secret-id", 405),
        (List, "role/none/secret-id/", 400),
    ] {
        assert_eq!(mount.refused(operation, path, json!({})).await.0, status, "{operation:?} {path}");
    }
    assert_eq!(data(mount.ask(List, "role/", json!({})).await.unwrap()), json!({"keys": ["r"]}));
}

#[tokio::test]
async fn a_new_role_id_takes_the_place_of_the_old_one() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    mount.secret("r", "s", json!({})).await;
    mount.write("role/r/role-id", json!({"role_id": "two"})).await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "s").await), (400, "invalid role or secret ID".to_owned()));
    mount.log_in("two", "s").await.unwrap();
    // And is free again.
    mount.role("other", json!({})).await;
    mount.write("role/other", json!({"role_id": "r"})).await.unwrap();
    assert_eq!(mount.view.list("role_id/").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_deleted_role_leaves_nothing() {
    let mount = Mount::new().await;
    mount.role("Mixed.Case", json!({})).await;
    mount.secret("mixed.case", "s", json!({})).await;
    mount.log_in("Mixed.Case", "s").await.unwrap();
    mount.ask(Delete, "role/MIXED.case", json!({})).await.unwrap();
    assert_eq!(mount.view.list("").await.unwrap(), ["salt"]);
    assert!(mount.ask(Delete, "role/mixed.case", json!({})).await.is_ok());
    assert_eq!(refusal(mount.log_in("Mixed.Case", "s").await).0, 400);
}
