//! A storage guest that is bound to one table and wants more. What it wants is refused before anything is signed, and counted; and the proxy, which stands for AWS, sees
//! nothing of it. The guest is `tests/guests/needs-aws`.

use std::sync::{Arc, LazyLock};

use cofferdam_aws::{DynamoDb, Egress, EgressOptions, TableSpec};
use cofferdam_backend::{Error, Folder, Held, Result, Storage};
use cofferdam_emulator::{Keys, Mini, Upstream};
use cofferdam_runtime::{Component, OpenError, Source, StorageBackend, StorageConfig};
use metrics::with_local_recorder;
use serde_json::{Value, json};

use super::{Emulator, Ground, bare, credentials, ground};
use crate::conformance::key;
use crate::runtime::counting::Counters;
use crate::runtime::{RUNTIME, path};

static NEEDS_AWS: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("needs_aws"))).unwrap());

/// The most bytes of a body in these tests.
const BODY: usize = 1 << 20;

async fn opened(ground: &Ground, settings: &[(&str, String)]) -> Result<Arc<StorageBackend>, OpenError> {
    let options = EgressOptions { max_request_bytes: BODY, ..ground.egress() };
    let egress = Egress::new("main", options, credentials(&Keys::any()).await).unwrap();
    let spec = TableSpec { point_in_time_recovery: true, ..TableSpec::new(&ground.name) };
    let mut config = StorageConfig::new("main");
    config.grants.aws = Some(DynamoDb::new(spec, egress, None));
    config.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RUNTIME.storage(&NEEDS_AWS, config).await
}

/// During what a request is sent.
#[derive(Clone, Copy, Debug)]
enum Within {
    Read,
    Mutation,
    Lock,
}

async fn send(backend: &StorageBackend, within: Within, operation: &str, body: &[u8]) -> Result<()> {
    let at = format!("send/{operation}");
    match within {
        Within::Read => {
            let body = std::str::from_utf8(body).unwrap();
            backend.list_page(&Folder::new(format!("{at}/")).unwrap(), body, 1).await.map(drop)
        }
        Within::Mutation => backend.put(&key(&at), body.to_vec().into()).await,
        Within::Lock => {
            let claim = Held { value: body.to_vec().into(), identity: "x".to_owned(), expires: 1 };
            backend.lock().unwrap().try_acquire(&key(&at), claim, None).await.map(drop)
        }
    }
}

