//! Secret ids: how often, how long and from where they can be used, and how they end.

use super::*;

use Operation::{List, Update};

fn invalid() -> (u16, String) {
    (400, "invalid role or secret ID".to_owned())
}

#[tokio::test]
async fn the_right_secret_id_logs_in_and_no_other() {
    let mount = Mount::new().await;
    mount.role("r", json!({"token_policies": "p", "token_ttl": "1h", "token_max_ttl": "2h", "token_num_uses": 4})).await;
    mount.role("other", json!({})).await;
    mount.secret("r", "s", json!({"metadata": "Key=VaLue, b = c"})).await;
    let login = mount.log_in(" r ", " s ").await.unwrap();
    assert_eq!((login.ttl, login.max_ttl, login.num_uses, login.renewable), (HOUR, HOUR * 2, 4, true));
    let metadata: Vec<_> = login.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(metadata, ["b=c", "key=value", "role_name=r"]);
    for (role, secret) in [("r", "S"), ("R", "s"), ("other", "s"), ("none", "s"), ("r", "x")] {
        assert_eq!(refusal(mount.log_in(role, secret).await), invalid(), "{role} {secret}");
    }
    assert_eq!(refusal(mount.log_in("r", " ").await), (400, "missing secret_id".to_owned()));
    assert_eq!(refusal(mount.log_in("", "s").await), (400, "missing role_id".to_owned()));
    // Not what the accessor is.
    let accessor = data(mount.ask(List, "role/r/secret-id", json!({})).await.unwrap())["keys"][0].as_str().unwrap().to_owned();
    assert_eq!(refusal(mount.log_in("r", &accessor).await), invalid());
}

#[tokio::test]
async fn a_role_without_secret_ids_asks_for_the_address_only() {
    let mount = Mount::new().await;
    mount.role("r", json!({"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8"})).await;
    mount.log_in("r", "").await.unwrap();
    mount.write("role/r", json!({"secret_id_bound_cidrs": "10.0.0.0/8"})).await.unwrap();
    let text = "source address \"127.0.0.1\" unauthorized by CIDR restrictions on the role".to_owned();
    assert_eq!(refusal(mount.log_in("r", "").await), (400, text));
    assert_eq!(mount.refused(Update, "role/r/secret-id", json!({})).await, (400, "bind_secret_id is not set on the role".to_owned()));
}

#[tokio::test]
async fn uses_are_counted_and_the_last_one_leaves_nothing() {
    let mount = Mount::new().await;
    mount.role("r", json!({"secret_id_num_uses": 3})).await;
    assert_eq!(mount.secret("r", "s", json!({})).await["secret_id_num_uses"], 3);
    for left in [2, 1] {
        mount.log_in("r", "s").await.unwrap();
        let shown = data(mount.write("role/r/secret-id/lookup", json!({"secret_id": "s"})).await.unwrap());
        assert_eq!(shown["secret_id_num_uses"], left);
        // A refused one is no use.
        assert_eq!(refusal(mount.log_in("r", "x").await), invalid());
    }
    mount.log_in("r", "s").await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "s").await), invalid());
    assert!(mount.view.list("accessor/").await.unwrap().is_empty() && mount.view.list("secret_id/").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_get_no_more_uses_than_there_are() {
    let mount = Arc::new(Mount::new().await);
    mount.role("r", json!({})).await;
    mount.secret("r", "s", json!({"num_uses": 7})).await;
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mount = mount.clone();
            tokio::spawn(async move { mount.log_in("r", "s").await.is_ok() })
        })
        .collect();
    let mut in_all = 0;
    for client in clients {
        in_all += usize::from(client.await.unwrap());
    }
    assert_eq!(in_all, 7);
}

