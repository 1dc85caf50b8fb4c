//! The operations, and what the transport must know of DynamoDB.
//!
//! Every request may be repeated: those without a condition are idempotent, those with one are looked at again (`lock`) or carry a token (transactions).
//!
//! Conflicts: a transaction on the same item is under way, and be it only a condition. With strict fencing the lock is such an item of every mutation, and each renewal of
//! it meets them. A conflict is over in milliseconds, so it has retries of its own, many and quick.

use cofferdam_guest_aws::{Reason, Service, operations};

/// The code of a single write that met a transaction.
pub(crate) const CONFLICT: &str = "TransactionConflictException";

/// Reasons of a cancelled transaction with which DynamoDB asks for less.
pub(crate) const CANCELLED_FOR_LOAD: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];

/// The reason of a cancelled transaction that met another.
pub(crate) const CANCELLED_FOR_CONFLICT: &str = "TransactionConflict";

/// The service.
#[derive(Debug)]
pub(crate) struct Dynamo;

impl Service for Dynamo {
    const NAME: &'static str = "DynamoDB";

    const THROTTLES: &'static [&'static str] = &[
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
    ];

    const PASSING: &'static [&'static str] = &[
        "InternalServerError",
        "ServiceUnavailable",
        "RequestTimeoutException",
        "TransactionInProgressException",
        "ReplicatedWriteConflictException",
    ];

    fn again(code: &str, body: &[u8]) -> Option<Reason> {
        match code {
            CONFLICT => Some(Reason::Conflict),
            "TransactionCanceledException" => cancelled(body),
            _ => None,
        }
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

operations! {
    Dynamo, aws_sdk_dynamodb:
    batch_get_item: BatchGetItem, BatchGetItemInput, BatchGetItemOutput, BatchGetItemError;
    batch_write_item: BatchWriteItem, BatchWriteItemInput, BatchWriteItemOutput, BatchWriteItemError;
    create_table: CreateTable, CreateTableInput, CreateTableOutput, CreateTableError;
    delete_item: DeleteItem, DeleteItemInput, DeleteItemOutput, DeleteItemError;
    describe_table: DescribeTable, DescribeTableInput, DescribeTableOutput, DescribeTableError;
    get_item: GetItem, GetItemInput, GetItemOutput, GetItemError;
    put_item: PutItem, PutItemInput, PutItemOutput, PutItemError;
    query: Query, QueryInput, QueryOutput, QueryError;
    scan: Scan, ScanInput, ScanOutput, ScanError;
    transact_write_items: TransactWriteItems, TransactWriteItemsInput, TransactWriteItemsOutput, TransactWriteItemsError;
    update_continuous_backups: UpdateContinuousBackups, UpdateContinuousBackupsInput, UpdateContinuousBackupsOutput, UpdateContinuousBackupsError;
    update_item: UpdateItem, UpdateItemInput, UpdateItemOutput, UpdateItemError;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled_for(codes: &str) -> Option<Reason> {
        let body = format!(r#"{{"__type":"x#TransactionCanceledException","CancellationReasons":[{codes}],"Message":"cancelled"}}"#);
        Dynamo::again("TransactionCanceledException", body.as_bytes())
    }

    #[test]
    fn a_transaction_is_repeated_unless_its_condition_failed() {
        assert_eq!(cancelled_for(r#"{"Code":"None"},{"Code":"TransactionConflict"}"#), Some(Reason::Conflict));
        assert_eq!(Dynamo::again("TransactionConflictException", b""), Some(Reason::Conflict));
        assert_eq!(cancelled_for(r#"{"Code":"ThrottlingError"},{"Code":"TransactionConflict"}"#), Some(Reason::Throttled));
        assert_eq!(cancelled_for(r#"{"Code":"ConditionalCheckFailed"},{"Code":"TransactionConflict"}"#), None);
        assert_eq!(cancelled_for(r#"{"Code":"None"}"#), None);
        assert_eq!(Dynamo::again("ConditionalCheckFailedException", b"TransactionConflict"), None);
    }
}
