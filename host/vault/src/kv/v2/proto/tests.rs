use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn golden(name: &str) -> Vec<u8> {
    let all: Value = serde_json::from_str(include_str!("../../testdata/bao-2.7.2.json")).unwrap();
    let name = all["paths"][name].as_str().map_or_else(|| name.to_owned(), |path| format!("metadata/{path}"));
    STANDARD.decode(all["entries"][name].as_str().unwrap()).unwrap()
}

/// Every field has the value that the server which stored it showed in its answer.
#[test]
fn metadata_of_openbao_are_read_with_every_field() {
    let stored = Stored::<KeyMetadata>::decode(&golden("app/db"), "x").unwrap();
    let metadata = &stored.message;
    assert_eq!((metadata.key.as_str(), metadata.current_version, metadata.oldest_version, metadata.max_versions), ("app/db", 3, 0, 7));
    assert!(metadata.cas_required && metadata.metadata_cas_required);
    assert_eq!(metadata.current_metadata_version, 1);
    assert_eq!(metadata.delete_version_after, Some(Span::of_seconds(3_600)));
    assert_eq!(metadata.custom_metadata.iter().collect::<Vec<_>>(), [(&"a".to_owned(), &"b".to_owned())]);
    assert_eq!(time_text(metadata.created_time), "2026-11-21T23:01:42.67166089Z");
    assert_eq!(time_text(metadata.updated_time), "2026-11-21T23:01:42.831401646Z");
    let versions: Vec<_> = metadata
        .versions
        .iter()
        .map(|(number, version)| (*number, time_text(version.created_time), time_text(version.deletion_time), version.destroyed))
        .collect();
    let row = |number, created: &str, deleted: &str, destroyed| (number, created.to_owned(), deleted.to_owned(), destroyed);
    assert_eq!(
        versions,
        [
            row(1, "2026-11-21T23:01:42.67166089Z", "", true),
            row(2, "2026-11-21T23:01:42.696069235Z", "2026-11-21T23:01:42.743752547Z", false),
            row(3, "2026-11-21T23:01:42.710168411Z", "", false),
        ]
    );
}

/// Where the order of a map's entries leaves no choice, what is written is what was read.
#[test]
fn messages_of_openbao_are_written_byte_for_byte() {
    for name in ["app", "nul", "a/b/c/d/e"] {
        let bytes = golden(name);
        assert_eq!(**Stored::<KeyMetadata>::decode(&bytes, name).unwrap().encode(), bytes, "{name}");
    }
    let config = golden("config");
    let stored = Stored::<Configuration>::decode(&config, "config").unwrap();
    assert_eq!((stored.message.max_versions, stored.message.metadata_cas_required), (20, true));
    assert_eq!(stored.message.delete_version_after, Some(Span::of_seconds(9_000)));
    assert_eq!(**stored.encode(), config);
    let upgrading = golden("upgrading");
    let info: UpgradeInfo = decode(&upgrading, "upgrading").unwrap();
    assert!(info.done);
    assert_eq!(**encode(&info), upgrading);
}

#[test]
fn fields_that_are_not_known_are_kept() {
    let mut bytes = golden("app");
    // Field 500, a number; field 501, bytes.
    let unknown = [0xa0, 0x1f, 0x07, 0xaa, 0x1f, 0x02, b'h', b'i'];
    bytes.extend_from_slice(&unknown);
    let mut stored = Stored::<KeyMetadata>::decode(&bytes, "x").unwrap();
    assert_eq!(**stored.encode(), bytes);
    stored.message.max_versions = 9;
    let changed = stored.encode();
    assert!(changed.ends_with(&unknown));
    assert_eq!(Stored::<KeyMetadata>::decode(&changed, "x").unwrap().message.max_versions, 9);
}

#[test]
fn damaged_messages_are_named() {
    let mut bytes = golden("app/db");
    bytes.pop();
    assert!(
        matches!(Stored::<KeyMetadata>::decode(&bytes, "metadata/abc"), Err(Error::Damaged(text)) if text.starts_with("metadata/abc: "))
    );
}

#[test]
fn times_are_written_with_the_digits_they_need() {
    for (nanos, expected) in [(0, "2026-11-21T23:01:41Z"), (500_000_000, "2026-11-21T23:01:41.5Z"), (1, "2026-11-21T23:01:41.000000001Z")] {
        assert_eq!(Timestamp { seconds: 1_795_302_101, nanos }.text(), expected);
    }
    let late = Timestamp { seconds: 1, nanos: 900_000_000 }.after(Span { seconds: 2, nanos: 200_000_000 });
    assert_eq!(late, Timestamp { seconds: 4, nanos: 100_000_000 });
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stored::<KeyMetadata>::decode(&bytes, "x");
        let _ = decode::<Version>(&bytes, "x");
    }
}

#[test]
fn a_version_is_formatted_without_the_secret() {
    let version = Version { data: b"hunter2".to_vec(), ..Version::default() };
    let text = format!("{version:?}");
    assert!(text.starts_with("Version") && !text.contains("104") && !text.contains("hunter2"), "{text}");
}
