//! What the operator allows a guest to send. The rule: a request is checked as a whole before anything is signed, against a list of what is
//! allowed; a guest cannot widen it, and whatever is not understood is refused and counted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Fence, Lease};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, Purpose};
use tokio::sync::Mutex;

use self::operations::{Body, Operation};
use self::refusal::{Reason, Refusal};
use self::shape::Scope;
use crate::egress::{Class, Egress, Outgoing, failure};
use crate::scan;

mod expression;
mod fence;
pub mod fuzz;
mod kms;
mod operations;
pub(crate) mod refusal;
mod shape;
mod table;

#[cfg(test)]
mod tests;

pub use self::kms::{KeySpec, KeySpecError, Kms};
pub use self::table::{BillingMode, TableSpec};

/// The key of the lock of leadership, whether or not this server takes part in it.
const LEADERSHIP: &str = "core/lock";

/// The binding of a storage guest to one DynamoDB table.
pub struct DynamoDb {
    table: TableSpec,
    egress: Egress,
    lease: Option<Arc<Lease>>,
    /// The operations that the operator named; none for all that the binding knows.
    only: Option<Vec<String>>,
    /// Held while a transaction is under way.
    turn: Mutex<()>,
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").field("table", &self.table.name).field("egress", &self.egress).field("lease", &self.lease).finish()
    }
}

impl DynamoDb {
    /// Binds to a table. With a lease, data is changed only while it is held.
    pub fn new(table: TableSpec, egress: Egress, lease: Option<Arc<Lease>>) -> Arc<DynamoDb> {
        Arc::new(DynamoDb { table, egress, lease, only: None, turn: Mutex::default() })
    }

    /// The same for these of its [`operations`](DynamoDb::operations) alone.
    pub fn restricted(table: TableSpec, egress: Egress, lease: Option<Arc<Lease>>, operations: Vec<String>) -> Arc<DynamoDb> {
        Arc::new(DynamoDb { table, egress, lease, only: Some(operations), turn: Mutex::default() })
    }

    /// The names of the operations that the binding knows.
    pub fn operations() -> impl Iterator<Item = &'static str> {
        operations::names()
    }

    /// The operation, if this request of it is allowed.
    fn check(&self, call: &AwsCall, name: &str, body: &[u8]) -> Result<&'static Operation, Refusal> {
        let fence = self.lease.as_ref().and_then(|lease| lease.fence());
        allowed(&self.table, self.only.as_deref(), fence.as_ref(), call, name, body)
    }

    /// What an answer, or its absence, says of the table's existence, for the rest of the call.
    fn note(call: &mut AwsCall, operation: &Operation, answer: &Result<AwsResponse, AwsSendError>) {
        match (operation.name, answer) {
            ("DescribeTable", Ok(answer)) if answer.status == 400 => {
                call.missing |= failure::kind(answer).is_some_and(|kind| kind.is("ResourceNotFoundException"));
            }
            // Without an answer it may have been created, too. It was not there before, or this would not have been sent.
            ("CreateTable", Ok(AwsResponse { status: 200..=299 | 500.., .. }) | Err(AwsSendError::Interrupted(_))) => call.created = true,
            _ => {}
        }
    }
}

/// The operation, if this request of it is allowed on this table.
fn allowed(
    table: &TableSpec,
    only: Option<&[String]>,
    fence: Option<&Fence>,
    call: &AwsCall,
    name: &str,
    body: &[u8],
) -> Result<&'static Operation, Refusal> {
    let operation = operations::find(name).ok_or_else(|| Refusal::new(Reason::Operation, "this backend may not send this operation"))?;
    granted(only, operation.name)?;
    if !operation.purposes.contains(&call.purpose) {
        return Err(Refusal::new(Reason::Purpose, format!("this operation is not for {}", words(call.purpose))));
    }
    let value = scan::read(body).map_err(|error| Refusal::new(Reason::Body, error.to_string()))?;
    match &operation.body {
        Body::Members(members) => {
            let locks = [Some(LEADERSHIP), fence.map(|fence| fence.key.as_str())];
            Scope { table: &table.name, purpose: call.purpose, locks }.record(&value, members)?;
        }
        Body::Creation if !call.missing => {
            return Err(Refusal::new(Reason::Creation, "a table is created only after the service has said that it is missing"));
        }
        Body::Recovery if !(call.created && table.point_in_time_recovery) => {
            return Err(Refusal::new(
                Reason::Creation,
                "point-in-time recovery is switched on only for a table just created, if configured",
            ));
        }
        Body::Creation => table.is_created_by(&value).map_err(differs)?,
        Body::Recovery => table.is_recoverable_by(&value).map_err(differs)?,
    }
    match fence {
        Some(fence) if call.purpose == Purpose::Mutation && operation.writes => fence::check(operation, &value, fence)?,
        _ => {}
    }
    Ok(operation)
}

/// Whether the operator's list, if there is one, has the operation.
fn granted(only: Option<&[String]>, name: &str) -> Result<(), Refusal> {
    match only {
        Some(only) if !only.iter().any(|granted| granted == name) => {
            Err(Refusal::new(Reason::Operation, "the operator has not granted this operation"))
        }
        _ => Ok(()),
    }
}

/// The operator's list in words.
fn listed(only: Option<&[String]>) -> String {
    only.map(|only| format!(" ({}, nothing else)", only.join(", "))).unwrap_or_default()
}

fn differs(member: String) -> Refusal {
    Refusal::new(Reason::Creation, "this is not what the operator configured").below(&member)
}

fn words(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Attach => "attach",
        Purpose::Open => "open",
        Purpose::Read => "a read",
        Purpose::Mutation => "a mutation",
        Purpose::Lock => "a step on a lock",
        Purpose::Wrap => "wrap",
        Purpose::Unwrap => "unwrap",
    }
}

#[async_trait]
impl Aws for DynamoDb {
    fn describe(&self) -> String {
        format!("the DynamoDB table {} at {}{}", self.table.name, self.egress.describe(), listed(self.only.as_deref()))
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        let allowed = self.egress.admit(call, body.len()).and_then(|()| self.check(call, operation, &body));
        let operation = allowed.map_err(|refusal| self.egress.refuse(refusal.below(operation)))?;
        call.sends = call.sends.saturating_add(1);
        call.sent = call.sent.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
        let class = match call.purpose {
            Purpose::Lock => Class::Lock,
            _ if operation.writes => Class::Mutation,
            _ => Class::Read,
        };
        // All transactions meet at the lock's item, and DynamoDB cancels one that meets another: they go one after the other.
        let turn = async { if operation.name == "TransactWriteItems" { Some(self.turn.lock().await) } else { None } };
        let Ok(_turn) = tokio::time::timeout_at(call.deadline.into(), turn).await else {
            return Err(AwsSendError::Unreachable("the transactions before this one took too long".to_owned()));
        };
        let lease = self.lease.as_deref().filter(|_| operation.writes && call.purpose == Purpose::Mutation);
        let outgoing = Outgoing {
            class,
            target: operation.target,
            body: Bytes::from(body),
            repeatable: !operation.writes,
            lease,
            deadline: call.deadline,
        };
        let answer = self.egress.send(outgoing).await;
        let received = answer.as_ref().map_or(0, |answer| answer.body.len());
        call.received = call.received.saturating_add(u64::try_from(received).unwrap_or(u64::MAX));
        DynamoDb::note(call, operation, &answer);
        answer
    }

    fn now(&self) -> std::time::SystemTime {
        self.egress.now()
    }
}
