//! A rule made ready: what it lets through, and what it adds. The rule of rules: what the operator wrote is checked here, once, at the start.

use std::sync::Arc;

use http::uri::{InvalidUriParts, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, Uri, header};

use crate::authority::{Authority, Host, Scheme};
use crate::dial::Resolve;
use crate::error::GrantError;
use crate::headers::is_own;
use crate::link::Link;
use crate::metrics::Meter;
use crate::options::Options;
use crate::rule::Rule;
use crate::secret::{Form, SecretError, Value};
use cofferdam_connect::net::{Cidr, is_metadata};

/// Those that carry a message and nothing else: not `CONNECT`, nor `TRACE`, which would show the guest what the host adds.
const METHODS: [Method; 7] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];

/// A server that may be sent to.
pub(crate) struct Server {
    pub(crate) authority: Authority,
    pub(crate) link: Link,
    /// The address without what follows the authority.
    base: Uri,
    /// The header `Host`.
    pub(crate) host: HeaderValue,
    methods: Vec<Method>,
    prefixes: Vec<String>,
    added: Vec<(HeaderName, Value)>,
    words: String,
}

impl Server {
    pub(crate) fn new(rule: &Rule, resolver: Arc<dyn Resolve>, options: &Options, meter: &Meter) -> Result<Server, GrantError> {
        let authority = Authority::new(rule.scheme, &rule.host, rule.port)
            .map_err(|cause| GrantError::new(if rule.port == 0 { "port" } else { "host" }, format!("{:?}: {cause}", rule.host)))?;
        let host = HeaderValue::try_from(authority.named()).map_err(|_| GrantError::new("host", "it cannot stand in a header"))?;
        let base = Uri::builder().scheme(authority.scheme.as_str()).authority(authority.named()).path_and_query("/").build();
        let base = base.map_err(|_| GrantError::new("host", "it cannot stand in an address"))?;
        let named = named(rule, &authority.host)?;
        if authority.scheme == Scheme::Http && (rule.client_cert.is_some() || rule.ca_cert.is_some()) {
            let key = if rule.client_cert.is_some() { "client_cert" } else { "ca_cert" };
            return Err(GrantError::new(key, "it needs scheme = \"https\""));
        }
        let added = added(rule)?;
        if authority.scheme == Scheme::Http && !added.is_empty() && !authority.host.is_loopback() && !rule.secrets_in_clear {
            let cause = "what the host adds would go in the clear to another machine: use https, or say secrets_in_clear = true";
            return Err(GrantError::new("scheme", cause));
        }
        let methods = methods(rule)?;
        let prefixes = rule.path_prefixes.iter().map(|prefix| prefix_of(prefix)).collect::<Result<Vec<_>, _>>()?;
        let words = words(rule, &authority, &added, &prefixes);
        let link = Link::new(rule, &authority, named, resolver, options, meter)?;
        Ok(Server { authority, link, base, host, methods, prefixes, added, words })
    }

    /// What it lets a guest do.
    pub(crate) fn describe(&self) -> &str {
        &self.words
    }

    /// Whether the method may be used here.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// Whether the path may be asked for.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.prefixes.is_empty() || (is_plain(path) && self.prefixes.iter().any(|prefix| is_below(path, prefix)))
    }

    /// The address to send to: the rule's, and of the guest's only what follows.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Result<Uri, InvalidUriParts> {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(path);
        Uri::from_parts(parts)
    }

    /// The headers that the host adds, as they are now.
    pub(crate) fn added(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SecretError> {
        self.added.iter().map(|(name, value)| Ok((name.clone(), value.now()?))).collect()
    }
}

/// The ranges that count as named.
fn named(rule: &Rule, host: &Host) -> Result<Vec<Cidr>, GrantError> {
    let mut named = rule.addresses.clone();
    match host {
        Host::Name(name) if name == "localhost" => named.extend(Cidr::LOOPBACK),
        Host::Name(_) => {}
        Host::Address(address) if is_metadata(*address) => {
            if !named.contains(&Cidr::only(*address)) {
                let cause = "this address gives the machine's credentials to whoever asks: if that is meant, name it in addresses too";
                return Err(GrantError::new("host", cause));
            }
        }
        Host::Address(address) => named.push(Cidr::only(*address)),
    }
    Ok(named)
}

