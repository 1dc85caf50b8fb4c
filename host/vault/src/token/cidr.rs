//! Networks that a token is bound to.

use std::net::IpAddr;

use crate::logical::{Error, Result};

/// Whether the address is in one of the networks (`10.0.0.0/8`, `::1`). A network that is not understood holds nothing.
pub(crate) fn holds(networks: &[String], address: IpAddr) -> bool {
    networks.iter().any(|network| contains(network, address.to_canonical()).unwrap_or(false))
}

/// A network as it is stored: an address alone where it is all of it. None if it is not understood.
pub(crate) fn parse(network: &str) -> Option<String> {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let base: IpAddr = base.parse().ok()?;
    let width = if base.is_ipv4() { 32 } else { 128 };
    match bits.filter(|bits| *bits != width) {
        None => Some(base.to_string()),
        Some(bits) if bits < width => Some(format!("{base}/{bits}")),
        Some(_) => None,
    }
}

/// All networks of a list, as they are stored. [`Error::BadRequest`] in Vault's words for one that is not understood.
pub(crate) fn parse_all(networks: &[String]) -> Result<Vec<String>> {
    let one = |network: &String| {
        parse(network).ok_or_else(|| {
            Error::BadRequest(format!(
                "error parsing address {network:?}: Unable to convert {network:?} to an IPv4 or IPv6 address, or a UNIX Socket"
            ))
        })
    };
    networks.iter().filter(|network| !network.is_empty()).map(one).collect()
}

fn contains(network: &str, address: IpAddr) -> Option<bool> {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse::<u32>().ok()?)),
        None => (network, None),
    };
    let (base, address, width) = match (base.parse::<IpAddr>().ok()?.to_canonical(), address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => (u128::from(base.to_bits()), u128::from(address.to_bits()), 32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return Some(false),
    };
    let free = u32::checked_sub(width, bits.unwrap_or(width))?;
    Some(base.checked_shr(free).unwrap_or(0) == address.checked_shr(free).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{holds, parse};

    #[test]
    fn networks_are_stored_as_vault_stores_them() {
        for (given, stored) in [
            ("127.0.0.1/32", Some("127.0.0.1")),
            ("10.1.2.3/8", Some("10.1.2.3/8")),
            ("::1/128", Some("::1")),
            ("fe80::/10", Some("fe80::/10")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("10.0.0.1:80", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(parse(given).as_deref(), stored, "{given}");
        }
    }

    #[test]
    fn an_address_is_in_its_networks_and_in_no_other() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1/32", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "fe80::1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "2001::1", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.0.0.0/x", "10.0.0.0", false),
            ("nonsense", "10.0.0.0", false),
            ("::/0", "10.0.0.0", false),
        ] {
            assert_eq!(holds(&[network.to_owned()], address.parse().unwrap()), inside, "{network} {address}");
        }
    }
}
