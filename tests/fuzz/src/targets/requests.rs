//! What a client sends.

use cofferdam_server::fuzz as server;
use cofferdam_vault::fuzz as vault;

use super::{JSON, texts};
use crate::Target;

pub(super) const BODY: Target = Target { name: "request_body", run: server::request_body, seeds: bodies, words: JSON };
pub(super) const ADDRESS: Target = Target { name: "request_address", run: server::address, seeds: addresses, words: ADDRESS_WORDS };
pub(super) const HEADERS: Target = Target { name: "request_headers", run: server::headers, seeds: headers, words: HEADER_WORDS };
pub(super) const KV_FIELDS: Target = Target { name: "kv_fields", run: vault::kv_fields, seeds: fields, words: FIELD_WORDS };
pub(super) const SHARES: Target = Target { name: "shares", run: vault::shares, seeds: shares, words: &["=", "==", "\n", "00", "ff", "+/"] };
pub(super) const TOKENS: Target =
    Target { name: "token_forms", run: vault::token_forms, seeds: tokens, words: &["hvs.", "s.", "b.", "hvb.", "CAES", ".", "="] };

pub(super) const AWS_LOGINS: Target = Target { name: "aws_logins", run: vault::aws_logins, seeds: aws_logins, words: AWS_LOGIN_WORDS };
pub(super) const STS_ANSWERS: Target = Target { name: "sts_answers", run: vault::sts_answers, seeds: sts_answers, words: STS_WORDS };

const AWS_LOGIN_WORDS: &[&str] = &[
    "\"iam_request_url\":\"",
    "\"iam_request_headers\":",
    "\"Authorization\":[\"",
    "SignedHeaders=",
    "x-vault-aws-iam-server-id",
    "aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8=",
    "aHR0cHM6Ly9zdHMuczMuYW1hem9uYXdzLmNvbS8=",
    "QWN0aW9uPUdldENhbGxlcklkZW50aXR5",
    "\"version\":0",
    "\"bound_iam_role_arn\":\"",
];
const STS_WORDS: &[&str] = &[
    "<Arn>",
    "</Arn>",
    "<UserId>",
    "<Account>",
    "<GetCallerIdentityResult>",
    "</GetCallerIdentityResponse>",
    " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE x [<!ENTITY y \"z\">]>",
    "&y;",
    "&#x41;",
    "&amp;",
    "<?xml version=\"1.0\"?>",
    "<!--",
    "arn:aws:sts::",
    ":assumed-role/",
];

const ADDRESS_WORDS: &[&str] = &[
    "/v1/",
    "sys/",
    "secret/data/",
    "?list=true",
    "&list=",
    "&a=1",
    "=",
    "%2F",
    "%2e%2e",
    "/./",
    "/../",
    "//",
    "LIST ",
    "GET ",
    "PATCH ",
    "%c3%a4",
    "%ff",
];
const HEADER_WORDS: &[&str] = &["Bearer ", "hvs.", "application/merge-patch+json", "; charset=utf-8", "root", "/", "5m", "jwt", "-1s"];
const FIELD_WORDS: &[&str] = &[
    "\"1h30m\"",
    "\"-1.5s\"",
    "\"2d\"",
    "\"9223372036854775807ns\"",
    "\"1,2,3\"",
    "\"true\"",
    "\"0x10\"",
    "[1,\"2\"]",
    "{\"a\":null}",
    "\"int\":",
    "\"ints\":",
    "\"map\":",
    "1e3",
    "\"µs\"",
    "\".5h\"",
];

fn bodies() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"secret_shares":3,"secret_threshold":2,"stored_shares":1,"pgp_keys":["a"],"root_token_pgp_key":"","recovery_shares":1,"recovery_threshold":1}"#,
        r#"{"key":"6d7b0abc116fc1b03634edd3646a3ea9453f37ee7012a8e2011c1803781070469b","reset":false,"migrate":true}"#,
        r#"{"key":"bXlrZXk=","nonce":"71c0e776-aa53-8ad1-8596-a4c47e2e72a8"}"#,
        r#"{"secret_shares":5,"secret_threshold":3,"backup":false,"require_verification":true}"#,
        r#"{"otp":"","pgp_key":""}"#,
        r#"{"encoded_token":"AAAA","otp":"abc"}"#,
        r#"{"data":{"a":{"b":[1,2.5,"x",null,true]},"n":12345678901234567890123},"options":{"cas":0}}"#,
        "null",
        " {} ",
    ])
}

