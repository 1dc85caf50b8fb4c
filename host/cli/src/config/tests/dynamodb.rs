//! `storage "dynamodb"` and the `aws` block: which of several sources counts, what the component is told, and the errors.

use super::{LISTENER, load_files, load_text};
use crate::config::origin::Origin;
use crate::config::{Config, DynamoDb};
use cofferdam_aws::{BillingMode, Identity};
use cofferdam_backend::Fencing;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A configuration with this stanza, these top-level settings after it, and this environment.
fn load(stanza: &str, top: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    load_files(&[("c.hcl", &format!("storage \"dynamodb\" {{ {stanza} }}\n{top}\n{LISTENER}"))], environment)
}

fn dynamodb(stanza: &str, top: &str, environment: &[(&str, &str)]) -> DynamoDb {
    load(stanza, top, environment).unwrap().storage.dynamodb.unwrap()
}

fn keys(access: &str, secret: &str) -> Identity {
    let text = |text: &str| Some(Zeroizing::new(text.to_owned()));
    Identity { access_key: text(access), secret_key: text(secret), ..Identity::default() }
}

fn setting(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn an_empty_stanza_has_vaults_defaults() {
    let config = load("", "", &[]).unwrap();
    assert_eq!((config.storage.kind.as_str(), config.storage.component.as_str()), ("dynamodb", "dynamodb"));
    assert_eq!((config.storage.pool.size, &config.storage.ha, &config.storage.path), (128, &None, &None));
    assert_eq!(
        config.storage.settings,
        [
            setting("table", "vault-dynamodb-backend"),
            setting("read_capacity", "5"),
            setting("write_capacity", "5"),
            setting("billing_mode", "PROVISIONED"),
            setting("point_in_time_recovery", "false"),
            setting("deletion_protection", "false"),
        ]
    );
    let dynamodb = config.storage.dynamodb.unwrap();
    assert_eq!((dynamodb.access.region, &dynamodb.access.endpoint, &dynamodb.access.ca_cert), (None, &None, &None));
    assert_eq!(dynamodb.access.identity, Identity::default());
    assert!(dynamodb.access.values.iter().all(|(_, _, origin)| *origin == Origin::Default), "{:?}", dynamodb.access.values);
}

#[test]
fn vaults_own_examples_are_read_unchanged() {
    let one =
        load("ha_enabled = \"true\"\n region = \"us-west-2\"\n table = \"vault-data\"", "api_addr = \"https://v.example\"", &[]).unwrap();
    assert_eq!(one.storage.ha.as_ref().unwrap().fencing, Fencing::Lease);
    let one = one.storage.dynamodb.unwrap();
    assert_eq!((one.access.region.as_deref(), one.table.name.as_str()), (Some("us-west-2"), "vault-data"));
    let two = dynamodb("table = \"my-vault-data\"\n read_capacity = 10\n write_capacity = 15", "", &[]);
    assert_eq!((two.table.read_capacity, two.table.write_capacity), (10, 15));
    // Strings for everything, and nothing for what comes from elsewhere.
    let three = load(
        "read_capacity = \"0\" write_capacity = \"7\" max_parallel = \"0\" ha_enabled = \"false\" access_key = \"\" secret_key = \"\" endpoint = \"\" dynamodb_max_retries = \"-1\"",
        "",
        &[],
    );
    let three = three.unwrap().storage;
    assert_eq!((three.pool.size, three.ha), (128, None));
    let three = three.dynamodb.unwrap();
    assert_eq!((three.table.read_capacity, three.table.write_capacity, three.max_retries), (5, 7, None));
    assert_eq!((three.access.identity, three.access.endpoint), (Identity::default(), None));
    assert_eq!(load("max_parallel = \"12\"", "", &[]).unwrap().storage.pool.size, 12);
    assert_eq!(load("max_parallel = -1", "", &[]).unwrap().storage.pool.size, 128);
    assert_eq!(load("pool { size = 9 }", "", &[]).unwrap().storage.pool.size, 9);
}

#[test]
fn json_is_read_like_hcl() {
    let json = r#"{"storage": {"dynamodb": {"table": "t-1", "tags": {"Name": "x"}, "read_capacity": 3, "ha_enabled": "true"}},
        "aws": {"region": "eu-west-3"}, "api_addr": "http://127.0.0.1:8200", "listener": {"tcp": {"tls_disable": true}}}"#;
    let config = load_files(&[("c.json", json)], &[]).unwrap();
    assert!(config.storage.ha.is_some());
    let dynamodb = config.storage.dynamodb.unwrap();
    assert_eq!(
        (dynamodb.table.name.as_str(), dynamodb.table.read_capacity, dynamodb.access.region.as_deref()),
        ("t-1", 3, Some("eu-west-3"))
    );
    assert_eq!(dynamodb.table.tags.get("Name").map(String::as_str), Some("x"));
}