#[tokio::test]
async fn a_secret_id_ends_with_its_time_and_not_later_than_the_mount_allows() {
    let mount = Mount::new().await;
    mount.role("r", json!({"secret_id_ttl": "1h"})).await;
    assert_eq!(mount.secret("r", "s", json!({})).await["secret_id_ttl"], 3600);
    mount.secret("r", "short", json!({"ttl": 60})).await;
    mount.clock.advance(HOUR / 2);
    mount.log_in("r", "s").await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "short").await), invalid());
    mount.clock.advance(HOUR / 2);
    assert_eq!(mount.refused(List, "role/r/secret-id", json!({})).await.0, 404);
    assert!(mount.write("role/r/secret-id/lookup", json!({"secret_id": "s"})).await.unwrap().data.is_none());
    assert_eq!(refusal(mount.log_in("r", "s").await), invalid());
    assert!(mount.view.list("accessor/").await.unwrap().is_empty(), "what has ended is deleted when it is met");

    mount.role("long", json!({})).await;
    assert_eq!(mount.secret("long", "s", json!({"ttl": "999999h"})).await["secret_id_ttl"], DAY.as_secs() * 32);
    mount.method.tuned(HOUR, HOUR);
    assert_eq!(mount.secret("long", "t", json!({"ttl": "999999h"})).await["secret_id_ttl"], 3600);
    mount.clock.advance(HOUR);
    assert_eq!(refusal(mount.log_in("long", "t").await), invalid());
    mount.log_in("long", "s").await.unwrap();
}

#[tokio::test]
async fn a_secret_id_is_bound_to_networks_within_those_of_its_role() {
    let mount = Mount::new().await;
    mount.role("r", json!({"secret_id_bound_cidrs": "127.0.0.0/8,10.0.0.0/8", "token_bound_cidrs": "127.0.0.0/8,10.1.2.3/32"})).await;
    mount.secret("r", "near", json!({"cidr_list": "127.0.0.1/32", "token_bound_cidrs": "127.0.0.0/16"})).await;
    mount.secret("r", "far", json!({"cidr_list": ["10.0.0.0/16"]})).await;
    assert_eq!(mount.log_in("r", "near").await.unwrap().bound_cidrs, ["127.0.0.0/16"]);
    let text = "source address \"127.0.0.1\" unauthorized through CIDR restrictions on the secret ID".to_owned();
    assert_eq!(refusal(mount.log_in("r", "far").await), (400, text));
    for (body, text) in [
        (json!({"cidr_list": "nonsense"}), "failed to validate CIDR blocks: invalid CIDR address: nonsense"),
        (json!({"token_bound_cidrs": "nonsense"}), "failed to validate token CIDR blocks: invalid CIDR address: nonsense"),
        (
            json!({"token_bound_cidrs": "192.168.0.0/16"}),
            "failed to verify subset relationship between CIDR blocks on the role [\"127.0.0.0/8\" \"10.1.2.3/32\"] and CIDR blocks on the \
             secret ID [\"192.168.0.0/16\"]",
        ),
    ] {
        assert_eq!(mount.refused(Update, "role/r/secret-id", body).await, (500, once(text)));
    }
    // The role is tightened afterwards: what no longer fits no longer counts.
    mount.write("role/r", json!({"secret_id_bound_cidrs": "127.0.0.0/30,10.0.0.0/8"})).await.unwrap();
    mount.log_in("r", "near").await.unwrap();
    mount.write("role/r", json!({"secret_id_bound_cidrs": "127.0.0.0/32,10.0.0.0/8"})).await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "near").await).0, 500);

    mount.role("strict", json!({"token_strictly_bind_ip": true})).await;
    mount.secret("strict", "s", json!({})).await;
    assert_eq!(mount.log_in("strict", "s").await.unwrap().bound_cidrs, ["127.0.0.1"]);
}

