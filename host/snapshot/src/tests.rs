use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::frame::StorageEntry;
use crate::{Error, MAX_ENTRY, Meta, Server, Snapshot, Writer, frame};

type Members = Vec<(String, Vec<u8>)>;

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// An archive of these members, made by other means than ours.
fn packed(members: &Members) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn framed(key: &[u8], value: &[u8]) -> Vec<u8> {
    StorageEntry { key: key.to_vec(), value: value.to_vec(), seal_wrap: false }.encode_length_delimited_to_vec()
}

/// The members of an archive with these entries.
fn members_of(state: Vec<u8>) -> Members {
    let meta = serde_json::to_vec(&Meta { size: state.len() as u64, ..Meta::default() }).unwrap();
    let sums = format!("{}  state.bin\n{}  meta.json\n", hex(&state), hex(&meta)).into_bytes();
    vec![("meta.json".into(), meta), ("state.bin".into(), state), ("SHA256SUMS".into(), sums)]
}

fn members() -> Members {
    members_of([framed(b"a/b", b"first"), framed(b"a/c", b""), framed("ä".as_bytes(), &[0; 300])].concat())
}

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("x.snap")
    }

    fn with(bytes: &[u8]) -> Place {
        let place = Place::new();
        fs::write(place.path(), bytes).unwrap();
        place
    }

    fn refused(bytes: &[u8]) -> String {
        let place = Place::with(bytes);
        let error = Snapshot::open(place.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: ", place.path().display())), "{text}");
        assert_eq!(error.reason().map(|reason| text.ends_with(reason)), Some(true), "{text}");
        text
    }
}

fn entries(snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
    snapshot.entries().unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_archive_of_another_writer_is_read() {
    let place = Place::with(&packed(&members()));
    let snapshot = Snapshot::open(place.path()).unwrap();
    let expected: Vec<(String, Vec<u8>)> = vec![("a/b".into(), b"first".to_vec()), ("a/c".into(), Vec::new()), ("ä".into(), vec![0; 300])];
    assert_eq!(entries(&snapshot), expected);
    assert_eq!(entries(&snapshot), expected, "a second time");
    let contents = snapshot.contents();
    assert_eq!((contents.entries, contents.key_bytes, contents.value_bytes, contents.longest_value), (3, 8, 305, 300));
    assert!(contents.sorted && snapshot.sealed_sums().is_none());
}

#[test]
fn members_may_come_in_any_order_and_entries_too() {
    let state = [framed(b"b", b"1"), framed(b"a", b"2")].concat();
    let mut members = members_of(state);
    members.reverse();
    members.push(("SHA256SUMS.sealed".into(), vec![7; 90]));
    let place = Place::with(&packed(&members));
    let snapshot = Snapshot::open(place.path()).unwrap();
    assert_eq!(entries(&snapshot), [("b".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())]);
    assert!(!snapshot.contents().sorted);
    assert_eq!(snapshot.sealed_sums(), Some([7; 90].as_slice()));
}

#[test]
fn meta_as_a_server_writes_it_is_read() {
    let text = br#"{"Version":1,"ID":"bolt-snapshot","Index":72,"Term":3,"Peers":"kQ==","Configuration":{"Servers":[{"Suffrage":0,"ID":"one","Address":"127.0.0.1:8201"}]},"ConfigurationIndex":1,"Size":0}"#;
    let meta: Meta = serde_json::from_slice(text).unwrap();
    assert_eq!((meta.index, meta.term, meta.configuration_index), (72, 3, 1));
    assert_eq!(meta.configuration.servers, [Server { suffrage: 0, id: "one".into(), address: "127.0.0.1:8201".into() }]);
    assert_eq!(serde_json::to_string(&meta).unwrap().as_bytes(), text);
    let none: Meta = serde_json::from_str(r#"{"Version":1,"Configuration":{"Servers":null},"Other":1}"#).unwrap();
    assert_eq!(none.configuration.servers, []);
}

#[test]
fn what_is_written_has_its_name_at_the_end_only_and_is_read_by_its_owner_only() {
    let place = Place::new();
    fs::write(place.path(), "before").unwrap();
    let mut writer = Writer::create(place.path(), Meta::default()).unwrap();
    writer.put("a", b"1".to_vec()).unwrap();
    let only = |name: &str| fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).eq([name]);
    assert!(only("x.snap") && fs::read(place.path()).unwrap() == b"before", "nothing has a name yet");
    writer.finish().unwrap();
    assert!(only("x.snap"));
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);

    // Members and their order as the servers write them.
    let mut tar = tar::Archive::new(GzDecoder::new(fs::File::open(place.path()).unwrap()));
    let names: Vec<_> = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, ["meta.json", "state.bin", "SHA256SUMS"].map(PathBuf::from));

    drop(Writer::create(place.dir.path().join("other"), Meta::default()).unwrap());
    assert!(only("x.snap"), "one that was given up leaves nothing");
}

