//! AWS's Security Token Service, which tells whose signature a request bears.
//!
//! The rule: a login's request goes to the configured `sts_endpoint`, else to the host that the client signed for if that is one of AWS's own, and to
//! nobody else; and whom it names as its host is one of AWS's own, or the configured endpoint itself.

use std::fmt;

use async_trait::async_trait;

/// A request that a client signed, to be passed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// `https://host`, `http://host`, each also with `:port`.
    pub endpoint: String,
    /// The header `Host`, as it was signed.
    pub host: String,
    /// The other headers, without those that concern a connection.
    pub headers: Vec<(String, String)>,
    /// The body of the POST to `/`.
    pub body: String,
}

/// Without headers, which hold a signature.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("endpoint", &self.endpoint).field("host", &self.host).finish_non_exhaustive()
    }
}

/// What STS answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status. A redirect is an answer as any other.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The body, at most [`LARGEST`] bytes.
    pub body: Vec<u8>,
}

/// The most bytes of an answer: one has less than a thousand.
pub const LARGEST: usize = 64 << 10;

/// Why there is no answer. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Asking again will not help.
    #[error("{0}")]
    Unfit(String),
    /// Nobody answered, or not to the end.
    #[error("{0}")]
    Unanswered(String),
    /// The answer is over [`LARGEST`].
    #[error("the answer has more than {LARGEST} bytes")]
    TooLarge,
}

/// The way to STS. One call is one request: no redirect is followed, nothing is repeated.
#[async_trait]
pub trait Sts: fmt::Debug + Send + Sync {
    /// Sends a POST to `/`, and reads the answer to its end.
    async fn post(&self, call: &Call) -> Result<Answer, CallError>;
}

/// Where a program has no way to STS: nobody can log in.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSts;

#[async_trait]
impl Sts for NoSts {
    async fn post(&self, _: &Call) -> Result<Answer, CallError> {
        Err(CallError::Unfit("this program cannot reach AWS".to_owned()))
    }
}

/// A host, and a port if one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// In lower case.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Of `host`, `host:port`, `[address]` and `[address]:port`.
    pub(super) fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let _: std::net::Ipv6Addr = address.parse().ok()?;
                (format!("[{address}]"), port.strip_prefix(':').map_or(port.is_empty().then_some(None), |port| Some(Some(port)))?)
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                (!host.is_empty() && host.len() <= 253 && host.bytes().all(fit)).then(|| (host.to_owned(), port))?
            }
        };
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok().filter(|port| *port != 0)?),
            Some(_) => return None,
        };
        Some(Authority { host: host.to_ascii_lowercase(), port })
    }

    /// The host of AWS's own STS that this is.
    pub(super) fn of_aws(&self) -> Option<&str> {
        (matches!(self.port, None | Some(443)) && is_aws(&self.host)).then_some(&self.host)
    }
}

/// Whether a host is one of AWS's STS: the hosts of the rule set that AWS's SDKs have for STS's endpoints, in the partitions whose names end in
/// `amazonaws.com` and `amazonaws.com.cn`. What is in a region's place must have the form that the same data give a partition's regions,
/// since other names below the same domain are anybody's: those of S3 buckets, for one.
pub(super) fn is_aws(host: &str) -> bool {
    if host == "sts.amazonaws.com" {
        return true;
    }
    let Some(rest) = host.strip_prefix("sts.").or_else(|| host.strip_prefix("sts-fips.")) else { return false };
    if let Some(region) = rest.strip_suffix(".amazonaws.com.cn") {
        return is_region(region, &["cn"]);
    }
    const REGIONS: [&str; 10] = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx", "us-gov"];
    rest.strip_suffix(".amazonaws.com").is_some_and(|region| is_region(region, &REGIONS))
}

