//! The forms of a token: the inner one, which is stored, and the signed one, which clients get; and the salted names of the storage.
//!
//! A signed form is `hvs.` and base64url of a protobuf message that holds the inner form and an HMAC of it, as Vault makes it since 1.10.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use zeroize::Zeroizing;

use crate::crypto;
use crate::logical::{Error, Result};
use crate::view::View;

/// What inner forms of service tokens begin with.
pub(crate) const SERVICE: &str = "hvs.";
/// The same of servers before Vault 1.10, and of OpenBao.
pub(crate) const LEGACY: &str = "s.";
/// What batch tokens begin with.
pub(crate) const BATCH: &str = "hvb.";
/// The same of servers before Vault 1.10, and of OpenBao.
pub(crate) const LEGACY_BATCH: &str = "b.";
/// Random characters of an id and of an accessor.
pub(crate) const RANDOM: usize = 24;
/// The longest inner form: prefix, random characters, and a namespace of Vault Enterprise.
const LONGEST_INNER: usize = SERVICE.len() + RANDOM + 6;

/// Below `core/`: the key of the signatures, a UUID whose text is used as it is.
const HMAC_KEY: &str = "index-header-hmac-key";
/// Below `sys/token/`: a UUID whose text is used as it is.
const SALT: &str = "salt";

#[derive(Clone, PartialEq, Message)]
struct Signed {
    #[prost(uint64, tag = "1")]
    token_version: u64,
    #[prost(bytes = "vec", tag = "2")]
    hmac: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    token: Vec<u8>,
}

/// The message within a signed token. Vault Enterprise has more members, which say what a replica must have seen; nothing here is one.
#[derive(Clone, PartialEq, Message)]
struct Inner {
    #[prost(string, tag = "1")]
    random: String,
}

/// The salt and the key of a vault.
pub(crate) struct Ids {
    salt: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl Ids {
    /// Reads the salt from `sys/token/` and the key from `core/`; makes what is missing.
    pub(crate) async fn open(tokens: &View, core: &View) -> Result<Ids> {
        Ok(Ids { salt: tokens.get_or_make(SALT).await?, key: core.get_or_make(HMAC_KEY).await? })
    }

    /// With this salt and this key.
    pub(super) fn of(salt: &[u8], key: &[u8]) -> Ids {
        Ids { salt: Zeroizing::new(salt.to_vec()), key: Zeroizing::new(key.to_vec()) }
    }

    /// The name under which the storage has a token or an accessor.
    pub(crate) fn salted(&self, id: &str) -> String {
        if id.contains('.') {
            format!("h{}", hex::encode(crypto::hmac_sha256(&self.salt, &[id.as_bytes()])))
        } else {
            crypto::sha1_hex(&[&self.salt, id.as_bytes()])
        }
    }

    /// The form for clients.
    pub(crate) fn sign(&self, inner: &str) -> Zeroizing<String> {
        let token = Zeroizing::new(Inner { random: inner.to_owned() }.encode_to_vec());
        let signed = Signed { token_version: 1, hmac: crypto::hmac_sha256(&self.key, &[&token]).to_vec(), token: token.to_vec() };
        let bytes = Zeroizing::new(signed.encode_to_vec());
        Zeroizing::new(format!("{SERVICE}{}", URL_SAFE_NO_PAD.encode(&*bytes)))
    }

    /// The inner form of what a client sent. [`Error::PermissionDenied`] if it is signed, but not by this vault.
    pub(crate) fn inner(&self, external: &str) -> Result<Zeroizing<String>> {
        let as_it_is = || Ok(Zeroizing::new(external.to_owned()));
        if external.len() <= LONGEST_INNER {
            return as_it_is();
        }
        let Some(body) = external.strip_prefix(SERVICE) else { return as_it_is() };
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(body).map(Zeroizing::new) else { return as_it_is() };
        let signed = Signed::decode(&**bytes).map_err(|_| Error::PermissionDenied)?;
        if !crypto::same(&crypto::hmac_sha256(&self.key, &[&signed.token]), &signed.hmac) {
            return Err(Error::PermissionDenied);
        }
        Ok(Zeroizing::new(Inner::decode(&*signed.token).map_err(|_| Error::PermissionDenied)?.random))
    }
}

/// Whether it is a batch token, which holds its own entry and is not stored.
pub(crate) fn is_batch(id: &str) -> bool {
    id.starts_with(BATCH) || id.starts_with(LEGACY_BATCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> Ids {
        Ids {
            salt: Zeroizing::new(b"7a2d4a9e-4a5b-6b2f-9f1e-0d3c5e7f9a1b".to_vec()),
            key: Zeroizing::new(b"0c6f0d7e-1111-2222-3333-444455556666".to_vec()),
        }
    }

    #[test]
    fn a_signed_token_has_the_length_and_the_beginning_of_vaults() {
        let inner = "hvs.abcdefghijklmnopqrstuvwx";
        let signed = ids().sign(inner);
        assert_eq!(signed.len(), 95);
        assert!(signed.starts_with("hvs.CAESI"));
        assert_eq!(*ids().inner(&signed).unwrap(), inner);
    }

    /// Made by an independent program (Python's hmac and hashlib) from the salt above.
    #[test]
    fn salted_names_are_those_of_vault() {
        assert_eq!(ids().salted("root"), SALTED_ROOT);
        assert_eq!(ids().salted("hvs.abcdefghijklmnopqrstuvwx"), SALTED_HVS);
        assert_eq!(*ids().sign("hvs.abcdefghijklmnopqrstuvwx"), SIGNED_HVS);
    }

    const SALTED_ROOT: &str = "add0a3ef4a93dd143cd9d1041c35d7073fdfee80";
    const SALTED_HVS: &str = "h7d86da7b4e67308c69afe839edc3aea81596241d9dc3e00f41c55cd1661b2acf";
    const SIGNED_HVS: &str = "hvs.CAESIC1YYrx8iMjQoymecN6raPN0YaSA3HpwRTq2if1B5Sv5Gh4KHGh2cy5hYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3g";

    #[test]
    fn what_is_not_signed_is_taken_as_it_is() {
        for text in
            ["root", "s.abcdefghijklmnopqrstuvwx", "hvs.abcdefghijklmnopqrstuvwx", "hvs.!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", ""]
        {
            assert_eq!(*ids().inner(text).unwrap(), text);
        }
    }

    #[test]
    fn a_changed_signature_or_token_is_refused() {
        const INNER: &str = "hvs.abcdefghijklmnopqrstuvwx";
        let signed = ids().sign(INNER);
        let mut refused = 0;
        for at in 4..signed.len() {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The version is not signed, and the last character has bits that mean nothing. Whatever is taken, no other token comes out.
            match ids().inner(&changed) {
                Ok(inner) => assert!(*inner == *INNER || *inner == changed, "{at}"),
                Err(error) => assert!(matches!(error, Error::PermissionDenied), "{at}"),
            }
            refused += usize::from(ids().inner(&changed).is_err());
        }
        assert!(refused > 80, "{refused}");
        assert!(ids().inner(signed.get(..92).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(hvs\\.|s\\.|)[A-Za-z0-9_-]{0,120}") {
            let _ = ids().inner(&text);
            let _ = ids().salted(&text);
        }

        #[test]
        fn every_inner_form_comes_back(inner in "hvs\\.[A-Za-z0-9]{24}") {
            prop_assert_eq!(&*ids().inner(&ids().sign(&inner)).unwrap(), &inner);
        }
    }
}