#[test]
fn an_entry_that_would_not_be_read_back_is_not_written() {
    let place = Place::new();
    let mut writer = Writer::create(place.path(), Meta::default()).unwrap();
    let long = usize::try_from(MAX_ENTRY).unwrap();
    assert!(writer.put("a/long", vec![0; long]).unwrap_err().to_string().contains("a/long"));
    assert!(writer.put("", Vec::new()).is_err());
    writer.put("a/long", vec![0; long - 100]).unwrap();
    writer.finish().unwrap();
    assert_eq!(Snapshot::open(place.path()).unwrap().contents().longest_value, MAX_ENTRY - 100);
}

#[test]
fn digests_under_a_seal_are_kept_and_checked() {
    let place = Place::new();
    let mut writer = Writer::create(place.path(), Meta::default()).unwrap();
    writer.put("a", b"1".to_vec()).unwrap();
    let mut finished = writer.ended().unwrap();
    let sums = String::from_utf8(finished.sums().to_vec()).unwrap();
    assert!(finished.seal(vec![0; 8192]).is_err());
    finished.seal(b"blob".to_vec()).unwrap();
    finished.persist().unwrap();
    let snapshot = Snapshot::open(place.path()).unwrap();
    assert_eq!(snapshot.sealed_sums(), Some(b"blob".as_slice()));
    assert_eq!(snapshot.sums(), sums.as_bytes());
    snapshot.check_sealed_sums(sums.as_bytes()).unwrap();
    let other_order: String = sums.lines().rev().map(|line| format!("{line}\n")).collect();
    snapshot.check_sealed_sums(other_order.as_bytes()).unwrap();
    for wrong in [sums.replace(['0', '1', '2', '3'], "4"), String::new(), "x".into()] {
        let error = snapshot.check_sealed_sums(wrong.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("failed checking integrity of snapshot"), "{error}");
    }
}

#[test]
fn every_damage_has_its_words() {
    let at = |name: &str, content: &[u8]| {
        let mut changed = members();
        let member = changed.iter_mut().find(|(member, _)| member == name).unwrap();
        member.1 = content.to_vec();
        packed(&changed)
    };
    let with = |name: &str, content: &[u8]| {
        let mut more = members();
        more.push((name.to_owned(), content.to_vec()));
        packed(&more)
    };
    let without = |name: &str| packed(&members().into_iter().filter(|(member, _)| member != name).collect());
    let meta = |text: &str| {
        let mut changed = members();
        changed[0].1 = text.as_bytes().to_vec();
        changed[2].1 = format!("{}  meta.json\n{}  state.bin\n", hex(text.as_bytes()), hex(&changed[1].1)).into_bytes();
        packed(&changed)
    };
    let good = packed(&members());
    let mut trailing = good.clone();
    trailing.extend_from_slice(b"more");
    let whole = members();
    let mut after_tar = GzEncoder::new(Vec::new(), Compression::fast());
    let mut tar = Vec::new();
    GzDecoder::new(Cursor::new(&good)).read_to_end(&mut tar).unwrap();
    tar.extend_from_slice(b"more");
    after_tar.write_all(&tar).unwrap();

    for (what, bytes, words) in [
        ("nothing", Vec::new(), "cut off"),
        ("no gzip", b"hello, this is no archive".to_vec(), "no gzip of a tar"),
        ("bytes after the gzip", trailing, "more after the end of the gzip"),
        ("bytes after the tar", after_tar.finish().unwrap(), "more after the end of the tar"),
        ("another member", with("notes.txt", b"x"), "unexpected file \"notes.txt\" in snapshot"),
        ("a member under another name", with("./meta.json", b"x"), "unexpected file \"./meta.json\" in snapshot"),
        ("a member twice", with("meta.json", &whole[0].1), "\"meta.json\" is twice"),
        ("the entries twice", with("state.bin", &whole[1].1), "\"state.bin\" is twice"),
        ("no meta", without("meta.json"), "file missing for \"meta.json\""),
        ("no entries", without("state.bin"), "file missing for \"state.bin\""),
        ("no digests", without("SHA256SUMS"), "there is no SHA256SUMS"),
        ("long digests", at("SHA256SUMS", &[b'a'; 9000]), "\"SHA256SUMS\" has 9000 bytes"),
        ("other entries", at("state.bin", &framed(b"a", b"b")), "hash check failed for \"state.bin\""),
        ("another meta", at("meta.json", b"{}"), "hash check failed for \"meta.json\""),
        ("meta that is none", meta("{}"), "meta.json: "),
        ("another version", meta("{\"Version\":0,\"Size\":1}"), "unsupported snapshot version 0"),
        ("another size", meta("{\"Version\":1,\"Size\":7}"), "size didn't match: it says 7 bytes"),
    ] {
        let text = Place::refused(&bytes);
        assert!(text.contains(words), "{what}: {text}");
    }
}

