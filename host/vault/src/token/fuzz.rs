//! The parsers of tokens, for [`crate::fuzz`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::entry::{Accessor, Entry};
use super::id::{Ids, is_batch};
use super::roles::{self, Role};
use super::{batch, cidr};
use crate::identity;
use crate::lease::Lease;

/// The entry of a token, of an accessor, of a lease.
pub fn token_entries(bytes: &[u8]) {
    if let Ok(entry) = Entry::from_stored("k", bytes) {
        let _ = (entry.is_root(), entry.never_expires(), entry.elsewhere(), entry.lease_id("h1"));
        for networks in entry.bound_cidrs.iter() {
            for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
                let _ = cidr::holds(networks, address);
            }
        }
        let written = entry.to_stored().unwrap_or_default();
        let again = Entry::from_stored("k", &written).and_then(|again| again.to_stored());
        assert!(again.is_ok_and(|again| again == written), "a token that was written is read as another");
    }
    if let Ok(accessor) = Accessor::from_stored("k", bytes) {
        assert!(accessor.to_stored().is_ok_and(|written| Accessor::from_stored("k", &written).is_ok()), "an accessor cannot be read again");
    }
    if let Ok(lease) = Lease::from_stored("k", bytes) {
        let _ = lease.renewable();
        let written = lease.to_stored().unwrap_or_default();
        let again = Lease::from_stored("k", &written).and_then(|again| again.to_stored());
        assert!(again.is_ok_and(|again| again == written), "a lease that was written is read as another");
    }
}

/// What is within a batch token, once decrypted; a token role; and, as they are stored, identities.
pub fn token_messages(bytes: &[u8]) {
    if let Some(entry) = batch::decode(bytes) {
        let _ = (entry.is_root(), entry.elsewhere(), batch::times(&entry), entry.type_name());
        let again = batch::decode(&batch::encode(&entry)).map(|again| again.to_stored());
        assert!(
            again.is_some_and(|again| again.is_ok_and(|again| entry.to_stored().is_ok_and(|entry| entry == again))),
            "a batch token that was written is read as another"
        );
    }
    if let Ok(role) = Role::from_stored("k", bytes) {
        let again = role.to_stored().and_then(|written| Role::from_stored("k", &written));
        assert!(again.is_ok_and(|again| again == role), "a token role that was written is read as another");
    }
    let text = String::from_utf8_lossy(bytes);
    for networks in text.split('\n').filter_map(cidr::parse) {
        assert_eq!(cidr::parse(&networks).as_ref(), Some(&networks), "a network that was written is read as another");
        let _ = cidr::holds(&[networks], IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    if let Some((pattern, text)) = text.split_once('\n') {
        let matches = roles::glob(pattern, text);
        assert!(pattern.contains('*') || matches == (pattern == text), "{pattern:?} and {text:?}");
    }
    identity::fuzz(bytes);
}

/// A token as a client sends it.
pub fn token_forms(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let ids = Ids::of(b"7a2d4a9e-4a5b-6b2f-9f1e-0d3c5e7f9a1b", b"0c6f0d7e-1111-2222-3333-444455556666");
    let _ = (ids.inner(&text), ids.salted(&text), is_batch(&text));
    let signed = ids.sign(&text);
    // A short one is taken for an inner form.
    if signed.len() > 95 {
        assert!(ids.inner(&signed).is_ok_and(|inner| **inner == *text), "a signed token is read as another");
    }
}
