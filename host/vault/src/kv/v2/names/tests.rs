use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What a real bao 2.7.2 stored for a kv v2 mount, decrypted: the entries below its prefix, and the names of some paths, which an
/// independent program derived.
fn golden() -> Value {
    serde_json::from_str(include_str!("../../testdata/bao-2.7.2.json")).unwrap()
}

fn names() -> Names {
    let golden = golden();
    let policy = STANDARD.decode(golden["entries"]["policy/metadata"].as_str().unwrap()).unwrap();
    Names::new(Policy::parse(&policy).unwrap(), golden["backend_uuid"].as_str().unwrap())
}

#[test]
fn paths_get_the_names_that_openbao_gives_them() {
    let (golden, names) = (golden(), names());
    let paths = golden["paths"].as_object().unwrap();
    assert!(paths.len() >= 8);
    for (path, name) in paths {
        let encrypted = names.encrypt(path).unwrap();
        assert_eq!(encrypted, name.as_str().unwrap(), "{path}");
        assert!(golden["entries"].as_object().unwrap().contains_key(&format!("metadata/{encrypted}")), "{path}");
    }
}

#[test]
fn listings_of_openbao_are_read_and_sorted_by_plain_name() {
    let (golden, names) = (golden(), names());
    let stored = |folder: &str| -> Vec<String> {
        let prefix = format!("metadata/{}", names.encrypt(folder).unwrap());
        let below = golden["entries"].as_object().unwrap().keys().filter_map(|key| key.strip_prefix(&prefix));
        below.map(|name| name.split_once('/').map_or_else(|| name.to_owned(), |(first, _)| format!("{first}/"))).collect()
    };
    let mut root = names.decrypt_all("", &stored("")).unwrap();
    root.dedup();
    assert_eq!(root, ["a/", "app", "app/", "nul", "timed", "tr", &"x".repeat(105)]);
    assert_eq!(names.decrypt_all("app/", &stored("app/")).unwrap(), ["db", "\u{e9} \u{65e5}\u{672c}"]);
    assert_eq!(names.decrypt_all("a/b/c/d/", &stored("a/b/c/d/")).unwrap(), ["e"]);
}

#[test]
fn a_leaf_and_a_folder_of_the_same_name_share_it() {
    let names = names();
    let leaf = names.encrypt("a/b").unwrap();
    assert_eq!(names.encrypt("a/b/").unwrap(), format!("{leaf}/"));
    assert!(names.encrypt("a/b/c").unwrap().starts_with(&format!("{leaf}/")));
    assert_eq!(names.encrypt("").unwrap(), "");
}

#[test]
fn a_segment_has_another_name_in_another_folder() {
    let names = names();
    let last = |path: &str| names.encrypt(path).unwrap().rsplit('/').next().unwrap().to_owned();
    assert_ne!(last("a/x"), last("b/x"));
    assert_eq!(last("a/x"), last("a/x"));
}

#[test]
fn the_longest_segment_just_fits_the_contracts_limit() {
    let names = names();
    for segment in ["x".repeat(LONGEST_SEGMENT), "\u{e9}".repeat(LONGEST_SEGMENT / 2)] {
        assert!(names.encrypt(&segment).unwrap().len() <= 254);
    }
    assert!(names.encrypt(&"x".repeat(LONGEST_SEGMENT + 1)).unwrap().len() > 254);
}

#[test]
fn a_name_that_was_changed_or_moved_is_damaged() {
    let names = names();
    let name = names.encrypt("secret").unwrap();
    assert_eq!(names.decrypt_all("", std::slice::from_ref(&name)).unwrap(), ["secret"]);
    let (head, last) = name.split_at(name.len() - 1);
    let changed = format!("{head}{}", if last == "0" { "1" } else { "0" });
    let other_key = to_base62(b"2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for (folder, bad) in [("", changed), ("folder/", name), ("", other_key), ("", "plain-name".to_owned()), ("", String::new())] {
        assert!(matches!(names.decrypt_all(folder, std::slice::from_ref(&bad)), Err(Error::Damaged(_))), "{folder} {bad}");
    }
}

proptest! {
    #[test]
    fn every_segment_is_read_back(folder in "[^/\\p{Cc}]{1,20}", segment in "[^/\\p{Cc}]{1,60}") {
        let names = names();
        let name = names.encrypt(&format!("{folder}/{segment}")).unwrap();
        let leaf = name.rsplit('/').next().unwrap().to_owned();
        prop_assert!(leaf.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        prop_assert_eq!(names.decrypt_all(&format!("{folder}/"), &[leaf]).unwrap(), [segment]);
    }

    #[test]
    fn base_62_reads_back_any_bytes_that_begin_with_a_digit(bytes in "1:[A-Za-z0-9+/=]{0,300}") {
        prop_assert_eq!(from_base62(&to_base62(bytes.as_bytes())).unwrap(), bytes.into_bytes());
    }

    #[test]
    fn no_name_makes_the_decoder_fall_over(name in "\\PC{0,80}|[0-9a-zA-Z]{0,300}") {
        let _ = decode(&name);
    }
}
