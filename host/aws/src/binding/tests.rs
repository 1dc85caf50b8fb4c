//! What the binding lets through, and what it refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::{Fencing, Lease};
use cofferdam_runtime::{Aws as _, AwsCall, AwsSendError, Purpose};
use serde_json::json;

use super::refusal::Reason;
use super::{BillingMode, DynamoDb, TableSpec};
use crate::egress::Egress;
use crate::egress::tests::server::{Reply, Server, json as answer, ok};
use crate::egress::tests::{bound, call, credentials, held, options, table};

const ALL: [Purpose; 7] = [Purpose::Attach, Purpose::Open, Purpose::Read, Purpose::Mutation, Purpose::Lock, Purpose::Wrap, Purpose::Unwrap];

const KEY: &str = r#"{"Path":{"S":"logical/x"},"Key":{"S":"name"}}"#;
const LOCK: &str = r#"{"Path":{"S":"core"},"Key":{"S":"_lock"}}"#;
const ITEM: &str = r#"{"Path":{"S":"logical/x"},"Key":{"S":"name"},"Value":{"B":"AAEC"}}"#;
const MARK: &str = r#"{"Path":{"S":" "},"Key":{"S":"logical/"},"Value":{"NULL":true}}"#;

async fn unfenced() -> Arc<DynamoDb> {
    bound(options("http://127.0.0.1:1"), None).await
}

#[tokio::test]
async fn an_operator_may_name_the_operations() {
    let egress = Egress::new("test", options("http://127.0.0.1:1"), credentials().await).unwrap();
    let aws = DynamoDb::restricted(table(), egress, None, vec!["GetItem".to_owned(), "Query".to_owned()]);
    assert!(aws.describe().ends_with("(GetItem, Query, nothing else)"), "{}", aws.describe());
    let get = body("{$T,\"Key\":$KEY}");
    assert_eq!(reason(&aws, Purpose::Read, "GetItem", &get), None);
    assert_eq!(reason(&aws, Purpose::Mutation, "DeleteItem", &get), Some(Reason::Operation));
    // The list opens nothing: purposes and bodies are judged as ever.
    assert_eq!(reason(&aws, Purpose::Mutation, "GetItem", &get), Some(Reason::Purpose));
    let whole = unfenced().await;
    assert_eq!(reason(&whole, Purpose::Mutation, "DeleteItem", &get), None);
    assert_eq!(DynamoDb::operations().count(), 12);
}

/// The reason of a refusal, if it is one.
fn reason(aws: &DynamoDb, purpose: Purpose, operation: &str, body: &str) -> Option<Reason> {
    aws.check(&call(purpose), operation, body.as_bytes()).err().map(|refusal| refusal.reason)
}

