//! Sends what the SDK serialised, again if need be, within the time and the number of retries of the call.
//!
//! The SDK's own retries are off: here one body is serialised once and sent again as it is, so a transaction keeps its token. What is sent again:
//!
//! - refusals for load: 429, 503 and the error codes in [`THROTTLES`];
//! - failures: any other 5xx, no connection, no answer. Every request of this guest may be repeated: those without a condition
//!   are idempotent, those with one are looked at again (`lock`) or carry a token (transactions);
//! - conflicts: a transaction on the same item is under way, and be it only a condition. With strict fencing the lock is such an item of every mutation, and each renewal of
//!   it meets them. A conflict is over in milliseconds, so it has retries of its own, many and quick.
//!
//! Never sent again: what the host refused, an answer over the host's limit, missing credentials (the host has its own ways to get them).
//! When retries or time run out, the last answer goes back as it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam_guest::aws::{Response, SendError};

use crate::backoff::{self, Reason};
use crate::surroundings::Surroundings;

/// Codes with which DynamoDB asks for less.
pub(crate) const THROTTLES: [&str; 8] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
];

/// The code of a single write that met a transaction.
pub(crate) const CONFLICT: &str = "TransactionConflictException";

/// Reasons of a cancelled transaction with which DynamoDB asks for less.
pub(crate) const CANCELLED_FOR_LOAD: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];

/// The reason of a cancelled transaction that met another.
pub(crate) const CANCELLED_FOR_CONFLICT: &str = "TransactionConflict";

/// The most retries after conflicts.
const CONFLICT_RETRIES: u32 = 40;

/// Codes of passing failures that come without a status of 5xx.
const PASSING: [&str; 5] = [
    "InternalServerError",
    "ServiceUnavailable",
    "RequestTimeoutException",
    "TransactionInProgressException",
    "ReplicatedWriteConflictException",
];

/// How often and how long a call of the contract may try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The most retries of one request.
    pub(crate) retries: u32,
    /// From the call's beginning until the last retry is sent.
    pub(crate) time: Duration,
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
pub(crate) struct Transport {
    around: Arc<dyn Surroundings>,
    call: Mutex<Call>,
}

impl Transport {
    pub(crate) fn new(around: Arc<dyn Surroundings>) -> Transport {
        Transport { around, call: Mutex::new(Call { retries: 0, ends: Duration::ZERO, doubt: false, next: Duration::ZERO }) }
    }

    pub(crate) fn around(&self) -> &dyn Surroundings {
        &*self.around
    }

    /// Only ever locked for an instant, by the one thread there is.
    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call of the contract.
    pub(crate) fn begin(&self, patience: Patience) {
        let ends = self.around.now() + patience.time;
        *self.call() = Call { retries: patience.retries, ends, doubt: false, next: Duration::ZERO };
    }

    /// Whether a request of this call may have taken effect although it was answered by a failure or not at all.
    pub(crate) fn in_doubt(&self) -> bool {
        self.call().doubt
    }

    /// The least wait before it makes sense to call again, in milliseconds.
    pub(crate) fn delay(&self) -> u32 {
        u32::try_from(self.call().next.as_millis()).unwrap_or(u32::MAX)
    }

    /// Waits before the retry of this number, counted from zero. False if the call has no retry or no time left; then nothing was waited.
    pub(crate) fn wait(&self, reason: Reason, retry: u32) -> bool {
        let wait = backoff::wait(reason, retry, self.around.chance());
        let mut call = self.call();
        let retries = if reason == Reason::Conflict { CONFLICT_RETRIES } else { call.retries };
        if retry >= retries || self.around.now() + wait > call.ends {
            call.next = wait;
            return false;
        }
        drop(call);
        self.around.sleep(wait);
        true
    }

    /// Waits for something that takes its time, such as a table. False if the call has no time left for it.
    pub(crate) fn wait_for(&self, wait: Duration) -> bool {
        if self.around.now() + wait > self.call().ends {
            return false;
        }
        self.around.sleep(wait);
        true
    }

