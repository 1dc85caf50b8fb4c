//! What of a guest's headers goes out, and what of an answer's comes in. The rule: what concerns the connection is the host's, and what a rule adds
//! cannot be said by the guest, by no spelling.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What concerns one connection and no message, and what the host makes of the message itself.
const OWN: [HeaderName; 13] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];
/// What an answer tells of its body, which the guest may want although nothing hangs on it.
const KEPT: [HeaderName; 1] = [header::CONTENT_LENGTH];
const AGENT: HeaderValue = HeaderValue::from_static(concat!("cofferdam/", env!("CARGO_PKG_VERSION")));

/// Whether the host alone says it.
pub(crate) fn is_own(name: &HeaderName) -> bool {
    OWN.contains(name)
}

/// What goes out: the guest's, then what the rule adds in place of it, then the host's own.
pub(crate) fn outgoing(mut headers: HeaderMap, added: Vec<(HeaderName, HeaderValue)>, host: HeaderValue) -> HeaderMap {
    strip(&mut headers, &[]);
    // Some servers take `x_token` for `x-token`.
    let plain = |name: &HeaderName| name.as_str().replace('_', "-");
    let secret: Vec<String> = added.iter().map(|(name, _)| plain(name)).collect();
    let forged: Vec<HeaderName> = headers.keys().filter(|name| !secret.is_empty() && secret.contains(&plain(name))).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    headers.insert(header::HOST, host);
    if !headers.contains_key(header::USER_AGENT) {
        headers.insert(header::USER_AGENT, AGENT);
    }
    for (name, value) in added {
        headers.insert(name, value);
    }
    headers
}

/// What the guest sees of an answer.
pub(crate) fn incoming(mut headers: HeaderMap) -> HeaderMap {
    strip(&mut headers, &KEPT);
    headers
}

/// Takes out what concerns the connection, with what `Connection` names.
fn strip(headers: &mut HeaderMap, kept: &[HeaderName]) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let named: Vec<HeaderName> = named.filter_map(|name| name.trim().parse().ok()).collect();
    for name in OWN.iter().chain(&named).filter(|name| !kept.contains(name)) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_guest_says_nothing_of_the_connection_and_nothing_that_the_rule_adds() {
        let guest = map(&[
            ("host", "evil.example"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop, keep-alive"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("proxy-authorization", "x"),
            ("authorization", "of the guest"),
            ("x-token", "of the guest"),
            ("x_token", "of the guest"),
            ("accept", "*/*"),
        ]);
        let added = vec![
            (header::AUTHORIZATION, HeaderValue::from_static("of the host")),
            (HeaderName::from_static("x-token"), HeaderValue::from_static("of the host")),
        ];
        let sent = outgoing(guest, added, HeaderValue::from_static("good.example"));
        let expected = map(&[
            ("accept", "*/*"),
            ("host", "good.example"),
            ("user-agent", AGENT.to_str().unwrap()),
            ("authorization", "of the host"),
            ("x-token", "of the host"),
        ]);
        assert_eq!(sent, expected);
    }

    #[test]
    fn an_answer_keeps_what_is_of_the_message() {
        let answer = map(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("etag", "x"),
        ]);
        assert_eq!(incoming(answer), map(&[("content-length", "3"), ("etag", "x")]));
    }
}