/// The body with the constants put in.
fn body(text: &str) -> String {
    text.replace("$KEY", KEY).replace("$LOCK", LOCK).replace("$ITEM", ITEM).replace("$MARK", MARK).replace("$T", r#""TableName":"vault""#)
}

#[tokio::test]
async fn the_requests_of_the_guest_pass_for_their_purpose_and_no_other() {
    use Purpose::{Lock, Mutation, Open, Read};
    let aws = unfenced().await;
    let requests: [(&str, &[Purpose], &str); 15] = [
        ("DescribeTable", &[Open], "{$T}"),
        ("GetItem", &[Read], "{$T,\"Key\":$KEY,\"ConsistentRead\":true}"),
        (
            "GetItem",
            &[Read, Lock],
            "{$T,\"Key\":$LOCK,\"ConsistentRead\":true,\"ProjectionExpression\":\"#v\",\"ExpressionAttributeNames\":{\"#v\":\"Value\"}}",
        ),
        (
            "Query",
            &[Read, Mutation],
            r##"{$T,"KeyConditionExpression":"#p = :p AND #k > :a","ExpressionAttributeNames":{"#p":"Path","#k":"Key"},"ExpressionAttributeValues":{":p":{"S":"a"},":a":{"S":"b\"c"}},"ConsistentRead":true,"ProjectionExpression":"#k","Limit":1000,"ExclusiveStartKey":$KEY,"ScanIndexForward":true,"Select":"SPECIFIC_ATTRIBUTES"}"##,
        ),
        ("Scan", &[Read], r#"{$T,"ConsistentRead":true,"Segment":3,"TotalSegments":8,"Limit":100,"ExclusiveStartKey":$KEY}"#),
        ("PutItem", &[Mutation], "{$T,\"Item\":$ITEM}"),
        ("PutItem", &[Mutation], "{\"Item\":$MARK,$T}"),
        // A leaf may begin with an underscore; only the lock itself is kept.
        ("PutItem", &[Mutation], r#"{$T,"Item":{"Path":{"S":"core"},"Key":{"S":"_locks"},"Value":{"B":""}}}"#),
        ("DeleteItem", &[Mutation], "{$T,\"Key\":$KEY}"),
        (
            "DeleteItem",
            &[Lock],
            r##"{$T,"Key":$LOCK,"ConditionExpression":"#i = :i","ExpressionAttributeNames":{"#i":"Identity"},"ExpressionAttributeValues":{":i":{"B":"bWU="}}}"##,
        ),
        (
            "UpdateItem",
            &[Lock],
            r##"{$T,"Key":$LOCK,"UpdateExpression":"SET #v = :v, #i = :i, #e = :e","ConditionExpression":"attribute_not_exists(#p)","ExpressionAttributeNames":{"#v":"Value","#i":"Identity","#e":"Expires","#p":"Path"},"ExpressionAttributeValues":{":v":{"B":"eA=="},":i":{"B":"bWU="},":e":{"N":"17"}}}"##,
        ),
        (
            "BatchGetItem",
            &[Mutation],
            r##"{"RequestItems":{"vault":{"Keys":[$KEY,$LOCK],"ConsistentRead":true,"ProjectionExpression":"#k","ExpressionAttributeNames":{"#k":"Key"}}}}"##,
        ),
        ("BatchWriteItem", &[Mutation], r#"{"RequestItems":{"vault":[{"PutRequest":{"Item":$MARK}},{"DeleteRequest":{"Key":$KEY}}]}}"#),
        (
            "TransactWriteItems",
            &[Mutation],
            r#"{"TransactItems":[{"Put":{$T,"Item":$ITEM}},{"Delete":{$T,"Key":$KEY}}],"ClientRequestToken":"5f0c"}"#,
        ),
        (
            "TransactWriteItems",
            &[Mutation],
            r##"{"TransactItems":[{"ConditionCheck":{$T,"Key":$LOCK,"ConditionExpression":"#i = :i","ExpressionAttributeNames":{"#i":"Identity"},"ExpressionAttributeValues":{":i":{"B":"bWU="}}}}]}"##,
        ),
    ];
    for (operation, purposes, text) in requests {
        for purpose in ALL {
            let found = reason(&aws, purpose, operation, &body(text));
            if purposes.contains(&purpose) {
                assert_eq!(found, None, "{operation} {purpose:?}");
            } else {
                assert!(found.is_some(), "{operation} {purpose:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_hostile_guest_tries_is_refused_for_its_reason() {
    let aws = unfenced().await;
    let read = |operation: &'static str, text: &'static str, wanted: Reason| (Purpose::Read, operation, text, wanted);
    let write = |operation: &'static str, text: &'static str, wanted: Reason| (Purpose::Mutation, operation, text, wanted);
    let cases = [
        // Another table, by any name.
        read("GetItem", r#"{"TableName":"other","Key":$KEY}"#, Reason::Table),
        read("GetItem", r#"{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/vault","Key":$KEY}"#, Reason::Table),
        read("GetItem", r#"{"TableName":"Vault","Key":$KEY}"#, Reason::Table),
        read("GetItem", r#"{"TableName":"vault ","Key":$KEY}"#, Reason::Table),
        read("GetItem", r#"{"TableName":["vault"],"Key":$KEY}"#, Reason::Table),
        read("GetItem", r#"{"TableName":"v\u0061ult","Key":$KEY}"#, Reason::Table),
        write("BatchWriteItem", r#"{"RequestItems":{"other":[{"DeleteRequest":{"Key":$KEY}}]}}"#, Reason::Table),
        write(
            "BatchWriteItem",
            r#"{"RequestItems":{"vault":[{"DeleteRequest":{"Key":$KEY}}],"other":[{"DeleteRequest":{"Key":$KEY}}]}}"#,
            Reason::Value,
        ),
        write(
            "TransactWriteItems",
            r#"{"TransactItems":[{"Put":{$T,"Item":$ITEM}},{"Delete":{"TableName":"other","Key":$KEY}}]}"#,
            Reason::Table,
        ),
        // Another operation.
        read("DeleteTable", "{$T}", Reason::Operation),
        read("getitem", "{$T,\"Key\":$KEY}", Reason::Operation),
        read("GetItem\r\nx-evil: 1", "{$T,\"Key\":$KEY}", Reason::Operation),
        read("PutResourcePolicy", r#"{"ResourceArn":"x","Policy":"{}"}"#, Reason::Operation),
        read("PutItem", "{$T,\"Item\":$ITEM}", Reason::Purpose),
        read("ExecuteStatement", r#"{"Statement":"SELECT * FROM other"}"#, Reason::Operation),
        write("CreateTable", "{$T}", Reason::Purpose),
        // Members that are not allowed, anywhere.
        read("GetItem", r#"{$T,"Key":$KEY,"AttributesToGet":["Value"]}"#, Reason::Member),
        read("GetItem", r#"{$T,"Key":$KEY,"tablename":"other"}"#, Reason::Member),
        read("GetItem", r#"{$T,"Key":$KEY,"ReturnConsumedCapacity":"TOTAL"}"#, Reason::Member),
        read("Query", r#"{$T,"IndexName":"i","KeyConditionExpression":"Path = :p"}"#, Reason::Member),
        read("Scan", r#"{$T,"FilterExpression":"Path = :p"}"#, Reason::Member),
        write("PutItem", r#"{$T,"Item":$ITEM,"ReturnValues":"ALL_OLD"}"#, Reason::Member),
        write("TransactWriteItems", r#"{"TransactItems":[{"Update":{$T,"Key":$KEY,"UpdateExpression":"SET Path = :p"}}]}"#, Reason::Member),
        write(
            "BatchWriteItem",
            r#"{"RequestItems":{"vault":[{"PutRequest":{"Item":$ITEM},"DeleteRequest":{"Key":$KEY}}]}}"#,
            Reason::Value,
        ),
        // Members that are missing.
        read("GetItem", r#"{"Key":$KEY}"#, Reason::Member),
        read("Scan", "{}", Reason::Member),
        write("TransactWriteItems", r#"{"TransactItems":[{"Delete":{"Key":$KEY}}]}"#, Reason::Member),
        // JSON that two readers may take differently.
        read("GetItem", r#"{$T,$T,"Key":$KEY}"#, Reason::Body),
        read("GetItem", r#"{"TableName":"vault","TableName":"other","Key":$KEY}"#, Reason::Body),
        read("GetItem", r#"{$T,"Table\u004eame":"other","Key":$KEY}"#, Reason::Body),
        read("GetItem", r#"{$T,"Key":$KEY}{"TableName":"other"}"#, Reason::Body),
        read("GetItem", "{$T,\"Key\":$KEY}\0", Reason::Body),
        read("GetItem", "\u{feff}{$T,\"Key\":$KEY}", Reason::Body),
        read("GetItem", "[]", Reason::Value),
        read("GetItem", "", Reason::Body),
        // Items and keys of another form.
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Value":{"B":"AA=="},"Extra":{"S":"x"}}}"#, Reason::Value),
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Value":{"S":"x"}}}"#, Reason::Value),
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Value":{"NULL":false}}}"#, Reason::Value),
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Identity":{"B":"AA=="}}}"#, Reason::Value),
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"a"},"Key":{"S":"b","N":"1"},"Value":{"B":""}}}"#, Reason::Value),
        write("DeleteItem", r#"{$T,"Key":{"Path":{"S":"a"}}}"#, Reason::Value),
        write("DeleteItem", r#"{$T,"Key":{"Path":{"S":"a"},"Key":{"B":"AA=="}}}"#, Reason::Value),
        write("DeleteItem", r#"{$T,"Key":{"Path":{"S":"a"},"Key":{"S":"b"},"More":{"S":"c"}}}"#, Reason::Value),
        // The lock as data, however it is written.
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"core"},"Key":{"S":"_lock"},"Value":{"B":""}}}"#, Reason::Lock),
        write("PutItem", r#"{$T,"Item":{"Path":{"S":"c\u006fre"},"Key":{"S":"\u005flock"},"Value":{"B":""}}}"#, Reason::Lock),
        write("DeleteItem", "{$T,\"Key\":$LOCK}", Reason::Lock),
        write("BatchWriteItem", r#"{"RequestItems":{"vault":[{"DeleteRequest":{"Key":$LOCK}}]}}"#, Reason::Lock),
        write("TransactWriteItems", r#"{"TransactItems":[{"Delete":{$T,"Key":$LOCK}}]}"#, Reason::Lock),
        // Data through the lock.
        (Purpose::Lock, "GetItem", "{$T,\"Key\":$KEY}", Reason::Lock),
        (Purpose::Lock, "DeleteItem", "{$T,\"Key\":$KEY}", Reason::Lock),
        (Purpose::Lock, "UpdateItem", r#"{$T,"Key":$KEY,"UpdateExpression":"SET Expires = :e"}"#, Reason::Lock),
        // Expressions that reach further.
        (Purpose::Lock, "UpdateItem", r#"{$T,"Key":$LOCK,"UpdateExpression":"REMOVE Identity"}"#, Reason::Value),
        (
            Purpose::Lock,
            "UpdateItem",
            r##"{$T,"Key":$LOCK,"UpdateExpression":"SET #o = :e","ExpressionAttributeNames":{"#o":"Other"}}"##,
            Reason::Value,
        ),
        read("Query", r#"{$T,"KeyConditionExpression":"size(Path) > :p"}"#, Reason::Value),
        // Sizes of lists.
        write("BatchWriteItem", r#"{"RequestItems":{"vault":[]}}"#, Reason::Value),
        read("Scan", r#"{$T,"Limit":"10"}"#, Reason::Value),
    ];
    for (purpose, operation, text, wanted) in cases {
        assert_eq!(reason(&aws, purpose, operation, &body(text)), Some(wanted), "{operation} {text}");
    }
    let writes = vec![r#"{"DeleteRequest":{"Key":$KEY}}"#; 26].join(",");
    assert_eq!(
        reason(&aws, Purpose::Mutation, "BatchWriteItem", &body(&format!(r#"{{"RequestItems":{{"vault":[{writes}]}}}}"#))),
        Some(Reason::Value)
    );
}

#[tokio::test]
async fn a_refusal_names_the_member_and_no_value() {
    let aws = unfenced().await;
    let body = body(r#"{"TransactItems":[{"Put":{$T,"Item":{"Path":{"S":"hidden"},"Key":{"S":"hidden"},"Value":{"S":"hidden"}}}}]}"#);
    match aws.send(&mut call(Purpose::Mutation), "TransactWriteItems", body.into()).await {
        Err(AwsSendError::Refused(text)) => assert_eq!(text, "TransactWriteItems.TransactItems.Put.Item.Value: B or NULL is wanted"),
        other => panic!("{other:?}"),
    }
}

fn fenced(first: &str) -> String {
    body(&format!(r#"{{"TransactItems":[{first},{{"Put":{{$T,"Item":$ITEM}}}}]}}"#))
}

fn check(key: &str, condition: &str, attribute: &str, values: &str) -> String {
    format!(
        r##"{{"ConditionCheck":{{$T,"Key":{key},"ConditionExpression":"{condition}","ExpressionAttributeNames":{{"#i":"{attribute}"}},"ExpressionAttributeValues":{values}}}}}"##
    )
}

#[tokio::test]
async fn with_strict_fencing_only_a_transaction_that_checks_the_lock_passes() {
    let aws = bound(options("http://127.0.0.1:1"), Some(held(Fencing::Strict, Duration::from_secs(60)))).await;
    let me = format!(r#"{{":i":{{"B":"{}"}}}}"#, STANDARD.encode("me"));
    let found = |operation: &str, text: &str| reason(&aws, Purpose::Mutation, operation, &body(text));
    assert_eq!(found("TransactWriteItems", &fenced(&check("$LOCK", "#i = :i", "Identity", &me))), None);
    assert_eq!(found("Query", r#"{$T,"KeyConditionExpression":"Path = :p","ExpressionAttributeValues":{":p":{"S":"a"}}}"#), None);

    let refused = [
        ("PutItem", "{$T,\"Item\":$ITEM}".to_owned()),
        ("DeleteItem", "{$T,\"Key\":$KEY}".to_owned()),
        ("BatchWriteItem", r#"{"RequestItems":{"vault":[{"PutRequest":{"Item":$MARK}}]}}"#.to_owned()),
        ("TransactWriteItems", r#"{"TransactItems":[{"Put":{$T,"Item":$ITEM}}]}"#.to_owned()),
        // The check comes, but not first.
        (
            "TransactWriteItems",
            format!(r#"{{"TransactItems":[{{"Put":{{$T,"Item":$ITEM}}}},{}]}}"#, check("$LOCK", "#i = :i", "Identity", &me)),
        ),
        // Of another item, another attribute, another identity, or of no consequence.
        ("TransactWriteItems", fenced(&check("$KEY", "#i = :i", "Identity", &me))),
        ("TransactWriteItems", fenced(&check(r#"{"Path":{"S":"core"},"Key":{"S":"_other"}}"#, "#i = :i", "Identity", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i = :i", "Value", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i = :i", "Identity", r#"{":i":{"B":"eW91"}}"#))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i = :i", "Identity", r#"{":i":{"S":"me"}}"#))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i = :j", "Identity", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i = :i OR attribute_exists(#i)", "Identity", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "NOT #i = :i", "Identity", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "#i <= :i", "Identity", &me))),
        ("TransactWriteItems", fenced(&check("$LOCK", "attribute_not_exists(#i)", "Identity", &me))),
    ];
    for (operation, text) in refused {
        assert_eq!(found(operation, &text), Some(Reason::Fence), "{text}");
    }
    // Locks themselves are not bound to the lock.
    assert_eq!(reason(&aws, Purpose::Lock, "DeleteItem", &body("{$T,\"Key\":$LOCK}")), None);
}

#[tokio::test]
async fn the_lock_of_the_fence_is_protected_wherever_it_is() {
    let lease = Lease::new(Fencing::Strict);
    let fence = cofferdam_backend::Fence { key: cofferdam_backend::Key::new("single").unwrap(), identity: "me".to_owned() };
    lease.begin(fence, cofferdam_backend::BootInstant::now().after(Duration::from_secs(60)));
    let aws = bound(options("http://127.0.0.1:1"), Some(lease)).await;
    let me = r#"{":i":{"B":"bWU="}}"#;
    let lock = r#"{"Path":{"S":" "},"Key":{"S":"_single"}}"#;
    let found = |text: &str| reason(&aws, Purpose::Mutation, "TransactWriteItems", &body(text));
    assert_eq!(found(&fenced(&check(lock, "#i = :i", "Identity", me))), None);
    let and_removes = format!(r#"{{"TransactItems":[{},{{"Delete":{{$T,"Key":{lock}}}}}]}}"#, check(lock, "#i = :i", "Identity", me));
    assert_eq!(found(&and_removes), Some(Reason::Lock));
}

fn creation() -> serde_json::Value {
    json!({
        "TableName": "vault",
        "KeySchema": [{"KeyType": "HASH", "AttributeName": "Path"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": "Key", "AttributeType": "S"}, {"AttributeName": "Path", "AttributeType": "S"}],
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    })
}

#[tokio::test]
async fn only_the_configured_table_is_created_and_only_when_it_is_missing() {
    let aws = unfenced().await;
    let mut missing = call(Purpose::Open);
    let found = |call: &AwsCall, body: &serde_json::Value| aws.check(call, "CreateTable", body.to_string().as_bytes()).err();
    assert_eq!(found(&missing, &creation()).map(|refusal| refusal.reason), Some(Reason::Creation));
    missing.missing = true;
    assert_eq!(found(&missing, &creation()), None);
    let changes = [
        ("TableName", json!("other")),
        ("ResourcePolicy", json!("{\"Statement\":[]}")),
        ("StreamSpecification", json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"})),
        ("GlobalSecondaryIndexes", json!([{"IndexName": "i"}])),
        ("LocalSecondaryIndexes", json!([])),
        ("BillingMode", json!("PAY_PER_REQUEST")),
        ("ProvisionedThroughput", json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 50_000})),
        ("DeletionProtectionEnabled", json!(true)),
        ("Tags", json!([{"Key": "a", "Value": "b"}])),
        ("SSESpecification", json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "theirs"})),
        ("ProvisionedThroughput", json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": {"$serde_json::private::Number": "5"}})),
        ("TableClass", json!("STANDARD_INFREQUENT_ACCESS")),
        ("KeySchema", json!([{"AttributeName": "Path", "KeyType": "HASH"}])),
    ];
    for (member, value) in changes {
        let mut changed = creation();
        changed[member] = value;
        let refusal = found(&missing, &changed).unwrap();
        assert_eq!(refusal.reason, Reason::Creation, "{member}");
        assert!(refusal.to_string().starts_with(member), "{refusal}");
    }
    for member in ["TableName", "KeySchema", "AttributeDefinitions", "ProvisionedThroughput"] {
        let mut changed = creation();
        changed.as_object_mut().unwrap().remove(member);
        assert!(found(&missing, &changed).is_some(), "{member}");
    }
}

fn rich() -> TableSpec {
    TableSpec {
        billing_mode: BillingMode::PayPerRequest,
        point_in_time_recovery: true,
        deletion_protection: true,
        tags: BTreeMap::from([("team".to_owned(), "a".to_owned()), ("cost".to_owned(), "b".to_owned())]),
        sse_kms_key_id: Some("alias/vault".to_owned()),
        ..table()
    }
}

#[test]
fn every_setting_of_the_table_is_in_its_creation() {
    let mut request = creation();
    let members = request.as_object_mut().unwrap();
    members.remove("ProvisionedThroughput");
    members.insert("BillingMode".to_owned(), json!("PAY_PER_REQUEST"));
    members.insert("DeletionProtectionEnabled".to_owned(), json!(true));
    members.insert("Tags".to_owned(), json!([{"Key": "team", "Value": "a"}, {"Value": "b", "Key": "cost"}]));
    members.insert("SSESpecification".to_owned(), json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "alias/vault"}));
    let created = |request: &serde_json::Value| rich().is_created_by(&crate::scan::read(request.to_string().as_bytes()).unwrap());
    assert_eq!(created(&request), Ok(()));
    for member in ["BillingMode", "DeletionProtectionEnabled", "Tags", "SSESpecification"] {
        let mut without = request.clone();
        without.as_object_mut().unwrap().remove(member);
        assert_eq!(created(&without), Err(member.to_owned()));
    }
}

/// A service that first misses the table.
async fn opening(spec: TableSpec, create: fn() -> Reply) -> (Server, Arc<DynamoDb>) {
    let server = Server::start(move |_, request| match request.header("x-amz-target") {
        "DynamoDB_20120810.DescribeTable" => answer(400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}"#),
        "DynamoDB_20120810.CreateTable" => create(),
        _ => ok(),
    })
    .await;
    let aws = DynamoDb::new(spec, Egress::new("test", options(&server.url()), credentials().await).unwrap(), None);
    (server, aws)
}

#[tokio::test]
async fn a_table_is_created_and_made_recoverable_only_in_the_call_that_missed_it() {
    const RECOVERY: &str = r#"{"TableName":"vault","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}"#;
    let recoverable = TableSpec { point_in_time_recovery: true, ..table() };
    for (create, spec, allowed) in [
        (ok as fn() -> Reply, recoverable.clone(), true),
        (|| Reply::Cut, recoverable.clone(), true),
        (|| answer(400, r#"{"__type":"x#LimitExceededException"}"#), recoverable, false),
        (ok, table(), false),
    ] {
        let (server, aws) = opening(spec, create).await;
        let mut opened = call(Purpose::Open);
        let send = async |call: &mut AwsCall, operation: &str, body: &str| aws.send(call, operation, body.into()).await;
        assert!(matches!(send(&mut opened, "CreateTable", &creation().to_string()).await, Err(AwsSendError::Refused(_))));
        assert_eq!(send(&mut opened, "DescribeTable", r#"{"TableName":"vault"}"#).await.unwrap().status, 400);
        assert!(matches!(send(&mut opened, "UpdateContinuousBackups", RECOVERY).await, Err(AwsSendError::Refused(_))));
        let _ = send(&mut opened, "CreateTable", &creation().to_string()).await;
        let other = RECOVERY.replace("vault", "other");
        assert!(matches!(send(&mut opened, "UpdateContinuousBackups", &other).await, Err(AwsSendError::Refused(_))));
        assert_eq!(send(&mut opened, "UpdateContinuousBackups", RECOVERY).await.is_ok(), allowed);
        // Another call knows nothing of it.
        let mut later = call(Purpose::Open);
        assert!(matches!(send(&mut later, "CreateTable", &creation().to_string()).await, Err(AwsSendError::Refused(_))));
        assert_eq!(server.requests().len(), if allowed { 3 } else { 2 });
    }
}
