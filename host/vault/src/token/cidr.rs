//! Networks that a token is bound to. This server makes no such tokens; those of other servers are held to it.

use std::net::IpAddr;

/// Whether the address is in one of the networks (`10.0.0.0/8`, `::1`). A network that is not understood holds nothing.
pub(super) fn holds(networks: &[String], address: IpAddr) -> bool {
    networks.iter().any(|network| contains(network, address.to_canonical()).unwrap_or(false))
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
    use super::holds;

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