fn added(rule: &Rule) -> Result<Vec<(HeaderName, Value)>, GrantError> {
    let mut added: Vec<(HeaderName, Value)> = Vec::new();
    for wanted in &rule.headers {
        let key = format!("header {:?}", wanted.name);
        let name: HeaderName = wanted.name.parse().map_err(|_| GrantError::new(&key, "this is not the name of a header"))?;
        if is_own(&name) {
            return Err(GrantError::new(key, "the host sets this header by itself"));
        }
        if added.iter().any(|(other, _)| *other == name) {
            return Err(GrantError::new(key, "it stands twice"));
        }
        added.push((name, Value::new(wanted.source.clone(), Form::After(wanted.prefix.clone()))));
    }
    if let Some(basic) = &rule.basic {
        if basic.username.is_empty() || basic.username.contains(':') || basic.username.chars().any(char::is_control) {
            return Err(GrantError::new("basic_auth.username", "a name without a colon is expected"));
        }
        if added.iter().any(|(name, _)| *name == header::AUTHORIZATION) {
            return Err(GrantError::new("basic_auth", "the header \"authorization\" is added already"));
        }
        added.push((header::AUTHORIZATION, Value::new(basic.password.clone(), Form::Basic(basic.username.clone()))));
    }
    for (name, value) in &added {
        let key = if rule.basic.is_some() && *name == header::AUTHORIZATION {
            "basic_auth".to_owned()
        } else {
            format!("header {:?}", name.as_str())
        };
        value.now().map_err(|error| GrantError::new(key, error))?;
    }
    Ok(added)
}

fn methods(rule: &Rule) -> Result<Vec<Method>, GrantError> {
    let Some(methods) = &rule.methods else { return Ok(METHODS.to_vec()) };
    match methods.iter().find(|method| !METHODS.contains(method)) {
        Some(method) => Err(GrantError::new("methods", format!("{:?} is not among {}", method.as_str(), join(&METHODS)))),
        None if methods.is_empty() => Err(GrantError::new("methods", "at least one is expected")),
        None => Ok(methods.clone()),
    }
}

fn prefix_of(prefix: &str) -> Result<String, GrantError> {
    if !prefix.starts_with('/') || !is_plain(prefix) || prefix.contains(['?', '#']) || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        let cause = format!("{prefix:?}: a path is expected that begins with a slash, without .., and without encoded slashes and dots");
        return Err(GrantError::new("path_prefixes", cause));
    }
    Ok(prefix.to_owned())
}

/// Whether the path is the same to every server: none of its segments means another, and no slash is hidden.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hidden = ["%2e", "%2f", "%5c", "%25", "%00", "\\", "//", ";"].iter().any(|sign| lower.contains(sign));
    !hidden && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Whether it is the prefix or lies below it, segment by segment.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

fn words(rule: &Rule, authority: &Authority, added: &[(HeaderName, Value)], prefixes: &[String]) -> String {
    let mut notes = Vec::new();
    if !added.is_empty() {
        let names: Vec<&str> = added.iter().map(|(name, _)| name.as_str()).collect();
        notes.push(format!("the host adds {}", names.join(", ")));
    }
    if rule.client_cert.is_some() {
        notes.push("the host shows its certificate".to_owned());
    }
    if !rule.addresses.is_empty() {
        notes.push(format!("may resolve to {}", join(&rule.addresses)));
    }
    if let Some(methods) = &rule.methods {
        notes.push(format!("only {}", join(methods)));
    }
    if !prefixes.is_empty() {
        notes.push(format!("below {}", prefixes.join(", ")));
    }
    if notes.is_empty() { authority.to_string() } else { format!("{authority} ({})", notes.join("; ")) }
}

fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_left_by_no_spelling() {
        let prefix = prefix_of("/v3/kv").unwrap();
        for path in ["/v3/kv", "/v3/kv/", "/v3/kv/range"] {
            assert!(is_plain(path) && is_below(path, &prefix), "{path}");
        }
        for path in [
            "/v3/kvx",
            "/v3",
            "/",
            "/v3/kv/../auth",
            "/v3/kv/..",
            "/v3/kv/%2e%2e/auth",
            "/v3/kv/.%2E/auth",
            "/v3/kv/..%2fauth",
            "/v3/kv/%5c..%5cauth",
            "/v3/kv\\..\\auth",
            "/v3/kv/%252e%252e/auth",
            "/v3/kv/..;/auth",
            "/v3/kv//auth",
            "//v3/kv",
            "/V3/KV",
        ] {
            assert!(!(is_plain(path) && is_below(path, &prefix)), "{path}");
        }
        for prefix in ["", "v3", "/v3?x", "/v3#x", "/a/../b", "/a b", "/ä"] {
            assert_eq!(prefix_of(prefix).unwrap_err().key(), "path_prefixes", "{prefix}");
        }
    }
}
