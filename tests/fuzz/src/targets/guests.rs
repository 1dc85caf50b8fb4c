//! What a guest is, and what it wants to send.

use cofferdam_aws::fuzz as aws;
use cofferdam_http::fuzz as http;
use cofferdam_trial::record::fuzz as record;

use super::texts;
use crate::Target;

pub(super) const COMPONENT: Target = Target { name: "component", run: component, seeds: components, words: COMPONENT_WORDS };
pub(super) const DYNAMODB_REQUEST: Target =
    Target { name: "dynamodb_request", run: aws::dynamodb_request, seeds: dynamodb, words: DYNAMODB_WORDS };
pub(super) const KMS_REQUEST: Target = Target { name: "kms_request", run: aws::kms_request, seeds: kms, words: KMS_WORDS };
pub(super) const AWS_ANSWER: Target = Target { name: "aws_answer", run: aws_answer, seeds: answers, words: KMS_WORDS };
pub(super) const RECORDING: Target = Target { name: "recording", run: record::recording, seeds: recordings, words: RECORDING_WORDS };
pub(super) const HTTP_ADDRESS: Target = Target { name: "http_address", run: http::address, seeds: addresses, words: HTTP_WORDS };

const COMPONENT_WORDS: &[&str] = &[
    "\0asm\x0d\0\x01\0",
    "\0asm\x01\0\0\0",
    "cofferdam:backend/storage@0.1.0",
    "cofferdam:backend/lock@0.1.0",
    "wasi:http/types@0.2.0",
    "\x0a\x05\x01",
    "\x0b\x05\x01",
    "\x01\x08",
    "\x04\x08",
    "\x7f\x7f\x7f\x7f\x7f\x7f",
    "\x05\0",
    "@0.2.0",
    "@",
];
const DYNAMODB_WORDS: &[&str] = &[
    "\"TableName\":\"vault\"",
    "\"Key\":{\"Path\":{\"S\":\"a\"},\"Key\":{\"S\":\"b\"}}",
    "\"_lock\"",
    "\"ReturnValues\":\"ALL_OLD\"",
    "{\"S\":\"x\"}",
    "{\"B\":\"AA==\"}",
    "{\"N\":\"1\"}",
    "\"TransactItems\":[",
    "\"#i = :i\"",
    " AND ",
    "attribute_not_exists(#k)",
    "\"ConditionCheck\":",
    "\"Identity\"",
];
const KMS_WORDS: &[&str] = &[
    "\"KeyId\":",
    "arn:aws:kms:eu-west-1:123456789012:key/",
    "mrk-",
    "alias/a",
    "\"EncryptionContext\":{}",
    "\"DryRun\":true",
    "SYMMETRIC_DEFAULT",
    "\"Plaintext\":\"AA==\"",
    "\"__type\":\"a#B:c\"",
    "\"message\":\"\\u001b\"",
    "\"Message\":",
    "YQ==",
];
const RECORDING_WORDS: &[&str] = &[
    "{\"recording\":{\"version\":1,",
    "\"version\":2",
    "{\"check\":{\"id\":\"a/b\",\"outcome\":\"passed\",\"exchanges\":0}}\n",
    "\"left_out\":\"x\"",
    "\"exchanges\":1",
    "\"together\":true",
    "{\"exchange\":{\"asked\":\"a\",\"body\":{\"text\":\"\"},\"came\":{\"refused\":\"\"}}}\n",
    "{\"answer\":{\"status\":200,\"headers\":[[\"a\",\"b\"]],\"body\":{\"base64\":\"AA==\"}}}",
    "\"too-large\":1",
    "\"found\":{\"plain\":{\"text\":\"{{key 0 base64}}\"}}",
    "\"unfit\":[\"denied\",\"\"]",
    "\n",
    "{{key ",
];
const HTTP_WORDS: &[&str] = &[
    "http://",
    "https://",
    "HTTPS://",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1",
    "169.254.169.254",
    "0x7f",
    "017",
    ":80",
    ":443",
    ":0",
    "@",
    "%40",
    "xn--",
    ".",
    "/8",
    "/33",
    "fd00::/8",
    "::/0",
    "localhost",
    "\\",
];

