use cofferdam_runtime::{Component, ImportKind, LoadError, OpenError, Source, StorageConfig, World, inspect};

use super::{HOSTILE, RUNTIME, bytes, path};

fn load(bytes: Vec<u8>) -> Result<Component, LoadError> {
    RUNTIME.component(Source::Bytes { name: "guest.wasm".to_owned(), bytes })
}

fn refusal(bytes: Vec<u8>) -> String {
    load(bytes).unwrap_err().to_string()
}

/// The component with a name in it replaced by one of the same length.
fn renamed(guest: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes(guest);
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{from} is not in {guest}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn a_component_tells_its_world_its_imports_and_its_digest() {
    let found = HOSTILE.inspect();
    assert_eq!(found.world, World::StorageHa);
    assert_eq!(found.contract, "0.1.0");
    assert_eq!(found.size, bytes("hostile").len() as u64);
    assert_eq!(found.sha256, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes("hostile"))));
    let kind = |name: &str| found.imports.iter().find(|import| import.name.starts_with(name)).map(|import| import.kind);
    assert_eq!(kind("cofferdam:backend/log@"), Some(ImportKind::Always));
    assert_eq!(kind("wasi:sockets/tcp@"), Some(ImportKind::Inert));
    assert_eq!(kind("wasi:filesystem/types@"), Some(ImportKind::InertWithout("directory")));
    assert_eq!((found.grants_needed(), found.grants_usable()), (vec![], vec!["directory"]));
    assert!(found.exports.iter().any(|export| export == "cofferdam:backend/lock@0.1.0"));
}

#[test]
fn an_inspection_is_the_same_without_compiling_and_speaks_json() {
    let found = inspect("hostile", &bytes("hostile")).unwrap();
    assert_eq!(&found, HOSTILE.inspect());
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["world"], "storage-backend-ha");
    let sockets = json["imports"]
        .as_array()
        .unwrap()
        .iter()
        .find(|import| import["name"].as_str().unwrap().starts_with("wasi:sockets/tcp@"))
        .unwrap();
    assert_eq!(sockets["kind"], "inert");
    let files = json["imports"]
        .as_array()
        .unwrap()
        .iter()
        .find(|import| import["name"].as_str().unwrap().starts_with("wasi:filesystem/types@"))
        .unwrap();
    assert_eq!((&files["kind"], &files["grant"]), (&"inert-without".into(), &"directory".into()));
}

#[test]
fn what_is_no_component_is_refused_by_its_name() {
    for (bytes, told) in [
        (b"not wasm at all".to_vec(), "no WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (b"(module)".to_vec(), "text"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "exports nothing"),
    ] {
        let text = refusal(bytes);
        assert!(text.starts_with("guest.wasm: ") && text.contains(told), "{text}");
    }
    let error = RUNTIME.component(Source::File("/nowhere/guest.wasm".into())).unwrap_err();
    assert!(error.to_string().contains("/nowhere/guest.wasm"), "{error}");
}

#[test]
fn a_damaged_component_is_refused() {
    let whole = bytes("hostile");
    assert!(refusal(whole[..whole.len() / 2].to_vec()).contains("damaged"));
    let mut flipped = whole;
    let middle = flipped.len() / 2;
    for byte in &mut flipped[middle..middle + 64] {
        *byte ^= 0x55;
    }
    assert!(load(flipped).is_err());
}

#[test]
fn another_version_of_the_contract_is_refused_and_both_are_named() {
    let mut newer = bytes("hostile");
    let (from, to) = (b"@0.1.0", b"@0.2.0");
    for at in 0..newer.len() - from.len() {
        if newer[..at].ends_with(b"cofferdam:backend/storage") && newer[at..].starts_with(from) {
            newer[at..at + to.len()].copy_from_slice(to);
        }
    }
    let text = refusal(newer);
    assert!(text.contains("0.2.0") && text.contains("runs 0.1"), "{text}");
}

#[test]
fn another_world_is_refused_and_what_it_exports_is_named() {
    let text = refusal(renamed("hostile", "cofferdam:backend/storage@", "cofferdam:backend/storaje@"));
    assert!(text.contains("no backend") && text.contains("cofferdam:backend/storaje@0.1.0"), "{text}");
}

#[test]
fn an_import_that_no_host_offers_is_refused() {
    let text = refusal(renamed("hostile", "cofferdam:backend/log@", "cofferdam:backend/lug@"));
    assert!(text.contains("cofferdam:backend/lug@0.1.0") && text.contains("does not offer"), "{text}");
}

#[tokio::test]
async fn an_import_without_its_grant_is_refused_and_the_grant_is_named() {
    let component = RUNTIME.component(Source::File(path("needs_aws"))).unwrap();
    assert_eq!(component.inspect().grants_needed(), ["aws"]);
    let error = RUNTIME.storage(&component, StorageConfig::new("dynamodb")).await.err().unwrap();
    assert!(matches!(error, OpenError::MissingGrant { grant: "aws", .. }));
    let text = error.to_string();
    assert!(text.contains("needs_aws.wasm") && text.contains("cofferdam:backend/aws@0.1.0") && text.contains("`aws`"), "{text}");
}

#[tokio::test]
async fn a_storage_component_is_not_opened_as_a_seal() {
    let error = RUNTIME.seal(&HOSTILE, StorageConfig::new("seal")).await.err().unwrap();
    assert!(error.to_string().contains("a seal backend is needed, this is storage-backend-ha"), "{error}");
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_before_the_guest_runs() {
    let mut config = StorageConfig::new("main");
    config.pool.size = 0;
    let error = RUNTIME.storage(&HOSTILE, config).await.err().unwrap();
    assert!(error.to_string().contains("backend main"), "{error}");
}
