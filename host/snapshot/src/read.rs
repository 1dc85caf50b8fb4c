//! Reading an archive: once to check all of it, then once for its entries.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::frame::{self, Fault};
use crate::sums::Sums;
use crate::unpack::{Member, Unpack};
use crate::{Error, MAX_MEMBER, META, Meta, Result, SEALED, STATE, SUMS};

/// How much of the entries is read at once.
const BUFFER: usize = 1 << 18;

/// What an archive holds, counted while it was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many entries.
    pub entries: u64,
    /// The bytes of their keys.
    pub key_bytes: u64,
    /// The bytes of their values.
    pub value_bytes: u64,
    /// The bytes of the entries as they are stored, with their lengths.
    pub state_bytes: u64,
    /// The longest value, in bytes.
    pub longest_value: u64,
    /// Whether the keys are in the order of their bytes, each once, as both servers write them.
    pub sorted: bool,
}

impl Contents {
    fn count(&mut self, last: &str, key: &str, value: &[u8]) {
        let value = u64::try_from(value.len()).unwrap_or(u64::MAX);
        self.entries += 1;
        self.key_bytes += u64::try_from(key.len()).unwrap_or(u64::MAX);
        self.value_bytes += value;
        self.longest_value = self.longest_value.max(value);
        self.sorted &= last < key;
    }
}

/// An archive that was checked as a whole.
#[derive(Clone, Debug)]
pub struct Snapshot {
    path: PathBuf,
    file: Arc<File>,
    examined: Examined,
}

/// What was found in an archive that is whole.
#[derive(Clone, Debug)]
pub(crate) struct Examined {
    meta: Meta,
    pub(crate) contents: Contents,
    sums: Sums,
    sums_text: Vec<u8>,
    sealed: Option<Vec<u8>>,
}

impl Snapshot {
    /// Reads the archive to its end and checks all of it: members, digests, length, every entry. Blocks.
    pub fn open(path: impl AsRef<Path>) -> Result<Snapshot> {
        let path = path.as_ref();
        let file = File::open(path).map_err(Error::file(path, "opening it"))?;
        Snapshot::of(file, path)
    }

    /// The same of a file that is open for reading, which may have no name; `path` is what errors call it. Blocks.
    pub fn of(file: File, path: impl Into<PathBuf>) -> Result<Snapshot> {
        let (file, path) = (Arc::new(file), path.into());
        let examined = examine(&path, FromStart { file: file.clone(), at: 0 })?;
        Ok(Snapshot { path, file, examined })
    }

    /// What raft says of it.
    pub fn meta(&self) -> &Meta {
        &self.examined.meta
    }

    /// What it holds.
    pub fn contents(&self) -> &Contents {
        &self.examined.contents
    }

    /// The digests under the seal of the server that made the archive, as that seal's blob; none if they are left out, as a writer without keys does.
    pub fn sealed_sums(&self) -> Option<&[u8]> {
        self.examined.sealed.as_deref()
    }

    /// The digest of its entries: SHA-256, in lower-case hex. Archives of the same entries in the same order have the same.
    pub fn digest(&self) -> &str {
        &self.examined.sums.state
    }

    /// The digests as text, which is what goes under the seal.
    pub fn sums(&self) -> &[u8] {
        &self.examined.sums_text
    }

    /// Whether what the seal opened are the digests of this archive. The lines may be in another order. [`Error::Damaged`] if not.
    pub fn check_sealed_sums(&self, opened: &[u8]) -> Result<()> {
        match Sums::parse(opened) {
            Ok(sums) if sums == self.examined.sums => Ok(()),
            Ok(_) => Err(Error::damaged(&self.path, format!("{SEALED} holds other digests: failed checking integrity of snapshot"))),
            Err(wrong) => Err(Error::damaged(&self.path, format!("{SEALED}: {wrong}: failed checking integrity of snapshot"))),
        }
    }

    /// The entries, in the order of the archive. Each call begins anew. Blocks.
    ///
    /// The file is checked again on the way: if it is another than was opened, the last item is an error, and what was given before does not count.
    pub fn entries(&self) -> Result<Entries> {
        let mut archive = Unpack::new(FromStart { file: self.file.clone(), at: 0 });
        loop {
            match archive.next().map_err(|error| unreadable(&self.path, &error))? {
                Some(member) if member.name == STATE => break,
                Some(_) => {}
                None => return Err(changed(&self.path)),
            }
        }
        Ok(Entries {
            path: self.path.clone(),
            expected: self.digest().to_owned(),
            state: hashing(archive),
            count: 0,
            offset: 0,
            ended: false,
        })
    }
}

/// The entries of an archive, one at a time.
pub struct Entries {
    path: PathBuf,
    expected: String,
    state: BufReader<Hashing<Unpack<FromStart>>>,
    count: u64,
    offset: u64,
    ended: bool,
}

impl Iterator for Entries {
    type Item = Result<(String, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match frame::next(&mut self.state) {
            Ok(Some((entry, length))) => {
                self.count += 1;
                self.offset += length;
                Some(Ok(entry))
            }
            Ok(None) => {
                self.ended = true;
                (self.state.get_mut().digest() != self.expected).then(|| Err(changed(&self.path)))
            }
            Err(fault) => {
                self.ended = true;
                Some(Err(at(&self.path, fault, self.count, self.offset)))
            }
        }
    }
}

fn at(path: &Path, fault: Fault, count: u64, offset: u64) -> Error {
    match fault {
        Fault::Read(error) => unreadable(path, &error),
        Fault::Wrong(reason) => Error::damaged(path, format!("{STATE}: entry {} at byte {offset}: {reason}", count + 1)),
    }
}

