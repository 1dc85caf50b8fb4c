//! Networks that clients are bound to, as auth methods store them: with their mask, always.

use std::net::IpAddr;

use crate::logical::{Error, Request, Result, one_error};
use crate::token::cidr;

/// A network's base and how many of its bits count.
fn parsed(network: &str) -> Option<(IpAddr, u32)> {
    let (base, bits) = network.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let width = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= width)?;
    Some((base, bits))
}

/// The first text of a list that is no network.
pub(crate) fn invalid(networks: &[String]) -> Option<String> {
    networks.iter().find(|network| parsed(network).is_none()).map(|network| format!("invalid CIDR address: {network}"))
}

/// Whether every one of the inner networks lies within some outer one. No outer one is all of them.
pub(crate) fn within(inner: &[String], outer: &[String]) -> bool {
    let whole = |network: &String| {
        let alone = network.parse::<IpAddr>().ok().map(|base| (base, if base.is_ipv4() { 32 } else { 128 }));
        parsed(network).or(alone)
    };
    let lies_in = |network: &String| {
        let Some((base, bits)) = whole(network) else { return false };
        outer
            .iter()
            .any(|wide| whole(wide).is_some_and(|(_, wide_bits)| wide_bits <= bits) && cidr::holds(std::slice::from_ref(wide), base))
    };
    outer.is_empty() || inner.iter().all(lies_in)
}

/// Whether the request comes from one of the networks; from anywhere if there are none. [`Error::Refused`] if nobody knows where it comes from.
pub(crate) fn allow(networks: &[String], request: &Request) -> Result<bool> {
    if networks.is_empty() {
        return Ok(true);
    }
    let remote = request.remote.ok_or_else(|| Error::Refused(one_error("failed to get connection information")))?;
    Ok(cidr::holds(networks, remote.ip()))
}

/// A list as Go's `%q` shows it.
pub(crate) fn quoted(networks: &[String]) -> String {
    let networks: Vec<String> = networks.iter().map(|network| format!("{network:?}")).collect();
    format!("[{}]", networks.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(networks: &[&str]) -> Vec<String> {
        networks.iter().map(|network| (*network).to_owned()).collect()
    }

    #[test]
    fn a_network_has_a_mask() {
        assert_eq!(invalid(&list(&["10.0.0.0/8", "::/0", "127.0.0.1/32"])), None);
        for wrong in ["127.0.0.1", "10.0.0.0/33", "x/8", "", "10.0.0.0/"] {
            assert_eq!(invalid(&list(&["10.0.0.0/8", wrong])), Some(format!("invalid CIDR address: {wrong}")));
        }
    }

    #[test]
    fn networks_lie_within_wider_ones_of_their_family() {
        for (inner, outer, inside) in [
            (&["10.1.0.0/16"][..], &["10.0.0.0/8"][..], true),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], false),
            (&["10.1.0.0/16", "192.168.0.0/16"], &["10.0.0.0/8"], false),
            (&["10.1.0.0/16", "127.0.0.1/32"], &["10.0.0.0/8", "127.0.0.1"], true),
            (&["::1/128"], &["0.0.0.0/0"], false),
            (&["10.1.0.0/16"], &[], true),
            (&[], &["10.0.0.0/8"], true),
        ] {
            assert_eq!(within(&list(inner), &list(outer)), inside, "{inner:?} {outer:?}");
        }
    }
}