/// What is attempted: within what, the operation, the body, and the reason of the refusal.
fn misdeeds(table: &str) -> Vec<(Within, &'static str, Vec<u8>, &'static str)> {
    use Within::{Lock, Mutation, Read};
    let at = json!({"Path": {"S": "a"}, "Key": {"S": "b"}});
    let item = json!({"Path": {"S": "a"}, "Key": {"S": "b"}, "Value": {"B": "eA=="}});
    let lock = json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}});
    let get = |table: &str| json!({"TableName": table, "Key": at});
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let text = |body: &Value| body.to_string().into_bytes();
    let arn = format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{table}");
    let mut all = Vec::new();
    let mut add = |within, operation, body: Vec<u8>, reason| all.push((within, operation, body, reason));
    // Other tables, by every way to name one.
    for other in ["other", &arn, "arn:aws:dynamodb:eu-central-1:123456789012:table/other", &table.to_uppercase(), &format!("{table} "), ""]
    {
        add(Read, "GetItem", text(&get(other)), "table");
        add(Mutation, "PutItem", text(&json!({"TableName": other, "Item": item})), "table");
        add(Mutation, "DeleteItem", text(&json!({"TableName": other, "Key": at})), "table");
        add(Read, "Scan", text(&json!({"TableName": other})), "table");
        add(Mutation, "BatchGetItem", text(&json!({"RequestItems": {other: {"Keys": [at]}}})), "table");
        add(Mutation, "BatchWriteItem", text(&json!({"RequestItems": {other: [{"PutRequest": {"Item": item}}]}})), "table");
        add(Mutation, "TransactWriteItems", text(&json!({"TransactItems": [{"Put": {"TableName": other, "Item": item}}]})), "table");
        add(Lock, "UpdateItem", text(&json!({"TableName": other, "Key": lock, "UpdateExpression": "SET #e = :e"})), "table");
    }
    let two = json!({"RequestItems": {table: {"Keys": [at]}, "other": {"Keys": [at]}}});
    add(Mutation, "BatchGetItem", text(&two), "value");
    add(Read, "GetItem", text(&json!({"TableName": [table], "Key": at})), "table");
    // Other operations, and other ways to name one.
    for operation in [
        "ListTables",
        "DeleteTable",
        "UpdateTable",
        "PutResourcePolicy",
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExportTableToPointInTime",
        "RestoreTableToPointInTime",
        "UpdateTimeToLive",
        "TransactGetItems",
        "getitem",
        "GetItem ",
        " GetItem",
        "GetItem\u{2028}",
        "DynamoDB_20120810.GetItem",
        "DynamoDBStreams_20120810.GetRecords",
    ] {
        add(Read, operation, text(&get(table)), "operation");
    }
    // Operations that are for something else.
    add(Read, "PutItem", text(&json!({"TableName": table, "Item": item})), "purpose");
    add(Read, "DeleteItem", text(&json!({"TableName": table, "Key": at})), "purpose");
    add(Read, "DescribeTable", text(&json!({"TableName": table})), "purpose");
    add(Mutation, "CreateTable", text(&json!({"TableName": table})), "purpose");
    add(Mutation, "Scan", text(&json!({"TableName": table})), "purpose");
    add(Mutation, "UpdateItem", text(&json!({"TableName": table, "Key": lock, "UpdateExpression": "SET #e = :e"})), "purpose");
    add(Lock, "PutItem", text(&json!({"TableName": table, "Item": item})), "purpose");
    // Members beyond those of the shipped guest.
    for (name, value) in [
        ("AttributesToGet", json!(["Value"])),
        ("ReturnConsumedCapacity", json!("TOTAL")),
        ("tableName", json!("other")),
        ("ConditionExpression", json!("x = y")),
        ("\u{0422}ableName", json!("other")),
    ] {
        add(Read, "GetItem", text(&with(get(table), name, value)), "member");
    }
    let query = json!({
        "TableName": table, "KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": "Path"},
        "ExpressionAttributeValues": {":p": {"S": "a"}},
    });
    for (name, value) in [("IndexName", json!("i")), ("FilterExpression", json!("#p = :p")), ("QueryFilter", json!({}))] {
        add(Read, "Query", text(&with(query.clone(), name, value)), "member");
    }
    for (name, value) in [("ReturnValues", json!("ALL_OLD")), ("Expected", json!({})), ("ConditionalOperator", json!("OR"))] {
        add(Mutation, "PutItem", text(&with(json!({"TableName": table, "Item": item}), name, value)), "member");
    }
    let update = json!({"TransactItems": [{"Update": {"TableName": table, "Key": at, "UpdateExpression": "SET #v = :v"}}]});
    add(Mutation, "TransactWriteItems", text(&update), "member");
    add(Mutation, "PutItem", text(&json!({"TableName": table, "Item": with(item.clone(), "Identity", json!({"B": "eA=="}))})), "value");
    add(Mutation, "PutItem", text(&json!({"TableName": table, "Item": with(item.clone(), "Value", json!({"S": "x"}))})), "value");
    // Locks as data, and data as locks.
    let as_data = with(lock.clone(), "Value", json!({"B": "eA=="}));
    add(Mutation, "PutItem", text(&json!({"TableName": table, "Item": as_data})), "lock");
    add(Mutation, "DeleteItem", text(&json!({"TableName": table, "Key": lock})), "lock");
    add(Mutation, "BatchWriteItem", text(&json!({"RequestItems": {table: [{"DeleteRequest": {"Key": lock}}]}})), "lock");
    add(Mutation, "TransactWriteItems", text(&json!({"TransactItems": [{"Delete": {"TableName": table, "Key": lock}}]})), "lock");
    add(Lock, "UpdateItem", text(&json!({"TableName": table, "Key": at, "UpdateExpression": "SET #e = :e"})), "lock");
    add(Lock, "DeleteItem", text(&json!({"TableName": table, "Key": at})), "lock");
    add(Lock, "GetItem", text(&get(table)), "lock");
    // Names smuggled past the check.
    let body = |head: &str| format!(r#"{{{head},"Key":{at}}}"#).into_bytes();
    let escaped: String = table.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    for head in [
        format!(r#""TableName":"{table}","TableName":"other""#),
        format!(r#""TableName":"other","TableName":"{table}""#),
        format!(r#""TableName":"{table}","Table\u004eame":"other""#),
        r#""TableNam\u0065":"other""#.to_owned(),
    ] {
        add(Read, "GetItem", body(&head), "body");
    }
    add(Read, "GetItem", body(&format!(r#""TableName":"{escaped}""#)), "table");
    let plain = get(table).to_string();
    for tricked in [
        format!("{plain}{{\"TableName\":\"other\"}}"),
        format!("{plain} other"),
        format!("{plain},"),
        format!("\u{feff}{plain}"),
        format!("/*x*/{plain}"),
        plain.replace('"', "'"),
        plain.replacen(":{\"S\":\"a\"}", ":{\"S\":\"a\",\"S\":\"b\"}", 1),
        plain.trim_end_matches('}').to_owned(),
        String::new(),
        "{".repeat(100_000),
    ] {
        add(Read, "GetItem", tricked.into_bytes(), "body");
    }
    for wrong in ["[]", "null", "\"x\"", "17"] {
        add(Read, "GetItem", wrong.into(), "value");
    }
    add(Mutation, "PutItem", [plain.as_bytes(), &[0xff]].concat(), "body");
    add(Mutation, "PutItem", plain.encode_utf16().flat_map(u16::to_le_bytes).collect(), "body");
    // Size.
    let large = json!({"TableName": table, "Item": with(item.clone(), "Value", json!({"B": "A".repeat(BODY)}))});
    add(Mutation, "PutItem", text(&large), "size");
    all
}

/// Runs on this thread, with what is counted.
fn counted(test: impl AsyncFnOnce(&Counters)) {
    let counters = Counters::default();
    with_local_recorder(&counters, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test(&counters));
    });
}

fn refusals(counters: &Counters, reason: &str) -> u64 {
    counters.get(&format!("coffer.aws.refusals{{backend=main,reason={reason}}}"))
}

#[test]
fn whatever_is_not_allowed_is_refused_and_counted_and_not_sent() {
    counted(async |counters| {
        let ground = ground(Emulator::Mini).await;
        let backend = opened(&ground, &[]).await.unwrap();
        let misdeeds = misdeeds(&ground.name);
        assert!(misdeeds.len() > 110, "{}", misdeeds.len());
        for (within, operation, body, reason) in misdeeds {
            let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            let before = refusals(counters, reason);
            match send(&backend, within, operation, &body).await {
                Err(Error::Denied(_)) => {}
                other => panic!("{within:?} {operation:?} {shown}: {other:?}"),
            }
            assert_eq!(refusals(counters, reason), before + 1, "{within:?} {operation:?} {shown}: not counted as {reason}");
            assert!(ground.proxy.take().is_empty(), "{within:?} {operation:?} {shown}: it was sent");
        }
        // What is allowed goes through: the same guest, the same proxy.
        let at = json!({"Path": {"S": "a"}, "Key": {"S": "b"}});
        let item = json!({"Path": {"S": "a"}, "Key": {"S": "b"}, "Value": {"B": "eA=="}});
        let put = json!({"TableName": ground.name, "Item": item}).to_string();
        send(&backend, Within::Mutation, "PutItem", put.as_bytes()).await.unwrap();
        let get = json!({"TableName": ground.name, "Key": at, "ConsistentRead": true}).to_string();
        send(&backend, Within::Read, "GetItem", get.as_bytes()).await.unwrap();
        let sent: Vec<(String, Vec<u8>)> =
            ground.proxy.take().into_iter().map(|request| (request.operation, request.body.to_vec())).collect();
        assert_eq!(sent, [("PutItem".to_owned(), put.into_bytes()), ("GetItem".to_owned(), get.into_bytes())]);
        assert_eq!(ground.table.items().await.unwrap(), [item]);
        assert!(ground.proxy.complaints().is_empty(), "{:?}", ground.proxy.complaints());
    });
}

#[test]
fn a_thousand_requests_of_one_call_are_too_many() {
    counted(async |counters| {
        let ground = ground(Emulator::Mini).await;
        let backend = opened(&ground, &[]).await.unwrap();
        let get = json!({"TableName": ground.name, "Key": {"Path": {"S": "a"}, "Key": {"S": "b"}}});
        let all = backend.get(&key(&format!("send-many/1000/GetItem/{get}"))).await;
        let Err(Error::Denied(text)) = all else { panic!("{all:?}") };
        let sent = ground.proxy.take().len();
        assert!(text.starts_with(&format!("after {sent}: ")) && (20..1_000).contains(&sent), "{text}; {sent} were sent");
        assert_eq!(refusals(counters, "calls"), 1);
        // It was this call's alone.
        backend.get(&key(&format!("send-many/20/GetItem/{get}"))).await.unwrap();
        assert_eq!(ground.proxy.take().len(), 20);
    });
}

fn creation(table: &str) -> Value {
    json!({
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": "Path", "AttributeType": "S"}, {"AttributeName": "Key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    })
}

#[test]
fn a_table_is_created_as_configured_and_only_if_it_is_missing() {
    counted(async |counters| {
        let ground = bare(Upstream::from(&Arc::new(Mini::new()))).await;
        let describe = format!("DescribeTable {}", json!({"TableName": ground.name}));
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut body = creation(&ground.name);
            change(&mut body);
            body
        };
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]});
        let evil = [
            changed(&|body| body["ResourcePolicy"] = json!(policy.to_string())),
            changed(&|body| body["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"})),
            changed(&|body| body["GlobalSecondaryIndexes"] = json!([])),
            changed(&|body| body["LocalSecondaryIndexes"] = json!([])),
            changed(&|body| body["Tags"] = json!([{"Key": "a", "Value": "b"}])),
            changed(&|body| body["TableName"] = json!("other")),
            changed(&|body| body["TableName"] = json!(format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{}", ground.name))),
            changed(&|body| body["ProvisionedThroughput"]["WriteCapacityUnits"] = json!(40_000)),
            changed(&|body| body["BillingMode"] = json!("PAY_PER_REQUEST")),
            changed(&|body| body["SSESpecification"] = json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "theirs"})),
            changed(&|body| body["KeySchema"][0]["AttributeName"] = json!("Other")),
        ];
        for (number, create) in evil.iter().enumerate() {
            let error = opened(&ground, &[("open", describe.clone()), ("create", create.to_string())]).await.err().expect("it opened");
            assert!(matches!(&error, OpenError::Guest { error: Error::Denied(_), .. }), "{create}: {error}");
            assert_eq!(refusals(counters, "creation"), number as u64 + 1, "{create}");
            let sent: Vec<String> = ground.proxy.take().into_iter().map(|request| request.operation).collect();
            assert_eq!(sent, ["DescribeTable"], "{create}");
        }
        let before = refusals(counters, "creation");
        // Not before the service has said that the table is missing.
        assert!(opened(&ground, &[("create", creation(&ground.name).to_string())]).await.is_err());
        // And no recovery of a table that was not created here.
        let recovery = json!({"TableName": ground.name, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
        assert!(opened(&ground, &[("open", format!("UpdateContinuousBackups {recovery}"))]).await.is_err());
        assert_eq!(refusals(counters, "creation"), before + 2);
        assert!(ground.proxy.take().is_empty());
        // Nothing at all in attach.
        assert!(opened(&ground, &[("attach", describe.clone())]).await.is_err());
        assert!(ground.proxy.take().is_empty());
        // What is configured is created. An error answer that says that it is missing does not break the guest's `open`.
        let refused = opened(&ground, &[("open", describe), ("create", creation(&ground.name).to_string())]).await.err();
        let sent: Vec<String> = ground.proxy.take().into_iter().map(|request| request.operation).collect();
        assert!(refused.is_none(), "{refused:?}");
        assert_eq!(sent, ["DescribeTable", "CreateTable"]);
    });
}

#[tokio::test]
async fn there_is_no_environment() {
    assert!(std::env::vars().count() > 0, "there is something to hide");
    let ground = ground(Emulator::Mini).await;
    let backend = opened(&ground, &[]).await.unwrap();
    assert_eq!(backend.get(&key("environment")).await.unwrap().unwrap(), "[]");
}

#[tokio::test]
async fn addresses_of_metadata_are_out_of_reach() {
    for address in [
        "http://169.254.169.254",
        "http://169.254.170.2",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]",
        "https://169.254.170.23:443",
    ] {
        let options = EgressOptions { endpoint: Some(address.to_owned()), region: super::REGION.to_owned(), ..EgressOptions::default() };
        let error = Egress::new("main", options, credentials(&Keys::any()).await).err().unwrap_or_else(|| panic!("{address} was taken"));
        assert!(error.to_string().contains("metadata"), "{error}");
    }
}
