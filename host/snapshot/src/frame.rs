//! `state.bin`: entries as protobuf messages, each after its length.

use std::io::{self, BufRead, ErrorKind, Read};

use prost::Message;

/// The longest entry that is read or written, in bytes: many times what the other servers store (1 MiB unless told otherwise).
pub const MAX_ENTRY: u64 = 64 << 20;

/// An entry, as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StorageEntry {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
    #[prost(bool, tag = "3")]
    pub(crate) seal_wrap: bool,
}

/// A key and its value, and how many bytes of the stream they took.
pub(crate) type Framed = ((String, Vec<u8>), u64);

/// Why there is no next entry.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It could not be read.
    Read(io::Error),
    /// It is none.
    Wrong(String),
}

/// The length before a message; none at the end.
fn length(state: &mut impl BufRead) -> Result<Option<u64>, Fault> {
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0_u8];
        match state.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && shift == 0 => return Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Fault::Wrong("its length is cut off".to_owned())),
            Err(error) => return Err(Fault::Read(error)),
        }
        let [byte] = byte;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        length |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Err(Fault::Wrong("its length is no number of at most 64 bits".to_owned()))
}

/// The next entry; none at the end. Takes no more memory than there is to read, whatever the length claims.
pub(crate) fn next(state: &mut impl BufRead) -> Result<Option<Framed>, Fault> {
    let Some(length) = length(state)? else { return Ok(None) };
    if length > MAX_ENTRY {
        return Err(Fault::Wrong(format!("it is {length} bytes long; at most {MAX_ENTRY} are read")));
    }
    let mut frame = Vec::new();
    let read = state.by_ref().take(length).read_to_end(&mut frame).map_err(Fault::Read)?;
    if u64::try_from(read).ok() != Some(length) {
        return Err(Fault::Wrong(format!("it is cut off: {length} bytes expected, {read} found")));
    }
    let entry = StorageEntry::decode(frame.as_slice()).map_err(|error| Fault::Wrong(format!("it is no storage entry: {error}")))?;
    let key = String::from_utf8(entry.key)
        .map_err(|error| Fault::Wrong(format!("its key {:?} is not UTF-8 text", String::from_utf8_lossy(error.as_bytes()))))?;
    if key.is_empty() {
        return Err(Fault::Wrong("it has no key".to_owned()));
    }
    if entry.seal_wrap {
        return Err(Fault::Wrong(format!("{key:?} is wrapped by the seal, as only Vault Enterprise does it; this cannot be undone here")));
    }
    let prefix = prost::length_delimiter_len(read);
    Ok(Some(((key, entry.value), length + u64::try_from(prefix).unwrap_or(0))))
}

/// The entry with its length before it; none if it is too long.
pub(crate) fn encode(key: &str, value: Vec<u8>) -> Option<Vec<u8>> {
    let entry = StorageEntry { key: key.as_bytes().to_vec(), value, seal_wrap: false };
    let fits = u64::try_from(entry.encoded_len()).is_ok_and(|length| length <= MAX_ENTRY);
    fits.then(|| entry.encode_length_delimited_to_vec())
}
