//! The changes that took effect, in the order in which they did.
//!
//! The rule: one is entered while the tables are locked for it, so that the order is the tables' own.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

/// A change that took effect.
#[derive(Clone, Debug)]
pub struct Applied {
    /// When.
    pub at: Instant,
    /// The id of the access key that the request was signed with; empty if it came over no network.
    pub who: String,
    /// The operation, as in `PutItem`.
    pub operation: String,
    /// The request.
    pub body: Value,
}

const CHANGES: [&str; 5] = ["PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"];

/// None until somebody wants it.
#[derive(Default)]
pub(super) struct Journal(Mutex<Option<Vec<Applied>>>);

impl Journal {
    pub(super) fn keep(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    pub(super) fn all(&self) -> Vec<Applied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// A transaction that was done before consumes nothing, and changes nothing.
    pub(super) fn enter(&self, who: &str, operation: &str, body: &Value, units: f64) {
        if units > 0.0
            && CHANGES.contains(&operation)
            && let Some(all) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        {
            all.push(Applied { at: Instant::now(), who: who.to_owned(), operation: operation.to_owned(), body: body.clone() });
        }
    }
}