/// `PREFIX-WORD-NUMBER` with one of these prefixes.
fn is_region(region: &str, prefixes: &[&str]) -> bool {
    let place = |rest: &str| {
        rest.split_once('-').is_some_and(|(word, number)| {
            let letters = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
            letters && (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    prefixes.iter().any(|prefix| region.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(place))
}

/// A configured endpoint: its scheme, and whom it names.
pub(super) fn endpoint(text: &str) -> Option<(&'static str, Authority)> {
    let (scheme, rest) = [("https", "https://"), ("http", "http://")].into_iter().find_map(|(scheme, prefix)| {
        text.get(..prefix.len()).filter(|given| given.eq_ignore_ascii_case(prefix)).and(text.get(prefix.len()..)).map(|rest| (scheme, rest))
    })?;
    Some((scheme, Authority::parse(rest.strip_suffix('/').unwrap_or(rest))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_sts_are_taken_for_aws() {
        for host in [
            "sts.amazonaws.com",
            "sts.us-east-1.amazonaws.com",
            "sts.ap-southeast-4.amazonaws.com",
            "sts.us-gov-west-1.amazonaws.com",
            "sts-fips.us-east-1.amazonaws.com",
            "sts.il-central-1.amazonaws.com",
            "sts.cn-northwest-1.amazonaws.com.cn",
        ] {
            assert!(is_aws(host), "{host}");
            assert_eq!(Authority::parse(&host.to_ascii_uppercase()).unwrap().of_aws(), Some(host));
        }
        for host in [
            "amazonaws.com",
            "sts.amazonaws.com.example.com",
            "sts.amazonaws.com.",
            "sts.amazonaws.com.cn",
            "xsts.amazonaws.com",
            "sts.example.com",
            // Buckets of these names may be anybody's.
            "sts.s3.amazonaws.com",
            "sts.s3-us-west-2.amazonaws.com",
            "sts.s3.us-west-2.amazonaws.com",
            "sts.x.us-east-1.amazonaws.com",
            "sts.us-east-1.x.amazonaws.com",
            "sts.us-east-1.amazonaws.com.cn",
            "sts.cn-north-1.amazonaws.com",
            "sts.us-east-.amazonaws.com",
            "sts.us-east-123.amazonaws.com",
            "sts.us-east-1a.amazonaws.com",
            "sts.us--1.amazonaws.com",
            "sts..amazonaws.com",
            "iam.amazonaws.com",
        ] {
            assert!(!is_aws(host), "{host}");
        }
    }

    #[test]
    fn an_authority_is_host_and_port_and_nothing_else() {
        for (text, host, port) in [
            ("127.0.0.1:8000", "127.0.0.1", Some(8000)),
            ("Localhost", "localhost", None),
            ("[::1]:5000", "[::1]", Some(5000)),
            ("[::1]", "[::1]", None),
            ("vpce-0.sts.eu-west-1.vpce.amazonaws.com", "vpce-0.sts.eu-west-1.vpce.amazonaws.com", None),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host: host.to_owned(), port }), "{text}");
        }
        for text in ["", ":80", "a:", "a:0", "a:65536", "a:+1", "a:1:2", "a b", "a\r\nx", "u@a", "a/b", "[::1", "[x]", "[::1]x", "::1", "ä"]
        {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse("sts.amazonaws.com:444").unwrap().of_aws(), None);
        assert_eq!(Authority::parse("sts.amazonaws.com:443").unwrap().of_aws(), Some("sts.amazonaws.com"));
    }

    #[test]
    fn an_endpoint_has_no_path() {
        for (text, scheme) in [("https://a.example/", "https"), ("HTTP://127.0.0.1:1", "http"), ("https://[::1]:8", "https")] {
            assert_eq!(endpoint(text).unwrap().0, scheme, "{text}");
        }
        for text in ["", "a.example", "ftp://a", "https://", "https://a/b", "https://a?x", "https://a#x", "https://u:p@a", "https://a//"] {
            assert_eq!(endpoint(text), None, "{text}");
        }
    }
}
