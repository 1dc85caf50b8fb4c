//! `wasi:http` for a backend that is granted it: a guest's request is taken in whole, handed to the [`Http`] of the grant, and its answer handed back
//! whole. No socket is ever opened here.
//!
//! The rule: a request lives as long as the call of the guest that made it. What is under way when the call ends, well or not, is given up, and a body
//! that the guest did not finish is never sent: an instance that is torn down in the middle of one must not make it look complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, TE, TRAILER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tokio::sync::watch;
use tracing::Instrument;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{self, ErrorCode};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpHooks, WasiHttpView};

use crate::aws::Purpose;
use crate::http::{Http, HttpCall, HttpError, Room, Taken};
use crate::log::{GuestLog, Level};
use crate::probe::{Fault, Probed, Step, course};
use crate::state::State;

/// The most requests that a call may have under way at once.
const AT_ONCE: usize = 8;

/// The most that the header fields of one request may take up, in bytes of this process.
const FIELDS: usize = 64 << 10;

/// The most bytes in one write to a body.
const CHUNK: usize = 256 << 10;

/// The whole answer, and a future of what goes on behind it: nothing.
type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Links types and outgoing handler. To be done only for a backend that is granted `http`.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, WasiHttp>(linker, &LinkOptions::default().into(), State::http)?;
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap("handle", handle)
}