fn addresses() -> Vec<Vec<u8>> {
    texts(&[
        "GET /v1/secret/data/a%2Fb?list=true&version=3",
        "LIST /secret/metadata/a/?after=x&limit=10&a=1&a=2",
        "POST sys/rekey/init",
        "PUT sys/unseal?a&b=&=c&%zz=%41+%ff",
        "PATCH //a/./b/../c//",
        "http://u@h:1/v1/x?y#z",
        "/v1/sys/plugins/reload",
    ])
}

fn headers() -> Vec<Vec<u8>> {
    texts(&["hvs.abcdefghijklmnopqrstuvwx", "Bearer s.abc", "root/", "team/a", "application/merge-patch+json; charset=utf-8", "5m"])
}

fn fields() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"text":"a","int":"7","bool":"true","seconds":"1h30m","signed":-1,"map":{"a":1},"ints":"1,2,3"}"#,
        r#"{"text":1.50,"int":3,"bool":1,"seconds":90,"signed":"-1.5h2m3.25s4ms5us6ns","map":null,"ints":[1,"2"]}"#,
        r#"{"a":"2d","b":"9223372036s","c":"","d":["x"],"e":{"f":{}},"g":false}"#,
    ])
}

fn shares() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "6d7b0abc116fc1b03634edd3646a3ea9453f37ee7012a8e2011c1803781070469b\n8196208a624b79020c4f37ee7012a8e2011c1803781070469b6d7b0abc116fc1b0",
        "bXsKvBFvwbA2NO3TZGo+qUU/N+5wEqjiARwYA3gQcEab\nbXsKvBFvwbA2NO3TZGo+qUU/N+5wEqjiARwYA3gQcEac",
        "AAECAw==\nabcd\nAAECAw\nxy",
    ]);
    // As many shares as there can be, and one more: each of 33 bytes with its own x.
    let many = |count: u8| (1..=count).flat_map(|x| [[7; 32].as_slice(), &[x]].concat()).collect::<Vec<u8>>();
    seeds.extend([many(2), many(255), [many(255), many(1)].concat()]);
    seeds
}

fn tokens() -> Vec<Vec<u8>> {
    texts(&[
        "hvs.CAESIC1YYrx8iMjQoymecN6raPN0YaSA3HpwRTq2if1B5Sv5Gh4KHGh2cy5hYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3g",
        "hvs.abcdefghijklmnopqrstuvwx",
        "s.yAZwYICP3zCEGxhmTGPmqcZt",
        "hvb.AAAAAQ",
        "root",
    ])
}

fn aws_logins() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        r#"{"role":"r","iam_http_request_method":"POST","iam_request_url":"aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8=","iam_request_body":"QWN0aW9uPUdldENhbGxlcklkZW50aXR5JlZlcnNpb249MjAxMS0wNi0xNQ==","iam_request_headers":{"Authorization":["AWS4-HMAC-SHA256 Credential=A/1/us-east-1/sts/aws4_request, SignedHeaders=host;x-vault-aws-iam-server-id, Signature=0"],"X-Amz-Date":1,"x-vault-aws-iam-server-id":"a"}}"#,
        r#"{"iam_http_request_method":"POST","iam_request_url":"aHR0cDovLzEyNy4wLjAuMToxLw==","iam_request_body":"QWN0aW9uPUdldENhbGxlcklkZW50aXR5","iam_request_headers":["a:b","Host:c"]}"#,
        r#"{"iam_http_request_method":"POST","iam_request_url":"aHR0cHM6Ly9zdHMuZXUtd2VzdC0xLmFtYXpvbmF3cy5jb20=","iam_request_body":"QWN0aW9uPUdldENhbGxlcklkZW50aXR5","iam_request_headers":"eyJhIjoiYiJ9"}"#,
    ]);
    // Roles, of the oldest version and of today's.
    seeds.extend(texts(&[
        r#"{"auth_type":"","bound_ami_id":"ami-1","bound_iam_role_arn":"arn:aws:iam::1:instance-profile/p","policies":["old"],"ttl":1000000000,"version":0}"#,
        r#"{"token_ttl":3600000000000,"token_policies":["dev"],"token_type":0,"role_id":"i","auth_type":"iam","bound_iam_principal_arn_list":["arn:aws:iam::1:role/*"],"resolve_aws_unique_ids":true,"version":3,"policies":null}"#,
    ]));
    seeds
}

fn sts_answers() -> Vec<Vec<u8>> {
    texts(&[
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><UserId>AROA:s</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>i</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:GetCallerIdentityResponse xmlns:s=\"https://sts.amazonaws.com/doc/2011-06-15/\"><s:GetCallerIdentityResult><s:Account><![CDATA[1]]></s:Account><s:UserId>A&amp;B</s:UserId><s:Arn>arn:aws:iam::1:user/p/&#x61;</s:Arn></s:GetCallerIdentityResult></s:GetCallerIdentityResponse>",
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>",
    ])
}
