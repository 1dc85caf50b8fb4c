//! `seal "awskms"`: which of several sources counts, which seals go together, and the whole text of every kind of error.

use super::{LISTENER, STORAGE, load_files};
use crate::config::origin::Origin;
use crate::config::{AwsKms, Config, Seal};
use cofferdam_aws::Identity;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";

/// A configuration with this text before it, and this environment.
fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    load_files(&[("c.hcl", &format!("{text}\n{STORAGE}{LISTENER}"))], environment)
}

/// The only seal of a configuration with this stanza.
fn seal(stanza: &str, top: &str, environment: &[(&str, &str)]) -> Seal {
    let config = load(&format!("seal \"awskms\" {{ {stanza} }}\n{top}"), environment).unwrap();
    assert!(config.seals.disabled.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
    let [seal] = config.seals.active.try_into().unwrap();
    seal
}

fn awskms(stanza: &str, top: &str, environment: &[(&str, &str)]) -> AwsKms {
    seal(stanza, top, environment).awskms.unwrap()
}

/// The key of a seal of KMS.
fn key(seal: &Seal) -> &str {
    &seal.awskms.as_ref().unwrap().key_id
}

fn origin(found: &AwsKms, key: &str) -> String {
    found.access.values.iter().find(|(name, _, _)| *name == key).map(|(_, _, origin)| origin.to_string()).unwrap_or_default()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn secret(text: &str) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(text.to_owned()))
}

