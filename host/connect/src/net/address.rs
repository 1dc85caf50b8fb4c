//! Which addresses a name may resolve to. The rule: what is not plainly the public internet must be named by the operator, in whatever way it is
//! written; an address that hands out credentials must be named alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, as in `10.0.0.0/8` or `fd00::/8`. An address without a length is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    length: u8,
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not an address.
    #[error("an address or a range such as 10.0.0.0/8 or fd00::/8 is expected")]
    Address,
    /// Not a length of its family.
    #[error("after the slash a number of bits is expected, up to 32 for IPv4 and 128 for IPv6")]
    Length,
    /// Bits are set that the range does not hold fast.
    #[error("the address has bits past the length: write the range's first address")]
    Bits,
}

impl Cidr {
    const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Cidr {
        Cidr { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    const fn v6(a: u16, b: u16, c: u16, length: u8) -> Cidr {
        Cidr { base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), length }
    }

    /// The range of one address.
    pub fn only(address: IpAddr) -> Cidr {
        let base = address.to_canonical();
        Cidr { base, length: bits(base) }
    }

    /// This machine.
    pub const LOOPBACK: [Cidr; 2] = [Cidr::v4(127, 0, 0, 0, 8), Cidr { base: IpAddr::V6(Ipv6Addr::LOCALHOST), length: 128 }];

    /// Whether the address lies in the range. One of IPv4 in the clothes of IPv6 is the one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let free = u32::from(bits(self.base).saturating_sub(self.length));
        let prefix = |address| number(address).checked_shr(free).unwrap_or_default();
        address.is_ipv4() == self.base.is_ipv4() && prefix(address) == prefix(self.base)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let given: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let base = given.to_canonical();
        let length = match length {
            None => bits(base),
            Some(text) => {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit());
                let length: u8 = text.parse().ok().filter(|length| plain && *length <= bits(given)).ok_or(CidrError::Length)?;
                // A mapped range counts its length from the 96 bits that make it one.
                if base == given { length } else { length.checked_sub(96).ok_or(CidrError::Length)? }
            }
        };
        let rest = u32::from(bits(base) - length);
        let past = 1_u128.checked_shl(rest).map_or(u128::MAX, |bit| bit - 1);
        if number(base) & past != 0 { Err(CidrError::Bits) } else { Ok(Cidr { base, length }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

/// Where clouds hand out the credentials of a machine or a container.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What of IPv4 is not the public internet, by the registry of special-purpose addresses.
const SPECIAL_V4: [Cidr; 15] = [
    Cidr::v4(0, 0, 0, 0, 8),
    Cidr::v4(10, 0, 0, 0, 8),
    Cidr::v4(100, 64, 0, 0, 10),
    Cidr::v4(127, 0, 0, 0, 8),
    Cidr::v4(169, 254, 0, 0, 16),
    Cidr::v4(172, 16, 0, 0, 12),
    Cidr::v4(192, 0, 0, 0, 24),
    Cidr::v4(192, 0, 2, 0, 24),
    Cidr::v4(192, 88, 99, 0, 24),
    Cidr::v4(192, 168, 0, 0, 16),
    Cidr::v4(198, 18, 0, 0, 15),
    Cidr::v4(198, 51, 100, 0, 24),
    Cidr::v4(203, 0, 113, 0, 24),
    // Multicast, then what is reserved, with broadcast.
    Cidr::v4(224, 0, 0, 0, 4),
    Cidr::v4(240, 0, 0, 0, 4),
];

/// Of IPv6 only this is in use publicly,
const PUBLIC_V6: Cidr = Cidr::v6(0x2000, 0, 0, 3);
/// without protocol assignments (with Teredo), documentation twice, and 6to4.
const SPECIAL_V6: [Cidr; 4] =
    [Cidr::v6(0x2001, 0, 0, 23), Cidr::v6(0x2001, 0xdb8, 0, 32), Cidr::v6(0x3fff, 0, 0, 20), Cidr::v6(0x2002, 0, 0, 16)];
/// The prefix of translators to IPv4: what lies behind is the address of IPv4 in the last bits.
const NAT64: Cidr = Cidr::v6(0x64, 0xff9b, 0, 96);

/// Whether a guest may be led to the address, the operator having named these ranges.
pub fn is_allowed(address: IpAddr, named: &[Cidr]) -> bool {
    let address = address.to_canonical();
    if hands_out_credentials(address) {
        return named.contains(&Cidr::only(address));
    }
    if named.iter().any(|range| range.contains(address)) {
        return true;
    }
    match address {
        IpAddr::V4(_) => !SPECIAL_V4.iter().any(|range| range.contains(address)),
        IpAddr::V6(translated) if NAT64.contains(address) => {
            embedded(translated).into_iter().all(|inner| is_allowed(IpAddr::V4(inner), named))
        }
        IpAddr::V6(inner) => {
            PUBLIC_V6.contains(address) && !SPECIAL_V6.iter().any(|range| range.contains(address)) && isatap(inner).is_none()
        }
    }
}

/// Whether whoever reaches the address may get a machine's credentials, in whatever way it is written.
pub fn hands_out_credentials(address: IpAddr) -> bool {
    let within = |address: Ipv6Addr| embedded(address).into_iter().any(|inner| METADATA.contains(&IpAddr::V4(inner)));
    is_metadata(address) || matches!(address.to_canonical(), IpAddr::V6(address) if within(address))
}

/// Whether the operator must name it alone.
pub fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address.to_canonical())
}

/// The addresses of IPv4 to which one of IPv6 may lead.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [s0, s1, s2, s3, .., s6, s7] = address.segments();
    let mut all: Vec<Ipv4Addr> = isatap(address).into_iter().collect();
    match address.segments() {
        // Compatible, and translated: the last bits.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] => all.push(pair(s6, s7)),
        // 6to4.
        [0x2002, ..] => all.push(pair(s1, s2)),
        // Teredo: the server, and the client inverted.
        [0x2001, 0, ..] => all.extend([pair(s2, s3), pair(!s6, !s7)]),
        _ => {}
    }
    // The prefix 64:ff9b:1::/48 has it after the prefix, around the eighth byte.
    if (s0, s1, s2) == (0x64, 0xff9b, 1) {
        let [_, _, _, _, _, _, a, b, _, c, d, ..] = address.octets();
        all.push(Ipv4Addr::new(a, b, c, d));
    }
    all
}

