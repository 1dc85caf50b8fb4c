//! Writing an archive. Its entries are laid aside first, since they come in any order and their length stands before them.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};
use tempfile::NamedTempFile;

use crate::sort::Sorter;
use crate::sums::Sums;
use crate::{Error, MAX_MEMBER, META, Meta, Result, SEALED, STATE, SUMS, frame};

/// Who may read an archive.
const MODE: u32 = 0o600;
/// What a member of a tar is a multiple of.
const BLOCK: u64 = 512;

/// An archive in the making. Dropped before the end, nothing is left of it.
pub struct Writer {
    path: PathBuf,
    meta: Meta,
    laid: Sorter,
}

impl Writer {
    /// Begins an archive that is to be `path`; what is there already stays until [`Writer::finish`]. The entries are laid aside on the same disk. Blocks, as everything here.
    pub fn create(path: impl AsRef<Path>, meta: Meta) -> Result<Writer> {
        let path = path.as_ref();
        let file = tempfile::tempfile_in(directory(path)).map_err(Error::file(path, "making a temporary file beside it"))?;
        Ok(Writer { path: path.to_owned(), meta, laid: Sorter::new(file) })
    }

    /// Adds an entry. They may come in any order; of a key that is put more than once the last counts.
    pub fn put(&mut self, key: &str, value: Vec<u8>) -> Result<()> {
        let refused = |reason: String| Error::Entry { key: key.to_owned(), reason };
        if key.is_empty() {
            return Err(refused("its key is empty".to_owned()));
        }
        let framed = frame::encode(key, value)
            .ok_or_else(|| refused(format!("it is longer than {} bytes, the most that is read back", frame::MAX_ENTRY)))?;
        self.laid.put(key, framed).map_err(Error::file(&self.path, "laying its entries aside"))
    }

    /// The archive without digests under a seal, which is restored by `-force`.
    pub fn finish(self) -> Result<()> {
        self.ended()?.persist()
    }

    /// Ends the entries. What comes of it can be given its digests under a seal.
    pub fn ended(self) -> Result<Finished> {
        let Writer { path, meta, mut laid } = self;
        let (mut digest, mut size, mut entries) = (Sha256::new(), 0, 0);
        let count = |framed: &[u8]| {
            digest.update(framed);
            size += u64::try_from(framed.len()).unwrap_or(0);
            entries += 1;
            Ok(())
        };
        laid.flush().and_then(|()| laid.each(count)).map_err(Error::file(&path, "laying its entries aside"))?;
        let mut text = serde_json::to_vec(&Meta { size, ..meta }).map_err(|error| Error::damaged(&path, format!("{META}: {error}")))?;
        text.push(b'\n');
        fits(&path, META, &text)?;
        let sums = Sums { meta: format!("{:x}", Sha256::digest(&text)), state: format!("{:x}", digest.finalize()) };
        Ok(Finished { path, laid, entries, size, meta: text, sums: sums.text().into_bytes(), sealed: None })
    }
}

/// An archive whose entries are all there.
pub struct Finished {
    path: PathBuf,
    laid: Sorter,
    entries: u64,
    size: u64,
    meta: Vec<u8>,
    sums: Vec<u8>,
    sealed: Option<Vec<u8>>,
}

impl Finished {
    /// How many entries it has, each key once.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// What goes under the seal.
    pub fn sums(&self) -> &[u8] {
        &self.sums
    }

    /// Adds the digests as the seal gave them.
    pub fn seal(&mut self, sealed: Vec<u8>) -> Result<()> {
        fits(&self.path, SEALED, &sealed)?;
        self.sealed = Some(sealed);
        Ok(())
    }

    /// Writes the archive to anything. Can be called again.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        // As the servers do it: ciphertext does not get shorter.
        let mut tar = Builder::new(GzEncoder::new(to, Compression::none()));
        append(&mut tar, META, &self.meta)?;
        let packed = tar.get_mut();
        packed.write_all(header(STATE, self.size)?.as_bytes())?;
        self.laid.each(|framed| packed.write_all(framed))?;
        let padding = usize::try_from((BLOCK - self.size % BLOCK) % BLOCK).unwrap_or(0);
        packed.write_all([0; BLOCK as usize].get(..padding).unwrap_or_default())?;
        append(&mut tar, SUMS, &self.sums)?;
        if let Some(sealed) = &self.sealed {
            append(&mut tar, SEALED, sealed)?;
        }
        tar.into_inner()?.finish()?.flush()
    }

    /// Writes the archive to the disk and gives it its name, in place of any file that has it.
    pub fn persist(self) -> Result<()> {
        let mut part = Part::beside(&self.path)?;
        self.write(BufWriter::with_capacity(1 << 18, part.file())).map_err(Error::file(&self.path, "writing it"))?;
        part.persist()
    }
}

/// A file in the making, for its owner alone. Dropped before the end, nothing is left of it.
pub struct Part {
    path: PathBuf,
    file: NamedTempFile,
}

impl Part {
    /// Begins a file that is to be `path`; what is there already stays until [`Part::persist`].
    pub fn beside(path: &Path) -> Result<Part> {
        let file = NamedTempFile::with_prefix_in(".snapshot-", directory(path));
        Ok(Part { path: path.to_owned(), file: file.map_err(Error::file(path, "making a temporary file beside it"))? })
    }

    /// What is written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Where it is meanwhile.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Sees it on the disk and gives it its name, in place of any file that has it.
    pub fn persist(self) -> Result<()> {
        let Part { path, file } = self;
        let synced = file.as_file().set_permissions(Permissions::from_mode(MODE)).and_then(|()| file.as_file().sync_all());
        synced.map_err(Error::file(&path, "writing it"))?;
        file.persist(&path).map_err(|error| Error::file(&path, "giving it its name")(error.error))?;
        let named = File::open(directory(&path)).and_then(|directory| directory.sync_all());
        named.map_err(Error::file(&path, "writing its name to the disk"))
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn header(name: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(MODE);
    header.set_cksum();
    Ok(header)
}

/// Adds a member that is in memory.
pub(crate) fn append(tar: &mut Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    tar.append(&header(name, u64::try_from(content.len()).unwrap_or(u64::MAX))?, content)
}

/// Fails if a member is longer than readers take.
fn fits(path: &Path, name: &str, content: &[u8]) -> Result<()> {
    if u64::try_from(content.len()).is_ok_and(|length| length <= MAX_MEMBER) {
        return Ok(());
    }
    Err(Error::damaged(path, format!("{name} would be {} bytes long; at most {MAX_MEMBER} are read", content.len())))
}
