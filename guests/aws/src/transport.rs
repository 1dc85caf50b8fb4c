//! Sends what the SDK serialised, again if need be, within the time and the number of retries of the call.
//!
//! The SDK's own retries are off: here one body is serialised once and sent again as it is, so a token in it stays the same. What is sent again:
//!
//! - refusals for load: 429, 503 and the service's [`Service::THROTTLES`];
//! - failures: any other 5xx, no connection, no answer, and the service's [`Service::PASSING`]. Every request of a guest must therefore be one that may be repeated;
//! - what the service's own [`Service::again`] adds.
//!
//! Never sent again: what was answered by a success, what the host refused, an answer over the host's limit, missing credentials (the host has its own ways to get them).
//! When retries or time run out, the last answer goes back as it is.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::error::operation::BuildError;
use cofferdam_guest::aws::{Response, SendError};

use crate::backoff::{self, Reason};
use crate::codec::{self, Refusal, Request};
use crate::fault::{Cause, Fault, Refused};
use crate::world::World;

/// The most retries after conflicts.
const CONFLICT_RETRIES: u32 = 40;

/// What the transport must know of a service.
pub trait Service: Debug + Send + Sync + 'static {
    /// Its name, for messages.
    const NAME: &'static str;
    /// Codes with which it asks for less.
    const THROTTLES: &'static [&'static str];
    /// Codes of passing failures that come without a status of 5xx.
    const PASSING: &'static [&'static str];

    /// Why to send again after a refusal that is none of the above: its code and its body. None if not.
    fn again(_code: &str, _body: &[u8]) -> Option<Reason> {
        None
    }
}

/// How often and how long a call of the contract may try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The most retries of one request.
    pub retries: u32,
    /// From the call's beginning until the last retry is sent.
    pub time: Duration,
}

/// The running call.
#[derive(Debug)]
struct Call {
    retries: u32,
    ends: Duration,
    /// Whether some request may have taken effect without an answer that says so.
    doubt: bool,
    /// The wait that was not taken when retries or time ran out.
    next: Duration,
}

/// The way to the service.
#[derive(Debug)]
pub struct Transport<S> {
    world: Arc<dyn World>,
    call: Mutex<Call>,
    service: PhantomData<S>,
}

impl<S: Service> Transport<S> {
    /// A way through this world. [`Transport::begin`] comes before the first request.
    pub fn new(world: Arc<dyn World>) -> Transport<S> {
        let call = Call { retries: 0, ends: Duration::ZERO, doubt: false, next: Duration::ZERO };
        Transport { world, call: Mutex::new(call), service: PhantomData }
    }

    /// Only ever locked for an instant, by the one thread there is.
    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call of the contract.
    pub fn begin(&self, patience: Patience) {
        let ends = self.world.now() + patience.time;
        *self.call() = Call { retries: patience.retries, ends, doubt: false, next: Duration::ZERO };
    }

    /// Whether a request of this call may have taken effect although it was answered by a failure or not at all.
    pub fn in_doubt(&self) -> bool {
        self.call().doubt
    }

    /// The least wait before it makes sense to call again, in milliseconds.
    pub fn delay(&self) -> u32 {
        u32::try_from(self.call().next.as_millis()).unwrap_or(u32::MAX)
    }

    /// Waits before the retry of this number, counted from zero. False if the call has no retry or no time left; then nothing was waited.
    pub fn wait(&self, reason: Reason, retry: u32) -> bool {
        let wait = backoff::wait(reason, retry, self.world.chance());
        let mut call = self.call();
        let retries = if reason == Reason::Conflict { CONFLICT_RETRIES } else { call.retries };
        if retry >= retries || self.world.now() + wait > call.ends {
            call.next = wait;
            return false;
        }
        drop(call);
        self.world.sleep(wait);
        true
    }

    /// Waits for something that takes its time, such as a table. False if the call has no time left for it.
    pub fn wait_for(&self, wait: Duration) -> bool {
        if self.world.now() + wait > self.call().ends {
            return false;
        }
        self.world.sleep(wait);
        true
    }

    /// Sends a request and reads the answer. What the service refuses is shown to `refused` first.
    pub fn exchange<R: Request<S>>(&self, request: Result<R, BuildError>, refused: impl FnOnce(&R::Error)) -> Result<R::Output, Fault> {
        let fault = |cause| Fault { operation: R::OPERATION, cause };
        let request = request.map_err(|error| fault(Cause::Unusable(error.to_string())))?;
        let request = codec::serialize(request).map_err(|text| fault(Cause::Unusable(text)))?;
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.send(R::OPERATION, body).map_err(|error| fault(Cause::Unanswered(error)))?;
        let status = answer.status;
        codec::parse::<S, R, _>(answer, |refusal| match refusal {
            Refusal::Service(error) => {
                refused(error);
                fault(Cause::Service(Refused::new(status, error)))
            }
            Refusal::Unreadable(text) => fault(Cause::Unusable(format!("the answer of status {status} cannot be read: {text}"))),
        })
    }