#[test]
fn the_environment_comes_over_the_stanza() {
    let stanza = "table = \"of-file\" read_capacity = 2 write_capacity = 3 endpoint = \"https://file.example\" dynamodb_max_retries = 4";
    let environment = [
        ("AWS_DYNAMODB_TABLE", "of-environment"),
        ("AWS_DYNAMODB_READ_CAPACITY", "20"),
        ("AWS_DYNAMODB_WRITE_CAPACITY", "30"),
        ("AWS_DYNAMODB_ENDPOINT", "http://127.0.0.1:4567"),
        ("AWS_DYNAMODB_MAX_RETRIES", "0"),
    ];
    let shown = |found: &DynamoDb| {
        let table = &found.table;
        let numbers = (table.read_capacity, table.write_capacity, found.max_retries);
        (table.name.clone(), found.access.endpoint.clone().unwrap_or_default(), numbers)
    };
    let text = str::to_owned;
    let file = (text("of-file"), text("https://file.example"), (2, 3, Some(4)));
    let over = (text("of-environment"), text("http://127.0.0.1:4567"), (20, 30, Some(0)));
    assert_eq!(shown(&dynamodb(stanza, "", &[])), file);
    assert_eq!(shown(&dynamodb(stanza, "", &environment)), over);
    assert_eq!(shown(&dynamodb("", "", &environment)), over);
    let empty = environment.map(|(name, _)| (name, ""));
    assert_eq!(shown(&dynamodb(stanza, "", &empty)), file);

    let found = dynamodb(stanza, "", &[environment[0]]);
    let origin = |key: &str| found.access.values.iter().find(|(name, _, _)| *name == key).map(|(_, _, origin)| origin.to_string()).unwrap();
    assert_eq!(origin("table"), "environment variable AWS_DYNAMODB_TABLE");
    assert!(origin("read_capacity").ends_with("c.hcl:1:56"), "{}", origin("read_capacity"));
    assert_eq!(origin("billing_mode"), "default");
}

#[test]
fn the_region_of_the_stanza_comes_before_that_of_the_block() {
    let (stanza, block) = ("region = \"d-1\"", "aws { region = \"e-1\" }");
    for (stanza, block, region) in
        [(stanza, block, Some("d-1")), ("", block, Some("e-1")), ("region = \"\"", block, Some("e-1")), ("", "", None)]
    {
        assert_eq!(dynamodb(stanza, block, &[]).access.region.as_deref(), region, "{stanza} {block}");
    }
}

#[test]
fn an_identity_is_taken_whole_and_never_from_the_variables_here() {
    let block =
        "aws { access_key = \"SHARED\" secret_key = \"shared\" session_token = \"token\" ca_cert = \"/shared.pem\" region = \"e-1\" }";
    let environment = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "env"), ("AWS_SESSION_TOKEN", "env")];
    let shared = dynamodb("", block, &environment);
    let token = Some(Zeroizing::new("token".to_owned()));
    assert_eq!(shared.access.identity, Identity { session_token: token, ..keys("SHARED", "shared") });
    assert_eq!((shared.access.ca_cert, shared.access.region.as_deref()), (Some(PathBuf::from("/shared.pem")), Some("e-1")));
    // The stanza's pair does not get the block's session token, but still its region; its own authorities win.
    let own = dynamodb("access_key = \"OWN\" secret_key = \"own\" ca_cert = \"/own.pem\"", block, &environment);
    assert_eq!(
        (own.access.identity, own.access.ca_cert, own.access.region.as_deref()),
        (keys("OWN", "own"), Some(PathBuf::from("/own.pem")), Some("e-1"))
    );
    let role = dynamodb("role_arn = \"arn:aws:iam::1:role/r\" external_id = \"x\" role_session_name = \"s\"", block, &[]);
    assert_eq!(
        role.access.identity,
        Identity {
            role_arn: Some("arn:aws:iam::1:role/r".to_owned()),
            external_id: Some("x".to_owned()),
            role_session_name: Some("s".to_owned()),
            ..Identity::default()
        }
    );
    let files = dynamodb(
        "profile = \"p\" shared_credentials_file = \"/c\" shared_config_file = \"/d\" web_identity_token_file = \"/w\"",
        block,
        &[],
    );
    assert_eq!(
        files.access.identity,
        Identity {
            profile: Some("p".to_owned()),
            shared_credentials_file: Some("/c".to_owned()),
            shared_config_file: Some("/d".to_owned()),
            web_identity_token_file: Some("/w".to_owned()),
            ..Identity::default()
        }
    );
    // Half of a pair is not completed from the block or from the environment.
    assert!(load("secret_key = \"own\"", block, &environment).unwrap_err().contains("secret_key: access_key is missing"));
}