fn component(bytes: &[u8]) {
    if let Ok(inspection) = cofferdam_runtime::inspect("guest.wasm", bytes) {
        assert!(!inspection.contract.is_empty() && !inspection.exports.is_empty(), "a component without exports is a backend");
    }
}

/// The least that is a backend, and if the tests know where the guests are, the smallest of them.
fn components() -> Vec<Vec<u8>> {
    let section = |id: u8, content: &[u8]| [&[id, u8::try_from(content.len()).unwrap_or_default()], content].concat();
    let named = |name: &str, rest: &[u8]| [&[1, 0, u8::try_from(name.len()).unwrap_or_default()], name.as_bytes(), rest].concat();
    let with = |export: &str, import: &str| {
        [
            b"\0asm\x0d\0\x01\0".to_vec(),
            // One type: an instance of nothing.
            section(7, &[1, 0x42, 0]),
            section(10, &named(import, &[5, 0])),
            section(11, &named(export, &[5, 0, 0])),
        ]
        .concat()
    };
    let mut seeds = vec![
        with("cofferdam:backend/storage@0.1.0", "cofferdam:backend/log@0.1.0"),
        with("cofferdam:backend/seal@0.1.0", "wasi:http/outgoing-handler@0.2.4"),
        b"\0asm\x01\0\0\0".to_vec(),
    ];
    let guests = std::env::var_os("GUESTS_DIR").and_then(|directory| std::fs::read_dir(directory).ok());
    let mut guests: Vec<Vec<u8>> = guests.into_iter().flatten().flatten().filter_map(|entry| std::fs::read(entry.path()).ok()).collect();
    guests.sort_by_key(Vec::len);
    // Beginnings: the names stand before the code.
    seeds.extend(guests.into_iter().take(1).map(|mut guest| {
        guest.truncate(48 << 10);
        guest
    }));
    seeds
}

fn aws_answer(bytes: &[u8]) {
    aws::aws_answer(bytes);
    aws::kms_answer(bytes);
}

fn dynamodb() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"TableName":"vault"}"#,
        r##"{"TableName":"vault","Key":{"Path":{"S":"core"},"Key":{"S":"_lock"}},"ConsistentRead":true,"ProjectionExpression":"#v","ExpressionAttributeNames":{"#v":"Value"}}"##,
        r##"{"TableName":"vault","KeyConditionExpression":"#p = :p AND #k > :a","ExpressionAttributeNames":{"#p":"Path","#k":"Key"},"ExpressionAttributeValues":{":p":{"S":"a"},":a":{"S":"b\"c"}},"ConsistentRead":true,"Limit":1000,"ScanIndexForward":true,"Select":"SPECIFIC_ATTRIBUTES"}"##,
        r#"{"TableName":"vault","ConsistentRead":true,"Segment":3,"TotalSegments":8,"Limit":100,"ExclusiveStartKey":{"Path":{"S":"a"},"Key":{"S":"b"}}}"#,
        r#"{"TableName":"vault","Item":{"Path":{"S":"logical/x"},"Key":{"S":"name"},"Value":{"B":"AAEC"}}}"#,
        r##"{"TableName":"vault","Key":{"Path":{"S":"core"},"Key":{"S":"_lock"}},"UpdateExpression":"SET #e = :e","ExpressionAttributeNames":{"#e":"Expires"},"ExpressionAttributeValues":{":e":{"N":"1"}}}"##,
        r##"{"TransactItems":[{"ConditionCheck":{"TableName":"vault","Key":{"Path":{"S":"core"},"Key":{"S":"_lock"}},"ConditionExpression":"#i = :i","ExpressionAttributeNames":{"#i":"Identity"},"ExpressionAttributeValues":{":i":{"B":"bWU="}}}},{"Put":{"TableName":"vault","Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Value":{"B":"AA=="}}}}]}"##,
        r#"{"RequestItems":{"vault":{"Keys":[{"Path":{"S":"a"},"Key":{"S":"b"}}],"ConsistentRead":true}}}"#,
        r#"{"TableName":"vault","AttributeDefinitions":[{"AttributeName":"Path","AttributeType":"S"},{"AttributeName":"Key","AttributeType":"S"}],"KeySchema":[{"AttributeName":"Path","KeyType":"HASH"},{"AttributeName":"Key","KeyType":"RANGE"}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}"#,
        r#"{"TableName":"vault","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}"#,
    ])
}

