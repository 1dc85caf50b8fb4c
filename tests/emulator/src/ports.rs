//! Ports for servers that listen only a while after they were told where.
//!
//! The rule: a port is nobody else's. One that the kernel chose may be chosen again as soon as it is closed, for a listener as well as for a client's end of a
//! connection. So these lie where the kernel chooses none, and no process takes one twice before it has been through all of them.

use std::io::{Error, ErrorKind, Result};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below lie the ports of well-known services.
const FIRST: u16 = 10_000;
/// Fewer than these are too few.
const ENOUGH: usize = 4_000;

/// A port of 127.0.0.1 that is free, with a free one after it: a development `bao` takes that for its cluster.
pub fn free_port() -> Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    static RANGE: OnceLock<Range<u16>> = OnceLock::new();
    let range = RANGE.get_or_init(|| range(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default()));
    let pairs = u32::try_from(range.len() / 2).unwrap_or(1).max(1);
    // Processes that run at the same time begin far from each other.
    let begin = std::process::id().wrapping_mul(997);
    for _ in 0..pairs {
        let turn = TAKEN.fetch_add(1, Ordering::Relaxed);
        let place = u16::try_from(begin.wrapping_add(turn.into()) % pairs).unwrap_or_default();
        let port = range.start.saturating_add(place.saturating_mul(2));
        let both = [port, port.saturating_add(1)].map(|port| TcpListener::bind(("127.0.0.1", port)));
        if both.iter().all(std::result::Result::is_ok) {
            return Ok(port);
        }
    }
    Err(Error::new(ErrorKind::AddrInUse, "no two free ports in a row"))
}

/// Ports that the kernel gives to nobody, by its range of those that it does; if there are too few, all.
fn range(kernels: &str) -> Range<u16> {
    let mut ends = kernels.split_whitespace().map_while(|end| end.parse().ok());
    let (Some(low), Some(high)) = (ends.next(), ends.next()) else { return FIRST..32_768 };
    [FIRST..low, high..u16::MAX].into_iter().find(|range| range.len() >= ENOUGH).unwrap_or(FIRST..u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_comes_twice_and_each_can_be_had() {
        let ports: BTreeSet<u16> = (0..300).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 300);
        assert!(ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()));
    }

    #[test]
    fn the_kernels_own_range_is_left_alone() {
        assert_eq!(range("32768\t60999\n"), FIRST..32_768);
        assert_eq!(range("10240\t60000\n"), 60_000..u16::MAX);
        assert_eq!(range("1024\t65535\n"), FIRST..u16::MAX);
        assert_eq!(range(""), FIRST..32_768);
    }
}