#[tokio::test]
async fn what_a_secret_id_asks_for_is_checked_against_its_role() {
    let mount = Mount::new().await;
    mount.role("r", json!({"secret_id_num_uses": 3, "secret_id_ttl": "1h"})).await;
    for (body, text) in [
        (json!({"num_uses": -1}), "num_uses cannot be negative"),
        (json!({"num_uses": 0}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"num_uses": 4}), "num_uses cannot be higher than the role's secret_id_num_uses"),
        (json!({"ttl": 0}), "ttl cannot be longer than the role's secret_id_ttl"),
        (json!({"ttl": "2h"}), "ttl cannot be longer than the role's secret_id_ttl"),
        (json!({"ttl": -1}), "Field validation failed: error converting input for field \"ttl\": cannot provide negative value '-1'"),
        (
            json!({"metadata": {"a": "b"}}),
            "Field validation failed: error converting input for field \"metadata\": '' expected type 'string', got unconvertible type \
             'map[string]interface {}'",
        ),
    ] {
        assert_eq!(mount.refused(Update, "role/r/secret-id", body.clone()).await, (400, text.to_owned()), "{body}");
    }
    let response = mount.write("role/r/secret-id", json!({"num_uses": 2, "ttl": 60, "bogus": 1, "role_name": "x"})).await.unwrap();
    assert_eq!(
        response.warnings,
        [
            "Endpoint ignored these unrecognized parameters: [bogus]",
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [role_name]",
        ]
    );
    let made = data(response);
    assert_eq!((&made["secret_id_num_uses"], &made["secret_id_ttl"]), (&json!(2), &json!(60)));
    mount.log_in("r", made["secret_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(mount.refused(Update, "role/r/custom-secret-id", json!({})).await, (400, "missing secret_id".to_owned()));
    mount.secret("r", "s", json!({})).await;
    let again = (500, once("failed to store secret_id: SecretID is already registered"));
    assert_eq!(mount.refused(Update, "role/r/custom-secret-id", json!({"secret_id": "s"})).await, again);
    assert_eq!(mount.refused(Update, "role/none/secret-id", json!({})).await, (404, "role \"none\" does not exist".to_owned()));
}

#[test]
fn metadata_is_read_as_the_reference_reads_it() {
    let read = |text: &str| super::super::secrets::metadata(text).map(|pairs| pairs.into_iter().collect::<Vec<_>>());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(read(" "), Ok(vec![]));
    assert_eq!(read(r#"{"a":"b"}"#), Ok(vec![pair("a", "b")]));
    assert_eq!(read("eyJhIjoiYiJ9"), Ok(vec![pair("a", "b")]));
    assert_eq!(read("a=b,c=d, e = f"), Ok(vec![pair("a", "b"), pair("c", "d"), pair("e", "f")]));
    for (text, reason) in [
        ("nonsense", "failed to parse the input: invalid <key,value> format"),
        ("a=b=c", "failed to parse the input: invalid <key,value> format"),
        (r#"{"a":1}"#, "failed to parse the input: invalid <key,value> format"),
        ("[]", "failed to parse the input: invalid <key,value> format"),
        ("null", "failed to parse the input: invalid <key,value> format"),
        ("a=", "failed to parse the input: invalid <key,value> pair: key: \"a\" value: \"\""),
        ("=b", "failed to parse the input: invalid <key,value> pair: key: \"\" value: \"b\""),
        (r#"{"a":""}"#, "invalid value for key \"a\""),
    ] {
        assert_eq!(read(text), Err(reason.to_owned()), "{text}");
    }
}

#[tokio::test]
async fn secret_ids_are_looked_up_and_destroyed_by_themselves_and_by_their_accessors() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    mount.role("other", json!({})).await;
    let by_id = mount.secret("r", "one", json!({"metadata": "a=b"})).await;
    let by_accessor = mount.secret("r", "two", json!({})).await["secret_id_accessor"].clone();
    let shown = data(mount.write("role/r/secret-id/lookup", json!({"secret_id": "one"})).await.unwrap());
    for (name, value) in [
        ("secret_id_accessor", by_id["secret_id_accessor"].clone()),
        ("metadata", json!({"a": "b"})),
        ("cidr_list", json!([])),
        ("token_bound_cidrs", json!([])),
        ("expiration_time", json!("0001-01-01T00:00:00Z")),
        ("creation_time", shown["last_updated_time"].clone()),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown.get("secret_id").is_none());
    let look = |role: &str, accessor: &Value| {
        let (path, body) = (format!("role/{role}/secret-id-accessor/lookup"), json!({ "secret_id_accessor": accessor }));
        let mount = &mount;
        async move { mount.write(&path, body).await }
    };
    assert_eq!(data(look("r", &by_accessor).await.unwrap())["secret_id_accessor"], by_accessor);
    // Another role's accessor shows nothing, and destroys nothing.
    assert!(look("other", &by_accessor).await.unwrap().data.is_none());
    let destroy = json!({ "secret_id_accessor": by_accessor });
    let foreign = mount.refused(Update, "role/other/secret-id-accessor/destroy", destroy.clone()).await;
    assert_eq!(foreign, (403, "invalid secret id accessor".to_owned()));
    let missing = look("r", &json!("x")).await.unwrap();
    assert_eq!(missing.status, Some(404));
    assert_eq!(data(missing), json!({"error": "failed to find accessor entry for secret_id_accessor: \"x\""}));

    mount.log_in("r", "two").await.unwrap();
    mount.write("role/r/secret-id-accessor/destroy", destroy.clone()).await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "two").await), invalid());
    let gone = mount.refused(Update, "role/r/secret-id-accessor/destroy", destroy).await;
    assert_eq!(gone.0, 500);
    mount.write("role/r/secret-id/destroy", json!({"secret_id": "one"})).await.unwrap();
    mount.write("role/r/secret-id/destroy", json!({"secret_id": "one"})).await.unwrap();
    assert_eq!(refusal(mount.log_in("r", "one").await), invalid());
    assert!(mount.view.list("accessor/").await.unwrap().is_empty() && mount.view.list("secret_id/").await.unwrap().is_empty());
    for path in ["secret-id/lookup", "secret-id/destroy"] {
        let body = json!({"secret_id": "x"});
        assert_eq!(mount.refused(Update, &format!("role/none/{path}"), body).await, (500, once("role \"none\" does not exist")));
    }
}

#[tokio::test]
async fn tidying_removes_what_has_ended_and_what_points_to_nothing() {
    let mount = Mount::new().await;
    mount.role("r", json!({})).await;
    mount.role("local", json!({"local_secret_ids": true})).await;
    for role in ["r", "local"] {
        mount.secret(role, "stays", json!({})).await;
        mount.secret(role, "ends", json!({"ttl": 60})).await;
    }
    let loose = json!({"secret_id_hmac": "abc"}).to_string();
    mount.view.put("accessor/loose", loose.as_bytes()).await.unwrap();
    // Its accessor is lost.
    let blind = mount.secret("r", "blind", json!({})).await["secret_id_accessor"].as_str().unwrap().to_owned();
    mount.view.delete(&format!("accessor/{}", mount.method.salted(&blind))).await.unwrap();
    mount.clock.advance(HOUR);
    mount.method.tidy().await.unwrap();
    for place in ["accessor/", "accessor_local/"] {
        assert_eq!(mount.view.list(place).await.unwrap().len(), 1, "{place}");
    }
    for role in ["r", "local"] {
        mount.log_in(role, "stays").await.unwrap();
        assert_eq!(mount.view.list(&mount.method.role(role).await.unwrap().unwrap().folder().unwrap()).await.unwrap().len(), 1);
    }
    let response = mount.write("tidy/secret-id", json!({})).await.unwrap();
    assert_eq!((response.status, response.warnings.len()), (Some(202), 1));
}

#[tokio::test]
async fn a_renewal_asks_the_role_again() {
    let mount = Mount::new().await;
    mount.role("r", json!({"token_ttl": "1h", "token_policies": "p"})).await;
    mount.secret("r", "s", json!({})).await;
    let login = mount.log_in("r", "s").await.unwrap();
    let lease = LoginLease { login: login.clone(), issued: mount.clock.now() };
    mount.write("role/r", json!({"token_ttl": 60, "token_max_ttl": 90, "token_policies": "q"})).await.unwrap();
    let renewed = mount.method.renew(&lease).await.unwrap();
    assert_eq!(renewed, Login { ttl: Duration::from_secs(60), max_ttl: Duration::from_secs(90), ..login });
    mount.ask(Operation::Delete, "role/r", json!({})).await.unwrap();
    assert_eq!(refusal(mount.method.renew(&lease).await), (400, "role \"r\" does not exist during renewal".to_owned()));
}