fn kms() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"KeyId":"arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001"}"#,
        r#"{"KeyId":"arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001","Plaintext":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
        r#"{"KeyId":"arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001","CiphertextBlob":"YSB3cmFwcGVkIGtleQ==","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
        r#"{"KeyId":"11111111-aaaa-bbbb-cccc-000000000002","CiphertextBlob":"YSB3cmFwcGVkIGtleQ=="}"#,
    ])
}

fn answers() -> Vec<Vec<u8>> {
    let own = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001";
    let mut seeds = texts(&[
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException:http://x","message":"slow down"}"#,
        r#"{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt"}"#,
        "<html>502</html>",
        "ResourceNotFoundException",
    ]);
    seeds.extend(
        [
            format!(r#"{{"KeyMetadata":{{"AWSAccountId":"1","Arn":"{own}","CreationDate":1.7E9,"Enabled":true}}}}"#),
            format!(r#"{{"CiphertextBlob":"AQIDBA==","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"{own}"}}"#),
            format!("{{\"KeyId\":\"{own}\",\"KeyMaterialId\":\"x\",\"Plaintext\":\"AQI=\"}}\n"),
        ]
        .map(String::into_bytes),
    );
    seeds
}

fn addresses() -> Vec<Vec<u8>> {
    texts(&[
        "https://example.com/v3?x=y",
        "HTTP://Example.COM.:8080/",
        "http://[::ffff:127.0.0.1]:2379",
        "https://a_b.xn--bcher-kva.example",
        "http://user:word@h",
        "10.0.0.0/8",
        "fd00::/8",
        "::ffff:10.0.0.0/104",
        "169.254.169.254/32",
        "169.254.169.254",
    ])
}

fn recordings() -> Vec<Vec<u8>> {
    let header = r#"{"recording":{"version":1,"sha256":"00","world":"storage-backend","contract":"0.1.0","seed":7,"quick":true,"only":["contract"],"time":1700000000,"folder":"trial-1","settings":["table"],"grants":["aws"],"region":"eu-west-1"}}"#;
    let check = r#"{"check":{"id":"contract/opens","outcome":"passed","together":true,"exchanges":2}}"#;
    let answered = r#"{"exchange":{"asked":"GetItem","body":{"text":"{}"},"came":{"answer":{"status":200,"headers":[["etag","x"]],"body":{"base64":"AAEC"}}}}}"#;
    let refused = r#"{"exchange":{"asked":"Encrypt","body":{"text":"{{key 0 base64}}"},"came":{"refused":"no"},"found":{"wrapped":[{"text":"b"},"arn:aws:kms:eu-west-1:000000000001:key/1"],"unfit":["denied","x"]}}}"#;
    let left_out = r#"{"check":{"id":"cost/operations","left_out":"it measures time","exchanges":0}}"#;
    let none = r#"{"check":{"id":"contract/empty","outcome":"skipped","exchanges":0}}"#;
    let text = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    texts(&[&text(&[header]), &text(&[header, left_out, none]), &text(&[header, check, answered, refused, left_out])])
}