#[test]
fn vaults_own_example_is_read_unchanged() {
    let example = r#"
        region     = "us-east-1"
        access_key = "AKIAIOSFODNN7EXAMPLE"
        secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        kms_key_id = "19ec80b0-dfdd-4d97-8164-c6examplekey"
        endpoint   = "https://vpce-0e1bb1852241f8cc6-pzi0do8n.kms.us-east-1.vpce.amazonaws.com"
    "#;
    let found = seal(example, "", &[]);
    assert_eq!((found.kind.as_str(), found.name.as_str(), found.priority), ("awskms", "awskms", 1));
    assert!(found.pool.size < 4);
    let shown = format!("{found:?}");
    assert!(!shown.contains("wJalr") && !shown.contains("AKIA"), "{shown}");
    let found = found.awskms.unwrap();
    assert_eq!(found.key_id, "19ec80b0-dfdd-4d97-8164-c6examplekey");
    assert_eq!(
        (found.access.region.as_deref(), found.previous_key_ids.as_ref(), found.allow_direct_blob),
        (Some("us-east-1"), None, false)
    );
    assert_eq!(found.access.endpoint.as_deref(), Some("https://vpce-0e1bb1852241f8cc6-pzi0do8n.kms.us-east-1.vpce.amazonaws.com"));
    assert_eq!(found.access.identity.access_key, secret("AKIAIOSFODNN7EXAMPLE"));
    assert_eq!(found.access.identity.secret_key, secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    assert_eq!(
        found.settings("us-east-1"),
        [("kms_key_id", "19ec80b0-dfdd-4d97-8164-c6examplekey"), ("region", "us-east-1")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
}

#[test]
fn shamir_needs_no_stanza_and_takes_none_that_says_more() {
    for (stanzas, environment) in [
        ("", &[][..]),
        ("seal \"shamir\" {}", &[]),
        ("seal \"Shamir\" { disabled = false }", &[]),
        ("", &[("VAULT_SEAL_TYPE", "shamir")]),
        ("seal \"shamir\" {}", &[("BAO_SEAL_TYPE", "shamir"), ("VAULT_SEAL_TYPE", "awskms")]),
    ] {
        let seals = load(stanzas, environment).unwrap().seals;
        assert!(seals.active.is_empty() && seals.disabled.is_none(), "{stanzas}");
    }
}

#[test]
fn json_and_several_files_are_read_alike() {
    let json = r#"{"seal": [{"awskms": {"kms_key_id": "alias/a", "disabled": "true", "name": "old"}}, {"awskms": {"kms_key_id": "alias/b"}}],
        "storage": {"file": {"path": "/d"}}, "listener": {"tcp": {"tls_disable": true}}, "state_path": "/s"}"#;
    let config = load_files(&[("c.json", json)], &[]).unwrap();
    assert_eq!(config.state_path.map(|(path, _)| path), Some(PathBuf::from("/s")));
    let seals = config.seals;
    assert_eq!((key(&seals.active[0]), seals.active.len()), ("alias/b", 1));
    let old = seals.disabled.unwrap();
    assert_eq!((old.name.as_str(), key(&old)), ("old", "alias/a"));
    // Stanzas of several files add up.
    let one = format!("{STORAGE}{LISTENER}seal \"awskms\" {{ kms_key_id = \"k\" }}");
    let two = "seal \"AWSKMS\" { kms_key_id = \"l\" disabled = 1 }";
    let seals = load_files(&[("1.hcl", &one), ("2.hcl", two)], &[]).unwrap().seals;
    assert_eq!((seals.active.len(), key(&seals.disabled.unwrap())), (1, "l"));
}

#[test]
fn variables_come_over_key_id_and_endpoint_and_over_nothing_else() {
    let stanza = "kms_key_id = \"of-file\" endpoint = \"https://file.example\" region = \"eu-west-1\"";
    let all = [
        ("AWSKMS_WRAPPER_KEY_ID", "wrapper"),
        ("BAO_AWSKMS_SEAL_KEY_ID", "bao"),
        ("VAULT_AWSKMS_SEAL_KEY_ID", "vault"),
        ("AWSKMS_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_KMS_ENDPOINT", "old.example:8443"),
        ("AWS_REGION", "us-west-2"),
    ];
    let shown = |environment: &[(&str, &str)]| {
        let found = awskms(stanza, "", environment);
        (found.key_id, found.access.endpoint.unwrap(), found.access.region.unwrap())
    };
    let expected = |key: &str, endpoint: &str| (key.to_owned(), endpoint.to_owned(), "eu-west-1".to_owned());
    assert_eq!(shown(&[]), expected("of-file", "https://file.example"));
    assert_eq!(shown(&all), expected("wrapper", "http://127.0.0.1:1"));
    assert_eq!(shown(&all[1..3]), expected("bao", "https://file.example"));
    assert_eq!(shown(&[all[2], all[4]]), expected("vault", "https://old.example:8443"));
    assert_eq!(shown(&all.map(|(name, _)| (name, ""))), expected("of-file", "https://file.example"));

    let found = awskms(stanza, "", &all[2..3]);
    assert_eq!(origin(&found, "kms_key_id"), "environment variable VAULT_AWSKMS_SEAL_KEY_ID");
    assert!(origin(&found, "endpoint").ends_with("c.hcl:1:51"), "{}", origin(&found, "endpoint"));

    let found = awskms(&format!("{stanza} disallow_env_vars = true"), "", &all);
    assert_eq!((found.key_id.as_str(), found.access.endpoint.as_deref()), ("of-file", Some("https://file.example")));
    // Without a stanza the variables are all there is.
    let config = load("aws { region = \"eu-west-3\" }", &[("VAULT_SEAL_TYPE", "awskms"), all[2]]).unwrap();
    let [seal] = config.seals.active.try_into().unwrap();
    assert_eq!(seal.origin, Origin::Variable("VAULT_SEAL_TYPE".to_owned()));
    assert_eq!((key(&seal), seal.awskms.as_ref().unwrap().access.region.as_deref()), ("vault", Some("eu-west-3")));
    // It may say what a stanza says.
    assert_eq!(awskms("kms_key_id = \"k\"", "", &[("BAO_SEAL_TYPE", "awskms")]).key_id, "k");
}

#[test]
fn the_identity_is_the_stanzas_whole_or_the_blocks() {
    let block = "aws { role_arn = \"arn:aws:iam::1:role/b\" region = \"eu-west-1\" ca_cert = \"/ca\" }";
    let shared = awskms("kms_key_id = \"k\"", block, &[]);
    assert_eq!(shared.access.identity, Identity { role_arn: text("arn:aws:iam::1:role/b"), ..Identity::default() });
    assert_eq!((shared.access.region.as_deref(), shared.access.ca_cert), (Some("eu-west-1"), Some(PathBuf::from("/ca"))));
    let own = "kms_key_id = \"k\" shared_creds_profile = \"p\" shared_creds_filename = \"/c\" web_identity_token_file = \"/w\"
        role_session_name = \"s\" external_id = \"x\" region = \"eu-west-2\" ca_cert = \"/own\"";
    let found = awskms(own, block, &[]);
    let expected = Identity {
        profile: text("p"),
        shared_credentials_file: text("/c"),
        web_identity_token_file: text("/w"),
        role_session_name: text("s"),
        external_id: text("x"),
        ..Identity::default()
    };
    assert_eq!(found.access.identity, expected);
    assert_eq!((found.access.region.as_deref(), found.access.ca_cert), (Some("eu-west-2"), Some(PathBuf::from("/own"))));
    // Our names of the same.
    let ours = own.replace("shared_creds_profile", "profile").replace("shared_creds_filename", "shared_credentials_file");
    assert_eq!(awskms(&ours, block, &[]).access.identity, expected);
}

#[test]
fn secrets_may_stand_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "FROM-FILE\n").unwrap();
    let stanza = format!(
        "kms_key_id = \"k\" access_key = \"env://CARGO_PKG_NAME\" secret_key = \"file://{}\" session_token = \"T\"",
        path.display()
    );
    let found = awskms(&stanza, "", &[]);
    let name = std::env::var("CARGO_PKG_NAME").unwrap();
    let identity =
        Identity { access_key: secret(&name), secret_key: secret("FROM-FILE"), session_token: secret("T"), ..Identity::default() };
    assert_eq!(found.access.identity, identity);
    assert!(found.access.values.iter().any(|(key, value, _)| *key == "identity" && value == "access_key, secret_key, session_token"));
    assert!(!format!("{:?}", found.access.values).contains("FROM-FILE"));
}

