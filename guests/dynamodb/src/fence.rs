//! Mutations bound to a lock: transactions whose first part is the condition that the lock is held.
//!
//! The service decides condition and change in one step, so a leader that was taken for dead and comes back changes nothing. A run of changes too long for one transaction
//! is cut in their order. Each transaction has a token of its own, so that one that is sent again takes effect once.
//!
//! Two transactions with the same condition conflict, so mutations pass one after the other at the lock; [`crate::sdk`] says that those are sent again that met another.

use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use cofferdam_guest::fencing::Fence;
use cofferdam_guest::{Error, Result};

use crate::item::{IDENTITY, Item};
use crate::place::Place;
use crate::sdk::{CANCELLED_FOR_CONFLICT, CANCELLED_FOR_LOAD};
use crate::store::{Store, incomplete};

/// The most parts of a transaction, the condition among them.
const PARTS: usize = 100;

/// The most bytes of a transaction, of the 4 MiB that the service takes; the rest is for what is around the values.
const BYTES: usize = 3 << 20;

/// A part of a transaction that changes something.
pub(crate) enum Action {
    Put(Item),
    Delete(Place),
}

impl Action {
    fn bytes(&self) -> usize {
        let Action::Put(item) = self else { return 0 };
        item.values().map(|value| if let AttributeValue::B(bytes) = value { bytes.as_ref().len() } else { 0 }).sum()
    }
}

impl Store {
    /// Does all of it in order, as long as the lock is held.
    pub(crate) fn transact(&self, fence: &Fence, actions: Vec<Action>) -> Result<()> {
        let lock = Place::of_lock(&fence.key)?;
        let mut parts = Vec::new();
        let mut bytes = 0;
        for action in actions {
            let more = action.bytes();
            if parts.len() + 1 >= PARTS || bytes + more > BYTES {
                self.send_transaction(fence, &lock, std::mem::take(&mut parts))?;
                bytes = 0;
            }
            bytes += more;
            parts.push(self.part(action)?);
        }
        self.send_transaction(fence, &lock, parts)
    }

    fn part(&self, action: Action) -> Result<TransactWriteItem> {
        let part = TransactWriteItem::builder();
        Ok(match action {
            Action::Put(item) => {
                part.put(Put::builder().table_name(self.table()).set_item(Some(item)).build().map_err(incomplete)?).build()
            }
            Action::Delete(place) => part
                .delete(Delete::builder().table_name(self.table()).set_key(Some(place.attributes())).build().map_err(incomplete)?)
                .build(),
        })
    }

    fn send_transaction(&self, fence: &Fence, lock: &Place, parts: Vec<TransactWriteItem>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let check = ConditionCheck::builder()
            .table_name(self.table())
            .set_key(Some(lock.clone().attributes()))
            .condition_expression("#i = :i")
            .expression_attribute_names("#i", IDENTITY)
            .expression_attribute_values(":i", AttributeValue::B(Blob::new(fence.identity.as_bytes())))
            .build()
            .map_err(incomplete)?;
        let around = &self.around;
        let mut all = Vec::with_capacity(parts.len() + 1);
        all.push(TransactWriteItem::builder().condition_check(check).build());
        all.extend(parts);
        let request = TransactWriteItemsInput::builder().set_transact_items(Some(all)).client_request_token(format!(
            "{:016x}{:016x}",
            around.chance(),
            around.chance()
        ));
        let mut codes = Vec::new();
        let done = self.transport.exchange(request.build(), |error| codes = reasons(error));
        done.map(|_| ()).map_err(|fault| self.cancelled(fence, &codes).unwrap_or_else(|| self.error(fault)))
    }

    /// The error for a transaction that was cancelled, by the reasons of its parts.
    fn cancelled(&self, fence: &Fence, codes: &[String]) -> Option<Error> {
        let any = |wanted: &str| codes.iter().any(|code| code == wanted);
        if codes.first().is_some_and(|code| code == "ConditionalCheckFailed") {
            Some(Error::Conflict(format!("the lock {:?} is not held by this server any more", fence.key)))
        } else if any("ItemCollectionSizeLimitExceeded") {
            Some(Error::Exhausted("TransactWriteItems: the item collection is full".to_owned()))
        } else if CANCELLED_FOR_LOAD.into_iter().any(any) || any(CANCELLED_FOR_CONFLICT) {
            Some(Error::Throttled(self.transport.delay()))
        } else {
            None
        }
    }
}

/// The reasons for which a transaction was cancelled, part by part.
fn reasons(error: &TransactWriteItemsError) -> Vec<String> {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}
