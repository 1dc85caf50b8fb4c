//! Where a guest wants to send, as a function of bytes, for a fuzz target. The rule: no text may panic, and what is taken has one spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::authority::{Authority, Scheme};
use cofferdam_connect::net::{Cidr, is_allowed, is_metadata};

/// An address of a request, the name of a rule, a range of addresses.
pub fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Authority::new(Scheme::Http, &text, 80);
    if let Some(authority) = text.parse::<Uri>().ok().and_then(|uri| Authority::of(&uri).ok()) {
        let again = authority.to_string().parse::<Uri>().ok().and_then(|uri| Authority::of(&uri).ok());
        assert!(again.as_ref() == Some(&authority), "{authority} is read as {again:?}");
    }
    if let Ok(range) = text.parse::<Cidr>() {
        assert!(range.to_string().parse() == Ok(range), "{range} is read as another");
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254))];
        for address in addresses {
            let allowed = is_allowed(address, &[range]);
            assert!(!allowed || range.contains(address), "{address} is allowed by {range}");
            assert!(!allowed || !is_metadata(address) || range == Cidr::only(address), "{address} is allowed by {range}");
        }
    }
}