    /// Sends a request until it is answered for good.
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        let (mut retries, mut conflicts) = (0, 0);
        loop {
            let outcome = self.world.send(operation, body);
            if in_doubt(&outcome) {
                self.call().doubt = true;
            }
            let Some(reason) = again::<S>(&outcome) else { return outcome };
            let count = if reason == Reason::Conflict { &mut conflicts } else { &mut retries };
            if !self.wait(reason, *count) {
                return outcome;
            }
            *count += 1;
        }
    }
}

/// Whether it is open if the service acted.
fn in_doubt(outcome: &Result<Response, SendError>) -> bool {
    match outcome {
        Ok(response) => response.status >= 500,
        Err(SendError::Interrupted(_) | SendError::TooLarge(_)) => true,
        Err(SendError::Refused(_) | SendError::Unreachable(_) | SendError::Credentials(_)) => false,
    }
}

/// Why to send again; none if not.
fn again<S: Service>(outcome: &Result<Response, SendError>) -> Option<Reason> {
    let response = match outcome {
        Ok(response) if response.status < 400 => return None,
        Ok(response) => response,
        Err(SendError::Unreachable(_) | SendError::Interrupted(_)) => return Some(Reason::Failed),
        Err(SendError::Refused(_) | SendError::Credentials(_) | SendError::TooLarge(_)) => return None,
    };
    let code = code(response);
    if matches!(response.status, 429 | 503) || S::THROTTLES.contains(&code) {
        Some(Reason::Throttled)
    } else if response.status >= 500 || S::PASSING.contains(&code) {
        Some(Reason::Failed)
    } else {
        S::again(code, &response.body)
    }
}

/// The code of an error answer: from the header, else from `__type`; what stands before a `#` or after a `:` is not part of it. Empty if there is none.
fn code(response: &Response) -> &str {
    let header = response.headers.iter().find(|(name, _)| name == "x-amzn-errortype").map(|(_, value)| value.as_str());
    let text = header.or_else(|| in_body(&response.body)).unwrap_or_default();
    let text = text.split(':').next().unwrap_or_default();
    text.rsplit('#').next().unwrap_or_default()
}

/// The text of `"__type": "…"`. No code has an escape in it.
fn in_body(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("\"__type\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Any;

    impl Service for Any {
        const NAME: &'static str = "Any";
        const THROTTLES: &'static [&'static str] = &["ThrottlingException"];
        const PASSING: &'static [&'static str] = &["InternalServerError"];

        fn again(code: &str, body: &[u8]) -> Option<Reason> {
            (code == "Conflict" && body.ends_with(b"}")).then_some(Reason::Conflict)
        }
    }

    fn answer(status: u16, body: &str) -> Result<Response, SendError> {
        Ok(Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    fn error(code: &str) -> Result<Response, SendError> {
        answer(400, &format!(r#"{{ "__type" : "com.amazonaws.some#{code}", "message":"x"}}"#))
    }

    fn reason(outcome: &Result<Response, SendError>) -> Option<Reason> {
        again::<Any>(outcome)
    }

    #[test]
    fn refusals_for_load_are_told_from_failures() {
        assert_eq!(reason(&error("ThrottlingException")), Some(Reason::Throttled));
        assert_eq!(reason(&answer(503, "")), Some(Reason::Throttled));
        assert_eq!(reason(&answer(429, "")), Some(Reason::Throttled));
        assert_eq!(reason(&answer(500, "<html>")), Some(Reason::Failed));
        assert_eq!(reason(&error("InternalServerError")), Some(Reason::Failed));
        assert_eq!(reason(&Err(SendError::Interrupted(String::new()))), Some(Reason::Failed));
        assert_eq!(reason(&Err(SendError::Unreachable(String::new()))), Some(Reason::Failed));
        assert_eq!(reason(&error("Conflict")), Some(Reason::Conflict));
    }

    #[test]
    fn what_stays_as_it_is_is_not_sent_again() {
        for code in ["ValidationException", "ConditionalCheckFailedException", "AccessDeniedException", "ResourceNotFoundException"] {
            assert_eq!(reason(&error(code)), None, "{code}");
        }
        assert_eq!(reason(&answer(200, r#"{"__type":"ThrottlingException"}"#)), None);
        for error in [SendError::Refused(String::new()), SendError::Credentials(String::new()), SendError::TooLarge(1)] {
            assert_eq!(reason(&Err(error)), None);
        }
    }

    #[test]
    fn codes_are_found_in_header_and_body() {
        let mut response = error("A").unwrap();
        assert_eq!(code(&response), "A");
        response.headers.push(("x-amzn-errortype".into(), "ns#B:http://x/".into()));
        assert_eq!(code(&response), "B");
        assert_eq!(code(&answer(400, "{\"__type\": 5}").unwrap()), "");
        assert_eq!(code(&answer(400, "\u{fffd}").unwrap()), "");
    }
}
