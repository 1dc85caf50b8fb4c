//! HTTP proxies, as the environment names them. The rule: a variable that cannot be used is an error, since to go around a proxy silently is not what
//! its operator wants. What is on this machine is never proxied.

use std::fmt;

use cofferdam_credentials::{Endpoint, EndpointError};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::options::EgressError;

/// The proxy variables. Values may hold passwords and are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    all: String,
    http: String,
    https: String,
    no: String,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [("all", &self.all), ("http", &self.http), ("https", &self.https)];
        f.debug_tuple("Proxies")
            .field(&set.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| *name).collect::<Vec<_>>())
            .finish()
    }
}

impl Proxies {
    /// No proxy at all.
    pub fn none() -> Proxies {
        Proxies::default()
    }

    /// Those of this process's environment.
    pub fn system() -> Proxies {
        Proxies::from_variables(|name| std::env::var(name).ok())
    }

    /// Those that these variables name: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let first = |name: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
            set(name).or_else(|| set(&name.to_ascii_lowercase())).unwrap_or_default()
        };
        Proxies { all: first("ALL_PROXY"), http: first("HTTP_PROXY"), https: first("HTTPS_PROXY"), no: first("NO_PROXY") }
    }

    /// The proxy on the way to an endpoint.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, EgressError> {
        if endpoint.is_loopback() {
            return Ok(None);
        }
        let own = if endpoint.tls { ("HTTPS_PROXY", &self.https) } else { ("HTTP_PROXY", &self.http) };
        let (variable, value) = if own.1.is_empty() { ("ALL_PROXY", &self.all) } else { own };
        if value.is_empty() {
            return Ok(None);
        }
        let error = |cause| EgressError::Proxy { variable, cause };
        let target: Uri = endpoint.to_string().parse().map_err(|_| EndpointError("the host holds characters that no host has"))?;
        // Without exceptions first: what the matcher cannot read it passes over.
        let matcher = Matcher::builder().all(value.as_str()).build();
        let Some(found) = matcher.intercept(&target) else {
            return Err(error("http://host:port is expected"));
        };
        if Matcher::builder().all(value.as_str()).no(self.no.as_str()).build().intercept(&target).is_none() {
            return Ok(None);
        }
        let uri = found.uri();
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) => {
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                Ok(Some(Proxy { host, port: uri.port_u16().unwrap_or(80), authorization: found.basic_auth().cloned() }))
            }
            _ => Err(error("only proxies that are reached by http:// are supported")),
        }
    }
}

/// A proxy that is asked for a tunnel.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authorization: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::EgressOptions;
    use super::*;

    fn on_the_way(variables: &[(&str, &str)], endpoint: &str) -> Result<Option<String>, EgressError> {
        let proxies = Proxies::from_variables(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()));
        let options = EgressOptions { region: "eu-west-1".to_owned(), endpoint: Some(endpoint.to_owned()), ..EgressOptions::default() };
        Ok(proxies.of(&options.resolve()?)?.map(|proxy| format!("{proxy:?} {}", proxy.authorization.is_some())))
    }

    #[test]
    fn the_variable_of_the_scheme_names_the_proxy() {
        let found = |variables: &[_], endpoint| on_the_way(variables, endpoint).unwrap();
        assert_eq!(found(&[("HTTPS_PROXY", "http://p:3128")], "https://a.example"), Some("p:3128 false".to_owned()));
        assert_eq!(found(&[("https_proxy", "http://u:s@p")], "https://a.example"), Some("p:80 true".to_owned()));
        assert_eq!(found(&[("HTTPS_PROXY", "p:3128")], "https://a.example"), Some("p:3128 false".to_owned()));
        assert_eq!(found(&[("HTTP_PROXY", "http://p:3128")], "https://a.example"), None);
        assert_eq!(found(&[("HTTP_PROXY", "http://p:3128")], "http://a.example:8000"), Some("p:3128 false".to_owned()));
        assert_eq!(found(&[("ALL_PROXY", "http://p:3128")], "https://a.example"), Some("p:3128 false".to_owned()));
        assert_eq!(found(&[("ALL_PROXY", "http://p"), ("NO_PROXY", "b.example,.example")], "https://a.example"), None);
        assert_eq!(found(&[("ALL_PROXY", "http://p")], "http://127.0.0.1:8000"), None);
        assert_eq!(found(&[("ALL_PROXY", "http://p")], "http://localhost:8000"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for value in ["socks5://p:1080", "https://p:3129", "http://", "::"] {
            let error = on_the_way(&[("HTTPS_PROXY", value)], "https://a.example").unwrap_err();
            assert!(matches!(error, EgressError::Proxy { variable: "HTTPS_PROXY", .. }), "{value}: {error}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let proxies = Proxies::from_variables(|name| (name == "ALL_PROXY").then(|| "http://user:hidden@p:1".to_owned()));
        assert!(!format!("{proxies:?}").contains("hidden"));
    }
}