#[test]
fn the_rest_of_a_stanza_is_read() {
    let stanza = format!(
        "kms_key_id = \"alias/v\" previous_key_ids = [\"{KEY}\"] allow_direct_blob = true purpose = \"seal\" name = \"one\" priority = 3
         health_check_enabled = \"true\" health_check_timeout = \"5s\" health_check_interval = \"15m\" health_check_interval_unhealthy = \"30s\"
         key_not_required = false pool {{ size = 4 }} limits {{ call = \"9s\" requests_per_second = 5 requests_per_call = 6 }}"
    );
    let config = load(&format!("seal \"awskms\" {{ {stanza} }}"), &[]).unwrap();
    let health = config.seals.health;
    let seconds = |time: Option<Duration>| time.unwrap().as_secs();
    assert_eq!((health.enabled, seconds(health.timeout), seconds(health.interval), seconds(health.unhealthy)), (Some(true), 5, 900, 30));
    let [seal] = config.seals.active.try_into().unwrap();
    assert_eq!((seal.name.as_str(), seal.priority, seal.pool.size, seal.limits.call.as_secs()), ("one", 3, 4, 9));
    let found = seal.awskms.unwrap();
    assert_eq!((found.access.requests.per_second, found.access.requests.per_call), (Some(5), Some(6)));
    assert_eq!((found.previous_key_ids.as_deref(), found.allow_direct_blob), (Some(&[KEY.to_owned()][..]), true));
    assert_eq!(awskms("kms_key_id = \"k\" previous_key_ids = []", "", &[]).previous_key_ids, Some(Vec::new()));
}

/// Two seals in two regions, with these settings after each one's own.
fn two(first: &str, second: &str) -> String {
    format!(
        "seal \"awskms\" {{ kms_key_id = \"mrk-1\" region = \"eu-west-1\" {first} }}\nseal \"awskms\" {{ kms_key_id = \"mrk-1\" region = \"eu-west-2\" {second} }}"
    )
}

#[test]
fn of_two_seals_the_first_in_rank_comes_first() {
    let text = two("name = \"b\" priority = 2 health_check_interval = \"60s\"", "name = \"a\" priority = 1 health_check_interval = 60");
    let seals = load(&text, &[("AWS_REGION", "us-east-1")]).unwrap().seals;
    let names: Vec<&str> = seals.active.iter().map(|seal| seal.name.as_str()).collect();
    assert_eq!((names, seals.health.interval), (vec!["a", "b"], Some(Duration::from_secs(60))));
    let quiet = two("name = \"b\" priority = 2 disallow_env_vars = true", "name = \"a\" priority = 1");
    let seals = load(&quiet, &[("AWSKMS_WRAPPER_KEY_ID", "mrk-2")]).unwrap().seals;
    assert_eq!([&seals.active[0], &seals.active[1]].map(key), ["mrk-2", "mrk-1"]);
}

#[test]
fn seals_that_do_not_go_together_are_refused() {
    let pair = "name = \"a\" priority = 1";
    let one = "seal \"awskms\" { kms_key_id = \"k\" }";
    let disabled = "seal \"awskms\" { kms_key_id = \"l\" disabled = \"true\" }";
    let points = "it would point all 2 seals of the configuration at one key: unset it and write the value into each stanza, or set disallow_env_vars = true there";
    let rank = "is missing: of two seals at work each has a name and a priority, 1 is asked first";
    check(&[
        (&two("", pair), &[], format!("c.hcl:1:6: seal \"awskms\": name {rank}")),
        (&two(pair, "name = \"b\""), &[], format!("c.hcl:2:6: seal \"awskms\": priority {rank}")),
        (
            &two(pair, "name = \"a\" priority = 2"),
            &[],
            "c.hcl:2:66: name: it is that of the seal at c.hcl:1:66 too: two seals at work differ in it".to_owned(),
        ),
        (
            &two(pair, "name = \"b\" priority = 1"),
            &[],
            "c.hcl:2:81: priority: it is that of the seal at c.hcl:1:81 too: two seals at work differ in it".to_owned(),
        ),
        (
            &two(&format!("{pair} health_check_interval = \"1m\""), "name = \"b\" priority = 2 health_check_interval = \"2m\""),
            &[],
            "c.hcl:2:107: health_check_interval: another value stands at c.hcl:1:107, and one serves all seals: give the same, or remove one".to_owned(),
        ),
        (
            &two(pair, "name = \"b\" priority = 2").replace("eu-west-2", "eu-west-1"),
            &[],
            "c.hcl:2:30: kms_key_id: it is the key of seal \"a\" too, so that losing it would lose both: give each seal its own key or region".to_owned(),
        ),
        (
            &two(pair, "name = \"b\" priority = 2"),
            &[("VAULT_AWSKMS_SEAL_KEY_ID", "x")],
            format!("VAULT_AWSKMS_SEAL_KEY_ID: {points}"),
        ),
        (&two(pair, "name = \"b\" priority = 2"), &[("AWS_KMS_ENDPOINT", "x")], format!("AWS_KMS_ENDPOINT: {points}")),
        (&format!("{one}\n{disabled}"), &[("AWSKMS_ENDPOINT", "x")], format!("AWSKMS_ENDPOINT: {points}")),
        (
            &format!("{}\n{one}", two(pair, "name = \"b\" priority = 2")),
            &[],
            "c.hcl:3:6: seal \"awskms\": at most 2 seals can be at work: remove one, or set disabled = true in the one that is given up".to_owned(),
        ),
        (
            &format!("{disabled}\n{disabled}"),
            &[],
            "c.hcl:2:6: seal \"awskms\": only one seal can be given up at a time: remove one that is disabled".to_owned(),
        ),
        (
            "seal \"shamir\" { disabled = true }",
            &[],
            "c.hcl:1:6: Shamir seals cannot be set disabled (they should simply not be set): remove the stanza".to_owned(),
        ),
        (
            &format!("seal \"shamir\" {{}}\n{one}"),
            &[],
            "c.hcl:1:6: seal \"shamir\": it is another seal's place: without a stanza the seal is Shamir's; remove this stanza".to_owned(),
        ),
        (
            one,
            &[("VAULT_SEAL_TYPE", "shamir")],
            "VAULT_SEAL_TYPE: \"shamir\": the stanza at c.hcl:1:6 says otherwise: unset the variable, or change the stanza".to_owned(),
        ),
        (
            disabled,
            &[("BAO_SEAL_TYPE", "awskms")],
            "BAO_SEAL_TYPE: \"awskms\": the stanza at c.hcl:1:6 says otherwise: unset the variable, or change the stanza".to_owned(),
        ),
        (
            "seal \"shamir\" {}",
            &[("VAULT_SEAL_TYPE", "AWSKMS")],
            "VAULT_SEAL_TYPE: \"AWSKMS\": the stanza at c.hcl:1:6 says otherwise: unset the variable, or change the stanza".to_owned(),
        ),
        ("", &[("VAULT_SEAL_TYPE", "transit")], "VAULT_SEAL_TYPE: no seal \"transit\" here: supported are awskms and shamir".to_owned()),
    ]);
}

#[test]
fn errors_name_place_key_and_remedy() {
    let missing = "key id not found in env or config for aws kms wrapper configuration: set kms_key_id, or VAULT_AWSKMS_SEAL_KEY_ID, to the id, the ARN or an alias of the KMS key";
    let refused = |stanza: &str, at: &str| (format!("seal \"awskms\" {{ {stanza} }}"), format!("c.hcl:{at}"));
    let cases = [
        refused("aws_region = \"x\"", "1:17: unknown key \"aws_region\" in seal \"awskms\": did you mean \"region\"?"),
        refused("key_id = \"x\"", "1:17: unknown key \"key_id\" in seal \"awskms\": did you mean \"kms_key_id\"?"),
        refused("table = \"x\"", "1:17: unknown key \"table\" in seal \"awskms\": remove it"),
        refused("region = \"x\" region = \"y\"", "1:30: region: set twice in seal \"awskms\", first at 1:17: remove one"),
        refused("region = \"x\"", &format!("1:6: seal \"awskms\": {missing}")),
        refused("kms_key_id = \"\"", &format!("1:6: seal \"awskms\": {missing}")),
        refused(
            "kms_key_id = \"a b\"",
            "1:30: kms_key_id: expected the id or the ARN of a KMS key, alias/NAME, or an alias's ARN, found \"a b\"",
        ),
        refused(
            "kms_key_id = \"arn:aws:s3:::x\"",
            "1:30: kms_key_id: expected the id or the ARN of a KMS key, alias/NAME, or an alias's ARN, found \"arn:aws:s3:::x\"",
        ),
        refused(
            &format!("kms_key_id = \"{KEY}\" region = \"us-east-1\""),
            &format!(
                "1:30: kms_key_id: the key {KEY} is one of region eu-west-1, and the region is us-east-1: KMS would not find it; correct one of the two"
            ),
        ),
        refused(
            "kms_key_id = \"k\" key_not_required = true",
            "1:34: key_not_required cannot be turned on in seal \"awskms\": without a key id nobody would check which key wraps and unwraps the root key: set kms_key_id and remove it",
        ),
        refused(
            "kms_key_id = \"k\" previous_key_ids = [\"alias/x\"]",
            "1:54: previous_key_ids: expected the id or the ARN of a KMS key (no alias, which may be given another key), found \"alias/x\"",
        ),
        refused("kms_key_id = \"k\" previous_key_ids = \"x\"", "1:53: previous_key_ids: expected a list, found a string"),
        refused("kms_key_id = \"k\" allow_direct_blob = \"yes\"", "1:54: allow_direct_blob: expected true or false, found \"yes\""),
        refused(
            "kms_key_id = \"k\" access_key = \"AKIA\"",
            "1:34: access_key: secret_key is missing: set both, or remove both and let the credentials come from elsewhere",
        ),
        refused(
            "kms_key_id = \"k\" access_key = \"env://COFFER_NOT_SET\" secret_key = \"s\"",
            "1:47: access_key: env://COFFER_NOT_SET: the environment variable is not set: set it, or correct the name",
        ),
        refused(
            "kms_key_id = \"k\" access_key = \"env://HOME\" secret_key = \"s\" disallow_env_vars = true",
            "1:47: access_key: env://HOME: disallow_env_vars is on in this stanza: remove one of the two",
        ),
        refused(
            "kms_key_id = \"k\" profile = \"a\" shared_creds_profile = \"b\"",
            "1:34: profile: is the same as shared_creds_profile: remove one",
        ),
        refused(
            "kms_key_id = \"k\" purpose = \"seal,audit\"",
            "1:44: purpose: expected \"seal\", since the key of this stanza serves nothing else here, found \"seal, audit\": remove it",
        ),
        refused(
            "kms_key_id = \"k\" name = \"a/b\"",
            "1:41: name: expected at most 64 letters, digits, '-' and '_', since metrics and entries are named after it, found \"a/b\"",
        ),
        refused("kms_key_id = \"k\" priority = 0", "1:45: priority: expected a whole number of at least 1, found 0"),
        refused("kms_key_id = \"k\" disabled = \"no\"", "1:45: disabled: expected true or false, found \"no\""),
        refused(
            "kms_key_id = \"k\" health_check_interval = \"99ms\"",
            "1:58: health_check_interval: expected a duration of at least 100ms, found 99ms",
        ),
        refused("kms_key_id = \"k\" pool { sice = 1 }", "1:41: unknown key \"sice\" in pool of seal: did you mean \"size\"?"),
        refused("kms_key_id = \"k\" limits = 1", "1:43: limits: expected a block, found a number"),
        (
            "seal \"gcpckms\" {}".to_owned(),
            "c.hcl:1:6: seal \"gcpckms\": no such seal here: supported are awskms, and shamir, which needs no stanza; any other is a component in plugin_directory".to_owned(),
        ),
        ("seal {}".to_owned(), "c.hcl:1:1: seal: expected a seal's type, as in seal \"awskms\" { … }".to_owned()),
    ];
    let cases: Vec<Case> = cases.iter().map(|(text, message)| (text.as_str(), &[][..], message.clone())).collect();
    check(&cases);
    // What a variable says is checked like what a file says, and the variable is named.
    let variable = [("VAULT_AWSKMS_SEAL_KEY_ID", KEY)];
    let found = load("seal \"awskms\" { region = \"us-east-1\" }", &variable).unwrap_err();
    assert!(found.starts_with(&format!("VAULT_AWSKMS_SEAL_KEY_ID: the key {KEY} is one of region eu-west-1")), "{found}");
    let found = load("", &[("VAULT_SEAL_TYPE", "awskms")]).unwrap_err();
    assert_eq!(found, format!("VAULT_SEAL_TYPE: {missing}"));
    // The region in force may be known only later.
    let found = awskms(&format!("kms_key_id = \"{KEY}\""), "", &[]);
    assert!(found.check_region("eu-west-1").is_ok());
    assert!(found.check_region("us-east-1").unwrap_err().to_string().contains("c.hcl:1:30: kms_key_id: the key"));
}

type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], String);

fn check(cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (text, environment, message) in cases {
        let found = load(text, environment).map_or_else(|error| error, |_| "a configuration".to_owned());
        if found != *message {
            wrong.push(format!("found    {found}\nexpected {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
