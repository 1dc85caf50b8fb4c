//! What is in an entry's file: one JSON object whose member `Value` is the value in standard base64, and a newline, as Go's encoder writes it.
//!
//! Read is what Vault reads: other members are skipped, the name's case does not count, `null` is the empty value. An empty file is no entry: an
//! interrupted write of Vault's leaves it. It is left alone, since removing it could hit the value that a put is renaming there.

mod json;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cofferdam_guest::{Error, Excess, Part, Result};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::disk;
use crate::fault::fault;
use crate::layout::Place;
use json::Member;

/// Go's `base64.StdEncoding`: padded, and unused bits at the end do not count.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

const OPENING: &[u8] = b"{\"Value\":\"";
const CLOSING: &[u8] = b"\"}\n";

/// How much is asked for at first: enough for almost every entry, little enough that the host's buffer costs nothing.
const FIRST_READ: u64 = 8 << 10;

/// How much a host reads at once.
const NEXT_READ: u64 = 64 << 10;

/// The largest file that is read: past what this backend writes, since Vault may be set to take larger values.
const LARGEST_FILE: u64 = 64 << 20;

/// Bytes of a value that are encoded and written at once. A multiple of three, so that pieces join without padding.
const PIECE: usize = 48 << 10;

/// Bytes of base64 that are decoded at once; a multiple of four.
const AT_ONCE: usize = 4 << 10;

/// The value of the entry, or none.
pub(crate) fn get(place: &Place) -> Result<Option<Vec<u8>>> {
    let path = place.file();
    let file = match disk::root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ) {
        Ok(file) => file,
        // A file where the layout has a directory belongs to the leaf whose name is the folder's with an underscore less.
        Err(ErrorCode::NoEntry | ErrorCode::NotDirectory) => return Ok(None),
        Err(code) => return Err(fault("read", path, code)),
    };
    let text = match read_whole(&file, path) {
        Err(ReadError::Directory) => return Ok(None),
        Err(ReadError::Other(error)) => return Err(error),
        Ok(text) if text.is_empty() => return Ok(None),
        Ok(text) => text,
    };
    decode(text).map(Some).map_err(|why| Error::Corrupt(format!("key {:?}: the file {path:?} is no entry: {why}", place.key())))
}

enum ReadError {
    /// The name is a folder's: the leaf does not exist.
    Directory,
    Other(Error),
}

fn read_whole(file: &Descriptor, path: &str) -> Result<Vec<u8>, ReadError> {
    let failed = |code| match code {
        ErrorCode::BadDescriptor | ErrorCode::IsDirectory => ReadError::Directory,
        code => ReadError::Other(fault("read", path, code)),
    };
    let (mut text, end) = file.read(FIRST_READ, 0).map_err(failed)?;
    // A short read of a file is its end; the newline makes sure of it without a second call.
    if end || ((text.len() as u64) < FIRST_READ && text.ends_with(CLOSING)) {
        return Ok(text);
    }
    let size = file.stat().map_err(failed)?.size;
    if size > LARGEST_FILE {
        return Err(ReadError::Other(Error::TooLarge(Excess { what: Part::Value, size, limit: LARGEST_FILE })));
    }
    text.reserve_exact(usize::try_from(size).unwrap_or_default().saturating_sub(text.len()));
    loop {
        let (more, end) = file.read(NEXT_READ, text.len() as u64).map_err(failed)?;
        text.extend_from_slice(&more);
        if end {
            return Ok(text);
        }
    }
}

/// The value that the text of a file holds. The text's memory is used again for the value.
fn decode(mut text: Vec<u8>) -> Result<Vec<u8>, String> {
    if let Some(inner) = text.strip_prefix(OPENING).and_then(|rest| rest.strip_suffix(CLOSING)) {
        let span = OPENING.len()..OPENING.len() + inner.len();
        // Nearly every file is plain: the one member, without escapes. A short text need not be looked through for that, since its decoding
        // fails before anything of it is overwritten.
        let short = inner.len() <= AT_ONCE;
        if short || !inner.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
            match decode_in_place(&mut text, span) {
                Ok(length) => {
                    text.truncate(length);
                    return Ok(text);
                }
                Err(error) if !short => return Err(error),
                Err(_) => {}
            }
        }
    }
    match json::value(&text)? {
        Member::Null => Ok(Vec::new()),
        Member::Text(inner) => BASE64.decode(inner).map_err(|error| error.to_string()),
    }
}

/// Decodes the span of `text` to its beginning and returns the length: what is decoded is shorter than what has been read, so nothing is lost.
fn decode_in_place(text: &mut [u8], span: std::ops::Range<usize>) -> Result<usize, String> {
    let mut piece = [0; AT_ONCE / 4 * 3];
    let (mut from, mut to) = (span.start, 0);
    while from < span.end {
        let until = (from + AT_ONCE).min(span.end);
        let encoded = text.get(from..until).unwrap_or_default();
        let length = BASE64.decode_slice(encoded, &mut piece).map_err(|error| error.to_string())?;
        // Padding inside would end the value early: only the last piece may be short.
        if until < span.end && length < piece.len() {
            return Err("base64 padding before the end".to_owned());
        }
        if let (Some(target), Some(decoded)) = (text.get_mut(to..to + length), piece.get(..length)) {
            target.copy_from_slice(decoded);
        }
        to += length;
        from = until;
    }
    Ok(to)
}

