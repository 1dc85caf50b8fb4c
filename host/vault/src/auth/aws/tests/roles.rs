//! Settings and roles through the API.

use super::*;

async fn refused(body: Value) -> String {
    let (engine, ..) = mount([]).await;
    refusal(write(&engine, "role/r", body).await)
}

#[tokio::test]
async fn a_role_is_written_read_listed_and_deleted() {
    let (engine, _, view) = mount([]).await;
    assert_eq!(engine.exists(&request(Operation::Update, "role/Dev", json!({}))).await.unwrap(), Some(false));
    let body = json!({"auth_type": "iam", "bound_iam_principal_arn": ROLE, "policies": "a,b", "ttl": "1h", "token_max_ttl": 7200});
    assert!(write(&engine, "role/Dev", body).await.unwrap().warnings.is_empty());
    let shown = read(&engine, "role/dev").await;
    for (name, value) in [
        ("auth_type", json!("iam")),
        ("bound_iam_principal_arn", json!([ROLE])),
        ("bound_iam_principal_id", json!([])),
        ("resolve_aws_unique_ids", json!(false)),
        ("policies", json!(["a", "b"])),
        ("token_policies", json!(["a", "b"])),
        ("ttl", json!(3_600)),
        ("token_ttl", json!(3_600)),
        ("token_max_ttl", json!(7_200)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown.get("max_ttl").is_none());
    write(&engine, "role/dev", json!({"token_policies": "c", "x": 1})).await.unwrap();
    let again = read(&engine, "role/DEV").await;
    assert_eq!((&again["token_policies"], again.get("policies"), &again["role_id"]), (&json!(["c"]), None, &shown["role_id"]));
    assert_eq!(view.list("role/").await.unwrap(), ["dev"]);
    for path in ["role/", "roles/"] {
        let listed = ask(&engine, Operation::List, path, json!({})).await.unwrap().data.unwrap();
        assert_eq!(listed["keys"], json!(["dev"]));
    }
    assert_eq!(engine.exists(&request(Operation::Update, "role/dev", json!({}))).await.unwrap(), Some(true));
    ask(&engine, Operation::Delete, "role/dev", json!({})).await.unwrap();
    assert!(matches!(ask(&engine, Operation::Read, "role/dev", json!({})).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn what_a_role_cannot_be_is_said_as_vault_does() {
    for (body, error) in [
        (json!({}), "at least one bound parameter should be specified on the role"),
        (json!({"auth_type": "x"}), "unrecognized auth_type: x"),
        (json!({"bound_iam_principal_arn": ROLE, "inferred_entity_type": "x"}), "specified invalid inferred_entity_type: x"),
        (
            json!({"bound_iam_principal_arn": ROLE, "inferred_entity_type": "ec2_instance"}),
            "specified inferred_entity_type but not inferred_aws_region",
        ),
        (
            json!({"bound_iam_principal_arn": ROLE, "inferred_aws_region": "x"}),
            "specified inferred_aws_region but not inferred_entity_type",
        ),
        (json!({"bound_ami_id": "ami-1"}), "specified bound_ami_id but not specifying ec2 auth_type or inferring ec2_instance"),
        (json!({"bound_region": "eu-west-1"}), "specified bound_region but not specifying ec2 auth_type"),
        (json!({"role_tag": "t"}), "tried to enable role_tag when not using ec2 auth method"),
        (json!({"bound_iam_principal_arn": ROLE, "ttl": "2h", "max_ttl": "1h"}), "ttl should be shorter than max ttl"),
    ] {
        assert_eq!(refused(body).await, error);
    }
    for (body, part) in [
        (json!({"auth_type": "ec2"}), "auth_type ec2 is not offered"),
        (json!({"bound_iam_principal_arn": ROLE, "resolve_aws_unique_ids": true}), "makes no look-ups in IAM"),
        (
            json!({"bound_iam_principal_arn": ROLE, "inferred_entity_type": "ec2_instance", "inferred_aws_region": "x"}),
            "inferred_entity_type is not offered",
        ),
    ] {
        let text = refused(body).await;
        assert!(text.contains(part), "{text}");
    }
    let (engine, ..) = mount([]).await;
    write(&engine, "role/r", json!({"bound_iam_principal_arn": ROLE})).await.unwrap();
    assert_eq!(refusal(write(&engine, "role/r", json!({"auth_type": "ec2"})).await), "changing auth_type on a role is not allowed");
    let doubtful = write(&engine, "role/r", json!({"bound_iam_principal_arn": "arn:aws:iam::1:role/path/x,*"})).await.unwrap();
    assert_eq!(doubtful.warnings.len(), 2, "{:?}", doubtful.warnings);
}

#[tokio::test]
async fn a_role_of_vaults_with_unique_ids_keeps_them() {
    let (engine, _, view) = mount([]).await;
    let stored = json!({
        "auth_type": "iam", "version": 3, "role_id": "i", "resolve_aws_unique_ids": true, "bound_iam_principal_arn_list": [ROLE],
        "bound_iam_principal_id_list": ["AROAEXAMPLE"],
    });
    view.put("role/r", stored.to_string().as_bytes()).await.unwrap();
    write(&engine, "role/r", json!({"token_policies": "a", "resolve_aws_unique_ids": true})).await.unwrap();
    let shown = read(&engine, "role/r").await;
    assert_eq!((&shown["bound_iam_principal_id"], &shown["token_policies"]), (&json!(["AROAEXAMPLE"]), &json!(["a"])));
    let back = refusal(write(&engine, "role/r", json!({"resolve_aws_unique_ids": false})).await);
    assert_eq!(back, "changing resolve_aws_unique_ids from true to false is not allowed");
    let other = refusal(write(&engine, "role/r", json!({"bound_iam_principal_arn": ROLE})).await);
    assert!(other.starts_with(&format!("unable to resolve ARN {ROLE:?} to internal ID")), "{other}");
    write(&engine, "role/r", json!({"bound_iam_principal_arn": "arn:aws:iam::123456789012:role/*"})).await.unwrap();
    assert_eq!(read(&engine, "role/r").await["bound_iam_principal_id"], json!([]));
}

#[tokio::test]
async fn a_role_of_an_older_version_is_stored_anew_once() {
    let (engine, _, view) = mount([]).await;
    view.put("role/old", br#"{"auth_type":"ec2","bound_ami_id":"ami-1","version":0}"#).await.unwrap();
    let shown = read(&engine, "role/old").await;
    assert_eq!(shown["bound_ami_id"], json!(["ami-1"]));
    assert_eq!(read(&engine, "role/old").await["role_id"], shown["role_id"]);
    let text = refusal(write(&engine, "role/old", json!({"token_ttl": 1})).await);
    assert!(text.contains("is about instances of EC2"), "{text}");
    ask(&engine, Operation::Delete, "role/old", json!({})).await.unwrap();
    view.put("role/new", br#"{"version":9}"#).await.unwrap();
    assert!(matches!(ask(&engine, Operation::Read, "role/new", json!({})).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn settings_are_written_and_read_without_the_secret_key() {
    let (engine, ..) = mount([]).await;
    assert!(matches!(ask(&engine, Operation::Read, "config/client", json!({})).await, Err(Error::NotFound)));
    assert_eq!(engine.exists(&request(Operation::Update, "config/client", json!({}))).await.unwrap(), Some(false));
    assert_eq!(write(&engine, "config/client", json!({})).await.unwrap().warnings.len(), 1);
    assert_eq!(read(&engine, "config/client").await["max_retries"], json!(-1));
    write(&engine, "config/client", json!({"secret_key": "hidden", "iam_server_id_header_value": "v"})).await.unwrap();
    let shown = read(&engine, "config/client").await;
    assert!(!shown.to_string().contains("hidden") && shown["iam_server_id_header_value"] == "v", "{shown}");
    ask(&engine, Operation::Delete, "config/client", json!({})).await.unwrap();
    assert_eq!(read(&engine, "config/identity").await["iam_metadata"], json!(["account_id", "auth_type"]));
    write(&engine, "config/identity", json!({"iam_alias": "full_arn"})).await.unwrap();
    assert_eq!(read(&engine, "config/identity").await["iam_alias"], "full_arn");
}

#[tokio::test]
async fn what_is_not_offered_says_so_and_what_is_unknown_is() {
    let (engine, ..) = mount([]).await;
    for path in ["config/sts/1", "config/certificate/x", "tidy/roletag-denylist", "identity-accesslist", "role/r/tag", "config/rotate-root"]
    {
        let text = refusal(write(&engine, path, json!({})).await);
        assert!(text.contains("not offer"), "{path}: {text}");
    }
    for path in ["", "x", "role/a/b", "role/-a", "config/x"] {
        assert!(matches!(write(&engine, path, json!({})).await, Err(Error::NoRoute(_))), "{path}");
    }
    for (operation, path) in [(Operation::Read, "login"), (Operation::Patch, "role/r"), (Operation::Read, "roles")] {
        assert!(matches!(ask(&engine, operation, path, json!({})).await, Err(Error::UnsupportedOperation)), "{path}");
    }
    assert!(engine.unauthenticated("login") && !engine.unauthenticated("login/") && !engine.unauthenticated("role/r"));
}
