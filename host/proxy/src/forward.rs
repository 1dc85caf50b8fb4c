//! What happens to a request: it gets a token, goes to the server, and the answer comes back as it is.
//!
//! The rule: of the server's address only scheme and host count, and whatever token the client sent is replaced. A request's body is taken whole, up to the
//! size that servers take by default; an answer's is passed on as it comes, unless it is to be kept.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use zeroize::Zeroizing;

use crate::cache::{Answers, Key, Wish};
use crate::token::{Keeper, Token};
use crate::upstream::{Streamed, Upstream};

/// What servers take by default.
const LARGEST_REQUEST: usize = 32 << 20;
/// Who asks, as far as the server sees.
const AGENT: &str = concat!("coffer-proxy/", env!("CARGO_PKG_VERSION"), "; requesting from proxy");
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// `revoke` says that the token ends with this request.
const TOKEN_OPTIONS: HeaderName = HeaderName::from_static("x-vault-token-options");
/// Headers of one connection.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// What else of a request is not passed on: the request that is sent has its own, and an answer is never compressed for the proxy alone.
static REPLACED: [HeaderName; 5] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT, header::ACCEPT_ENCODING, header::USER_AGENT];

/// Passes requests on.
pub(crate) struct Forwarder {
    upstream: Arc<Upstream>,
    keeper: Arc<Keeper>,
    answers: Option<Answers>,
}

impl Forwarder {
    /// To this server, with this token, and with this cache.
    pub(crate) fn new(upstream: Arc<Upstream>, keeper: Arc<Keeper>, answers: Option<Answers>) -> Forwarder {
        Forwarder { upstream, keeper, answers }
    }

    /// The cache.
    pub(crate) fn answers(&self) -> Option<&Answers> {
        self.answers.as_ref()
    }

    /// Answers a request.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.forwarded(request).await.unwrap_or_else(Failed::into_response);
        tracing::debug!(%method, path, status = response.status().as_u16(), "request");
        response
    }

    async fn forwarded<B>(&self, request: Request<B>) -> Result<Response<Body>, Failed>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (mut parts, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(|error| Failed::of_body(&*error))?.to_bytes();
        let revoke = parts.headers.get(&TOKEN_OPTIONS).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"revoke"));
        let wish = match &self.answers {
            Some(answers) if !revoke => answers.wish(&parts.method, &parts.headers),
            _ => Wish::NOTHING,
        };
        prepare(&mut parts)?;
        match &self.answers {
            Some(answers) if wish != Wish::NOTHING => self.by_cache(answers, wish, &parts, body).await,
            _ => {
                let token = self.token().await?;
                if revoke {
                    // Before it is sent, since whoever asks may go away: a login too many is better than a token that has ended.
                    self.keeper.revoke(&token);
                    self.answers.iter().for_each(Answers::clear);
                }
                self.send(&parts, body, &token).await.map(|response| response.map(Body::streamed))
            }
        }
    }

    async fn token(&self) -> Result<Token, Failed> {
        self.keeper.token().await.map_err(|error| Failed::internal(format!("failed to get valid Vault token: {error}")))
    }

    async fn by_cache(&self, answers: &Answers, wish: Wish, parts: &Parts, body: Bytes) -> Result<Response<Body>, Failed> {
        let mut token = self.token().await?;
        let mut key = Key::of(parts, &body, token.expose());
        let mut turn = None;
        answers.use_token(&token);
        if wish.lookup {
            if let Some(response) = kept(answers, &key) {
                return Ok(response);
            }
            turn = Some(answers.turn(key).await);
            // The wait has no limit, and the token may have ended meanwhile.
            token = self.token().await?;
            key = Key::of(parts, &body, token.expose());
            answers.use_token(&token);
            // Whoever asked before may have left it.
            if let Some(response) = kept(answers, &key) {
                return Ok(response);
            }
        }
        let response = self.send(parts, body, &token).await?;
        let response =
            if wish.store && response.status().as_u16() < 300 { keep(answers, key, response).await? } else { response.map(Body::streamed) };
        drop(turn);
        Ok(response)
    }

    async fn send(&self, parts: &Parts, body: Bytes, token: &Token) -> Result<Response<Streamed>, Failed> {
        let wrong = |error: &dyn std::fmt::Display| Failed::internal(format!("failed to generate proxy request: {error}"));
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| wrong(&"no header can carry the token"))?;
        value.set_sensitive(true);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = parts.headers.clone();
        request.headers_mut().insert(TOKEN, value);
        let answered = self.upstream.send(request).await;
        let mut response =
            answered.map_err(|error| Failed { status: StatusCode::BAD_GATEWAY, text: format!("failed to proxy request: {error}") })?;
        strip(response.headers_mut());
        Ok(response)
    }
}