/// How long the file of a value is.
pub(crate) fn length(value: &[u8]) -> u64 {
    u64::try_from(OPENING.len() + value.len().div_ceil(3) * 4 + CLOSING.len()).unwrap_or(u64::MAX)
}

/// Writes the value as a whole file, from its beginning.
pub(crate) fn write(file: &Descriptor, value: &[u8]) -> Result<(), ErrorCode> {
    let mut at = 0;
    let mut text = Vec::with_capacity(OPENING.len() + PIECE.min(value.len()).div_ceil(3) * 4 + CLOSING.len());
    text.extend_from_slice(OPENING);
    let mut pieces = value.chunks(PIECE).peekable();
    loop {
        let piece = pieces.next().unwrap_or_default();
        encode(piece, &mut text);
        let last = pieces.peek().is_none();
        if last {
            text.extend_from_slice(CLOSING);
        }
        at = write_all(file, &text, at)?;
        if last {
            return Ok(());
        }
        text.clear();
    }
}

fn encode(piece: &[u8], text: &mut Vec<u8>) {
    let start = text.len();
    text.resize(start + piece.len().div_ceil(3) * 4, 0);
    // The target has exactly the size that padded base64 takes, so this cannot fail.
    let encoded = text.get_mut(start..).map(|target| BASE64.encode_slice(piece, target));
    debug_assert!(matches!(encoded, Some(Ok(_))));
}

fn write_all(file: &Descriptor, mut text: &[u8], mut at: u64) -> Result<u64, ErrorCode> {
    while !text.is_empty() {
        let written = file.write(text, at)?;
        match usize::try_from(written).ok().and_then(|written| text.get(written..)) {
            Some(rest) if written > 0 => text = rest,
            _ => return Err(ErrorCode::Io),
        }
        at += written;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &[u8]) -> Vec<u8> {
        let mut text = OPENING.to_vec();
        value.chunks(PIECE).for_each(|piece| encode(piece, &mut text));
        text.extend_from_slice(CLOSING);
        text
    }

    #[test]
    fn a_file_is_as_go_writes_it() {
        assert_eq!(encoded(b"test"), b"{\"Value\":\"dGVzdA==\"}\n");
        assert_eq!(encoded(b""), b"{\"Value\":\"\"}\n");
        assert_eq!(encoded(&[0xfb, 0xff, 0xbf]), b"{\"Value\":\"+/+/\"}\n");
    }

    #[test]
    fn what_vault_reads_is_read() {
        for (text, value) in [
            (&b"{\"Value\":\"dGVzdA==\"}\n"[..], &b"test"[..]),
            (b"{\"Value\":\"\"}\n", b""),
            (b"{\"Value\":null}\n", b""),
            (b"{\"Value\":\"dGVzdA==\"}", b"test"),
            (b" { \"value\" : \"dGVzdA==\" } ", b"test"),
            (b"{\"Key\":\"a\\\"b\",\"Value\":\"dGVzdA==\",\"SealWrap\":false}\n", b"test"),
            (b"{\"Value\":\"dGVzdA==\",\"Key\":\"x\"}\n", b"test"),
            (b"{\"Value\":\"dGVzdB==\"}\n", b"test"),
            (b"{\"Value\":\"\\u002b\\/+\\/\"}\n", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(decode(text.to_vec()).as_deref(), Ok(value), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for text in [
            &b"x"[..],
            b"{}",
            b"{\"Value\":\"dGVzdA\"}\n",
            b"{\"Value\":\"dGVzdA==\"",
            b"{\"Value\":\"dGVz\"}\n{\"Value\":\"dGVz\"}\n",
            b"{\"Value\":\"dGVz*A==\"}\n",
            b"{\"Value\":12}\n",
            b"[\"dGVzdA==\"]\n",
            b"\0\0\0\0",
        ] {
            let why = decode(text.to_vec()).unwrap_err();
            assert!(!why.is_empty(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn padding_inside_a_long_value_is_refused() {
        let mut text = encoded(&vec![7; 10_000]);
        let at = OPENING.len() + (4 << 10) - 2;
        text[at..at + 2].copy_from_slice(b"==");
        assert!(decode(text).is_err());
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert_eq!(decode(encoded(&value)), Ok(value));
        }

        #[test]
        fn no_text_makes_decoding_fail_otherwise_than_by_an_error(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(text);
        }
    }

    #[test]
    fn values_of_many_pieces_come_back() {
        for length in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2] {
            let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(decode(encoded(&value)).unwrap(), value);
        }
    }
}
