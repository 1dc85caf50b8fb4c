//! The tar within the gzip, one member after the other.
//!
//! Only what snapshots are made of is understood: ordinary files under short names, with an extended header at most for a size that no other field can
//! hold. Nothing that the archive claims makes it take memory.
//!
//! Headers are read by the crate `tar`, members are not: its `Archive` keeps names of any length in memory, ends a member that is cut off as if it were whole,
//! and does not say what follows the last one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header, PaxExtensions};

use crate::MAX_MEMBER;

/// How much of a file is read at once.
const BUFFER: usize = 1 << 18;
const BLOCK: u64 = 512;

/// A tar within a gzip. Reads as the member that it stands at, and ends with it; a member that the stream breaks off within is an error.
pub(crate) struct Unpack<R> {
    packed: GzDecoder<BufReader<R>>,
    /// What is left of the member, and of the padding after it.
    left: u64,
    padding: u64,
}

/// What stands before a member.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) size: u64,
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason.into())
}

impl<R: Read> Unpack<R> {
    pub(crate) fn new(file: R) -> Unpack<R> {
        Unpack { packed: GzDecoder::new(BufReader::with_capacity(BUFFER, file)), left: 0, padding: 0 }
    }

    /// Goes to the next member, past what is left of this one; none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extended_size = None;
        loop {
            io::copy(self, &mut io::sink())?;
            let skipped = io::copy(&mut self.packed.by_ref().take(self.padding), &mut io::sink())?;
            self.padding -= skipped;
            if self.padding > 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some(header) = self.header()? else {
                return if extended_size.is_some() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            };
            let size = extended_size.take().unwrap_or(header.entry_size().map_err(|error| invalid(error.to_string()))?);
            self.left = size;
            self.padding = (BLOCK - size % BLOCK) % BLOCK;
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            match header.entry_type() {
                EntryType::Regular => return Ok(Some(Member { name, size })),
                EntryType::XHeader if size <= MAX_MEMBER => {
                    let mut records = Vec::new();
                    self.read_to_end(&mut records)?;
                    for record in PaxExtensions::new(&records) {
                        let record = record.map_err(|error| invalid(error.to_string()))?;
                        match record.key_bytes() {
                            b"size" => extended_size = record.value().ok().and_then(|size| size.parse().ok()),
                            b"path" => return Err(invalid("a member has a long name: no snapshot has such a file")),
                            _ => {}
                        }
                    }
                }
                _ => return Err(invalid(format!("unexpected file {name:?} in snapshot: it is no ordinary file"))),
            }
        }
    }

    /// The next header; none at the end, be it marked or not.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut block = Vec::with_capacity(512);
        let read = self.packed.by_ref().take(BLOCK).read_to_end(&mut block)?;
        if read == 0 || block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_mut_bytes();
        if read != bytes.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.copy_from_slice(&block);
        let mut counted = header.clone();
        counted.set_cksum();
        if header.cksum().ok() != counted.cksum().ok() {
            return Err(invalid("a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    /// Reads to the end of the file: nothing may follow the last member but the padding of the tar.
    pub(crate) fn end(mut self) -> io::Result<()> {
        let mut rest = [0_u8; 4096];
        loop {
            let read = self.packed.read(&mut rest)?;
            if read == 0 {
                break;
            }
            if rest.iter().take(read).any(|byte| *byte != 0) {
                return Err(invalid("there is more after the end of the tar"));
            }
        }
        if !self.packed.get_mut().fill_buf()?.is_empty() {
            return Err(invalid("there is more after the end of the gzip stream"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Unpack<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let read = self.packed.read(into.get_mut(..most).unwrap_or_default())?;
        if read == 0 && most > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}
