use super::*;

fn root() -> Arc<Secret> {
    Arc::new(Secret::from_slice(&[1; 32]).unwrap())
}

/// As OpenBao wrote it, with members added that nobody knows.
const STORED: &str = concat!(
    r#"{"MasterKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","Keys":["#,
    r#"{"Term":1,"Version":1,"Value":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","InstallTime":"2026-08-21T10:11:12.123456789Z","encryptions":42},"#,
    r#"{"Term":2,"Version":1,"Value":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=","InstallTime":"2026-08-22T10:11:12Z","Future":[1.50]}],"#,
    r#""RotationConfig":{"Disabled":false,"MaxOperations":3865470566,"Interval":0},"Later":{"a":18446744073709551616}}"#
);

#[test]
fn a_keyring_is_written_back_as_it_was_read() {
    let keyring = json::parse_keyring(STORED.as_bytes()).unwrap();
    assert_eq!(std::str::from_utf8(&json::keyring(&keyring).unwrap()).unwrap(), STORED);
    assert_eq!(keyring.status(), KeyStatus { term: 2, install_time: "2026-08-22T10:11:12Z".to_owned(), encryptions: 0 });
}

#[test]
fn the_root_entry_is_a_key_of_term_1_without_a_time() {
    let entry = Keyring::generate(root()).unwrap().root_entry().unwrap();
    assert_eq!(
        std::str::from_utf8(&entry).unwrap(),
        r#"{"Term":1,"Version":1,"Value":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","InstallTime":"0001-01-01T00:00:00Z"}"#
    );
}

#[test]
fn a_stored_keyring_opens_with_its_root_key_only() {
    let keyring = Keyring::generate(root()).unwrap().rotated().unwrap();
    let entry = keyring.seal("a", b"x").unwrap();
    let stored = keyring.to_stored().unwrap();
    assert_eq!(stored[..5], [0, 0, 0, 1, 2]);
    let read = Keyring::from_stored(root(), &stored).unwrap();
    assert_eq!(&**read.open("a", &entry).unwrap(), b"x");
    assert_eq!(read.status().encryptions, 1);
    let other = Arc::new(Secret::from_slice(&[2; 32]).unwrap());
    match Keyring::from_stored(other, &stored) {
        Err(Error::BadRequest(text)) => assert_eq!(text, "unseal failed, invalid key"),
        _ => panic!("another root key opened it"),
    }
}

#[test]
fn a_keyring_of_another_term_version_or_shape_is_refused() {
    let mut stored = Keyring::generate(root()).unwrap().to_stored().unwrap();
    stored[3] = 2;
    assert!(matches!(Keyring::from_stored(root(), &stored), Err(Error::Damaged(text)) if text.contains("term")));
    for text in ["", "{}", "[]", r#"{"MasterKey":"AQ==","Keys":[]}"#, &STORED.replace("AwMD", "AwM"), STORED.split_at(100).0] {
        match json::parse_keyring(text.as_bytes()) {
            Err(Error::Damaged(error)) => assert!(!error.contains("AwM"), "{error}"),
            _ => panic!("{text}"),
        }
    }
    let empty = r#"{"MasterKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","Keys":[]}"#;
    assert!(json::parse_keyring(empty.as_bytes()).is_err());
}

#[test]
fn rotation_adds_a_term_and_keeps_what_was_counted() {
    let keyring = Keyring::generate(root()).unwrap();
    for _ in 0..5 {
        keyring.seal("a", b"").unwrap();
    }
    let rotated = keyring.rotated().unwrap();
    assert_eq!((rotated.status().term, rotated.status().encryptions), (2, 0));
    let json: serde_json::Value = serde_json::from_slice(&json::keyring(&rotated).unwrap()).unwrap();
    assert_eq!(json["Keys"][0]["encryptions"], 5);
    assert_eq!(json["Keys"][1]["Term"], 2);
    assert!(json["Keys"][1].get("encryptions").is_none());
    assert_eq!(json["RotationConfig"]["MaxOperations"], MAX_OPERATIONS);
}

#[test]
fn rotation_is_due_by_count_interval_or_age_and_never_if_disabled() {
    let day = |text: &str| OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    let soon = day("2026-08-23T00:00:00Z");
    let parse = |text: &str| json::parse_keyring(text.as_bytes()).unwrap();
    assert_eq!(parse(STORED).rotation_due(soon), None);
    assert!(parse(STORED).rotation_due(day("2027-08-23T00:00:00Z")).unwrap().contains("year"));
    let interval = STORED.replace(r#""Interval":0"#, r#""Interval":3600000000000"#);
    assert!(parse(&interval).rotation_due(soon).unwrap().contains("interval"));
    assert_eq!(parse(&interval.replace(r#""Disabled":false"#, r#""Disabled":true"#)).rotation_due(soon), None);
    let few = parse(&STORED.replace("3865470566", "1000000"));
    few.encryptions.store(1_000_001, Ordering::Relaxed);
    assert!(few.rotation_due(soon).unwrap().contains("as many"));
}

#[test]
fn times_are_written_as_go_does() {
    let time = OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
    assert_eq!(rfc3339_nano(time), "1970-01-02T00:00:00Z");
    assert_eq!(rfc3339_nano(time + time::Duration::milliseconds(120)), "1970-01-02T00:00:00.12Z");
    assert_eq!(rfc3339_nano(time + time::Duration::nanoseconds(1)), "1970-01-02T00:00:00.000000001Z");
    let offset = (time + time::Duration::hours(2)).to_offset(time::UtcOffset::from_hms(2, 0, 0).unwrap());
    assert_eq!(rfc3339_nano(offset), "1970-01-02T02:00:00Z");
}
