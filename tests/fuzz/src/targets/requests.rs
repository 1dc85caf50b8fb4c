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
