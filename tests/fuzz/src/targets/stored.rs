//! What a storage gives back, once decrypted; and the frames that are.

use cofferdam_vault::fuzz;

use super::{JSON, entries, texts};
use crate::Target;

pub(super) const BARRIER_FRAME: Target =
    Target { name: "barrier_frame", run: fuzz::barrier_frame, seeds: fuzz::barrier_frames, words: &["\0\0\0\x01\x02"] };
pub(super) const KEYRING: Target = Target { name: "keyring", run: fuzz::keyring, seeds: keyrings, words: KEYRING_WORDS };
pub(super) const MOUNT_TABLE: Target = Target { name: "mount_table", run: fuzz::mount_table, seeds: mount_tables, words: JSON };
pub(super) const TOKEN_ENTRIES: Target = Target { name: "token_entries", run: fuzz::token_entries, seeds: tokens, words: JSON };
pub(super) const TOKEN_MESSAGES: Target =
    Target { name: "token_messages", run: fuzz::token_messages, seeds: token_messages, words: TOKEN_WORDS };
pub(super) const KV_MESSAGES: Target = Target { name: "kv_messages", run: fuzz::kv_messages, seeds: messages, words: PROTOBUF };
pub(super) const KV_NAMES: Target = Target { name: "kv_names", run: fuzz::kv_names, seeds: names, words: &["/", "\n", "18y", "zzzz"] };
pub(super) const SEAL_ENTRIES: Target =
    Target { name: "seal_entries", run: fuzz::seal_entries, seeds: fuzz::seal_entry_seeds, words: SEAL_WORDS };
pub(super) const JOURNAL: Target = Target { name: "journal", run: fuzz::journal, seeds: journals, words: JSON };

const KEYRING_WORDS: &[&str] = &[
    "\"Term\":4294967295",
    "\"Version\":-1",
    "\"Value\":\"\"",
    "\"encryptions\":18446744073709551615",
    "\"InstallTime\":\"0001-01-01T00:00:00Z\"",
    "9999-12-31T23:59:59.999999999+23:59",
    "\"Interval\":-9223372036854775808",
    "\"MaxOperations\":0",
    "\"x\":{}",
    "AAAAAAAAAAAAAAAAAAAAAA==",
];
/// Keys of fields, lengths that are too long, groups.
const PROTOBUF: &[&str] = &[
    "\x0a\x7f",
    "\x12\x00",
    "\x08\x01",
    "\x0b\x0c",
    "\x13\x14",
    "\x08\u{7f}\u{7f}\u{7f}\x7f",
    "\x1a\x02\x08\x01",
    "\x0d\0\0\0\0",
    "\x09\0\0\0\0\0\0\0\0",
    "\x07",
];
const TOKEN_WORDS: &[&str] = &[
    "identity.Entity",
    "identity.Group",
    "identity.LocalAliases",
    "\x0a\x7f",
    "\x12\x00",
    "\x2a\x02g1",
    "\u{90}\x01\x02",
    "\x50\x01",
    "*",
    "\n",
    "10.0.0.0/8",
    "::1/128",
    "\"token_type\":4",
    "\"token_period\":-1",
    "\"default-batch\"",
];
const SEAL_WORDS: &[&str] = &[
    "multiwrapvalue:",
    "\"secret_shares\":255",
    "\"secret_threshold\":0",
    "\"type\":\"shamir\"",
    "\"copies\":{",
    "\"digest\":\"\"",
    "\"generation\":1",
    "\x0a\x7f",
    "\x2a\x00",
    "\x08\x02",
];

/// What is in a batch token and in buckets of identities, by hand from their messages; a role; networks; a pattern and a text.
fn token_messages() -> Vec<Vec<u8>> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        // All are shorter than 128 bytes.
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap_or(127)][..], bytes].concat()
    }
    let any = |name: &str, message: &[u8]| {
        let any = [field(1, format!("x/identity.{name}").as_bytes()), field(2, message)].concat();
        field(2, &[field(1, b"i"), field(2, &any)].concat())
    };
    let alias = [field(1, b"a1"), field(4, b"a"), field(6, &[field(1, b"k"), field(2, b"v")].concat()), field(7, b"n")].concat();
    let entity = [field(1, &alias), field(2, b"e"), field(3, b"ann"), field(8, b"p1"), vec![0x58, 1], field(12, b"root")].concat();
    let group = [field(1, b"g"), field(2, b"gn"), field(3, b"p2"), field(4, b"g"), field(5, b"e")].concat();
    let bucket = [any("Entity", &entity), any("Group", &group), any("LocalAliases", &field(1, &alias))].concat();
    let batch = [field(4, b"default"), field(5, b"auth/token/create"), vec![0x48, 1, 0x50, 0x80, 0x94, 0xeb, 0xdc, 3, 0x90, 1, 2]].concat();
    let mut all = vec![bucket, batch];
    all.extend(texts(&[
        r#"{"token_bound_cidrs":["10.0.0.0/8"],"token_period":3600000000000,"token_type":3,"name":"r","allowed_policies":["a"],"renewable":true}"#,
        r#"{"token_type":"default-batch","period":1000000000,"x":1}"#,
        "10.0.0.0/8\n::1/128\nfe80::/10\n127.0.0.1/32",
        "a*b*c\nabbc",
    ]));
    all
}