    /// Sends a request until it is answered for good.
    pub(crate) fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        let (mut retries, mut conflicts) = (0, 0);
        loop {
            let outcome = self.around.send(operation, body);
            if in_doubt(&outcome) {
                self.call().doubt = true;
            }
            let Some(reason) = again(&outcome) else { return outcome };
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
fn again(outcome: &Result<Response, SendError>) -> Option<Reason> {
    let response = match outcome {
        Ok(response) if response.status < 400 => return None,
        Ok(response) => response,
        Err(SendError::Unreachable(_) | SendError::Interrupted(_)) => return Some(Reason::Failed),
        Err(SendError::Refused(_) | SendError::Credentials(_) | SendError::TooLarge(_)) => return None,
    };
    let code = code(response);
    if matches!(response.status, 429 | 503) || THROTTLES.contains(&code) {
        Some(Reason::Throttled)
    } else if response.status >= 500 || PASSING.contains(&code) {
        Some(Reason::Failed)
    } else if code == CONFLICT {
        Some(Reason::Conflict)
    } else if code == "TransactionCanceledException" {
        cancelled(&response.body)
    } else {
        None
    }
}

/// Why to repeat a transaction that was cancelled. A condition that failed stays so.
fn cancelled(body: &[u8]) -> Option<Reason> {
    let says = |code: &str| body.windows(code.len()).any(|window| window == code.as_bytes());
    if ["ConditionalCheckFailed", "ItemCollectionSizeLimitExceeded", "ValidationError"].into_iter().any(says) {
        None
    } else if CANCELLED_FOR_LOAD.into_iter().any(says) {
        Some(Reason::Throttled)
    } else if says(CANCELLED_FOR_CONFLICT) {
        Some(Reason::Conflict)
    } else {
        None
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

    fn answer(status: u16, body: &str) -> Result<Response, SendError> {
        Ok(Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    fn error(code: &str) -> Result<Response, SendError> {
        answer(400, &format!(r#"{{ "__type" : "com.amazonaws.dynamodb.v20120810#{code}", "message":"x"}}"#))
    }

    #[test]
    fn refusals_for_load_are_told_from_failures() {
        for throttle in THROTTLES {
            assert_eq!(again(&error(throttle)), Some(Reason::Throttled), "{throttle}");
        }
        assert_eq!(again(&answer(503, "")), Some(Reason::Throttled));
        assert_eq!(again(&answer(500, "<html>")), Some(Reason::Failed));
        assert_eq!(again(&error("InternalServerError")), Some(Reason::Failed));
        assert_eq!(again(&Err(SendError::Interrupted(String::new()))), Some(Reason::Failed));
        assert_eq!(again(&Err(SendError::Unreachable(String::new()))), Some(Reason::Failed));
    }

    #[test]
    fn what_stays_as_it_is_is_not_sent_again() {
        for code in ["ValidationException", "ConditionalCheckFailedException", "AccessDeniedException", "ResourceNotFoundException"] {
            assert_eq!(again(&error(code)), None, "{code}");
        }
        assert_eq!(again(&answer(200, r#"{"__type":"ThrottlingException"}"#)), None);
        for error in [SendError::Refused(String::new()), SendError::Credentials(String::new()), SendError::TooLarge(1)] {
            assert_eq!(again(&Err(error)), None);
        }
    }

    #[test]
    fn a_transaction_is_repeated_unless_its_condition_failed() {
        let reasons = |codes: &str| {
            answer(400, &format!(r#"{{"__type":"x#TransactionCanceledException","CancellationReasons":[{codes}],"Message":"cancelled"}}"#))
        };
        assert_eq!(again(&reasons(r#"{"Code":"None"},{"Code":"TransactionConflict"}"#)), Some(Reason::Conflict));
        assert_eq!(again(&error("TransactionConflictException")), Some(Reason::Conflict));
        assert_eq!(again(&reasons(r#"{"Code":"ThrottlingError"},{"Code":"TransactionConflict"}"#)), Some(Reason::Throttled));
        assert_eq!(again(&reasons(r#"{"Code":"ConditionalCheckFailed"},{"Code":"TransactionConflict"}"#)), None);
        assert_eq!(again(&reasons(r#"{"Code":"None"}"#)), None);
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
