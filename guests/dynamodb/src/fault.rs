//! What went wrong, as the contract's error: the case says who has to act, the text says what to do.
//!
//! The service's own words are quoted, cut to [`QUOTED`] bytes; they name permissions and limits better than we could. They hold no value: the service quotes none.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use cofferdam_guest::Error;
use cofferdam_guest::aws::SendError;

use crate::transport::{CONFLICT, THROTTLES};

/// The most bytes that are quoted of a message.
const QUOTED: usize = 400;

/// A request that did not succeed.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) operation: &'static str,
    pub(crate) cause: Cause,
}

/// Why it did not.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The service answered so.
    Service(Refused),
    /// There is no answer.
    Unanswered(SendError),
    /// The SDK can do nothing with the request or with the answer.
    Unusable(String),
}

/// The service's error.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The service's name for the request.
    pub(crate) id: Option<String>,
}

impl Fault {
    /// The code of the service's answer; empty if there is none.
    pub(crate) fn code(&self) -> &str {
        match &self.cause {
            Cause::Service(refused) => &refused.code,
            _ => "",
        }
    }

    /// The service's own words.
    pub(crate) fn message(&self) -> &str {
        match &self.cause {
            Cause::Service(refused) => &refused.message,
            _ => "",
        }
    }

    /// The error for the host. `delay` is how long it should wait if the service asked for less, in milliseconds.
    pub(crate) fn error(self, table: &str, delay: u32) -> Error {
        let operation = self.operation;
        match self.cause {
            Cause::Unanswered(error) => unanswered(operation, error),
            Cause::Unusable(text) => Error::Unavailable(format!("{operation}: {}", quoted(&text))),
            Cause::Service(refused) => refused.error(operation, table, delay),
        }
    }
}

fn unanswered(operation: &str, error: SendError) -> Error {
    match error {
        SendError::Refused(text) => Error::Denied(format!("{operation} was not sent: {}", quoted(&text))),
        SendError::Unreachable(text) => Error::Unavailable(format!("{operation}: DynamoDB cannot be reached: {}", quoted(&text))),
        SendError::Interrupted(text) => Error::Unavailable(format!("{operation}: no answer came from DynamoDB: {}", quoted(&text))),
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

    fn error(&self, operation: &str, table: &str, delay: u32) -> Error {
        let Refused { status, code, message, .. } = self;
        let said = self.said();
        match code.as_str() {
            throttle if THROTTLES.contains(&throttle) || throttle == CONFLICT || matches!(status, 429 | 503) => Error::Throttled(delay),
            _ if *status >= 500 => Error::Unavailable(format!("{operation}: {said}")),
            "AccessDeniedException" | "AccessDenied" => {
                Error::Denied(format!("the permission {} is missing on table {table:?}: {said}", permission(operation, message)))
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Error::Denied(format!("AWS does not accept the credentials or the region: {said}")),
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                Error::Unavailable(format!("the credentials have expired: {said}"))
            }
            "ResourceNotFoundException" => Error::Unavailable(format!(
                "table {table:?} does not exist or cannot be used yet; was it deleted or is the region another? {said}"
            )),
            "UnknownOperationException" => Error::Unsupported(format!("the endpoint does not offer {operation}: {said}")),
            "ItemCollectionSizeLimitExceededException" | "LimitExceededException" => Error::Exhausted(format!("{operation}: {said}")),
            "TransactionInProgressException"
            | "TransactionCanceledException"
            | "ReplicatedWriteConflictException"
            | "RequestTimeoutException" => Error::Unavailable(format!("{operation}: {said}")),
            _ if message.contains("KMS") => Error::Denied(format!("the table's KMS key cannot be used: {said}")),
            _ => Error::Denied(format!("DynamoDB refuses {operation} on table {table:?}: {said}")),
        }
    }

    /// The answer in words.
    fn said(&self) -> String {
        let code = if self.code.is_empty() { "no code" } else { quoted(&self.code) };
        let message = match quoted(&self.message) {
            "" => String::new(),
            message => format!(": {message}"),
        };
        let id = self.id.as_deref().map(|id| format!(" (request {})", quoted(id))).unwrap_or_default();
        format!("status {}, {code}{message}{id}", self.status)
    }
}

/// The permission that a refusal names, else the one that the operation needs.
fn permission(operation: &str, message: &str) -> String {
    let named = message.split_once("perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    match (named, operation) {
        (Some(action), _) => quoted(action).to_owned(),
        // No action has the name of this operation.
        (None, "TransactWriteItems") => "dynamodb:ConditionCheckItem, dynamodb:PutItem or dynamodb:DeleteItem".to_owned(),
        (None, operation) => format!("dynamodb:{operation}"),
    }
}

/// The beginning of a text.
pub(crate) fn quoted(text: &str) -> &str {
    text.get(..text.floor_char_boundary(QUOTED)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: &str, message: &str) -> Error {
        let cause = Cause::Service(Refused { status, code: code.into(), message: message.into(), id: Some("R1".into()) });
        Fault { operation: "PutItem", cause }.error("vault", 1_500)
    }

    fn denied(error: Error) -> String {
        match error {
            Error::Denied(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missing_permission_is_named() {
        let message = "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:1:table/vault because …";
        assert!(
            denied(error(400, "AccessDeniedException", message))
                .starts_with("the permission dynamodb:PutItem is missing on table \"vault\": ")
        );
        assert!(denied(error(400, "AccessDeniedException", "")).starts_with("the permission dynamodb:PutItem is missing"));
        assert!(
            denied(error(400, "AccessDeniedException", "not authorized to perform: kms:Decrypt on")).contains("kms:Decrypt is missing")
        );
    }

    #[test]
    fn the_case_says_who_has_to_act() {
        assert!(matches!(error(400, "ProvisionedThroughputExceededException", ""), Error::Throttled(1_500)));
        assert!(matches!(error(503, "", ""), Error::Throttled(1_500)));
        assert!(matches!(error(500, "InternalServerError", "x"), Error::Unavailable(_)));
        assert!(matches!(error(400, "ExpiredTokenException", "x"), Error::Unavailable(_)));
        assert!(matches!(error(400, "UnrecognizedClientException", "x"), Error::Denied(_)));
        assert!(matches!(error(400, "ResourceNotFoundException", "x"), Error::Unavailable(text) if text.contains("\"vault\"")));
        assert!(matches!(error(400, "ItemCollectionSizeLimitExceededException", "x"), Error::Exhausted(_)));
        assert!(matches!(error(400, "UnknownOperationException", ""), Error::Unsupported(text) if text.contains("PutItem")));
        assert!(denied(error(400, "ValidationException", "bad")).contains("ValidationException: bad (request R1)"));
        assert!(denied(error(400, "ValidationException", "KMS key is disabled")).contains("KMS key"));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let text = denied(error(400, "ValidationException", &"ä".repeat(1_000)));
        assert!(text.len() < 600, "{}", text.len());
        assert_eq!(quoted(&"ä".repeat(1_000)).len(), QUOTED);
        assert_eq!(quoted(&format!("x{}", "ä".repeat(1_000))).len(), QUOTED - 1);
    }

    #[test]
    fn what_was_not_answered_says_so() {
        let error = |error| Fault { operation: "Query", cause: Cause::Unanswered(error) }.error("vault", 0);
        assert!(matches!(error(SendError::Refused("no".into())), Error::Denied(text) if text == "Query was not sent: no"));
        assert!(matches!(error(SendError::Interrupted(String::new())), Error::Unavailable(_)));
        assert!(matches!(error(SendError::TooLarge(7)), Error::Exhausted(text) if text.contains("7 bytes")));
    }
}
