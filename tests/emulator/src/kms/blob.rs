//! What Encrypt returns: opaque to everybody else, so its form is this module's own. It names its key, and the material of that key which made it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;

const NONCE: usize = 12;

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails on systems without random numbers, where nothing else here works either.
    assert!(rand::fill(&mut bytes).is_ok(), "no random numbers");
    bytes
}

fn cipher(material: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, material).ok().map(LessSafeKey::new)
}

/// What is bound beside the plaintext.
fn bound(name: &[u8], generation: u32, context: &str) -> Vec<u8> {
    [name, &generation.to_be_bytes(), context.as_bytes()].concat()
}

/// Encrypts under this material, which is the key's so manieth.
pub(super) fn seal(name: &str, generation: u32, material: &[u8; 32], context: &str, plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = random::<NONCE>();
    let mut sealed = plain.to_vec();
    let aad = Aad::from(bound(name.as_bytes(), generation, context));
    cipher(material)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
    let length = u8::try_from(name.len()).ok()?;
    Some([&[1, length], name.as_bytes(), &generation.to_be_bytes(), &nonce, &sealed].concat())
}

/// A blob, read as far as it is plain.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    pub(super) name: &'a str,
    pub(super) generation: u32,
    nonce: [u8; NONCE],
    sealed: &'a [u8],
}

impl<'a> Blob<'a> {
    /// None if it is no blob.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Blob<'a>> {
        let (&[version, length], rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(length))?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let name = std::str::from_utf8(name).ok()?;
        (version == 1).then_some(Blob { name, generation: u32::from_be_bytes(*generation), nonce: *nonce, sealed })
    }

    /// None if it was not made with this material and this context.
    pub(super) fn open(&self, material: &[u8; 32], context: &str) -> Option<Vec<u8>> {
        let aad = Aad::from(bound(self.name.as_bytes(), self.generation, context));
        let mut plain = self.sealed.to_vec();
        let length = cipher(material)?.open_in_place(Nonce::assume_unique_for_key(self.nonce), aad, &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}
