//! PutItem, DeleteItem, UpdateItem, BatchWriteItem and TransactWriteItems.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::expression::Words;
use super::{Done, Item, KIB, Refusal, Table, exact_keys, invalid, members, named, refusal, size, storable, table, text, units};

const EXPRESSIONS: [&str; 3] = ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"];

fn with_expressions(more: &[&'static str]) -> Vec<&'static str> {
    more.iter().copied().chain(EXPRESSIONS).collect()
}

/// Whether the request's condition, if it has one, holds of the item.
fn condition(body: &Value, words: &Words<'_>, item: Option<&Item>) -> Result<bool, Refusal> {
    match body.get("ConditionExpression") {
        Some(_) => words.holds(text(body, "ConditionExpression")?, item),
        None => Ok(true),
    }
}

fn check(body: &Value, item: Option<&Item>) -> Result<bool, Refusal> {
    let words = Words::of(body);
    let holds = condition(body, &words, item)?;
    words.all_used()?;
    Ok(holds)
}

fn failed() -> Refusal {
    refusal("ConditionalCheckFailedException", "The conditional request failed")
}

/// What a write costs: by the larger of what was there and what is.
fn price(before: Option<&Item>, after: u64) -> Result<f64, Refusal> {
    Ok(units(before.map(size).transpose()?.unwrap_or_default().max(after), KIB))
}

pub(super) fn put(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &with_expressions(&["TableName", "Item"]))?;
    let (keys, item, size) = storable(&body["Item"])?;
    let table = table(tables, body)?;
    let before = table.items.get(&keys);
    if !check(body, before)? {
        return Err(failed());
    }
    let units = price(before, size)?;
    table.items.insert(keys, item);
    Ok(Done { answer: json!({}), units })
}

pub(super) fn delete(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &with_expressions(&["TableName", "Key"]))?;
    let keys = exact_keys(&body["Key"])?;
    let table = table(tables, body)?;
    let before = table.items.get(&keys);
    if !check(body, before)? {
        return Err(failed());
    }
    let units = price(before, 0)?;
    table.items.remove(&keys);
    Ok(Done { answer: json!({}), units })
}

pub(super) fn update(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &with_expressions(&["TableName", "Key", "UpdateExpression"]))?;
    let keys = exact_keys(&body["Key"])?;
    let table = table(tables, body)?;
    let before = table.items.get(&keys);
    let words = Words::of(body);
    let holds = condition(body, &words, before)?;
    let assignments = words.assignments(text(body, "UpdateExpression")?)?;
    words.all_used()?;
    if !holds {
        return Err(failed());
    }
    let mut item = before.cloned().or_else(|| body["Key"].as_object().cloned()).unwrap_or_default();
    for (name, value) in assignments {
        if name == "Path" || name == "Key" {
            return Err(invalid("a key cannot be updated"));
        }
        item.insert(name, value);
    }
    let (keys, item, size) = storable(&Value::Object(item))?;
    let units = price(before, size)?;
    table.items.insert(keys, item);
    Ok(Done { answer: json!({}), units })
}

pub(super) fn batch(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &["RequestItems"])?;
    let mut changes = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, requests) in body["RequestItems"].as_object().into_iter().flatten() {
        named(tables, name)?;
        for request in requests.as_array().into_iter().flatten() {
            members(request, &["PutRequest", "DeleteRequest"])?;
            let (keys, item) = match (request.get("PutRequest"), request.get("DeleteRequest")) {
                (Some(put), None) => {
                    members(put, &["Item"])?;
                    let (keys, item, size) = storable(&put["Item"])?;
                    (keys, Some((item, size)))
                }
                (None, Some(delete)) => {
                    members(delete, &["Key"])?;
                    (exact_keys(&delete["Key"])?, None)
                }
                _ => return Err(invalid("a request is either PutRequest or DeleteRequest")),
            };
            if !seen.insert((name, keys.clone())) {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
            changes.push((name, keys, item));
        }
    }
    if !(1..=25).contains(&changes.len()) {
        return Err(invalid(format!("{} requests, 1 to 25 are allowed", changes.len())));
    }
    let mut units = 0.0;
    for (name, keys, item) in changes {
        let items = &mut named(tables, name)?.items;
        units += price(items.get(&keys), item.as_ref().map_or(0, |(_, size)| *size))?;
        match item {
            Some((item, _)) => items.insert(keys, item),
            None => items.remove(&keys),
        };
    }
    Ok(Done { answer: json!({"UnprocessedItems": {}}), units })
}

/// One item of a transaction, as it was taken apart.
struct Part {
    table: String,
    keys: (String, String),
    /// What becomes of the item: stays, goes, or is this.
    change: Change,
    body: Value,
}

enum Change {
    None,
    Delete,
    Put(Item, u64),
}

fn part(request: &Value) -> Result<Part, Refusal> {
    members(request, &["Put", "Delete", "ConditionCheck"])?;
    let mut kinds = request.as_object().into_iter().flatten();
    let (Some((kind, body)), None) = (kinds.next(), kinds.next()) else { return Err(invalid("an item of a transaction is one thing")) };
    let (keys, change) = match kind.as_str() {
        "Put" => {
            members(body, &with_expressions(&["TableName", "Item"]))?;
            let (keys, item, size) = storable(&body["Item"])?;
            (keys, Change::Put(item, size))
        }
        kind => {
            members(body, &with_expressions(&["TableName", "Key"]))?;
            if kind == "ConditionCheck" {
                text(body, "ConditionExpression")?;
            }
            (exact_keys(&body["Key"])?, if kind == "Delete" { Change::Delete } else { Change::None })
        }
    };
    Ok(Part { table: text(body, "TableName")?.to_owned(), keys, change, body: body.clone() })
}

pub(super) fn transact(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &["TransactItems", "ClientRequestToken"])?;
    let parts = body["TransactItems"].as_array().into_iter().flatten().map(part).collect::<Result<Vec<Part>, Refusal>>()?;
    if !(1..=100).contains(&parts.len()) {
        return Err(invalid(format!("{} items, 1 to 100 are allowed", parts.len())));
    }
    let (mut seen, mut reasons, mut units, mut bytes) = (BTreeSet::new(), Vec::new(), 0.0, 0);
    for part in &parts {
        if !seen.insert((&part.table, &part.keys)) {
            return Err(invalid("Transaction request cannot include multiple operations on one item"));
        }
        let item = named(tables, &part.table)?.items.get(&part.keys);
        reasons.push(if check(&part.body, item)? { "None" } else { "ConditionalCheckFailed" });
        let after = if let Change::Put(_, size) = part.change { size } else { 0 };
        units += 2.0 * price(item, after)?;
        bytes += after;
    }
    if bytes > 4 * KIB * KIB {
        return Err(invalid("Member must have a total size of at most 4 MB"));
    }
    if reasons.iter().any(|reason| *reason != "None") {
        let message = format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", reasons.join(", "));
        let reason = |code: &&str| {
            let mut reason = Map::from_iter([("Code".to_owned(), json!(code))]);
            if *code != "None" {
                reason.insert("Message".to_owned(), json!("The conditional request failed"));
            }
            Value::Object(reason)
        };
        let reasons = Some(reasons.iter().map(reason).collect());
        return Err(Refusal { code: "TransactionCanceledException", message, reasons });
    }
    for part in parts {
        let items = &mut named(tables, &part.table)?.items;
        match part.change {
            Change::None => {}
            Change::Delete => _ = items.remove(&part.keys),
            Change::Put(item, _) => _ = items.insert(part.keys, item),
        }
    }
    Ok(Done { answer: json!({}), units })
}
