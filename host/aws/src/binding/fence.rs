//! Strict fencing. The rule: whatever changes data is a transaction that begins with a check that the lock item is this server's, so the
//! service itself decides, in one step with the change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::Fence;

use super::expression;
use super::operations::Operation;
use super::refusal::{Reason, Refusal};
use super::shape::ItemKey;
use crate::scan::Value;

/// Checks a mutation of data. Its members were checked before.
pub(super) fn check(operation: &Operation, body: &Value<'_>, fence: &Fence) -> Result<(), Refusal> {
    let refused = |text: &str| Err(Refusal::new(Reason::Fence, text));
    if operation.name != "TransactWriteItems" {
        return refused("with strict fencing every mutation is a TransactWriteItems that begins with a check of the lock");
    }
    let first = match body.member("TransactItems") {
        Some(Value::Array(items)) => items.first(),
        _ => None,
    };
    let Some(check) = first.and_then(|item| item.member("ConditionCheck")) else {
        return refused("with strict fencing the first item of TransactItems is a ConditionCheck of the lock");
    };
    if !check.member("Key").and_then(ItemKey::read).is_some_and(|key| key.is_of_lock(fence.key.as_str())) {
        return refused("the ConditionCheck is not on the item of the lock");
    }
    if !holds(check, &fence.identity) {
        return refused("the ConditionCheck does not demand that Identity is this server's");
    }
    Ok(())
}

/// Whether the condition is that the item's Identity is this one, and nothing else.
fn holds(check: &Value<'_>, identity: &str) -> bool {
    let condition = check.member("ConditionExpression").and_then(Value::plain);
    let Some((attribute, placeholder)) = condition.and_then(|text| expression::equality(text, check.member("ExpressionAttributeNames")))
    else {
        return false;
    };
    let Some([(name, value)]) = check.member("ExpressionAttributeValues").and_then(Value::members) else {
        return false;
    };
    attribute == "Identity" && *name == placeholder && value.member("B").and_then(Value::plain) == Some(STANDARD.encode(identity).as_str())
}
