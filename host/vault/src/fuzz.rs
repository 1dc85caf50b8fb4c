//! The parsers of what is stored, and of what clients send, as functions of bytes, for fuzz targets.
//!
//! The rule: none may panic, whatever the bytes. What is promised besides (that what was read is written and read again as the same) is
//! asserted here.

use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;

pub use crate::audit::fuzz::audit_settings;
pub use crate::auth::aws::fuzz::{aws_logins, sts_answers};
pub use crate::kv::v2::fuzz::{kv_fields, kv_messages, kv_names};
pub use crate::token::fuzz::{token_entries, token_forms, token_messages};
pub use crate::unseal::fuzz::journal;

use crate::barrier::frame;
use crate::keyring::json;
use crate::logical::{Fields, Operation};
use crate::mounts::{Entry, Table};
use crate::policy::{Acl, Policy};
use crate::seal::config::SealConfig;
use crate::seal::copies::{Blobs, RECOVERY_KEY, STORED_KEYS};
use crate::seal::{CONFIG_PATH, RECOVERY_CONFIG_PATH, STORED_KEYS_PATH, blob, stored};
use crate::secret::Secret;
use crate::{core, crypto, ha, shamir, unseal};

/// The key of everything that is encrypted here.
const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; crypto::NONCE_LEN] = [3; crypto::NONCE_LEN];
const PATH: &str = "logical/a";

/// A barrier entry, under a known key.
pub fn barrier_frame(bytes: &[u8]) {
    let _ = frame::term(bytes);
    for path in [PATH, ""] {
        if let Ok(plain) = frame::open(&KEY, path, bytes) {
            assert!(plain.len() + 33 == bytes.len(), "a frame of {} bytes holds {}", bytes.len(), plain.len());
        }
    }
    if let Ok(sealed) = frame::seal(1, &KEY, PATH, bytes) {
        let again = frame::open(&KEY, PATH, &sealed);
        assert!(again.is_ok_and(|plain| plain.as_slice() == bytes), "what was encrypted does not decrypt");
    }
}

/// Entries of both versions that open.
pub fn barrier_frames() -> Vec<Vec<u8>> {
    let frame = |version: u8, aad: &str, plain: &[u8]| {
        let mut frame = vec![0, 0, 0, 1, version];
        frame.extend_from_slice(&NONCE);
        frame.extend(crypto::gcm_seal(&KEY, &NONCE, aad.as_bytes(), plain).unwrap_or_default());
        frame
    };
    vec![frame(1, "", b"old"), frame(2, PATH, b"{\"a\":1}"), frame(2, PATH, b"")]
}

/// The keyring, a key of it, and the root key, as they are once decrypted.
pub fn keyring(bytes: &[u8]) {
    let _ = json::parse_root(bytes);
    let Ok(keyring) = json::parse_keyring(bytes) else { return };
    let status = keyring.status();
    let _ = (keyring.uncounted(status.encryptions), keyring.rotation_due(OffsetDateTime::UNIX_EPOCH), keyring.newest_entry());
    let _ = keyring.upgraded(bytes);
    let written = json::keyring(&keyring).unwrap_or_default();
    let again = json::parse_keyring(&written);
    assert!(again.is_ok_and(|again| again.status() == status), "a keyring that was written cannot be read again");
}

/// A mount table or one of audit devices: plain, or compressed.
pub fn mount_table(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Entry>(bytes).map(|entry| shown(&entry));
    let Ok(table) = Table::decode("core/mounts", bytes) else { return };
    table.entries().iter().for_each(shown);
    let written = table.encode().unwrap_or_default();
    assert!(Table::decode("core/mounts", &written).is_ok_and(|again| again == table), "a table that was written is read as another");
}

fn shown(entry: &Entry) {
    let _ = (entry.api_path(), entry.storage_prefix(), entry.kv_version(), entry.info("1.0.0"), entry.required(), entry.unmounting());
    let _ = entry.config.token_type();
}

