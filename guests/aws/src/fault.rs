//! What went wrong, as far as it is the same with every service.
//!
//! The service's own words are quoted, cut to [`QUOTED`] bytes; they name permissions and limits better than we could. They hold no value: the services quote none.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cofferdam_guest::Error;
use cofferdam_guest::aws::SendError;

use crate::transport::Service;

/// The most bytes that are quoted of a message.
const QUOTED: usize = 400;

/// Codes that speak of who asks, not of what is asked.
const STRANGER: [&str; 9] = [
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationTokenException",
    "MissingAuthenticationToken",
    "OptInRequired",
];

/// A request that did not succeed.
#[derive(Debug)]
pub struct Fault {
    /// The operation.
    pub operation: &'static str,
    /// Why it did not.
    pub cause: Cause,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Cause {
    /// The service answered so.
    Service(Refused),
    /// There is no answer.
    Unanswered(SendError),
    /// The SDK can do nothing with the request or with the answer.
    Unusable(String),
}

/// The service's error.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The service's code of the error; empty if it gave none.
    pub code: String,
    /// The service's own words.
    pub message: String,
    /// The service's name for the request.
    pub id: Option<String>,
}

impl Fault {
    /// The code of the service's answer; empty if there is none.
    pub fn code(&self) -> &str {
        match &self.cause {
            Cause::Service(refused) => &refused.code,
            _ => "",
        }
    }

    /// The service's own words.
    pub fn message(&self) -> &str {
        match &self.cause {
            Cause::Service(refused) => &refused.message,
            _ => "",
        }
    }

    /// The error for the host, where it is the same with every service; else the refusal, which is the caller's to understand.
    /// `delay` is how long the host should wait if the service asked for less, in milliseconds.
    pub fn settle<S: Service>(self, delay: u32) -> Result<Error, Refused> {
        let operation = self.operation;
        match self.cause {
            Cause::Unanswered(error) => Ok(unanswered(S::NAME, operation, error)),
            Cause::Unusable(text) => Ok(Error::Unavailable(format!("{operation}: {}", quoted(&text)))),
            Cause::Service(refused) => refused.settle::<S>(operation, delay),
        }
    }
}

fn unanswered(service: &str, operation: &str, error: SendError) -> Error {
    match error {
        SendError::Refused(text) => Error::Denied(format!("{operation} was not sent: {}", quoted(&text))),
        SendError::Unreachable(text) => Error::Unavailable(format!("{operation}: {service} cannot be reached: {}", quoted(&text))),
        SendError::Interrupted(text) => Error::Unavailable(format!("{operation}: no answer came from {service}: {}", quoted(&text))),
        SendError::TooLarge(size) => Error::Exhausted(format!("{operation}: the answer is over the {size} bytes that the host takes")),
        SendError::Credentials(text) => Error::Unavailable(format!("{operation}: no usable credentials: {}", quoted(&text))),
    }
}

impl Refused {
    /// What the SDK read in an answer of this status.
    pub(crate) fn new(status: u16, error: &impl ProvideErrorMetadata) -> Refused {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let id = error.meta().extra("aws_request_id").map(str::to_owned);
        Refused { status, code: text(error.code()), message: text(error.message()), id }
    }