fn pair(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// The address in the interface part of ISATAP.
fn isatap(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ranges: &[&str]) -> Vec<Cidr> {
        ranges.iter().map(|range| range.parse().unwrap()).collect()
    }

    fn allowed(address: &str, ranges: &[&str]) -> bool {
        is_allowed(address.parse().unwrap(), &named(ranges))
    }

    #[test]
    fn ranges_are_read_and_hold_what_they_should() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::1/128", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            let range: Cidr = text.parse().unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{text}: {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{text}: {outside}");
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        for (text, error) in [
            ("", CidrError::Address),
            ("example.com", CidrError::Address),
            ("010.0.0.0/8", CidrError::Address),
            ("10.0.0/8", CidrError::Address),
            ("fe80::1%1", CidrError::Address),
            ("10.0.0.0/", CidrError::Length),
            ("10.0.0.0/33", CidrError::Length),
            ("10.0.0.0/+8", CidrError::Length),
            ("10.0.0.0/8/8", CidrError::Length),
            ("fd00::/129", CidrError::Length),
            ("::ffff:0.0.0.0/95", CidrError::Length),
            ("10.0.0.1/8", CidrError::Bits),
            ("fd00::1/64", CidrError::Bits),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_public_internet_needs_no_name() {
        for address in ["1.1.1.1", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1", "64:ff9b::1.1.1.1"] {
            assert!(allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn whatever_is_not_public_must_be_named_in_each_of_its_spellings() {
        for (address, range) in [
            ("127.0.0.1", "127.0.0.0/8"),
            ("127.255.255.254", "127.0.0.0/8"),
            ("::1", "::1/128"),
            ("::ffff:127.0.0.1", "127.0.0.0/8"),
            ("::127.0.0.1", "::/96"),
            ("64:ff9b::127.0.0.1", "127.0.0.0/8"),
            ("64:ff9b::10.0.0.1", "10.0.0.0/8"),
            ("64:ff9b:1::10.0.0.1", "64:ff9b:1::/48"),
            ("2002:7f00:1::", "2002::/16"),
            ("2002:a00:1::1", "2002::/16"),
            ("2001:0:7f00:1::", "2001::/32"),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::/32"),
            ("2a00::5efe:7f00:1", "2a00::/32"),
            ("2a00::200:5efe:a00:1", "2a00::/32"),
            ("0.0.0.0", "0.0.0.0/8"),
            ("::", "::/128"),
            ("10.0.0.1", "10.0.0.0/8"),
            ("172.31.255.255", "172.16.0.0/12"),
            ("192.168.1.1", "192.168.0.0/16"),
            ("100.64.0.1", "100.64.0.0/10"),
            ("169.254.1.1", "169.254.0.0/16"),
            ("192.0.2.1", "192.0.2.0/24"),
            ("198.19.0.1", "198.18.0.0/15"),
            ("198.51.100.1", "198.51.100.0/24"),
            ("203.0.113.1", "203.0.113.0/24"),
            ("224.0.0.1", "224.0.0.0/4"),
            ("255.255.255.255", "240.0.0.0/4"),
            ("fe80::1", "fe80::/10"),
            ("fec0::1", "fec0::/10"),
            ("fc00::1", "fc00::/7"),
            ("fd12::1", "fd00::/8"),
            ("ff02::1", "ff00::/8"),
            ("100::1", "100::/64"),
            ("2001:db8::1", "2001:db8::/32"),
            ("3fff::1", "3fff::/20"),
            ("4000::1", "4000::/3"),
        ] {
            assert!(!allowed(address, &[]), "{address}");
            assert!(!allowed(address, &["192.0.0.0/29", "fd77::/16"]), "{address}");
            assert!(allowed(address, &[range]), "{address} by {range}");
        }
    }

    #[test]
    fn metadata_must_be_named_alone() {
        for (address, range) in [
            ("169.254.169.254", "169.254.0.0/16"),
            ("169.254.170.2", "0.0.0.0/0"),
            ("100.100.100.200", "100.64.0.0/10"),
            ("168.63.129.16", "168.63.129.0/24"),
            ("::ffff:169.254.169.254", "169.254.0.0/16"),
            ("::169.254.169.254", "::/0"),
            ("64:ff9b::a9fe:a9fe", "64:ff9b::/96"),
            ("64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1::/48"),
            ("2002:a9fe:a9fe::1", "2002::/16"),
            ("2001:0:a9fe:a9fe::", "2001::/32"),
            ("fe80::5efe:a9fe:a9fe", "fe80::/10"),
            ("fd00:ec2::254", "fd00::/8"),
            ("fd20:ce::254", "::/0"),
        ] {
            assert!(!allowed(address, &[]), "{address}");
            assert!(!allowed(address, &[range]), "{address} by {range}");
            assert!(allowed(address, &[address]), "{address} by itself");
        }
    }
}