/// Tables in each form.
pub fn mount_tables() -> Vec<Vec<u8>> {
    let text = r#"{"type":"mounts","entries":[{"table":"mounts","path":"secret/","type":"kv","description":"d","uuid":"71c0e776-aa53-8ad1-8596-a4c47e2e72a8","backend_aware_uuid":"6cb9f3b6-d935-3d73-ddbc-2c61369c1d6d","accessor":"kv_1","config":{"default_lease_ttl":1000000000,"listing_visibility":"unauth","audit_non_hmac_request_keys":["a"],"x":1},"options":{"version":"2","file_path":"/x"},"local":false,"seal_wrap":false,"namespace_id":"root","y":{}}],"z":null}"#;
    let snappy = {
        let mut encoder = snap::write::FrameEncoder::new(vec![b'S']);
        let _ = std::io::Write::write_all(&mut encoder, text.as_bytes());
        encoder.into_inner().unwrap_or_default()
    };
    let gzip = Table::decode("core/mounts", text.as_bytes()).and_then(|table| table.encode()).unwrap_or_default();
    vec![text.into(), snappy, gzip, br#"{"type":"audit","entries":null}"#.to_vec(), b"L1".to_vec()]
}

/// What a seal stores: blobs, keys, copies, configurations; and the addresses of leaders.
pub fn seal_entries(bytes: &[u8]) {
    let _ = blob::Header::of(STORED_KEYS_PATH, bytes);
    let _ = stored::parse(bytes);
    if let Ok(key) = Secret::from_slice(&KEY) {
        let _ = stored::open(&key, bytes);
    }
    for path in [CONFIG_PATH, RECOVERY_CONFIG_PATH] {
        let Ok(config) = SealConfig::parse(path, bytes) else { continue };
        let (shares, threshold) = config.counts();
        assert!(threshold <= shares, "{threshold} of {shares} shares");
        let again = SealConfig::parse(path, &config.to_stored().unwrap_or_default());
        assert!(again.is_ok_and(|again| again == config), "a configuration that was written is read as another");
    }
    for kept in [&STORED_KEYS, &RECOVERY_KEY] {
        // The entry as it is, as the copies of the empty one, and as both.
        for usual in [&b""[..], b"blob a", bytes] {
            let blobs = Blobs::parse(kept, Bytes::copy_from_slice(usual), Some(Bytes::copy_from_slice(bytes)));
            let _ = (blobs.of("a", &["a", "b"]), blobs.of("b", &[]), blobs.index());
        }
    }
    let _ = ha::advertisement::read(bytes);
}

/// Entries of each kind.
pub fn seal_entry_seeds() -> Vec<Vec<u8>> {
    let secret = |byte| Secret::from_slice(&[byte; 32]).ok();
    let plain = secret(2).and_then(|root| stored::plain(&root).ok()).map(|plain| plain.to_vec()).unwrap_or_default();
    let mut ciphertext = NONCE.to_vec();
    ciphertext.extend(crypto::gcm_seal(&KEY, &NONCE, &[], &plain).unwrap_or_default());
    let shamir = blob::BlobInfo { ciphertext, iv: Vec::new(), key_info: Some(blob::KeyInfo::default()) };
    let info = blob::KeyInfo { mechanism: 1, key_id: "arn:aws:kms:k".to_owned(), wrapped_key: vec![1; 40] };
    let service = blob::BlobInfo { ciphertext: vec![5; 48], iv: NONCE.to_vec(), key_info: Some(info) };
    let copies = vec![("a".to_owned(), Bytes::from("blob a")), ("b".to_owned(), Bytes::from("blob b"))];
    let index = Blobs::arranged(3, copies).and_then(|blobs| blobs.index().ok()).unwrap_or_default();
    let config = SealConfig::shamir(3, 2).and_then(|config| config.to_stored()).unwrap_or_default();
    vec![
        prost::Message::encode_to_vec(&shamir),
        prost::Message::encode_to_vec(&service),
        plain,
        index,
        config,
        br#"{"type":"awskms","secret_shares":1,"secret_threshold":1,"pgp_keys":null,"nonce":"","backup":false,"x":[1]}"#.to_vec(),
        br#"{"redirect_addr":"http://b","cluster_addr":"https://b:8201","cluster_key_params":{"type":"p521"}}"#.to_vec(),
    ]
}

/// A policy's text; or two, with a NUL character between them, whose sum decides.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = text.split('\0').filter_map(|text| Policy::parse("p", text).ok()).map(Arc::new);
    let policies: Vec<Arc<Policy>> = parsed.collect();
    let Ok(acl) = Acl::new(&policies) else { return };
    let data: Fields = [("a", "x"), ("", ""), ("*", "*")].map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
    let mut paths = vec!["", "/", "a", "a/", "a//b", "+", "a/+/b", "*", "\u{10ffff}", "secret/data/ä/*"];
    // The text's own paths, and beginnings of them.
    paths.extend(text.split('"').skip(1).step_by(2).take(8));
    for path in paths {
        for operation in [Operation::Create, Operation::Read, Operation::List, Operation::Patch] {
            let allowed = acl.allows(operation, path, &data) || acl.allows(operation, path, &Fields::new());
            let granting = acl.granting(operation, path);
            assert!(!allowed || !granting.is_empty(), "{path:?} is allowed by no policy");
        }
        let named = acl.capabilities(path);
        assert!(!named.is_empty(), "{path:?} has neither capabilities nor deny");
        let _ = (acl.sudo(path), acl.mount_visible(path), policies.iter().flat_map(|policy| policy.identity_paths()).count());
    }
}

/// Key shares and tokens as people type them, lines of text: shares in hex or base 64; then an encoded token and its password.
pub fn shares(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').take(300).collect();
    let parts: Vec<_> = lines.iter().filter_map(|line| core::share(line).ok()).collect();
    let _ = shamir::combine(&parts);
    for (one, two) in lines.iter().zip(lines.iter().skip(1)) {
        let _ = unseal::generate_root::decode(one, two);
    }
    // The bytes themselves, as shares of one length.
    let raw: Vec<&[u8]> = bytes.chunks_exact(33).take(255).collect();
    let _ = shamir::combine(&raw);
}
