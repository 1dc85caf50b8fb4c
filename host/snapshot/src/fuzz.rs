//! What reads archives, for the fuzz targets.

use std::io::{BufReader, Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::frame;
use crate::meta::Meta;
use crate::read::{Examined, examine};
use crate::sums::Sums;
use crate::write::append;

/// A whole archive, in its tar: a gzip of chance bytes would end at its checksum.
pub fn archive(tar: &[u8]) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    let packed = packed.write_all(tar).and_then(|()| packed.finish()).unwrap_or_default();
    for bytes in [packed.as_slice(), tar] {
        if let Ok(Examined { contents, .. }) = examine(Path::new("fuzz"), Cursor::new(bytes)) {
            assert!(contents.state_bytes >= contents.key_bytes + contents.value_bytes, "an archive holds more than it has bytes");
        }
    }
}

/// Tars of archives.
pub fn archives() -> Vec<Vec<u8>> {
    let state = states().concat();
    let meta = serde_json::to_vec(&Meta { size: u64::try_from(state.len()).unwrap_or(0), ..Meta::default() }).unwrap_or_default();
    let sums = format!("{:x}  state.bin\n{:x}  meta.json\n", Sha256::digest(&state), Sha256::digest(&meta)).into_bytes();
    let members = [(crate::META, &meta), (crate::STATE, &state), (crate::SUMS, &sums), (crate::SEALED, &b"blob".to_vec())];
    (3..=4).map(|count| tar(members.get(..count).unwrap_or_default()).unwrap_or_default()).collect()
}

fn tar(members: &[(&str, &Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        append(&mut tar, name, content)?;
    }
    tar.into_inner()
}

/// What stands in an archive: entries; and the other members' texts.
pub fn members(bytes: &[u8]) {
    let mut state = BufReader::new(bytes);
    while let Ok(Some(((key, value), _))) = frame::next(&mut state) {
        let framed = frame::encode(&key, value.clone()).unwrap_or_default();
        let again = frame::next(&mut framed.as_slice()).ok().flatten().map(|(entry, _)| entry);
        assert_eq!(again, Some((key, value)), "an entry is not what was written");
    }
    if let Ok(sums) = Sums::parse(bytes) {
        assert_eq!(Sums::parse(sums.text().as_bytes()), Ok(sums), "digests are not what was written");
    }
    if let Ok(meta) = serde_json::from_slice::<Meta>(bytes) {
        let text = serde_json::to_vec(&meta).unwrap_or_default();
        assert_eq!(serde_json::from_slice(&text).ok(), Some(meta), "a description is not what was written");
    }
}

/// Members of archives.
pub fn member_seeds() -> Vec<Vec<u8>> {
    let digest = "0123456789abcdef".repeat(4);
    let meta = serde_json::to_vec(&Meta::default()).unwrap_or_default();
    [states(), vec![meta, format!("{digest}  meta.json\n{digest}  state.bin\n").into_bytes()]].concat()
}

fn states() -> Vec<Vec<u8>> {
    let framed = |key: &str, value: &[u8]| frame::encode(key, value.to_vec()).unwrap_or_default();
    vec![[framed("core/keyring", &[0, 0, 0, 1, 2]), framed("sys/token/parent/a/b", b"")].concat(), framed("logical/ä", &[7; 200])]
}
