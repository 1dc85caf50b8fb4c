//! What DynamoDB's refusals mean, as the contract's error: the case says who has to act, the text says what to do.

use cofferdam_guest::Error;
use cofferdam_guest_aws::{Fault, Refused};

use crate::sdk::{CONFLICT, Dynamo};

/// The error for the host. `delay` is how long it should wait if the service asked for less, in milliseconds.
pub(crate) fn error(fault: Fault, table: &str, delay: u32) -> Error {
    let operation = fault.operation;
    fault.settle::<Dynamo>(delay).unwrap_or_else(|refused| refusal(&refused, operation, table, delay))
}

fn refusal(refused: &Refused, operation: &str, table: &str, delay: u32) -> Error {
    let said = refused.said();
    match refused.code.as_str() {
        CONFLICT => Error::Throttled(delay),
        _ if refused.is_denial() => {
            Error::Denied(format!("the permission {} is missing on table {table:?}: {said}", permission(operation, refused)))
        }
        "ResourceNotFoundException" => Error::Unavailable(format!(
            "table {table:?} does not exist or cannot be used yet; was it deleted or is the region another? {said}"
        )),
        "ItemCollectionSizeLimitExceededException" | "LimitExceededException" => Error::Exhausted(format!("{operation}: {said}")),
        "TransactionInProgressException"
        | "TransactionCanceledException"
        | "ReplicatedWriteConflictException"
        | "RequestTimeoutException" => Error::Unavailable(format!("{operation}: {said}")),
        _ if refused.message.contains("KMS") => Error::Denied(format!("the table's KMS key cannot be used: {said}")),
        _ => Error::Denied(format!("DynamoDB refuses {operation} on table {table:?}: {said}")),
    }
}

/// The permission that a refusal names, else the one that the operation needs.
fn permission(operation: &str, refused: &Refused) -> String {
    match (refused.permission(), operation) {
        (Some(action), _) => action.to_owned(),
        // No action has the name of this operation.
        (None, "TransactWriteItems") => "dynamodb:ConditionCheckItem, dynamodb:PutItem or dynamodb:DeleteItem".to_owned(),
        (None, operation) => format!("dynamodb:{operation}"),
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_guest_aws::Cause;

    use super::*;

    fn told(status: u16, code: &str, message: &str) -> Error {
        let cause = Cause::Service(Refused { status, code: code.into(), message: message.into(), id: Some("R1".into()) });
        error(Fault { operation: "PutItem", cause }, "vault", 1_500)
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
            denied(told(400, "AccessDeniedException", message))
                .starts_with("the permission dynamodb:PutItem is missing on table \"vault\": ")
        );
        assert!(denied(told(400, "AccessDeniedException", "")).starts_with("the permission dynamodb:PutItem is missing"));
        assert!(denied(told(400, "AccessDeniedException", "not authorized to perform: kms:Decrypt on")).contains("kms:Decrypt is missing"));
    }

    #[test]
    fn the_case_says_who_has_to_act() {
        assert!(matches!(told(400, "ProvisionedThroughputExceededException", ""), Error::Throttled(1_500)));
        assert!(matches!(told(400, CONFLICT, ""), Error::Throttled(1_500)));
        assert!(matches!(told(503, "", ""), Error::Throttled(1_500)));
        assert!(matches!(told(500, "InternalServerError", "x"), Error::Unavailable(_)));
        assert!(matches!(told(400, "ResourceNotFoundException", "x"), Error::Unavailable(text) if text.contains("\"vault\"")));
        assert!(matches!(told(400, "ItemCollectionSizeLimitExceededException", "x"), Error::Exhausted(_)));
        assert!(denied(told(400, "ValidationException", "bad")).contains("ValidationException: bad (request R1)"));
        assert!(denied(told(400, "ValidationException", "KMS key is disabled")).contains("KMS key"));
    }
}