#[test]
fn an_entry_that_is_none_is_named_with_its_place() {
    let first = framed(b"a/b", b"first");
    let second = format!("entry 2 at byte {}: ", first.len());
    for (entry, words) in [
        (framed(b"a/\xff", b""), "its key \"a/\u{fffd}\" is not UTF-8 text"),
        (framed(b"", b"x"), "it has no key"),
        (framed(b"a/c", b"second")[..5].to_vec(), "it is cut off: 13 bytes expected, 4 found"),
        (vec![0xff], "its length is cut off"),
        (vec![0xff; 12], "no number of at most 64 bits"),
        (vec![0xff, 0xff, 0xff, 0xff, 0x7f], "at most 67108864 are read"),
        (vec![2, 0x0a, 9], "it is no storage entry"),
        (
            StorageEntry { key: b"k".to_vec(), value: Vec::new(), seal_wrap: true }.encode_length_delimited_to_vec(),
            "\"k\" is wrapped by the seal",
        ),
    ] {
        let text = Place::refused(&packed(&members_of([first.clone(), entry].concat())));
        assert!(text.contains(&second) && text.contains(words), "{text}");
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    let good = packed(&members());
    for length in 0..good.len() {
        let text = Place::refused(&good[..length]);
        assert!(text.contains("failed to read snapshot") || text.contains("missing"), "{length}: {text}");
    }
}

#[test]
fn an_archive_with_any_bit_flipped_is_refused_or_says_the_same() {
    let good = packed(&members());
    let place = Place::with(&good);
    let expected = entries(&Snapshot::open(place.path()).unwrap());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(place.path(), &bytes).unwrap();
        // Some bits of the gzip's and the tar's headers mean nothing.
        if let Ok(snapshot) = Snapshot::open(place.path()) {
            assert_eq!(entries(&snapshot), expected, "byte {at}");
        }
    }
}

#[test]
fn a_file_that_changes_after_it_was_checked_is_noticed() {
    let place = Place::with(&packed(&members()));
    let snapshot = Snapshot::open(place.path()).unwrap();
    fs::write(place.path(), packed(&members_of(framed(b"a/b", b"other")))).unwrap();
    let given: Vec<_> = snapshot.entries().unwrap().collect();
    let error = given.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("it was changed while it was read"), "{error}");
}

#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    // 64 MiB are claimed, 3 bytes are there; were the claim believed, a thousand of these would not fit.
    let claimed = [&[0x80, 0x80, 0x80, 0x20][..], b"abc"].concat();
    for _ in 0..1000 {
        assert!(matches!(frame::next(&mut claimed.as_slice()), Err(frame::Fault::Wrong(_))));
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    for error in [Snapshot::open("/nowhere/x.snap").unwrap_err(), Writer::create("/nowhere/x.snap", Meta::default()).err().unwrap()] {
        assert!(matches!(error, Error::File { .. }) && error.reason().is_none());
        assert!(error.to_string().starts_with("/nowhere/x.snap: "), "{error}");
    }
    assert!(Snapshot::open(Path::new("/")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(stored in btree_map("[^\u{0}]{1,40}", vec(any::<u8>(), 0..600), 0..40), index in any::<u64>()) {
        let stored: BTreeMap<String, Vec<u8>> = stored;
        let place = Place::new();
        let mut writer = Writer::create(place.path(), Meta { index, ..Meta::default() }).unwrap();
        for (key, value) in stored.iter().rev() {
            writer.put(key, value.clone()).unwrap();
        }
        let finished = writer.ended().unwrap();
        prop_assert_eq!(finished.entries(), stored.len() as u64);
        finished.persist().unwrap();
        let snapshot = Snapshot::open(place.path()).unwrap();
        prop_assert_eq!(snapshot.meta().index, index);
        prop_assert!(snapshot.contents().sorted);
        prop_assert_eq!(snapshot.entries().unwrap().collect::<Result<BTreeMap<_, _>, _>>().unwrap(), stored);
    }

    #[test]
    fn bytes_of_any_kind_are_no_reason_to_panic(bytes in vec(any::<u8>(), 0..2000)) {
        crate::fuzz::archive(&bytes);
        crate::fuzz::members(&bytes);
    }
}
