//! Where a request goes: scheme, host and port in the one way to write them. The rule: what can be written in two ways is either made one or refused,
//! so that two addresses are the same exactly if they are equal here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that need not be written.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn parse(text: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }
}

/// A server's name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name of DNS: lower case, no trailing dot, never what a resolver might take for an address.
    Name(String),
    /// An address. One of IPv4 in the clothes of IPv6 is the one of IPv4.
    Address(IpAddr),
}

impl Host {
    /// Of a name, an address of IPv4, or an address of IPv6 in brackets.
    fn parse(text: &str) -> Result<Host, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or("a closing bracket is missing")?;
            let address: Ipv6Addr = inner.parse().map_err(|_| "in brackets an address of IPv6 is expected, without a zone")?;
            return Ok(Host::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err("a host name is expected: letters, digits, hyphens and dots (a name in other scripts in its xn-- form)");
        }
        // `127.1`, `2130706433` and `0x7f.1` are addresses to some resolvers and names to others.
        if name.rsplit('.').next().is_some_and(is_numeric) {
            return Err("a host that ends in a number must be an address of IPv4, four decimal numbers");
        }
        Ok(Host::Name(name))
    }

    /// As traces have it: an address of IPv6 without brackets.
    pub(crate) fn bare(&self) -> String {
        match self {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// Whether it can only be this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(fit) && !label.starts_with('-') && !label.ends_with('-')
}

fn is_numeric(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Scheme, host and port. Equal exactly if the same server is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl Authority {
    /// Of what the operator wrote. An address of IPv6 may come without brackets.
    pub(crate) fn new(scheme: Scheme, host: &str, port: u16) -> Result<Authority, &'static str> {
        let host = match host.parse::<IpAddr>() {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) => Host::parse(host)?,
        };
        if port == 0 { Err("a port, 1 to 65535, is expected") } else { Ok(Authority { scheme, host, port }) }
    }

    /// Of the address of a request.
    pub(crate) fn of(uri: &Uri) -> Result<Authority, &'static str> {
        let scheme = uri.scheme_str().and_then(Scheme::parse).ok_or("http:// or https:// is expected")?;
        let text = uri.authority().ok_or("a host is missing")?.as_str();
        if text.contains('@') {
            return Err("user and password do not belong into an address");
        }
        let after = text.rfind(']').map_or(0, |bracket| bracket + 1);
        let colon = text.get(after..).and_then(|rest| rest.find(':')).map(|at| after + at);
        let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
            Some((host, port)) => (host, self::port(port.strip_prefix(':').unwrap_or(port))?),
            None => (text, scheme.port()),
        };
        Ok(Authority { scheme, host: Host::parse(host)?, port })
    }

    /// Host and, unless it is the scheme's own, port: the header `Host`.
    pub(crate) fn named(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain).ok_or("after the colon a port, 1 to 65535, is expected")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<String> {
        Authority::of(&text.parse().ok()?).ok().map(|authority| authority.to_string())
    }

    #[test]
    fn one_server_is_written_in_one_way() {
        for (given, expected) in [
            ("https://example.com", "https://example.com:443"),
            ("HTTPS://Example.COM/x?y", "https://example.com:443"),
            ("https://example.com.", "https://example.com:443"),
            ("https://example.com:443/", "https://example.com:443"),
            ("http://example.com", "http://example.com:80"),
            ("http://a_b.xn--bcher-kva.example:8080", "http://a_b.xn--bcher-kva.example:8080"),
            ("http://127.0.0.1:2379/v3", "http://127.0.0.1:2379"),
            ("http://[::1]:2379", "http://[::1]:2379"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]:80"),
            ("http://[::FFFF:127.0.0.1]", "http://127.0.0.1:80"),
            ("http://[::ffff:7f00:1]", "http://127.0.0.1:80"),
        ] {
            assert_eq!(of(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn a_trace_has_address_and_port_apart() {
        for (given, address, port) in
            [("https://Example.com", "example.com", 443), ("http://127.0.0.1:2379", "127.0.0.1", 2379), ("http://[::1]:80", "::1", 80)]
        {
            let authority = Authority::of(&given.parse().unwrap()).unwrap();
            assert_eq!((authority.host.bare().as_str(), authority.port), (address, port));
        }
    }

    #[test]
    fn what_could_mean_another_server_is_none() {
        for given in [
            "/v3",
            "example.com",
            "example.com:80",
            "ftp://example.com",
            "file:///etc/passwd",
            "unix://x",
            "http:///x",
            "http://user@example.com",
            "http://user:word@example.com",
            "http://example.com@evil.example",
            "http://example.com%40evil.example",
            "http://example.com%00.evil.example",
            "http://ex%61mple.com",
            "http://example.com..",
            "http://.example.com",
            "http://example..com",
            "http://-example.com",
            "http://bücher.example",
            "http://example。com",
            "http://exаmple.com",
            "http://example.com:",
            "http://example.com:0",
            "http://example.com:080",
            "http://example.com:+80",
            "http://example.com:65536",
            "http://example.com:80:80",
            "http://example.com\\@evil.example",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0x7f.1",
            "http://0177.0.0.1",
            "http://127.0.0.01",
            "http://127.0.0.1.",
            "http://example.123",
            "http://1.2.3.4.5",
            "http://[::1",
            "http://::1",
            "http://[::1]x",
            "http://[::1]x:80",
            "http://[fe80::1%25eth0]",
            "http://[fe80::1%eth0]",
            "http://[v1.x]",
            "http://[127.0.0.1]",
            "http://[]",
        ] {
            assert_eq!(of(given), None, "{given}");
        }
    }

    #[test]
    fn what_the_operator_names_is_the_same() {
        let new = |host, port| Authority::new(Scheme::Https, host, port).map(|authority| authority.named());
        assert_eq!(new("Etcd.Internal.", 2379).as_deref(), Ok("etcd.internal:2379"));
        assert_eq!(new("::1", 443).as_deref(), Ok("[::1]"));
        assert_eq!(new("[::1]", 443).as_deref(), Ok("[::1]"));
        assert_eq!(new("::ffff:10.0.0.1", 443).as_deref(), Ok("10.0.0.1"));
        for host in ["", "*.example.com", "https://example.com", "example.com:443", "a b", "u@h", "127.1", "fe80::1%1"] {
            assert!(new(host, 443).is_err(), "{host}");
        }
        assert!(new("example.com", 0).is_err());
    }

    proptest! {
        /// Whatever is let through is stable: written out and read again it is the same, in characters that no parser takes apart otherwise.
        #[test]
        fn what_is_read_reads_the_same_again(text in "(http|https|HTTP)://[a-zA-Z0-9.:@%_\\[\\]-]{0,24}(:[0-9]{0,6})?(/[ -~]{0,8})?") {
            let Ok(uri) = text.parse::<Uri>() else { return Ok(()) };
            let Ok(authority) = Authority::of(&uri) else { return Ok(()) };
            let again = Authority::of(&authority.to_string().parse().unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&authority));
            let short = format!("{}://{}/", authority.scheme.as_str(), authority.named());
            let again = Authority::of(&short.parse().unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&authority));
            let host = authority.host.to_string();
            prop_assert!(!host.contains(['@', '%', '/', '\\', ' ']) && host == host.to_ascii_lowercase());
            // The parser of `http` has read the same host, but for case and a trailing dot.
            if let Host::Name(name) = &authority.host {
                prop_assert_eq!(uri.host().map(|host| host.trim_end_matches('.').to_ascii_lowercase()), Some(name.clone()));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = Authority::new(Scheme::Http, &text, 80);
            if let Ok(uri) = text.parse::<Uri>() {
                let _ = Authority::of(&uri);
            }
        }
    }
}
