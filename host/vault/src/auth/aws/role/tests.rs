use serde_json::json;

use super::*;

/// As Vault 1.14 writes it.
const VAULTS: &str = r#"{"token_bound_cidrs":["10.0.0.0/8"],"token_explicit_max_ttl":0,"token_max_ttl":7200000000000,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":["dev"],"token_type":0,"token_ttl":3600000000000,"role_id":"4c9f5dba-4c7a-7a1a-2ad1-0f4a1ab7e8d5","auth_type":"iam","bound_ami_id_list":null,"bound_account_id_list":null,"bound_ec2_instance_id_list":null,"bound_iam_principal_arn_list":["arn:aws:iam::123456789012:role/deploy"],"bound_iam_principal_id_list":["AROAEXAMPLE"],"bound_iam_role_arn_list":null,"bound_iam_instance_profile_arn_list":null,"bound_region_list":null,"bound_subnet_id_list":null,"bound_vpc_id_list":null,"inferred_entity_type":"","inferred_aws_region":"","resolve_aws_unique_ids":true,"role_tag":"","allow_instance_migration":false,"disallow_reauthentication":false,"hmac_key":"7d4c0c2e-58f6-2a6c-0a5c-2d2f9a0f9f3e","version":3,"ttl":0,"max_ttl":0,"period":0,"policies":null}"#;

fn read(value: &Value) -> Role {
    Role::from_stored("r", value.to_string().as_bytes()).unwrap().0
}

fn vaults(change: Value) -> Value {
    let mut value: Value = serde_json::from_str(VAULTS).unwrap();
    value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    value
}

#[test]
fn vaults_role_is_kept_as_it_is_but_for_openbaos_member() {
    let (role, upgraded) = Role::from_stored("r", VAULTS.as_bytes()).unwrap();
    assert!(!upgraded && role.is_iam() && role.resolves() && !role.infers());
    assert_eq!(role.token.token_ttl, Duration::from_secs(3_600));
    assert_eq!(Value::Object(role.members().unwrap()), vaults(json!({"token_strictly_bind_ip": false})));
    // Of instances, and of a server to come.
    let ec2 = vaults(json!({
        "auth_type": "ec2", "bound_ami_id_list": ["ami-1"], "role_tag": "tag", "bound_region_list": ["eu-west-1"], "x": {"y": 1.50}, "hmac_key": "k",
        "token_strictly_bind_ip": false,
    }));
    assert_eq!(Value::Object(read(&ec2).members().unwrap()), ec2);
    let shown = Value::Object(read(&ec2).shown().unwrap());
    assert_eq!((&shown["bound_ami_id"], &shown["bound_vpc_id"], &shown["role_tag"]), (&json!(["ami-1"]), &json!([]), &json!("tag")));
    assert!(shown.get("hmac_key").is_none() && shown.get("x").is_none() && shown.get("ttl").is_none());
    assert_eq!((&shown["token_ttl"], &shown["token_policies"], &shown["token_type"]), (&json!(3_600), &json!(["dev"]), &json!("default")));
}

#[test]
fn a_new_role_has_the_members_of_vaults() {
    let names = |members: &Map<String, Value>| members.keys().cloned().collect::<Vec<_>>();
    let expected = vaults(json!({"token_strictly_bind_ip": false}));
    let mut found = names(&Role::new().members().unwrap());
    let mut expected = names(expected.as_object().unwrap());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_ne!(Role::new().id(), Role::new().id());
}

#[test]
fn roles_of_older_versions_become_ones_of_today() {
    let first = json!({
        "auth_type": "", "bound_ami_id": "ami-1", "bound_iam_role_arn": "arn:aws:iam::1:instance-profile/p", "bound_region": "", "policies": ["old"],
        "ttl": 1_000_000_000_u64, "period": 2_000_000_000_u64, "token_policies": null,
    });
    let (role, upgraded) = Role::from_stored("r", first.to_string().as_bytes()).unwrap();
    assert!(upgraded && !role.is_iam());
    assert_eq!((role.token.token_ttl.as_secs(), role.token.token_period.as_secs()), (1, 2));
    assert_eq!(role.token.token_policies.as_deref(), Some(&["old".to_owned()][..]));
    let members = Value::Object(role.members().unwrap());
    assert_eq!(members["bound_ami_id_list"], json!(["ami-1"]));
    assert_eq!(members["bound_iam_instance_profile_arn_list"], json!(["arn:aws:iam::1:instance-profile/p*"]));
    assert_eq!((&members["version"], members.get("bound_ami_id")), (&json!(3), None));
    assert_eq!(role.id().len(), 36);
    let again = Role::from_stored("r", members.to_string().as_bytes()).unwrap();
    assert_eq!((again.1, again.0.id()), (false, role.id()));
    let second = vaults(json!({"version": 1, "role_id": "", "bound_iam_role_arn_list": ["a", "b"]}));
    assert_eq!(read(&second).members().unwrap()["bound_iam_role_arn_list"], json!(["a*", "b*"]));
    let third = vaults(json!({"version": 2, "role_id": "", "bound_iam_role_arn_list": ["a"]}));
    assert_eq!(read(&third).members().unwrap()["bound_iam_role_arn_list"], json!(["a"]));
    for version in [json!(4), json!(-1)] {
        let error = Role::from_stored("r", vaults(json!({"version": version})).to_string().as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("unrecognized role version: {version}"));
    }
    let Err(Error::Damaged(text)) = Role::from_stored("r", b"{\"hmac_key\":\"hid") else { panic!() };
    assert!(!text.contains("hid"), "{text}");
}

#[test]
fn a_caller_is_admitted_by_id_or_by_arn() {
    let arn = "arn:aws:sts::123456789012:assumed-role/deploy/i-1";
    let caller = |id, canonical| Caller { unique_id: id, canonical, arn };
    let own = "arn:aws:iam::123456789012:role/deploy";
    let with = |resolve: bool, arns: &[&str], ids: &[&str]| {
        read(&vaults(json!({
            "resolve_aws_unique_ids": resolve, "bound_iam_principal_arn_list": arns, "bound_iam_principal_id_list": ids,
        })))
    };
    for (role, id, admitted) in [
        (with(true, &[own], &["AROA"]), "AROA", true),
        // The role was deleted and made anew.
        (with(true, &[own], &["AROA"]), "AROB", false),
        (with(true, &[own], &[]), "", false),
        (with(true, &["arn:aws:iam::123456789012:role/*"], &[]), "AROB", true),
        (with(false, &[own], &[]), "AROB", true),
        (with(false, &[arn], &[]), "AROB", true),
        (with(false, &["arn:aws:sts::123456789012:assumed-role/deploy/*"], &[]), "AROB", true),
        (with(false, &["arn:aws:iam::123456789012:role/deplo"], &[""]), "", false),
        (with(false, &[], &[]), "AROA", false),
    ] {
        assert_eq!(role.admits(&caller(id, own)), admitted, "{role:?} {id}");
    }
    let unknown = Caller { unique_id: "", canonical: "", arn: "" };
    assert!(!with(false, &["*", ""], &[""]).admits(&unknown));
}
