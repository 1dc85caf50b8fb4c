//! The bytes, put together by hand from the format and not by the protobuf library.

use cofferdam_backend::Error as Backend;
use proptest::prelude::*;

use super::*;
use crate::seal::STORED_KEYS_PATH;
use crate::testing::service::Service;

/// A field of bytes: its tag, its length, itself.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// What go-kms-wrapping writes for an envelope: ciphertext (1), nonce (2), key info (5) of mechanism (1), key id (3), wrapped key (5).
fn golden(mechanism: Option<u8>, key_id: &str, wrapped: &[u8]) -> Vec<u8> {
    let mechanism = mechanism.map_or_else(Vec::new, |mechanism| vec![0x08, mechanism]);
    let info = [mechanism, field(0x1A, key_id.as_bytes()), field(0x2A, wrapped)].concat();
    [field(0x0A, &[0xC1; 64]), field(0x12, &[0xA5; 12]), field(0x2A, &info)].concat()
}

fn message() -> BlobInfo {
    let info = KeyInfo { mechanism: 1, key_id: "arn:aws:kms:eu-central-1:1:key/k".to_owned(), wrapped_key: vec![7; 20] };
    BlobInfo { ciphertext: vec![0xC1; 64], iv: vec![0xA5; 12], key_info: Some(info) }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let bytes = golden(Some(1), "arn:aws:kms:eu-central-1:1:key/k", &[7; 20]);
    assert_eq!(message().encode_to_vec(), bytes);
    assert_eq!(BlobInfo::parse("p", &bytes).unwrap(), message());
}

#[test]
fn fields_of_other_versions_and_of_vault_are_passed_over_when_reading() {
    // Of Vault: hmac (3), wrapped (4), value_path (6), plaintext (7), client_data (8); in the key info: hmac_mechanism (2), hmac_key_id (4), flags (6), key_type (7), key_purposes
    // (8), key (9), and one that nobody has yet, of each wire type.
    let mut info = [vec![0x08, 1], field(0x1A, b"arn:aws:kms:eu-central-1:1:key/k"), field(0x2A, &[7; 20])].concat();
    info.extend(
        [vec![0x10, 9], field(0x22, b"id"), vec![0x30, 0x80, 0x01], vec![0x38, 4], field(0x42, &[1, 2]), field(0x4A, b"key")].concat(),
    );
    let mut bytes = [field(0x1A, &[3; 32]), vec![0x20, 0], field(0x0A, &[0xC1; 64]), field(0x12, &[0xA5; 12]), field(0x2A, &info)].concat();
    bytes.extend([field(0x32, b"path"), field(0x3A, b""), field(0x42, b"")].concat());
    bytes.extend([vec![0xF9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8], vec![0xFD, 0x01, 1, 2, 3, 4], vec![0xF8, 0x01, 5]].concat());
    assert_eq!(BlobInfo::parse("p", &bytes).unwrap(), message());
    // The first of two is not the one that counts.
    let twice = [field(0x12, &[1; 3]), golden(Some(1), "arn:aws:kms:eu-central-1:1:key/k", &[7; 20])].concat();
    assert_eq!(BlobInfo::parse("p", &twice).unwrap(), message());
}

#[test]
fn a_header_tells_key_and_mechanism_and_what_several_seals_of_vault_wrote_is_named() {
    let header = |bytes: &[u8]| Header::of(STORED_KEYS_PATH, bytes);
    assert_eq!(header(&golden(Some(1), "k", b"w")).unwrap(), Header { key_id: "k".to_owned(), direct: false });
    // Proto3 leaves a zero out.
    assert_eq!(header(&golden(None, "k", b"")).unwrap(), Header { key_id: "k".to_owned(), direct: true });
    let multi = header(b"multiwrapvalue:1\0\0\0\x02\x08\x01").unwrap_err().to_string();
    assert!(multi.contains(STORED_KEYS_PATH) && multi.contains("several seals of Vault Enterprise"), "{multi}");
    assert!(matches!(header(&[0x0A, 0x7F, 1]), Err(Error::Damaged(_))));
}

#[tokio::test]
async fn what_is_sealed_opens_again_and_the_service_is_handed_the_dek_alone() {
    let service = Service::new("k1");
    let seal = service.seal("s");
    let stored = super::seal(&seal, b"the root key").await.unwrap();
    assert_eq!(open(&seal, "p", &stored).await.unwrap().as_slice(), b"the root key");
    assert!(!service.saw(b"the root key"));
    let blob = BlobInfo::parse("p", &stored).unwrap();
    let info = blob.key_info.clone().unwrap();
    assert_eq!((blob.iv.len(), blob.ciphertext.len(), info.mechanism, info.key_id.as_str()), (12, 12 + 16, 1, "k1"));
    // No two of them are under one DEK or one nonce.
    let other = BlobInfo::parse("p", &super::seal(&seal, b"the root key").await.unwrap()).unwrap();
    assert!(other.iv != blob.iv && other.ciphertext != blob.ciphertext);
    // What is refused by us, and what by the service.
    for (changed, what) in [
        (BlobInfo { iv: vec![1; 11], ..blob.clone() }, "nonce"),
        (BlobInfo { ciphertext: vec![0; 28], ..blob.clone() }, "not authentic"),
        (BlobInfo { ciphertext: Vec::new(), ..blob.clone() }, "not authentic"),
        (BlobInfo { key_info: Some(KeyInfo { mechanism: 2, ..info.clone() }), ..blob.clone() }, "invalid mechanism: 2"),
        (BlobInfo { key_info: Some(KeyInfo { mechanism: 0, ..info.clone() }), ..blob.clone() }, "allow_direct_blob"),
        (BlobInfo { key_info: None, ..blob.clone() }, "allow_direct_blob"),
    ] {
        let error = open(&seal, "p", &changed.encode_to_vec()).await.unwrap_err();
        assert!(matches!(&error, Error::Damaged(text) if text.starts_with("p: ") && text.contains(what)), "{what}: {error}");
    }
    let foreign = BlobInfo { key_info: Some(KeyInfo { key_id: "k9".to_owned(), ..info }), ..blob };
    let error = open(&seal, "p", &foreign.encode_to_vec()).await.unwrap_err();
    assert!(matches!(&error, Error::Seal { seal, source: Backend::Configuration(_) } if seal == "s"), "{error}");
}

proptest! {
    #[test]
    fn reading_never_panics(bytes: Vec<u8>) {
        drop(Header::of("p", &bytes));
    }

    #[test]
    fn reading_what_is_nearly_right_never_panics(at in 0_usize..140, byte: u8, cut in 0_usize..140) {
        let mut bytes = golden(Some(1), "key", &[7; 20]);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut);
        drop(BlobInfo::parse("p", &bytes));
    }
}
