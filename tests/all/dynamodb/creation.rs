//! The table itself: made as Vault makes it when it is missing, waited for, and never changed when it is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_aws::{BillingMode, TableSpec};
use cofferdam_backend::{Error, Storage as _};
use cofferdam_emulator::{Action, Dynalite, Mini, Request, Rule, Upstream};
use cofferdam_runtime::OpenError;
use serde_json::{Value, json};

use super::{Emulator, Ground, Opening, bare, ground};
use crate::conformance::{get, key, put};

fn sent(requests: &[Request], operation: &str) -> Vec<Value> {
    requests.iter().filter(|request| request.operation == operation).map(Request::json).collect()
}

async fn refused(ground: &Ground, opening: Opening<'_>) -> Error {
    match ground.open_with(opening).await {
        Err(OpenError::Guest { error, .. }) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_is_made_as_vault_makes_it_and_waited_for() {
    let dynalite = Dynalite::start(2_500).unwrap();
    let ground = bare(Upstream::from(&dynalite)).await;
    let guest = ground.open().await;
    put(&*guest, "a/b", "v").await;
    assert_eq!(get(&*guest, "a/b").await.unwrap(), "v");
    let requests = ground.proxy.take();
    let mut expected = json!({
        "TableName": ground.name,
        "AttributeDefinitions": [{"AttributeName": "Path", "AttributeType": "S"}, {"AttributeName": "Key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    });
    expected["BillingMode"] = json!("PROVISIONED");
    assert_eq!(sent(&requests, "CreateTable"), [expected]);
    // Missing, and there; in between it was CREATING, unless the machine stood still meanwhile.
    assert!(sent(&requests, "DescribeTable").len() >= 2, "it was not waited for");
    assert!(sent(&requests, "UpdateContinuousBackups").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operator_wants_of_a_new_table_is_in_the_request() {
    let ground = bare(Upstream::from(&Arc::new(Mini::new()))).await;
    let spec = TableSpec {
        billing_mode: BillingMode::PayPerRequest,
        point_in_time_recovery: true,
        deletion_protection: true,
        tags: BTreeMap::from([("team".to_owned(), "a".to_owned()), ("env".to_owned(), "b".to_owned())]),
        sse_kms_key_id: Some("alias/table".to_owned()),
        ..TableSpec::new("")
    };
    let settings = vec![
        ("billing_mode", "PAY_PER_REQUEST"),
        ("point_in_time_recovery", "true"),
        ("deletion_protection", "true"),
        ("tags", r#"{"team": "a", "env": "b"}"#),
        ("sse_kms_key_id", "alias/table"),
    ];
    ground.open_with(Opening { settings, spec, ..Opening::default() }).await.unwrap();
    let requests = ground.proxy.take();
    let created = sent(&requests, "CreateTable").remove(0);
    assert_eq!(created["BillingMode"], "PAY_PER_REQUEST");
    assert!(created.get("ProvisionedThroughput").is_none() && created["DeletionProtectionEnabled"] == true);
    assert_eq!(created["Tags"], json!([{"Key": "env", "Value": "b"}, {"Key": "team", "Value": "a"}]));
    assert_eq!(created["SSESpecification"], json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "alias/table"}));
    assert_eq!(sent(&requests, "UpdateContinuousBackups").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_there_is_never_changed() {
    let ground = ground(Emulator::Dynalite).await;
    let settings = vec![("billing_mode", "PAY_PER_REQUEST"), ("point_in_time_recovery", "true")];
    let spec = TableSpec { billing_mode: BillingMode::PayPerRequest, point_in_time_recovery: true, ..TableSpec::new("") };
    ground.open_with(Opening { settings, spec, ..Opening::default() }).await.unwrap();
    let operations: Vec<String> = ground.proxy.take().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations, ["DescribeTable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_still_being_made_is_waited_for_and_one_that_is_updated_is_used() {
    let ground = ground(Emulator::Dynalite).await;
    ground.proxy.rule(Rule::new(Action::TableStatus("CREATING")).of(&["DescribeTable"]).times(2));
    put(&*ground.open().await, "k", "v").await;
    assert_eq!(sent(&ground.proxy.take(), "DescribeTable").len(), 3);
    ground.proxy.clear();
    ground.proxy.rule(Rule::new(Action::TableStatus("UPDATING")).of(&["DescribeTable"]));
    assert_eq!(get(&*ground.open().await, "k").await.unwrap(), "v");
    ground.proxy.clear();
    ground.proxy.rule(Rule::new(Action::TableStatus("DELETING")).of(&["DescribeTable"]));
    assert!(matches!(refused(&ground, Opening::default()).await, Error::Unavailable(text) if text.contains("deleted")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_other_keys_is_refused_with_what_was_found() {
    let ground = bare(Emulator::Dynalite.upstream()).await;
    let foreign = json!({
        "TableName": ground.name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    ground.client.done("CreateTable", &foreign).await.unwrap();
    while ground.client.done("DescribeTable", &json!({"TableName": ground.name})).await.unwrap()["Table"]["TableStatus"] != "ACTIVE" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    match refused(&ground, Opening::default()).await {
        Error::Configuration(text) => assert!(text.contains("id") && text.contains("Path"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_is_named() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open().await;
    for (operation, permission) in [("PutItem", "dynamodb:PutItem"), ("DescribeTable", "dynamodb:DescribeTable")] {
        ground.proxy.rule(Rule::new(Action::Refuse("AccessDeniedException")).of(&[operation]));
        let error = match operation {
            "PutItem" => guest.put(&key("k"), "v".into()).await.unwrap_err(),
            _ => refused(&ground, Opening::default()).await,
        };
        match error {
            Error::Denied(text) => assert!(text.contains(permission) && text.contains(&ground.name), "{text}"),
            other => panic!("{other:?}"),
        }
        ground.proxy.clear();
    }
}
