use super::*;
use minisign::KeyPair;
use std::io::Cursor;

const COMPONENT: &[u8] = include_bytes!("../../fixtures/etcd.wasm");
/// Made by minisign 0.11 itself: key, signature, and one of the older form.
const KEY: &str = include_str!("../../fixtures/minisign.pub");
const SIGNATURE: &[u8] = include_bytes!("../../fixtures/etcd.wasm.minisig");
const LEGACY: &[u8] = include_bytes!("../../fixtures/etcd.wasm.legacy.minisig");

fn trusted(pair: &KeyPair) -> TrustedKey {
    TrustedKey::parse(&pair.pk.to_base64()).unwrap()
}

fn sign(pair: &KeyPair, bytes: &[u8], comment: &str) -> Vec<u8> {
    minisign::sign(None, &pair.sk, Cursor::new(bytes), Some(comment), None).unwrap().into_string().into_bytes()
}

#[test]
fn what_minisign_itself_signed_counts_in_both_forms() {
    let key = TrustedKey::parse(KEY).unwrap();
    assert_eq!(key.id(), "40E9327430119C9D");
    for (text, comment) in [(SIGNATURE, "timestamp:1795342474\tfile:etcd.wasm\thashed"), (LEGACY, "timestamp:1795342474\tfile:etcd.wasm")] {
        let signature = Signature::parse(text).unwrap();
        assert_eq!(signature.key_id(), key.id());
        assert_eq!(signature.verify(std::slice::from_ref(&key), "etcd.wasm", COMPONENT).unwrap(), comment);
        let other = signature.verify(std::slice::from_ref(&key), "etcd.wasm", b"other");
        assert_eq!(other, Err(SignatureError::Bad { key_id: key.id().to_owned() }));
    }
}

#[test]
fn a_signature_counts_for_its_file_and_its_key_only() {
    let (one, two) = (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let signature = Signature::parse(&sign(&one, b"bytes", "timestamp:1\tfile:a.wasm")).unwrap();
    let keys = [trusted(&two), trusted(&one)];
    assert_eq!(signature.verify(&keys, "a.wasm", b"bytes").unwrap(), "timestamp:1\tfile:a.wasm");
    let renamed = signature.verify(&keys, "b.wasm", b"bytes").unwrap_err();
    assert_eq!(renamed, SignatureError::OtherFile { signed: "a.wasm".to_owned(), file: "b.wasm".to_owned() });
    let stranger = signature.verify(&keys[..1], "a.wasm", b"bytes").unwrap_err();
    let (key_id, trusted_ids) = (trusted(&one).id().to_owned(), vec![trusted(&two).id().to_owned()]);
    assert!(stranger.to_string().contains(&key_id) && stranger.to_string().contains(&trusted_ids[0]), "{stranger}");
    assert_eq!(stranger, SignatureError::Untrusted { key_id, trusted: trusted_ids });
    // A comment that names no file says nothing of the name.
    let signature = Signature::parse(&sign(&one, b"bytes", "release 3")).unwrap();
    assert_eq!(signature.verify(&keys, "any.wasm", b"bytes").unwrap(), "release 3");
}

#[test]
fn a_changed_byte_anywhere_does_not_count() {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let text = sign(&pair, b"bytes", "file:a.wasm");
    let keys = [trusted(&pair)];
    let first = text.iter().position(|byte| *byte == b'\n').unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let verdict = Signature::parse(&changed).and_then(|signature| signature.verify(&keys, "a.wasm", b"bytes"));
        // The first line is what minisign calls untrusted: nobody reads it.
        assert_eq!(verdict.is_ok(), at < first, "byte {at} of {}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn what_is_no_signature_is_malformed() {
    let text = String::from_utf8(SIGNATURE.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\xff\xfe".to_vec(),
        lines[..3].join("\n").into_bytes(),
        format!("{text}more\n").into_bytes(),
        text.replace("file:etcd.wasm", "file:\u{1b}[2Jetcd.wasm").into_bytes(),
        text.replace("RUS", "RUX").replace("trusted comment: t", "t").into_bytes(),
    ];
    for case in cases {
        assert_eq!(Signature::parse(&case).unwrap_err(), SignatureError::Malformed, "{}", String::from_utf8_lossy(&case));
    }
}

#[test]
fn a_key_is_a_line_or_a_file_that_nobody_else_may_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let line = KEY.lines().nth(1).unwrap();
    let key = TrustedKey::from_setting(line).unwrap();
    assert_eq!(TrustedKey::parse(&format!("{line}\n")), Some(key.clone()));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("minisign.pub");
    let setting = path.display().to_string();
    assert!(matches!(TrustedKey::from_setting(&setting), Err(KeyError::File(FindError::Unreadable { .. }))));
    std::fs::write(&path, KEY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(TrustedKey::from_setting(&setting).unwrap(), key);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(TrustedKey::from_setting(&setting), Err(KeyError::File(FindError::Permissions(_)))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&path, "no key").unwrap();
    assert!(matches!(TrustedKey::from_setting(&setting), Err(KeyError::Content(_))));
    for setting in ["", "relative/minisign.pub", "RWQ", line.strip_prefix('R').unwrap()] {
        assert!(matches!(TrustedKey::from_setting(setting), Err(KeyError::Neither(_))), "{setting:?}");
    }
}