/// Makes the head of what is sent of the head that came.
fn prepare(parts: &mut Parts) -> Result<(), Failed> {
    let target = parts.uri.path_and_query().filter(|target| target.as_str().starts_with('/'));
    let target = target.ok_or_else(|| Failed::internal("failed to generate proxy request: it has no path".to_owned()))?;
    parts.uri = Uri::from(target.clone());
    strip(&mut parts.headers);
    for name in REPLACED.iter().chain([&TOKEN, &TOKEN_OPTIONS]) {
        parts.headers.remove(name);
    }
    parts.headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(())
}

/// Removes what is for one connection only.
fn strip(headers: &mut HeaderMap) {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = connection.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The response of a kept answer.
fn kept(answers: &Answers, key: &Key) -> Option<Response<Body>> {
    let stored = answers.get(key)?;
    let mut response = Response::new(Body::whole(stored.body.clone()));
    *response.status_mut() = stored.status;
    *response.headers_mut() = stored.headers.clone();
    Some(response)
}

/// Reads an answer to its end and keeps it, unless it is too large for that.
async fn keep(answers: &Answers, key: Key, response: Response<Streamed>) -> Result<Response<Body>, Failed> {
    let (parts, mut rest) = response.into_parts();
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let largest = answers.largest();
    if length.is_some_and(|length| length > largest) {
        return Ok(Response::from_parts(parts, Body::streamed(rest)));
    }
    let mut read = Zeroizing::new(Vec::with_capacity(length.unwrap_or(4096)));
    while let Some(frame) = rest.frame().await {
        let frame = frame.map_err(|error| Failed::internal(format!("failed to read response body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        append(&mut read, &data);
        if read.len() > largest {
            return Ok(Response::from_parts(parts, Body { first: Some(Bytes::from_owner(read)), rest: Some(rest) }));
        }
    }
    let body = answers.put(key, parts.status, parts.headers.clone(), read);
    Ok(Response::from_parts(parts, Body::whole(body)))
}

/// Like `extend_from_slice`, but what is too small is wiped before it is given back.
fn append(to: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let wanted = to.len() + data.len();
    if wanted > to.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.max(2 * to.capacity())));
        larger.extend_from_slice(to);
        *to = larger;
    }
    to.extend_from_slice(data);
}

/// A request that got no answer of the server's.
struct Failed {
    status: StatusCode,
    text: String,
}

impl Failed {
    fn internal(text: String) -> Failed {
        Failed { status: StatusCode::INTERNAL_SERVER_ERROR, text }
    }

    fn of_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failed {
        if error.is::<LengthLimitError>() {
            let text = format!("failed to generate proxy request: its body has more than {LARGEST_REQUEST} bytes");
            return Failed { status: StatusCode::PAYLOAD_TOO_LARGE, text };
        }
        Failed { status: StatusCode::BAD_REQUEST, text: format!("failed to generate proxy request: {error}") }
    }

    fn into_response(self) -> Response<Body> {
        tracing::error!(status = self.status.as_u16(), "{}", self.text);
        let mut response = Response::new(Body::whole(Bytes::from(self.text + "\n")));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// The body of an answer: bytes that are there, then what is still to come.
pub(crate) struct Body {
    first: Option<Bytes>,
    rest: Option<Streamed>,
}

impl Body {
    fn whole(bytes: Bytes) -> Body {
        Body { first: Some(bytes).filter(|bytes| !bytes.is_empty()), rest: None }
    }

    fn streamed(rest: Streamed) -> Body {
        Body { first: None, rest: Some(rest) }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = <Streamed as HttpBody>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        match &self.rest {
            None => SizeHint::with_exact(first),
            Some(rest) if first == 0 => rest.size_hint(),
            Some(_) => SizeHint::new(),
        }
    }
}