    fn settle<S: Service>(self, operation: &str, delay: u32) -> Result<Error, Refused> {
        let code = self.code.as_str();
        if S::THROTTLES.contains(&code) || matches!(self.status, 429 | 503) {
            return Ok(Error::Throttled(delay));
        }
        let said = self.said();
        match code {
            _ if self.status >= 500 => Ok(Error::Unavailable(format!("{operation}: {said}"))),
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                Ok(Error::Unavailable(format!("the credentials have expired: {said}")))
            }
            "UnknownOperationException" => Ok(Error::Unsupported(format!("the endpoint does not offer {operation}: {said}"))),
            stranger if STRANGER.contains(&stranger) => {
                Ok(Error::Denied(format!("AWS does not accept the credentials or the region: {said}")))
            }
            _ => Err(self),
        }
    }

    /// Whether a permission is missing.
    pub fn is_denial(&self) -> bool {
        matches!(self.code.as_str(), "AccessDeniedException" | "AccessDenied")
    }

    /// The permission that the message names as missing, if it does.
    pub fn permission(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("perform: ")?;
        rest.split_whitespace().next().map(quoted)
    }

    /// The answer in words.
    pub fn said(&self) -> String {
        let code = if self.code.is_empty() { "no code" } else { quoted(&self.code) };
        let message = match quoted(&self.message) {
            "" => String::new(),
            message => format!(": {message}"),
        };
        let id = self.id.as_deref().map(|id| format!(" (request {})", quoted(id))).unwrap_or_default();
        format!("status {}, {code}{message}{id}", self.status)
    }
}

/// The beginning of a text.
pub fn quoted(text: &str) -> &str {
    text.get(..text.floor_char_boundary(QUOTED)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Any;

    impl Service for Any {
        const NAME: &'static str = "Any";
        const THROTTLES: &'static [&'static str] = &["ThrottlingException"];
        const PASSING: &'static [&'static str] = &[];
    }

    fn refused(status: u16, code: &str, message: &str) -> Refused {
        Refused { status, code: code.into(), message: message.into(), id: Some("R1".into()) }
    }

    fn settle(status: u16, code: &str) -> Result<Error, Refused> {
        Fault { operation: "Put", cause: Cause::Service(refused(status, code, "x")) }.settle::<Any>(1_500)
    }

    #[test]
    fn the_case_says_who_has_to_act() {
        assert!(matches!(settle(400, "ThrottlingException"), Ok(Error::Throttled(1_500))));
        assert!(matches!(settle(503, ""), Ok(Error::Throttled(1_500))));
        assert!(matches!(settle(500, "InternalServerError"), Ok(Error::Unavailable(_))));
        assert!(matches!(settle(400, "ExpiredTokenException"), Ok(Error::Unavailable(_))));
        assert!(matches!(settle(400, "UnrecognizedClientException"), Ok(Error::Denied(_))));
        assert!(matches!(settle(400, "UnknownOperationException"), Ok(Error::Unsupported(text)) if text.contains("Put")));
        for own in ["ValidationException", "AccessDeniedException", "ResourceNotFoundException", ""] {
            assert_eq!(settle(400, own).unwrap_err().code, own);
        }
    }

    #[test]
    fn a_permission_is_found_in_the_message() {
        let message =
            "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k because …";
        assert_eq!(refused(400, "AccessDeniedException", message).permission(), Some("kms:Decrypt"));
        assert_eq!(refused(400, "AccessDeniedException", "no").permission(), None);
        assert!(refused(400, "AccessDenied", "").is_denial() && !refused(400, "Denied", "").is_denial());
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let said = refused(400, "ValidationException", &"ä".repeat(1_000)).said();
        assert!(said.len() < 600 && said.ends_with("ä (request R1)"), "{said}");
        assert_eq!(quoted(&"ä".repeat(1_000)).len(), QUOTED);
        assert_eq!(quoted(&format!("x{}", "ä".repeat(1_000))).len(), QUOTED - 1);
    }

    #[test]
    fn what_was_not_answered_says_so() {
        let error = |error| Fault { operation: "Query", cause: Cause::Unanswered(error) }.settle::<Any>(0).unwrap();
        assert!(matches!(error(SendError::Refused("no".into())), Error::Denied(text) if text == "Query was not sent: no"));
        assert!(matches!(error(SendError::Interrupted(String::new())), Error::Unavailable(_)));
        assert!(matches!(error(SendError::Unreachable("x".into())), Error::Unavailable(text) if text == "Query: Any cannot be reached: x"));
        assert!(matches!(error(SendError::TooLarge(7)), Error::Exhausted(text) if text.contains("7 bytes")));
    }
}
