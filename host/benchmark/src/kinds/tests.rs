use super::{Kind, Site};
use crate::client::{Api, ApiError};
use crate::config::Fields;
use crate::testing::{Asked, Server};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;

fn kind(name: &str, config: &str) -> Result<Kind, String> {
    let text = format!("config {{\n{config}\n}}");
    let object = cofferdam_hcl::parse(&text).unwrap();
    let path = Path::new("x.hcl");
    let whole = Fields::new(path, &object, "test", &["config"], &[]).map_err(|error| error.to_string())?;
    let config = whole.block("config", Kind::keys(name)?).map_err(|error| error.to_string())?;
    Kind::read(name, config.as_ref()).map_err(|error| error.to_string())
}

fn answers(asked: &Asked) -> (u16, String) {
    let data = match asked.path.rsplit('/').next().unwrap() {
        "role-id" => json!({"role_id": "the role"}),
        "secret-id" => json!({"secret_id": "the \"secret\""}),
        _ if asked.path.contains("/sign/") => json!({"signature": "signed"}),
        _ if asked.path.contains("/encrypt/") => json!({"ciphertext": "sealed"}),
        _ => return (204, String::new()),
    };
    (200, json!({"data": data}).to_string())
}

/// Sets a test up at a place of its own, sends one of its requests, and gives all that was asked; and what there is to remove.
fn set_up(
    kind: &Kind,
    random: bool,
    answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
) -> (Vec<Asked>, Vec<String>, Option<ApiError>) {
    let server = Server::start(answers);
    let undo = RefCell::new(Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async {
        let remote = server.remote();
        let mut api = Api::new(&remote);
        let plan = kind.set_up(&mut Site { api: &mut api, mount: "here".to_owned(), random, workers: 3, undo: &undo }).await;
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return Some(error),
        };
        let mut bytes = Vec::new();
        plan.prepare(&remote).write(3, &mut bytes);
        crate::client::Line::new(&remote).exchange(&bytes, None).await.unwrap();
        None
    });
    (server.asked(), undo.take(), error)
}

fn asked(kind: &Kind) -> Vec<(String, Value)> {
    let (asked, _, error) = set_up(kind, false, answers);
    assert!(error.is_none(), "{error:?}");
    asked.iter().map(|asked| (asked.line(), if asked.body.is_empty() { Value::Null } else { asked.json() })).collect()
}

#[test]
fn approle_logs_in_with_what_it_was_given() {
    let kind = kind(
        "approle_auth",
        "role {\n role_name = \"r\"\n token_ttl = \"2m\"\n token_num_uses = 0\n token_policies = [\"a\"]\n}\n secret_id { ttl = \"1h\" }",
    )
    .unwrap();
    assert_eq!(
        asked(&kind),
        [
            ("POST /v1/sys/auth/here".to_owned(), json!({"type": "approle"})),
            ("POST /v1/auth/here/role/r".to_owned(), json!({"token_ttl": "2m", "token_num_uses": 0, "token_policies": ["a"]})),
            ("GET /v1/auth/here/role/r/role-id".to_owned(), Value::Null),
            ("PUT /v1/auth/here/role/r/secret-id".to_owned(), json!({"ttl": "1h"})),
            ("POST /v1/auth/here/login".to_owned(), json!({"role_id": "the role", "secret_id": "the \"secret\""})),
        ]
    );
}

#[test]
fn kv_writes_all_its_secrets_before_the_load() {
    for (name, prefix, request) in [
        ("kvv1_read", "/v1/here/secret-", ("GET /v1/here/secret-3", Value::Null)),
        ("kvv1_write", "/v1/here/secret-", ("POST /v1/here/secret-3", json!({"data": {"foo": "aaaa"}}))),
        ("kvv2_read", "/v1/here/data/secret-", ("GET /v1/here/data/secret-3", Value::Null)),
        ("kvv2_write", "/v1/here/data/secret-", ("POST /v1/here/data/secret-3", json!({"data": {"foo": "aaaa"}}))),
    ] {
        let mut asked = asked(&kind(name, "numkvs = 5\n kvsize = \"4\"").unwrap());
        let mount = if name.starts_with("kvv2") { json!({"type": "kv", "options": {"version": "2"}}) } else { json!({"type": "kv"}) };
        assert_eq!(asked.remove(0), ("POST /v1/sys/mounts/here".to_owned(), mount), "{name}");
        assert_eq!(asked.pop().unwrap(), (request.0.to_owned(), request.1), "{name}");
        asked.sort_by(|one, two| one.0.cmp(&two.0));
        let seeds: Vec<_> = (1..=5).map(|number| (format!("PUT {prefix}{number}"), json!({"data": {"foo": 1}}))).collect();
        assert_eq!(asked, seeds, "{name}");
    }
}

