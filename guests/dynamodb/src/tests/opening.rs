//! What `open` makes of the table that it finds, or does not find.

use std::sync::Arc;

use cofferdam_guest::{Error, Result};
use serde_json::{Value, json};

use super::control::{described, ours};
use super::fake::{Fake, Upset};
use super::{denied, store_with};

fn opened(settings: &[(&str, &str)], states: Vec<Option<Value>>, prepare: impl FnOnce(&Fake)) -> (Result<()>, Arc<Fake>) {
    let (store, fake) = store_with(settings);
    fake.world().table.states = states;
    prepare(&fake);
    store.begin_open();
    (store.open(), fake)
}

fn body(fake: &Fake, operation: &str) -> Value {
    fake.world().sent.iter().find(|(sent, _)| sent == operation).unwrap().1.clone()
}

#[test]
fn a_table_that_is_there_is_only_looked_at() {
    for status in ["ACTIVE", "UPDATING"] {
        let (result, fake) = opened(&[("billing_mode", "PAY_PER_REQUEST")], vec![ours(status)], |_| {});
        result.unwrap();
        assert_eq!(fake.operations(), ["DescribeTable"]);
    }
}

#[test]
fn a_table_still_in_the_making_is_waited_for() {
    let (result, fake) = opened(&[("point_in_time_recovery", "true")], vec![ours("CREATING"), ours("CREATING"), ours("ACTIVE")], |_| {});
    result.unwrap();
    assert_eq!(fake.operations(), ["DescribeTable"; 3]);
    let (result, fake) = opened(&[], vec![ours("CREATING")], |_| {});
    assert!(matches!(result, Err(Error::Unavailable(text)) if text.contains("still not active")));
    assert!((90..=100).contains(&fake.world().time.as_secs()));
    assert!(fake.operations().len() < 100);
}

#[test]
fn a_missing_table_is_created_as_vault_would() {
    let (result, fake) = opened(&[], vec![None, None, ours("CREATING"), ours("ACTIVE")], |_| {});
    result.unwrap();
    assert_eq!(
        body(&fake, "CreateTable"),
        json!({
            "TableName": "vault",
            "AttributeDefinitions": [{ "AttributeName": "Path", "AttributeType": "S" }, { "AttributeName": "Key", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "Path", "KeyType": "HASH" }, { "AttributeName": "Key", "KeyType": "RANGE" }],
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 5 },
        })
    );
    assert_eq!(fake.operations(), ["DescribeTable", "CreateTable", "DescribeTable", "DescribeTable", "DescribeTable"]);
}

#[test]
fn a_new_table_gets_what_the_stanza_asks_for() {
    let settings = [
        ("billing_mode", "PAY_PER_REQUEST"),
        ("tags", r#"{"team":"b","env":"a"}"#),
        ("sse_kms_key_id", "alias/vault"),
        ("deletion_protection", "true"),
        ("point_in_time_recovery", "true"),
    ];
    let (result, fake) = opened(&settings, vec![None, ours("ACTIVE")], |fake| fake.world().table.recovery_after = 3);
    result.unwrap();
    let created = body(&fake, "CreateTable");
    assert_eq!(created["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(created.get("ProvisionedThroughput"), None);
    assert_eq!(created["Tags"], json!([{ "Key": "env", "Value": "a" }, { "Key": "team", "Value": "b" }]));
    assert_eq!(created["SSESpecification"], json!({ "Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "alias/vault" }));
    assert_eq!(created["DeletionProtectionEnabled"], true);
    let recovery = json!({ "TableName": "vault", "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } });
    assert_eq!(body(&fake, "UpdateContinuousBackups"), recovery);
    assert_eq!(fake.operations().iter().filter(|operation| *operation == "UpdateContinuousBackups").count(), 4);
}

#[test]
fn two_servers_that_create_the_same_table_both_start() {
    let (result, fake) = opened(&[("point_in_time_recovery", "true")], vec![None, ours("CREATING"), ours("ACTIVE")], |fake| {
        fake.world().table.raced = true;
    });
    result.unwrap();
    assert_eq!(fake.operations(), ["DescribeTable", "CreateTable", "DescribeTable", "DescribeTable"]);
}

#[test]
fn recovery_that_cannot_be_turned_on_is_an_error() {
    let (result, _) = opened(&[("point_in_time_recovery", "true")], vec![None, ours("ACTIVE")], |fake| {
        fake.world().upsets = [None, None, None, Some(Upset::Answer(400, "AccessDeniedException"))].into();
    });
    assert!(denied(result.unwrap_err()).contains("dynamodb:UpdateContinuousBackups"));
}

#[test]
fn a_table_with_other_keys_is_refused_with_what_was_found() {
    for keys in
        [&[("Path", "HASH", "S")][..], &[("Path", "HASH", "S"), ("Key", "RANGE", "B")], &[("Key", "HASH", "S"), ("Path", "RANGE", "S")]]
    {
        let (result, _) = opened(&[], vec![described("ACTIVE", keys)], |_| {});
        let Err(Error::Configuration(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("has the keys") && text.contains("needed are Path (HASH, S), Key (RANGE, S)"), "{text}");
        assert!(text.contains(&format!("{} ({}, {})", keys[0].0, keys[0].1, keys[0].2)), "{text}");
    }
}

#[test]
fn states_that_do_not_pass_are_told() {
    let (result, _) = opened(&[], vec![ours("DELETING")], |_| {});
    assert!(matches!(result, Err(Error::Unavailable(text)) if text.contains("being deleted")));
    let (result, _) = opened(&[], vec![ours("INACCESSIBLE_ENCRYPTION_CREDENTIALS")], |_| {});
    assert!(denied(result.unwrap_err()).contains("KMS key"));
    let (result, _) = opened(&[], vec![ours("ARCHIVED")], |_| {});
    assert!(matches!(result, Err(Error::Unavailable(text)) if text.contains("ARCHIVED")));
}

#[test]
fn a_missing_permission_and_a_bad_setting_are_named() {
    let (result, _) = opened(&[], vec![None], |fake| fake.upset([Upset::Answer(400, "AccessDeniedException")]));
    assert!(denied(result.unwrap_err()).starts_with("the permission dynamodb:DescribeTable is missing on table \"vault\""));
    let (result, _) = opened(&[], vec![None], |fake| {
        fake.world().upsets = [None, Some(Upset::Answer(400, "ValidationException"))].into();
    });
    assert!(matches!(result, Err(Error::Configuration(text)) if text.contains("CreateTable") && text.contains("the message of")));
}
