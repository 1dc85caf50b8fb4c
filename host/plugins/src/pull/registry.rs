//! Talking to one registry.
//!
//! The rules: every body has a limit that the registry cannot move. The credentials go to the registry's own host and port, or to where it sends for a
//! token if the operator named that host, and nowhere else: not to where a redirect leads, not to a realm of the registry's choice. A redirect never leads
//! from TLS to plain text. A client of the crate `oci-client` keeps none of these (it reads manifests, tokens and errors whole, and sends a password to
//! any realm), so that its types are used, and its transfer is not.

use super::credentials::Credentials;
use super::manifest::shown;
use super::tls;
use super::{Options, PullError, Reference};
use http_auth::{ChallengeRef, parser::ChallengeParser};
use oci_client::errors::OciEnvelope;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

/// Of a manifest, as registries have it.
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Of an error or a token.
const MAX_ANSWER: u64 = 64 * 1024;
const MAX_REDIRECTS: usize = 5;
/// Where a registry that everybody knows has its tokens.
const TOKEN_HOSTS: [(&str, &str); 2] = [("index.docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// A conversation about one repository.
pub(super) struct Session<'a> {
    client: Client,
    base: Url,
    reference: &'a Reference,
    options: &'a Options,
    credentials: Option<Credentials>,
    authorization: Option<HeaderValue>,
}

impl<'a> Session<'a> {
    /// Plain HTTP is for loopback, and for what the operator says; and not with an authority's file, which is for TLS.
    pub(super) fn new(reference: &'a Reference, options: &'a Options, credentials: Option<Credentials>) -> Result<Session<'a>, PullError> {
        let host = reference.api_host();
        let bad = || PullError::Reference(format!("{host:?} is no host of a registry"));
        let loopback = is_loopback(&Url::parse(&format!("https://{host}/")).map_err(|_| bad())?);
        let plain = options.ca_cert.is_none() && (loopback || options.insecure);
        let base = Url::parse(&format!("{}://{host}/", if plain { "http" } else { "https" })).map_err(|_| bad())?;
        let builder = Client::builder()
            .tls_backend_preconfigured(tls::config(options.ca_cert.as_deref())?)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")));
        let builder = if loopback { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| PullError::Transfer { at: base.to_string(), error: chain(&error) })?;
        Ok(Session { client, base, reference, options, credentials, authorization: None })
    }

    /// Fetches a manifest by its tag or digest.
    pub(super) async fn manifest(&mut self, name: &str) -> Result<Vec<u8>, PullError> {
        self.fetch(&format!("manifests/{name}"), &super::manifest::ACCEPT.join(", "), MAX_MANIFEST).await
    }

    /// Fetches a layer.
    pub(super) async fn blob(&mut self, digest: &str, limit: u64) -> Result<Vec<u8>, PullError> {
        self.fetch(&format!("blobs/{digest}"), "*/*", limit).await
    }

    async fn fetch(&mut self, what: &str, accept: &str, limit: u64) -> Result<Vec<u8>, PullError> {
        let path = format!("v2/{}/{what}", self.reference.repository());
        let url = self.base.join(&path).map_err(|_| PullError::Reference(format!("{path:?} is no path of a registry")))?;
        let mut response = self.get(url.clone(), accept).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            self.authorize(response.headers()).await?;
            response = self.get(url.clone(), accept).await?;
        }
        match response.status() {
            StatusCode::OK => body(response, limit).await,
            status => {
                let text = reason(&body(response, MAX_ANSWER).await.unwrap_or_default());
                let hint = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.credentials.is_none() => {
                        ": no credentials for it were given; set COFFER_REGISTRY_USERNAME and COFFER_REGISTRY_PASSWORD, or run `docker login`"
                    }
                    _ => "",
                };
                Err(PullError::Answer { at: url.to_string(), status: status.as_u16(), text: text + hint })
            }
        }
    }

    /// One request, and those that it is redirected to.
    async fn get(&self, url: Url, accept: &str) -> Result<Response, PullError> {
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(url.clone()).header(ACCEPT, accept);
            if let Some(authorization) = self.authorization.as_ref().filter(|_| url.origin() == self.base.origin()) {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            let response = request.send().await.map_err(|error| failed(&url, &error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| refused(&url, "it redirects without an address".to_owned()))?;
            self.may_lead(&url, &next)?;
            url = next;
        }
        Err(refused(&url, format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    /// A registry may keep its layers elsewhere; not in plain text if it is not in plain text itself, nor on this machine if it is not on it.
    fn may_lead(&self, from: &Url, to: &Url) -> Result<(), PullError> {
        let why = match to.scheme() {
            "https" | "http" if is_loopback(to) && !is_loopback(&self.base) => "which is this machine's own",
            "https" => return Ok(()),
            "http" if self.base.scheme() == "http" => return Ok(()),
            _ => "which is not https",
        };
        Err(refused(from, format!("it redirects to {}, {why}", shown(to.as_str()))))
    }

    /// For tests, in which no other machine takes part.
    #[cfg(test)]
    pub(super) fn leads(&self, from: &str, to: &str) -> Result<(), PullError> {
        let parsed = |text: &str| Url::parse(text).map_err(|_| PullError::Reference(text.to_owned()));
        self.may_lead(&parsed(from)?, &parsed(to)?)
    }

    /// Answers the registry's challenge.
    async fn authorize(&mut self, headers: &HeaderMap) -> Result<(), PullError> {
        let texts: Vec<&str> = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let challenges: Vec<ChallengeRef<'_>> = texts.iter().flat_map(|text| ChallengeParser::new(text).map_while(Result::ok)).collect();
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
        let value = if let Some(challenge) = of("Bearer") {
            format!("Bearer {}", self.token(challenge).await?)
        } else if let (Some(_), Some(credentials)) = (of("Basic"), &self.credentials) {
            basic(credentials)
        } else {
            // Without what it wants: the answer to the second request says why.
            return Ok(());
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| refused(&self.base, "its token is no text for a header".to_owned()))?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(())
    }

    /// Asks the realm of a challenge for a token.
    async fn token(&self, challenge: &ChallengeRef<'_>) -> Result<String, PullError> {
        let parameter =
            |name: &str| challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped());
        let realm = parameter("realm").and_then(|realm| Url::parse(&realm).ok());
        let mut realm = realm.ok_or_else(|| refused(&self.base, "it asks for a token, but names no address to have it from".to_owned()))?;
        self.may_lead(&self.base, &realm)?;
        realm.query_pairs_mut().append_pair("scope", &format!("repository:{}:pull", self.reference.repository()));
        if let Some(service) = parameter("service") {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        let mut request = self.client.get(realm.clone());
        if let Some(credentials) = &self.credentials {
            if !self.may_know(&realm) {
                let (registry, asked) = (self.reference.registry(), host_and_port(&realm));
                let text = format!("{registry} sends for the credentials to {asked}: if that is right, allow it with --token-host {asked}");
                return Err(PullError::Credentials(text));
            }
            let mut value =
                HeaderValue::try_from(basic(credentials)).map_err(|_| PullError::Credentials("no text for a header".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| failed(&realm, &error))?;
        let status = response.status();
        let answer = body(response, MAX_ANSWER).await?;
        realm.set_query(None);
        if status != StatusCode::OK {
            return Err(PullError::Answer { at: realm.to_string(), status: status.as_u16(), text: reason(&answer) });
        }
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        // Not the parser's words: they may show what it read.
        let token: Option<Token> = serde_json::from_slice(&answer).ok();
        token.and_then(|token| token.token.or(token.access_token)).ok_or_else(|| refused(&realm, "its answer has no token".to_owned()))
    }

    /// Whether the credentials may go there.
    fn may_know(&self, realm: &Url) -> bool {
        let asked = host_and_port(realm);
        let known = TOKEN_HOSTS.contains(&(self.reference.api_host(), &asked)) && realm.scheme() == "https";
        let same = realm.origin() == self.base.origin();
        same || known || self.options.token_hosts.contains(&asked)
    }
}

fn basic(credentials: &Credentials) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", credentials.username, credentials.password);
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

/// `HOST`, or `HOST:PORT` if the port is not the scheme's own.
fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Reads a body up to its limit, and no byte more.
async fn body(mut response: Response, limit: u64) -> Result<Vec<u8>, PullError> {
    let url = response.url().clone();
    let too_large = || PullError::TooLarge { at: address(&url), limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&url, &error))? {
        bytes.extend_from_slice(&chunk);
        if u64::try_from(bytes.len()).map_or(true, |length| length > limit) {
            return Err(too_large());
        }
    }
    Ok(bytes)
}

/// A registry's own words for an error, as far as they can be shown.
fn reason(body: &[u8]) -> String {
    let envelope: Option<OciEnvelope> = serde_json::from_slice(body).ok();
    let first = envelope.and_then(|envelope| envelope.errors.into_iter().next());
    first.map_or_else(|| "no reason given".to_owned(), |error| shown(&format!("{:?}: {}", error.code, error.message)))
}

/// Without what a signed address has in its query.
fn address(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn refused(at: &Url, why: String) -> PullError {
    PullError::Refused { at: address(at), why }
}

fn failed(at: &Url, error: &reqwest::Error) -> PullError {
    PullError::Transfer { at: address(at), error: chain(error) }
}

/// The innermost cause says it best.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