#[test]
fn the_others_ask_for_what_their_names_say() {
    let last = |name: &str, config: &str| asked(&kind(name, config).unwrap()).pop().unwrap();
    assert_eq!(last("seal_status", "").0, "GET /v1/sys/seal-status");
    assert_eq!(last("ha_status", "").0, "GET /v1/sys/ha-status");
    assert_eq!(last("metrics", "").0, "GET /v1/sys/metrics");
    assert_eq!(last("cubbyhole_write", "path = \"p\""), ("POST /v1/cubbyhole/p".to_owned(), json!({"foo": "bar"})));
    assert_eq!(last("cubbyhole_read", "").0, "GET /v1/cubbyhole/my-path");
    assert_eq!(
        last("userpass_auth", "username = \"u\"\n password = \"p\"\n token_ttl = 60"),
        ("POST /v1/auth/here/login/u".to_owned(), json!({"password": "p"}))
    );
    let (path, body) =
        last("transit_verify", "keys { type = \"ecdsa-p256\" }\n verify { hash_algorithm = \"sha2-512\" }\n payload_len = 3");
    assert_eq!(path, "POST /v1/here/verify/test");
    assert_eq!((&body["signature"], &body["hash_algorithm"]), (&json!("signed"), &json!("sha2-512")));
    assert_eq!(body["input"].as_str().unwrap().len(), 4);
    let (path, body) = last("transit_decrypt", "keys {\n derived = true\n type = \"aes256-gcm96\"\n}");
    assert_eq!((path.as_str(), &body["ciphertext"]), ("POST /v1/here/decrypt/test", &json!("sealed")));
    assert!(body["context"].is_string());
    assert!(last("transit_encrypt", "").1["plaintext"].is_string());
    assert_eq!(last("transit_sign", "").1["signature_algorithm"], "pss");
}

#[test]
fn names_are_escaped_where_a_url_needs_it() {
    let last = |name: &str, config: &str| asked(&kind(name, config).unwrap()).pop().unwrap().0;
    assert_eq!(last("cubbyhole_read", "path = \"a b/ü?#%2f+\""), "GET /v1/cubbyhole/a%20b/%C3%BC%3F%23%252f%2B");
    assert_eq!(last("userpass_auth", "username = \"a b\""), "POST /v1/auth/here/login/a%20b");
    assert_eq!(asked(&kind("approle_auth", "role { role_name = \"x y\" }").unwrap())[1].0, "POST /v1/auth/here/role/x%20y");
    assert_eq!(last("transit_sign", "keys { name = \"k k\" }\n sign { name = \"k k\" }"), "POST /v1/here/sign/k%20k");
}

#[test]
fn what_was_set_up_is_remembered_even_if_the_rest_fails() {
    let kind = kind("approle_auth", "").unwrap();
    let refuse = |part: &'static str| move |asked: &Asked| if asked.path.contains(part) { (400, String::new()) } else { answers(asked) };
    let (_, undo, error) = set_up(&kind, false, refuse("/role/"));
    assert_eq!(undo, ["sys/auth/here"]);
    assert!(error.unwrap().to_string().ends_with("/v1/auth/here/role/benchmark-role: 400"));
    // What was there before is not ours to remove.
    assert!(set_up(&kind, false, refuse("sys/auth")).1.is_empty());
    let (_, random, _) = set_up(&kind, true, answers);
    assert!(random[0].starts_with("sys/auth/") && random[0].len() == "sys/auth/".len() + 36, "{random:?}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let wrong = |name: &str, config: &str| kind(name, config).err().unwrap();
    assert!(
        wrong("approle_auth", "role {\n token_tll = 1\n}")
            .starts_with("x.hcl:3:2: \"token_tll\" is no key of role: known are bind_secret_id, ")
    );
    assert!(wrong("kvv2_read", "numkvs = 0").contains("x.hcl:2:10: numkvs: expected a whole number from 1"));
    assert!(wrong("kvv1_read", "sealWrap = true").contains("known are kvsize, numkvs"));
    assert!(wrong("seal_status", "x = 1").contains("it takes none"));
    assert!(wrong("cubbyhole_read", "path = \"${x}\"").contains("templates"));
    for (name, config) in [
        ("cubbyhole_read", "path = \"a\\r\\nX: y\""),
        ("approle_auth", "role { role_name = \"a\\u0000\" }"),
        ("userpass_auth", "username = \"\\t\""),
        ("transit_sign", "sign { name = \"a\\n\" }"),
        ("transit_sign", "keys { name = \"a\\n\" }"),
    ] {
        let message = wrong(name, config);
        assert!(message.starts_with("x.hcl:2:") && message.contains("expected a name without control characters, found \""), "{message}");
    }
    assert!(wrong("cubbyhole_read", "path = \"a/../../sys/seal\"").contains("which leads to another path"));
    assert!(wrong("transit_sign", "encrypt {\n nam = 1\n}").contains("\"nam\" is no key of encrypt"));
}
