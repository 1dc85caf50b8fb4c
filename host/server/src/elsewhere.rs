//! What a standby answers: where the active server is, as Vault's standbys do when they do not forward.

use bytes::Bytes;
use cofferdam_vault::core::Elsewhere;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode, Uri};

use crate::envelope::{self, Answer};

/// The answer to a request for this URI.
pub(crate) fn answer(elsewhere: &Elsewhere, uri: &Uri) -> Answer {
    match elsewhere {
        Elsewhere::Nobody => envelope::errors(StatusCode::SERVICE_UNAVAILABLE, &["no active Vault instance found"]),
        Elsewhere::Unaddressed => unaddressed(),
        Elsewhere::Address(address) => match location(address, uri).map(HeaderValue::try_from) {
            Some(Ok(location)) => {
                let mut answer = envelope::raw(StatusCode::TEMPORARY_REDIRECT, Bytes::new());
                answer.headers_mut().insert(LOCATION, location);
                answer
            }
            _ => {
                tracing::warn!(address, "the active server has left an address that is none: check its api_addr");
                unaddressed()
            }
        },
    }
}

fn unaddressed() -> Answer {
    envelope::errors(StatusCode::INTERNAL_SERVER_ERROR, &["local node not active but active cluster node not found"])
}

/// The same path and query at the host of this address; a path of the address does not count, and its scheme is https if it has none.
fn location(address: &str, uri: &Uri) -> Option<String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Some(format!("{scheme}://{host}{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_path_and_query_are_kept_and_the_address_gives_scheme_and_host() {
        let uri: Uri = "/v1/secret/data/a%20b?version=2&x=%2F".parse().unwrap();
        let target = "/v1/secret/data/a%20b?version=2&x=%2F";
        for (address, origin) in [
            ("https://a:8200", "https://a:8200"),
            ("http://a:8200/", "http://a:8200"),
            ("http://[::1]:8200/ui?x=1", "http://[::1]:8200"),
            ("a.example:8200", "https://a.example:8200"),
        ] {
            let answer = answer(&Elsewhere::Address(address.to_owned()), &uri);
            assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(answer.headers()[LOCATION], format!("{origin}{target}"));
        }
        for address in ["https://", "http://a\nb"] {
            assert_eq!(answer(&Elsewhere::Address(address.to_owned()), &uri).status(), 500, "{address:?}");
        }
        assert_eq!(answer(&Elsewhere::Unaddressed, &uri).status(), 500);
        assert_eq!(answer(&Elsewhere::Nobody, &uri).status(), 503);
    }
}
