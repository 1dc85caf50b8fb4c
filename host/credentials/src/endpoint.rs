//! Where requests go. The rule: one parsed authority decides what is dialled, what `Host` says and what is signed; and no request goes to an
//! address that hands out the machine's credentials.

use std::fmt;
use std::net::IpAddr;

use cofferdam_connect::net::hands_out_credentials;
use http::uri::Scheme;
use http::{HeaderValue, Uri};

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(pub &'static str);

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// By https.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The scheme's own, if none was named.
    pub port: u16,
    /// Host and, unless it is the scheme's own, port: the header `Host`, and what is signed.
    pub authority: HeaderValue,
}

impl Endpoint {
    /// `http://host:port` or `https://host:port`.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let refused = |text| Err(EndpointError(text));
        let Ok(uri) = text.parse::<Uri>() else {
            return refused("https://host, http://host, and each with :port, are expected");
        };
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return refused("it must begin with https:// or http://"),
        };
        let Some(authority) = uri.authority() else { return refused("a host is missing") };
        if authority.as_str().contains('@') {
            return refused("user and password do not belong here");
        }
        if !matches!(uri.path(), "" | "/") || text.contains(['?', '#']) {
            return refused("no path and no query may follow the host");
        }
        let own = if tls { 443 } else { 80 };
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => return refused("after the colon a port, 1 to 65535, is expected"),
            None => own,
        };
        let bracketed = authority.host().to_ascii_lowercase();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_owned();
        if port == 0 || host.is_empty() {
            return refused("host and port must not be empty or zero");
        }
        if host.parse().is_ok_and(hands_out_credentials) {
            return refused("this address serves the machine's metadata and is out of any guest's reach");
        }
        let named = if port == own { bracketed } else { format!("{bracketed}:{port}") };
        match HeaderValue::try_from(named) {
            Ok(authority) => Ok(Endpoint { tls, host, port, authority }),
            Err(_) => refused("the host holds characters that no host has"),
        }
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The authority with its port, even if that is the scheme's own.
    pub fn explicit(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority.to_str().unwrap_or_default())
    }
}

/// Whether a text can be the name of a region. It becomes part of a host name.
pub fn is_region(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(fit) && !text.starts_with('-') && !text.ends_with('-')
}

/// The domain of a region's partition.
pub fn suffix(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, suffix)| suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port_and_nothing_else() {
        for (given, tls, host, port, authority) in [
            ("http://127.0.0.1:8000", false, "127.0.0.1", 8000, "127.0.0.1:8000"),
            ("https://Vpce-1.Example.com/", true, "vpce-1.example.com", 443, "vpce-1.example.com"),
            ("https://example.com:443", true, "example.com", 443, "example.com"),
            ("http://example.com:443", false, "example.com", 443, "example.com:443"),
            ("http://[::1]:8000", false, "::1", 8000, "[::1]:8000"),
        ] {
            let endpoint = Endpoint::parse(given).unwrap();
            assert_eq!((endpoint.tls, endpoint.host.as_str(), endpoint.port), (tls, host, port), "{given}");
            assert_eq!(endpoint.authority, authority);
        }
        for given in [
            "",
            "example.com",
            "example.com:8000",
            "//example.com",
            "ftp://example.com",
            "unix:///x",
            "http://",
            "http://user@example.com",
            "http://user:pass@example.com",
            "http://example.com/path",
            "http://example.com?x",
            "http://example.com/?x",
            "http://example.com/#x",
            "http://example.com#x",
            "http://example.com:0",
            "http://example.com:",
            "http://example.com:99999",
            "http://exa mple.com",
            "http://example.com\r\nx",
        ] {
            assert!(Endpoint::parse(given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn metadata_addresses_are_refused_however_they_are_written() {
        for given in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23:80",
            "[fd00:ec2::254]",
            "[fd00:0ec2:0:0::23]",
            "[::ffff:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "100.100.100.200",
            "[fd20:ce::254]",
        ] {
            assert!(Endpoint::parse(&format!("http://{given}")).is_err(), "{given}");
        }
        assert!(Endpoint::parse("http://169.254.169.253").is_ok() && Endpoint::parse("http://[::1]").is_ok());
    }
}
