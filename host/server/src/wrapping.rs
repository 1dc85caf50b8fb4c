//! What a request says of the wrapping of its answer.

use std::time::Duration;

use cofferdam_vault::logical::wrap_ttl;
use http::{HeaderMap, StatusCode};

use crate::envelope::{self, Answer};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap_or("?")).trim()
}

/// How long the answer is to be wrapped; none for not at all. The error is the answer to what cannot be meant.
pub(crate) fn ttl(headers: &HeaderMap) -> Result<Option<Duration>, Box<Answer>> {
    let refuse = |text: &str| Box::new(envelope::errors(StatusCode::BAD_REQUEST, &[text]));
    let ttl =
        wrap_ttl(text(headers, "x-vault-wrap-ttl")).map_err(|why| refuse(&format!("error parsing X-Vault-Wrap-TTL header: {why}")))?;
    Ok(ttl)
}

/// Whether the token of the wrapping is to be a JWT. Whatever else a client names, it gets a plain one, as from Vault.
pub(crate) fn jwt(headers: &HeaderMap) -> bool {
    text(headers, "x-vault-wrap-format") == "jwt"
}

/// Of the paths that answer without the vault's requests some hand out secrets: to answer unwrapped would show what the client wanted hidden.
pub(crate) fn refuse(headers: &HeaderMap) -> Option<Answer> {
    match ttl(headers) {
        Ok(None) => None,
        Ok(Some(_)) => {
            Some(envelope::errors(StatusCode::BAD_REQUEST, &["the answers of this path cannot be wrapped: send no X-Vault-Wrap-TTL"]))
        }
        Err(answer) => Some(*answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(ttl: &'static str) -> HeaderMap {
        HeaderMap::from_iter([("x-vault-wrap-ttl".parse().unwrap(), HeaderValue::from_static(ttl))])
    }

    #[test]
    fn ttls_are_read_as_vault_reads_them() {
        assert_eq!(ttl(&HeaderMap::new()).unwrap(), None);
        for (text, seconds) in [("", None), ("0", None), ("60", Some(60)), ("60s", Some(60)), ("1h", Some(3_600)), ("1d", Some(86_400))] {
            assert_eq!(ttl(&headers(text)).unwrap(), seconds.map(Duration::from_secs), "{text:?}");
        }
        for text in ["abc", "-5", "1.5"] {
            assert_eq!(ttl(&headers(text)).unwrap_err().status(), 400, "{text}");
        }
        let mut jwt = headers("60");
        jwt.insert("x-vault-wrap-format", HeaderValue::from_static("jwt"));
        assert!(super::jwt(&jwt) && !super::jwt(&headers("60")));
    }

    #[test]
    fn an_answer_is_never_given_unwrapped_to_who_wants_it_wrapped() {
        assert!(refuse(&HeaderMap::new()).is_none() && refuse(&headers("0")).is_none());
        assert_eq!(refuse(&headers("60")).unwrap().status(), 400);
    }
}