fn changed(path: &Path) -> Error {
    Error::damaged(path, "it was changed while it was read")
}

/// An archive that cannot be unpacked: the file's fault where the disk fails, else the content's.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    if let Some(code) = error.raw_os_error() {
        return Error::File { path: path.to_owned(), doing: "reading it", source: io::Error::from_raw_os_error(code) };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Error::damaged(path, "failed to read snapshot: it is cut off");
    }
    Error::damaged(path, format!("failed to read snapshot: it is no gzip of a tar of the expected files: {error}"))
}

/// A file read from its start, whoever else reads it.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// A reader that sums up what passes.
struct Hashing<R> {
    inner: R,
    digest: Sha256,
    read: u64,
}

fn hashing<R: Read>(inner: R) -> BufReader<Hashing<R>> {
    BufReader::with_capacity(BUFFER, Hashing { inner, digest: Sha256::new(), read: 0 })
}

impl<R> Hashing<R> {
    fn digest(&mut self) -> String {
        format!("{:x}", self.digest.finalize_reset())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.digest.update(into.get(..read).unwrap_or_default());
        self.read += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// Reads the whole archive, and says what is wrong with it if anything is.
pub(crate) fn examine(path: &Path, file: impl Read) -> Result<Examined> {
    let wrong = |reason: String| Error::damaged(path, reason);
    let mut archive = Unpack::new(file);
    let mut found = Found::default();
    while let Some(member) = archive.next().map_err(|error| unreadable(path, &error))? {
        found.take(path, &member, &mut archive)?;
    }
    archive.end().map_err(|error| unreadable(path, &error))?;

    let missing = |name: &str| wrong(format!("file missing for {name:?}"));
    let (meta, state) = (found.meta.ok_or_else(|| missing(META))?, found.state.ok_or_else(|| missing(STATE))?);
    let sums_text = found.sums.ok_or_else(|| wrong(format!("file missing for {META:?}: there is no {SUMS}")))?;
    let sums = Sums::parse(&sums_text).map_err(|reason| wrong(format!("{SUMS}: {reason}")))?;
    for (name, listed, real) in [(META, &sums.meta, &format!("{:x}", Sha256::digest(&meta))), (STATE, &sums.state, &state.digest)] {
        if listed != real {
            return Err(wrong(format!("hash check failed for {name:?}: {SUMS} has {listed}, the member is {real}")));
        }
    }
    let meta: Meta = serde_json::from_slice(&meta).map_err(|error| wrong(format!("{META}: {error}")))?;
    if meta.version != 1 {
        return Err(wrong(format!("{META}: unsupported snapshot version {}; 1 expected", meta.version)));
    }
    let size = state.contents.state_bytes;
    if meta.size != size {
        return Err(wrong(format!("{META}: size didn't match: it says {} bytes, {STATE} has {size}", meta.size)));
    }
    if let Some(fault) = state.fault {
        return Err(fault);
    }
    Ok(Examined { meta, contents: state.contents, sums, sums_text, sealed: found.sealed })
}

/// The members so far.
#[derive(Default)]
struct Found {
    meta: Option<Vec<u8>>,
    state: Option<State>,
    sums: Option<Vec<u8>>,
    sealed: Option<Vec<u8>>,
}

/// What was seen of the entries.
struct State {
    contents: Contents,
    digest: String,
    /// The first entry that is none. A wrong digest says more.
    fault: Option<Error>,
}

impl Found {
    fn take(&mut self, path: &Path, Member { name, size }: &Member, archive: &mut impl Read) -> Result<()> {
        let wrong = |reason: String| Error::damaged(path, reason);
        let slot = match name.as_str() {
            META => &mut self.meta,
            SUMS => &mut self.sums,
            SEALED => &mut self.sealed,
            STATE if self.state.is_none() => {
                self.state = Some(State::of(path, archive)?);
                return Ok(());
            }
            STATE => return Err(wrong(format!("{name:?} is twice in the snapshot"))),
            _ => return Err(wrong(format!("unexpected file {name:?} in snapshot"))),
        };
        if slot.is_some() {
            return Err(wrong(format!("{name:?} is twice in the snapshot")));
        }
        if *size > MAX_MEMBER {
            return Err(wrong(format!("{name:?} has {size} bytes; at most {MAX_MEMBER} expected")));
        }
        let mut text = Vec::new();
        archive.read_to_end(&mut text).map_err(|error| unreadable(path, &error))?;
        *slot = Some(text);
        Ok(())
    }
}

impl State {
    fn of(path: &Path, member: impl Read) -> Result<State> {
        let mut contents = Contents { sorted: true, ..Contents::default() };
        let mut state = hashing(member);
        let (mut last, mut offset, mut fault) = (String::new(), 0, None);
        loop {
            match frame::next(&mut state) {
                Ok(Some(((key, value), length))) => {
                    contents.count(&last, &key, &value);
                    offset += length;
                    last = key;
                }
                Ok(None) => break,
                Err(Fault::Read(error)) => return Err(unreadable(path, &error)),
                Err(wrong) => {
                    fault = Some(at(path, wrong, contents.entries, offset));
                    // The digest is of all of it.
                    io::copy(&mut state, &mut io::sink()).map_err(|error| unreadable(path, &error))?;
                    break;
                }
            }
        }
        contents.state_bytes = state.get_ref().read;
        Ok(State { contents, digest: state.get_mut().digest(), fault })
    }
}
