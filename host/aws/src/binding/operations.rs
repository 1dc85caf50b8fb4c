//! The operations of DynamoDB that a storage guest may use: for what, and with which members. The rule: what does not stand in [`OPERATIONS`] is
//! not sent. Resource policies, streams, indexes, filters and conditions beyond those of the guest that is shipped do not stand there.

use cofferdam_runtime::Purpose;

use super::shape::Shape::{Choice, Expression, Flag, Item, Key, List, Names, Number, OfTable, Record, Table, Target, Values, Word};
use super::shape::{Member, may, must};

/// An operation and what is allowed of it.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// The header `x-amz-target`.
    pub(super) target: &'static str,
    /// Whether it changes anything at the service.
    pub(super) writes: bool,
    pub(super) purposes: &'static [Purpose],
    pub(super) body: Body,
}

/// What the body must be.
pub(super) enum Body {
    Members(&'static [Member]),
    /// What the operator's table is created with.
    Creation,
    /// Point-in-time recovery switched on, for a table just created.
    Recovery,
}

/// The operation of this name.
pub(super) fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// The names of all.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

const KEY: Member = must("Key", Key);
const TABLE: Member = must("TableName", Table);
const CONSISTENT: Member = may("ConsistentRead", Flag);
const PROJECTION: Member = may("ProjectionExpression", Expression);
const NAMES: Member = may("ExpressionAttributeNames", Names);
const VALUES: Member = may("ExpressionAttributeValues", Values);
const CONDITION: Member = may("ConditionExpression", Expression);
const START: Member = may("ExclusiveStartKey", Key);
const LIMIT: Member = may("Limit", Number);

/// DynamoDB's own limits of lists.
const GETS: usize = 100;
const WRITES: usize = 25;
const TRANSACTION: usize = 100;

static OPERATIONS: [Operation; 12] = [
    Operation {
        name: "GetItem",
        target: "DynamoDB_20120810.GetItem",
        writes: false,
        purposes: &[Purpose::Read, Purpose::Lock],
        body: Body::Members(&[TABLE, KEY, CONSISTENT, PROJECTION, NAMES]),
    },
    Operation {
        name: "Query",
        target: "DynamoDB_20120810.Query",
        writes: false,
        purposes: &[Purpose::Read, Purpose::Mutation],
        body: Body::Members(&[
            TABLE,
            must("KeyConditionExpression", Expression),
            NAMES,
            VALUES,
            CONSISTENT,
            PROJECTION,
            LIMIT,
            START,
            may("ScanIndexForward", Flag),
            may("Select", Word),
        ]),
    },
    Operation {
        name: "Scan",
        target: "DynamoDB_20120810.Scan",
        writes: false,
        purposes: &[Purpose::Read],
        body: Body::Members(&[TABLE, CONSISTENT, PROJECTION, NAMES, may("Segment", Number), may("TotalSegments", Number), LIMIT, START]),
    },
    Operation {
        name: "BatchGetItem",
        target: "DynamoDB_20120810.BatchGetItem",
        writes: false,
        purposes: &[Purpose::Mutation],
        body: Body::Members(&[must("RequestItems", OfTable(&Record(&[must("Keys", List(&Key, GETS)), CONSISTENT, PROJECTION, NAMES])))]),
    },
    Operation {
        name: "PutItem",
        target: "DynamoDB_20120810.PutItem",
        writes: true,
        purposes: &[Purpose::Mutation],
        body: Body::Members(&[TABLE, must("Item", Item)]),
    },
    Operation {
        name: "DeleteItem",
        target: "DynamoDB_20120810.DeleteItem",
        writes: true,
        purposes: &[Purpose::Mutation, Purpose::Lock],
        body: Body::Members(&[TABLE, must("Key", Target), CONDITION, NAMES, VALUES]),
    },
    Operation {
        name: "UpdateItem",
        target: "DynamoDB_20120810.UpdateItem",
        writes: true,
        purposes: &[Purpose::Lock],
        body: Body::Members(&[TABLE, must("Key", Target), must("UpdateExpression", Expression), CONDITION, NAMES, VALUES]),
    },
    Operation {
        name: "BatchWriteItem",
        target: "DynamoDB_20120810.BatchWriteItem",
        writes: true,
        purposes: &[Purpose::Mutation],
        body: Body::Members(&[must(
            "RequestItems",
            OfTable(&List(
                &Choice(&[may("PutRequest", Record(&[must("Item", Item)])), may("DeleteRequest", Record(&[must("Key", Target)]))]),
                WRITES,
            )),
        )]),
    },
    Operation {
        name: "TransactWriteItems",
        target: "DynamoDB_20120810.TransactWriteItems",
        writes: true,
        purposes: &[Purpose::Mutation],
        body: Body::Members(&[
            must(
                "TransactItems",
                List(
                    &Choice(&[
                        may("Put", Record(&[TABLE, must("Item", Item)])),
                        may("Delete", Record(&[TABLE, must("Key", Target)])),
                        may("ConditionCheck", Record(&[TABLE, KEY, must("ConditionExpression", Expression), NAMES, VALUES])),
                    ]),
                    TRANSACTION,
                ),
            ),
            may("ClientRequestToken", Word),
        ]),
    },
    Operation {
        name: "DescribeTable",
        target: "DynamoDB_20120810.DescribeTable",
        writes: false,
        purposes: &[Purpose::Open],
        body: Body::Members(&[TABLE]),
    },
    Operation {
        name: "CreateTable",
        target: "DynamoDB_20120810.CreateTable",
        writes: true,
        purposes: &[Purpose::Open],
        body: Body::Creation,
    },
    Operation {
        name: "UpdateContinuousBackups",
        target: "DynamoDB_20120810.UpdateContinuousBackups",
        writes: true,
        purposes: &[Purpose::Open],
        body: Body::Recovery,
    },
];
