//! The frame of an encrypted entry: `term (4, big-endian) | version (1) | nonce (12) | AES-GCM ciphertext | tag (16)`.
//!
//! Version 2 binds the frame to its storage key (the additional data); version 1, which old servers wrote, does not. The rule:
//! version 1 is read, version 2 is written.

use zeroize::Zeroizing;

use crate::crypto::{self, NONCE_LEN, TAG_LEN};
use crate::logical::Result;

const HEADER: usize = 5;
/// What a frame has besides the entry's bytes.
pub(crate) const OVERHEAD: usize = HEADER + NONCE_LEN + TAG_LEN;
const WITHOUT_PATH: u8 = 1;
const WITH_PATH: u8 = 2;

/// Why a frame cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("{0} bytes are too short for an encrypted entry")]
    TooShort(usize),
    #[error("unknown version {0} of an encrypted entry; 1 and 2 are supported")]
    Version(u8),
    #[error("no decryption key available for term {0}")]
    NoKey(u32),
    #[error("term {0} where the root key's term 1 was expected")]
    Term(u32),
    #[error("message authentication failed: written under another key or for another path, or changed since")]
    NotAuthentic,
    #[error("{0}")]
    Key(String),
}

/// Encrypts `plain` for the storage key `path`.
pub(crate) fn seal(term: u32, key: &[u8], path: &str, plain: &[u8]) -> Result<Vec<u8>> {
    let nonce = crypto::random::<NONCE_LEN>()?;
    let mut frame = Vec::with_capacity(HEADER + NONCE_LEN + plain.len() + TAG_LEN);
    frame.extend_from_slice(&term.to_be_bytes());
    frame.push(WITH_PATH);
    frame.extend_from_slice(&nonce);
    crypto::gcm_seal_into(&mut frame, key, &nonce, path.as_bytes(), plain)?;
    Ok(frame)
}

/// The term whose key opens the frame.
pub(crate) fn term(frame: &[u8]) -> Result<u32, FrameError> {
    let (term, _) = frame.split_first_chunk::<4>().ok_or(FrameError::TooShort(frame.len()))?;
    Ok(u32::from_be_bytes(*term))
}

/// Whether the frame opens only for the path that it was made for.
pub(crate) fn bound(frame: &[u8]) -> bool {
    frame.get(4) == Some(&WITH_PATH)
}

/// Decrypts a frame that is stored at `path`.
pub(crate) fn open(key: &[u8], path: &str, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let short = || FrameError::TooShort(frame.len());
    let (_, rest) = frame.split_first_chunk::<4>().ok_or_else(short)?;
    let (&version, rest) = rest.split_first().ok_or_else(short)?;
    let aad = match version {
        WITHOUT_PATH => &[],
        WITH_PATH => path.as_bytes(),
        other => return Err(FrameError::Version(other)),
    };
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(short)?;
    if sealed.len() < TAG_LEN {
        return Err(short());
    }
    match crypto::gcm_open(key, nonce, aad, sealed) {
        Ok(opened) => opened.map_err(|_| FrameError::NotAuthentic),
        Err(error) => Err(FrameError::Key(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [9; 32];

    proptest! {
        #[test]
        fn what_is_sealed_opens_again_at_its_path(plain: Vec<u8>, path in "[a-z/]{0,40}", term: u32) {
            let frame = seal(term, &KEY, &path, &plain).unwrap();
            prop_assert_eq!(frame.len(), plain.len() + 33);
            prop_assert_eq!(super::term(&frame).unwrap(), term);
            prop_assert_eq!(&**open(&KEY, &path, &frame).unwrap(), &plain[..]);
        }

        #[test]
        fn a_changed_bit_after_the_term_is_noticed(plain: Vec<u8>, at: prop::sample::Index, bit in 0u32..8) {
            let mut frame = seal(1, &KEY, "a/b", &plain).unwrap();
            let at = 4 + at.index(frame.len() - 4);
            frame[at] ^= 1u8 << bit;
            prop_assert!(open(&KEY, "a/b", &frame).is_err());
        }

        #[test]
        fn a_truncated_frame_is_an_error(plain: Vec<u8>, cut: prop::sample::Index) {
            let frame = seal(1, &KEY, "a/b", &plain).unwrap();
            prop_assert!(open(&KEY, "a/b", &frame[..cut.index(frame.len())]).is_err());
        }

        #[test]
        fn a_moved_frame_does_not_open(plain: Vec<u8>, from in "[a-z/]{1,9}", to in "[a-z/]{1,9}") {
            prop_assume!(from != to);
            let frame = seal(1, &KEY, &from, &plain).unwrap();
            prop_assert!(matches!(open(&KEY, &to, &frame), Err(FrameError::NotAuthentic)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            prop_assert!(open(&KEY, "a", &bytes).is_err());
        }
    }

    #[test]
    fn version_1_opens_at_any_path_and_version_3_nowhere() {
        let nonce = [3; NONCE_LEN];
        let mut frame = vec![0, 0, 0, 1, 1];
        frame.extend_from_slice(&nonce);
        frame.extend(crypto::gcm_seal(&KEY, &nonce, &[], b"old").unwrap());
        assert_eq!(&**open(&KEY, "a", &frame).unwrap(), b"old");
        assert_eq!(&**open(&KEY, "b", &frame).unwrap(), b"old");
        frame[4] = 3;
        assert!(matches!(open(&KEY, "a", &frame), Err(FrameError::Version(3))));
    }
}