/// Tables in each form, and what OpenBao 2.7.2 wrote.
fn mount_tables() -> Vec<Vec<u8>> {
    let bao: [&[u8]; 3] = [
        include_bytes!("../../../../host/vault/src/mounts/golden/bao-2.7.2-core-mounts.bin"),
        include_bytes!("../../../../host/vault/src/mounts/golden/bao-2.7.2-core-local-mounts.bin"),
        include_bytes!("../../../../host/vault/src/mounts/golden/bao-2.7.2-core-auth.bin"),
    ];
    fuzz::mount_tables().into_iter().chain(bao.map(<[u8]>::to_vec)).collect()
}

/// Entries of a mount of OpenBao 2.7.2.
const BAO: &str = include_str!("../../../../host/vault/src/kv/testdata/bao-2.7.2.json");

fn messages() -> Vec<Vec<u8>> {
    entries(BAO).into_iter().map(|(_, bytes)| bytes).collect()
}

/// A folder, and what is stored in it.
fn names() -> Vec<Vec<u8>> {
    let paths: Vec<String> = entries(BAO).into_iter().filter_map(|(name, _)| name.strip_prefix("metadata/").map(str::to_owned)).collect();
    let top: Vec<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    let mut seeds = vec![format!("\n{}", top.join("\n")).into_bytes()];
    seeds.extend(paths.iter().filter_map(|path| path.rsplit_once('/')).map(|(_, leaf)| format!("app/\n{leaf}").into_bytes()));
    seeds.extend(texts(&["a/b/\nc\nd", "/\n/", "app\né 日本"]));
    seeds
}

fn keyrings() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"MasterKey":"y5xSy4VJBj7rcNYCgum+9hp4ZoU9mfehUlV/vKzqpW0=","Keys":[{"Term":1,"Version":1,"Value":"7dHV2yaA5/+nF5XabCljkMeVOVZnE6Ah6KGc+FWiyCQ=","InstallTime":"2026-11-21T23:01:41.484794096Z","encryptions":7},{"Term":2,"Version":1,"Value":"y5xSy4VJBj7rcNYCgum+9hp4ZoU9mfehUlV/vKzqpW0=","InstallTime":"2026-11-22T00:00:00Z","x":[1]}],"RotationConfig":{"Disabled":false,"MaxOperations":3865470566,"Interval":86400000000000,"y":null},"z":{}}"#,
        r#"{"Term":2,"Version":1,"Value":"y5xSy4VJBj7rcNYCgum+9hp4ZoU9mfehUlV/vKzqpW0=","InstallTime":"0001-01-01T00:00:00Z"}"#,
    ])
}

fn tokens() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"type":1,"id":"s.yAZwYICP3zCEGxhmTGPmqcZt","accessor":"nXsHYg8vGs3wjTH7zV5l1H0B","parent":"","policies":["default","root"],"inline_policy":"","path":"auth/token/create","meta":{"a":"b"},"internal_meta":null,"display_name":"token","num_uses":0,"creation_time":1795302101,"ttl":3600000000000,"explicit_max_ttl":0,"role":"","period":-1,"DisplayName":"","NumUses":0,"CreationTime":0,"ExplicitMaxTTL":0,"entity_id":"","bound_cidrs":["10.0.0.0/8","::1"],"namespace_id":"root","cubbyhole_id":"c","x":{"y":[1.0]}}"#,
        r#"{"token_id":"s.a","accessor_id":"b","namespace_id":"root"}"#,
        r#"{"lease_id":"auth/token/create/h1","client_token":"s.a","token_type":1,"path":"auth/token/create","data":null,"secret":null,"auth":{"lease":3600000000000,"renewable":true,"policies":["default"],"metadata":null,"client_token":"s.a","accessor":"b","period":0,"num_uses":0},"issue_time":"2026-11-21T23:01:41.484794096Z","expire_time":"2026-11-22T00:01:41Z","last_renewal_time":"0001-01-01T00:00:00Z","version":1,"revokeErr":"","x":1}"#,
    ])
}

fn journals() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id":"71c0e776-aa53-8ad1-8596-a4c47e2e72a8","changes":[{"path":"core/keyring","before":"aa","after":"YQ=="},{"path":"core/seal-config","before":null,"after":null}]}"#,
    ])
}