type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// `outgoing-handler.handle`.
fn handle(
    mut store: StoreContextMut<'_, State>,
    (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>),
) -> wasmtime::Result<(Handled,)> {
    let state = store.data_mut();
    if let Some(probed) = state.probed.clone() {
        let view = state.http();
        let step = probed.ask("wasi:http/outgoing-handler.handle", &detail(view.table.get(&request)?));
        if step == Step::Stop {
            course(step)?;
        }
        state.http.hooks.step = step;
    }
    // The library reads the options and leaves them in the table, although they are its own from here on.
    let read = options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
    let handled = state.http().handle(request, options);
    if let Some(read) = read {
        state.http().table.delete(read)?;
    }
    match handled {
        Ok(response) => Ok((Ok(response),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// A request in a few words, without its query: that may hold what is secret.
fn detail(request: &HostOutgoingRequest) -> String {
    let method = match &request.method {
        types::Method::Other(method) => method.clone(),
        // As it is shown: `Method::Post`.
        known => format!("{known:?}").rsplit(':').next().unwrap_or_default().to_ascii_uppercase(),
    };
    let scheme = match &request.scheme {
        Some(types::Scheme::Http) => "http",
        Some(types::Scheme::Https) | None => "https",
        Some(types::Scheme::Other(scheme)) => scheme,
    };
    let path = request.path_with_query.as_deref().and_then(|path| path.split('?').next()).unwrap_or_default();
    let authority = request.authority.as_deref().unwrap_or_default();
    crate::log::bounded(&format!("{method} {scheme}://{authority}{path}"))
}

/// The requests of one instance.
pub(crate) struct Egress {
    pub(crate) ctx: WasiHttpCtx,
    pub(crate) hooks: Hooks,
}

impl Egress {
    /// For an instance whose log is quiet while `quiet` is set, and that may have `most` bytes of bodies in the host's memory.
    pub(crate) fn new(
        granted: Option<&Arc<dyn Http>>,
        most: usize,
        log: &Arc<GuestLog>,
        quiet: &Arc<AtomicBool>,
        probed: Option<&Probed>,
    ) -> Egress {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS);
        let grant = granted.map(|granted| Grant {
            http: Arc::clone(granted),
            requests: Room::new(most),
            answers: Room::new(most),
            log: Arc::clone(log),
            quiet: Arc::clone(quiet),
            probed: probed.cloned(),
        });
        Egress { ctx, hooks: Hooks { grant, running: None, step: Step::Go } }
    }

    /// Ends the call before, with what it has under way, and begins one.
    pub(crate) fn begin(&mut self, purpose: Purpose, time: Duration) {
        if let Some(grant) = &self.hooks.grant {
            let call = Arc::new(HttpCall::new(purpose, time).within(grant.answers.clone()));
            self.hooks.running = Some(Running { call, lives: watch::Sender::new(()) });
        }
    }

    /// Ends the call, with what it has under way.
    pub(crate) fn end(&mut self) {
        self.hooks.running = None;
    }
}

/// What of the instance a request needs.
#[derive(Clone)]
struct Grant {
    http: Arc<dyn Http>,
    /// Of the bodies of requests, from their first byte until the answer has come.
    requests: Room,
    /// Of the bodies of answers, from their first byte until the guest has read them.
    answers: Room,
    log: Arc<GuestLog>,
    quiet: Arc<AtomicBool>,
    probed: Option<Probed>,
}

/// The running call of the guest.
struct Running {
    /// Held, too, by every request that is under way, and by nobody else.
    call: Arc<HttpCall>,
    /// Closed at the end of the call.
    lives: watch::Sender<()>,
}

/// What `wasi:http` asks this host.
pub(crate) struct Hooks {
    grant: Option<Grant>,
    running: Option<Running>,
    /// What the probe wants of the next request.
    pub(crate) step: Step,
}

impl Hooks {
    /// A request that may go out, as far as this crate can tell.
    fn exchange(&mut self) -> Result<Exchange, Error> {
        let step = std::mem::replace(&mut self.step, Step::Go);
        let (Some(grant), Some(running)) = (&self.grant, &self.running) else { return Err(Error::HttpRequestDenied) };
        if running.call.purpose == Purpose::Attach {
            grant.refused("nothing may be sent during attach");
            return Err(Error::HttpRequestDenied);
        }
        if Arc::strong_count(&running.call) > AT_ONCE {
            return Err(Error::ConnectionLimitReached);
        }
        Ok(Exchange { grant: grant.clone(), call: Arc::clone(&running.call), lives: running.lives.subscribe(), step })
    }
}

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        // What belongs to the connection is the host's. Credentials are not: the grant judges them.
        DEFAULT_FORBIDDEN_HEADERS.contains(name) || [TE, TRAILER, EXPECT].contains(name) || name.as_str().starts_with("proxy-")
    }

    fn set_host_header(&mut self) -> bool {
        // The one authority is that of the URI.
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let exchange = self.exchange();
        let sent = async move {
            let answer = exchange?.run(request, options).await?;
            let nothing: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((answer, nothing))
        };
        // It is polled on a task of its own, and belongs to the guest's call all the same.
        Box::new(sent.in_current_span())
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

impl Grant {
    /// Tells the operator what the guest cannot be told: the errors of `wasi:http` have no text. Not while it handles a key: what it asks for
    /// could hold a piece of that.
    fn tell(&self, text: &str) {
        if !self.quiet.load(Ordering::Relaxed) {
            self.log.write(Level::Warn, &format!("http: {text}"));
        }
    }

    fn refused(&self, text: &str) {
        self.tell(&format!("refused: {text}"));
        if let Some(probed) = &self.probed {
            probed.refused(&format!("wasi:http {text}"));
        }
    }

    /// The nearest error that `wasi:http` has.
    fn failed(&self, error: HttpError, call: &HttpCall, sent: usize) -> Error {
        match error {
            HttpError::Refused(text) => {
                self.refused(&text);
                Error::HttpRequestDenied
            }
            HttpError::Unreachable(text) => {
                self.tell(&format!("unreachable: {text}"));
                Error::ConnectionRefused
            }
            HttpError::Interrupted(text) => {
                self.tell(&format!("interrupted: {text}"));
                if Instant::now() < call.deadline { Error::ConnectionTerminated } else { Error::HttpResponseTimeout }
            }
            HttpError::TooLarge(limit) if sent as u64 > limit => Error::HttpRequestBodySize(Some(limit)),
            HttpError::TooLarge(limit) => Error::HttpResponseBodySize(Some(limit)),
        }
    }

    /// The body, counted until the guest has read it.
    fn hold(&self, body: Bytes) -> Result<Bytes, Error> {
        if body.is_empty() {
            return Ok(body);
        }
        let mut taken = self.answers.taken();
        if !taken.grow(body.len()) {
            return Err(Error::HttpResponseBodySize(Some(self.answers.most() as u64)));
        }
        Ok(Bytes::from_owner(Unread { body, _taken: taken }))
    }
}

/// An answer's body in the host's memory.
struct Unread {
    body: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// One request and its answer. It runs beside the guest.
struct Exchange {
    grant: Grant,
    call: Arc<HttpCall>,
    lives: watch::Receiver<()>,
    step: Step,
}

impl Exchange {
    async fn run(self, request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Response<WasiBody>, Error> {
        let mut lives = self.lives.clone();
        tokio::select! {
            biased;
            _ = lives.changed() => Err(Error::ConnectionTerminated),
            answer = self.answer(request, options) => answer,
        }
    }

    async fn answer(&self, request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Response<WasiBody>, Error> {
        let (mut parts, body) = request.into_parts();
        check(&parts.method, &parts.uri)?;
        let most = self.grant.http.max_request().min(self.grant.requests.most() as u64);
        // Until the answer is there: what several requests have sent so far counts together.
        let mut taken = self.grant.requests.taken();
        let body = collect(body, most, &mut taken).await?;
        if self.lives.has_changed().is_err() {
            // The call has ended, and with it perhaps the body in its middle.
            return Err(Error::ConnectionTerminated);
        }
        take_length(&mut parts.headers, body.len())?;
        let size = body.len();
        match self.step {
            Step::Delay(delay) => tokio::time::sleep(delay).await,
            Step::Fail(fault) => return failing(fault),
            Step::Go | Step::Lose | Step::Stop => {}
        }
        let sending = self.grant.http.send(&self.call, Request::from_parts(parts, body));
        let answer = match patience(options) {
            Some(patience) => tokio::time::timeout(patience, sending).await.map_err(|_| Error::ConnectionReadTimeout)?,
            None => sending.await,
        };
        let (parts, body) = answer.map_err(|error| self.grant.failed(error, &self.call, size))?.into_parts();
        if self.step == Step::Lose {
            return Err(Error::ConnectionTerminated);
        }
        let body = Full::new(self.grant.hold(body)?).map_err(Error::from).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }
}

/// How a server fails so.
fn failing(fault: Fault) -> Result<Response<WasiBody>, Error> {
    let status = match fault {
        Fault::Unavailable => return Err(Error::ConnectionRefused),
        Fault::Denied => return Err(Error::HttpRequestDenied),
        Fault::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Fault::Full => StatusCode::INSUFFICIENT_STORAGE,
    };
    let mut answer = Response::new(Full::default().map_err(Error::from).boxed_unsync());
    *answer.status_mut() = status;
    Ok(answer)
}

/// How long the guest wants to wait for the answer, if it said so.
fn patience(options: Option<RequestOptions>) -> Option<Duration> {
    let options = options?;
    Some(options.first_byte_timeout?.saturating_add(options.connect_timeout.unwrap_or_default()))
}

/// What no grant allows.
fn check(method: &Method, uri: &Uri) -> Result<(), Error> {
    if *method == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    match uri.authority().map(http::uri::Authority::as_str) {
        None | Some("") => Err(Error::HttpRequestUriInvalid),
        // A name before the host is there to deceive.
        Some(authority) if authority.contains('@') => Err(Error::HttpRequestUriInvalid),
        Some(_) => Ok(()),
    }
}

/// The whole body, counted as it comes.
async fn collect(mut body: WasiBody, most: u64, taken: &mut Taken) -> Result<Bytes, Error> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            return Err(Error::HttpRequestTrailerSectionSize(Some(0)));
        };
        if whole.len() as u64 + data.len() as u64 > most || !taken.grow(data.len()) {
            return Err(Error::HttpRequestBodySize(Some(most)));
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

/// Takes out the length that the guest named: whoever sends the body knows it.
fn take_length(headers: &mut HeaderMap, size: usize) -> Result<(), Error> {
    match headers.remove(CONTENT_LENGTH) {
        Some(named) if named.as_bytes() != size.to_string().as_bytes() => Err(Error::HttpRequestBodySize(Some(size as u64))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