#[test]
fn the_component_is_told_of_the_table_and_of_nothing_else() {
    let secrets = "access_key = \"AKIA\" secret_key = \"SECRET\" session_token = \"TOKEN\"";
    let stanza = format!(
        "{secrets} table = \"t.able_1\" billing_mode = \"PAY_PER_REQUEST\" point_in_time_recovery = true deletion_protection = \"1\"
         tags {{ Name = \"a \\\"b\\\"\" cost-centre = 42 }} sse_kms_key_id = \"alias/k\" dynamodb_max_retries = 3
         region = \"eu-west-1\" endpoint = \"vpce.example:8443\" ha_enabled = true fencing = \"strict\" limits {{ call = \"9s\" requests_per_second = 50 requests_per_call = 7 }}"
    );
    let config = load(&stanza, "api_addr = \"http://a:1\"", &[]).unwrap();
    assert_eq!(
        config.storage.settings,
        [
            setting("table", "t.able_1"),
            setting("read_capacity", "5"),
            setting("write_capacity", "5"),
            setting("billing_mode", "PAY_PER_REQUEST"),
            setting("point_in_time_recovery", "true"),
            setting("deletion_protection", "true"),
            setting("tags", r#"{"Name":"a \"b\"","cost-centre":"42"}"#),
            setting("sse_kms_key_id", "alias/k"),
            setting("dynamodb_max_retries", "3"),
        ]
    );
    assert_eq!(config.storage.ha.as_ref().unwrap().fencing, Fencing::Strict);
    assert_eq!(config.storage.limits.call.as_secs(), 9);
    let shown = format!("{config:?}");
    for secret in ["SECRET", "TOKEN"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let dynamodb = config.storage.dynamodb.unwrap();
    assert!(matches!(dynamodb.table.billing_mode, BillingMode::PayPerRequest));
    assert_eq!(dynamodb.access.endpoint.as_deref(), Some("https://vpce.example:8443"));
    assert_eq!((dynamodb.access.requests.per_second, dynamodb.access.requests.per_call), (Some(50), Some(7)));
    let shown = format!("{:?}", dynamodb.access.values);
    assert!(!shown.contains("AKIA") && shown.contains("access_key, secret_key, session_token"), "{shown}");
}

#[test]
fn several_servers_need_an_address_that_clients_are_sent_to() {
    let missing =
        "api_addr is missing: standbys send clients to it; set it, or VAULT_API_ADDR, to the address at which clients reach this server";
    assert_eq!(load("ha_enabled = \"true\"", "", &[]).unwrap_err(), format!("c.hcl:1:35: ha_enabled: {missing}"));
    let variable = [("DYNAMODB_HA_ENABLED", "T")];
    assert_eq!(load("", "", &variable).unwrap_err(), format!("DYNAMODB_HA_ENABLED: {missing}"));
    let on = |stanza: &str, top: &str, environment: &[(&str, &str)]| {
        let config = load(stanza, top, environment).unwrap();
        (config.storage.ha.is_some(), config.api_addr)
    };
    let address = |text: &str| Some(text.to_owned());
    assert_eq!(on("", "api_addr = \"http://a:1\"", &variable), (true, address("http://a:1")));
    assert_eq!(on("ha_enabled = 1", "", &[("VAULT_API_ADDR", "http://b:1")]), (true, address("http://b:1")));
    assert_eq!(on("ha_enabled = true", "api_addr = \"http://a:1\"", &[("DYNAMODB_HA_ENABLED", "false")]), (false, address("http://a:1")));
    assert_eq!(on("ha_enabled = true", "api_addr = \"http://a:1\"", &[("DYNAMODB_HA_ENABLED", "")]), (true, address("http://a:1")));
    // Vault takes these from the stanza, below the top level and the environment.
    let stanza = "ha_enabled = true redirect_addr = \"http://c:1\" advertise_addr = \"http://d:1\" cluster_addr = \"http://e:1\" disable_clustering = true";
    assert_eq!(on(stanza, "", &[]), (true, address("http://c:1")));
    assert_eq!(on(stanza, "api_addr = \"http://a:1\"", &[]), (true, address("http://a:1")));
    assert_eq!(load(stanza, "", &[]).unwrap().cluster_addr, address("http://e:1"));
    // The variable is the DynamoDB backend's alone.
    let file = load_files(&[("c.hcl", &format!("{}{LISTENER}", super::STORAGE))], &variable).unwrap();
    assert!(file.storage.ha.is_none());
}

#[test]
fn errors_name_place_key_and_remedy() {
    let capacity = "expected a whole number of capacity units, such as 5";
    let name = "expected the plain name of a table: 3 to 255 letters, digits, '_', '-' and '.', found";
    let retries = "expected a whole number of at least 0, or -1 for the default";
    let mut wrong = Vec::new();
    for (stanza, environment, message) in [
        ("tabel = \"x\"", None, "c.hcl:1:22: unknown key \"tabel\" in storage \"dynamodb\": did you mean \"table\"?".to_owned()),
        ("path = \"/d\"", None, "c.hcl:1:22: unknown key \"path\" in storage \"dynamodb\": remove it".to_owned()),
        (
            "shared_creds_profile = \"x\"",
            None,
            "c.hcl:1:22: shared_creds_profile is not supported in storage \"dynamodb\": here it is called profile".to_owned(),
        ),
        (
            "region = \"a\" Region = \"b\"",
            None,
            "c.hcl:1:35: Region: set twice in storage \"dynamodb\", first at 1:22: remove one".to_owned(),
        ),
        ("read_capacity = \"many\"", None, format!("c.hcl:1:38: read_capacity: invalid read capacity: \"many\": {capacity}")),
        ("write_capacity = -1", None, format!("c.hcl:1:39: write_capacity: invalid write capacity: \"-1\": {capacity}")),
        (
            "read_capacity = 5",
            Some(("AWS_DYNAMODB_READ_CAPACITY", "5.0")),
            format!("AWS_DYNAMODB_READ_CAPACITY: invalid read capacity: \"5.0\": {capacity}"),
        ),
        ("dynamodb_max_retries = \"x\"", None, format!("c.hcl:1:45: dynamodb_max_retries: invalid max retry: \"x\": {retries}")),
        ("", Some(("AWS_DYNAMODB_MAX_RETRIES", "-2")), format!("AWS_DYNAMODB_MAX_RETRIES: invalid max retry: \"-2\": {retries}")),
        (
            "max_parallel = \"lots\"",
            None,
            "c.hcl:1:37: max_parallel: failed parsing max_parallel parameter: expected a whole number, such as 128, found \"lots\""
                .to_owned(),
        ),
        ("table = \"a/b\"", None, format!("c.hcl:1:30: table: {name} \"a/b\"")),
        ("", Some(("AWS_DYNAMODB_TABLE", "ab")), format!("AWS_DYNAMODB_TABLE: {name} \"ab\"")),
        (
            "billing_mode = \"on-demand\"",
            None,
            "c.hcl:1:37: billing_mode: expected PROVISIONED or PAY_PER_REQUEST, found \"on-demand\"".to_owned(),
        ),
        ("deletion_protection = \"on\"", None, "c.hcl:1:44: deletion_protection: expected true or false, found \"on\"".to_owned()),
        ("ha_enabled = \"yes\"", None, "c.hcl:1:35: ha_enabled: expected true or false, found \"yes\"".to_owned()),
        ("", Some(("DYNAMODB_HA_ENABLED", "yes")), "DYNAMODB_HA_ENABLED: expected true or false, found \"yes\"".to_owned()),
        ("ha_enabled = true fencing = \"hard\"", None, "c.hcl:1:50: fencing: expected lease or strict, found \"hard\"".to_owned()),
        (
            "ha_enabled = true ha { ttl = \"4s\" }",
            None,
            "c.hcl:1:51: renew: expected a duration below ttl, which is 4s, found 5s: lower it or raise ttl".to_owned(),
        ),
        (
            "ha_enabled = true ha { ttl = \"2s\" renew = \"1s\" retry = \"2s\" }",
            None,
            "c.hcl:1:77: retry: expected a duration below ttl, which is 2s, found 2s: lower it or raise ttl".to_owned(),
        ),
        (
            "ha_enabled = true ha { margin = \"99ms\" }",
            None,
            "c.hcl:1:54: margin: expected a duration of at least 100ms, found 99ms".to_owned(),
        ),
        (
            "ha_enabled = true ha { tll = \"9s\" }",
            None,
            "c.hcl:1:45: unknown key \"tll\" in ha of storage: did you mean \"ttl\"?".to_owned(),
        ),
        ("ha_enabled = true ha = \"9s\"", None, "c.hcl:1:45: ha: expected a block, found a string".to_owned()),
        (
            "ha { ttl = \"20s\" }",
            None,
            "c.hcl:1:22: ha: without ha_enabled = true no server contends for the lead: set that, or remove it".to_owned(),
        ),
        (
            "access_key = \"AKIA\"",
            None,
            "c.hcl:1:22: access_key: secret_key is missing: set both, or remove both and let the credentials come from elsewhere"
                .to_owned(),
        ),
        (
            "session_token = \"T\"",
            None,
            "c.hcl:1:22: session_token: it belongs to a key pair: set access_key and secret_key beside it, or remove it".to_owned(),
        ),
        ("limits { requests = 5 }", None, "c.hcl:1:31: unknown key \"requests\" in limits of storage: remove it".to_owned()),
        (
            "limits { requests_per_call = 0 }",
            None,
            "c.hcl:1:51: requests_per_call: expected a whole number of at least 1, found 0".to_owned(),
        ),
        ("tags = \"x\"", None, "c.hcl:1:29: tags: expected a block of texts, found a string".to_owned()),
        ("tags { a = [1] }", None, "c.hcl:1:33: tags: a: expected a string, found a list".to_owned()),
        ("tags { \"aws:x\" = 1 }", None, "c.hcl:1:29: tags: aws:x: names that begin with aws: belong to AWS: choose another".to_owned()),
        ("tags { a = 1 a = 2 }", None, "c.hcl:1:35: tags: a: set twice: remove one".to_owned()),
    ] {
        let found = load(stanza, "", environment.as_slice()).map_or_else(|error| error, |_| "a configuration".to_owned());
        if found != message {
            wrong.push(format!("found    {found}\nexpected {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_block_of_all_backends_is_read_strictly() {
    let with = |block: &str| load_text(&format!("{block}\nstorage \"dynamodb\" {{}}\n{LISTENER}")).map(|_| "a configuration");
    for (block, message) in [
        ("aws { regoin = \"x\" }", "c.hcl:1:7: unknown key \"regoin\" in aws: did you mean \"region\"?"),
        ("aws { table = \"x\" }", "c.hcl:1:7: unknown key \"table\" in aws: remove it"),
        ("aws \"kms\" { region = \"x\" }", "c.hcl:1:5: aws: the block has no type: remove \"kms\""),
        ("aws = 5", "c.hcl:1:7: aws: expected an object, found a number"),
        ("aws {}\naws {}", "c.hcl:2:1: aws: set twice at the top level, first at 1:1: remove one"),
        (
            "aws { secret_key = \"x\" }",
            "c.hcl:1:7: secret_key: access_key is missing: set both, or remove both and let the credentials come from elsewhere",
        ),
    ] {
        assert_eq!(with(block).unwrap_err(), message);
    }
    // Of several files the last one's block counts, whole.
    let files = [
        ("1.hcl", format!("aws {{ profile = \"one\" region = \"a-1\" }}\nstorage \"dynamodb\" {{}}\n{LISTENER}")),
        ("2.hcl", "aws { region = \"b-1\" }".to_owned()),
    ];
    let config = load_files(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)], &[]).unwrap();
    let dynamodb = config.storage.dynamodb.unwrap();
    assert_eq!((dynamodb.access.region.as_deref(), dynamodb.access.identity), (Some("b-1"), Identity::default()));
}
