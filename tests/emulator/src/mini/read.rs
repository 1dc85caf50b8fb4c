//! GetItem, BatchGetItem, Query and Scan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::expression::Words;
use super::{Done, Item, KIB, Refusal, Table, exact_keys, invalid, members, named, segment, size, table, text, units};

/// The most bytes of items that a page is read from.
const PAGE: u64 = 1024 * KIB;

fn projected(item: &Item, names: Option<&Vec<String>>) -> Value {
    match names {
        Some(names) => item.iter().filter(|(name, _)| names.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect(),
        None => Value::Object(item.clone()),
    }
}

fn projection(body: &Value, words: &Words<'_>) -> Result<Option<Vec<String>>, Refusal> {
    body.get("ProjectionExpression").map(|_| words.projection(text(body, "ProjectionExpression")?)).transpose()
}

/// Half price for a read that may be stale.
fn price(body: &Value, size: u64) -> f64 {
    let consistent = body.get("ConsistentRead").and_then(Value::as_bool).unwrap_or_default();
    units(size, 4 * KIB) * if consistent { 1.0 } else { 0.5 }
}

fn one(table: &Table, body: &Value, key: &Value, names: Option<&Vec<String>>) -> Result<(Option<Value>, f64), Refusal> {
    let item = table.items.get(&exact_keys(key)?);
    let size = item.map(size).transpose()?.unwrap_or_default();
    Ok((item.map(|item| projected(item, names)), price(body, size)))
}

pub(super) fn get(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &["TableName", "Key", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"])?;
    let words = Words::of(body);
    let names = projection(body, &words)?;
    words.all_used()?;
    let (item, units) = one(table(tables, body)?, body, &body["Key"], names.as_ref())?;
    Ok(Done { answer: item.map_or_else(|| json!({}), |item| json!({"Item": item})), units })
}

pub(super) fn batch(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    members(body, &["RequestItems"])?;
    let (mut responses, mut units, mut count) = (json!({}), 0.0, 0);
    for (name, request) in body["RequestItems"].as_object().into_iter().flatten() {
        members(request, &["Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"])?;
        let words = Words::of(request);
        let names = projection(request, &words)?;
        words.all_used()?;
        let table = named(tables, name)?;
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        for key in request["Keys"].as_array().into_iter().flatten() {
            if !seen.insert(exact_keys(key)?) {
                return Err(invalid("Provided list of item keys contains duplicates"));
            }
            let (item, price) = one(table, request, key, names.as_ref())?;
            found.extend(item);
            units += price;
            count += 1;
        }
        responses[name] = json!(found);
    }
    if !(1..=100).contains(&count) {
        return Err(invalid(format!("{count} keys, 1 to 100 are allowed")));
    }
    Ok(Done { answer: json!({"Responses": responses, "UnprocessedKeys": {}}), units })
}

/// One page of the items that come after `start` and that `wanted` takes.
fn page<'a>(
    body: &Value,
    items: impl Iterator<Item = (&'a (String, String), &'a Item)>,
    names: Option<&Vec<String>>,
    wanted: impl Fn(&Item) -> Result<bool, Refusal>,
) -> Result<Done, Refusal> {
    let limit = match body.get("Limit") {
        Some(limit) => limit.as_u64().filter(|limit| *limit > 0).ok_or_else(|| invalid("Limit is at least 1"))?,
        None => u64::MAX,
    };
    let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
    for ((path, key), item) in items {
        if !wanted(item)? {
            continue;
        }
        found.push(projected(item, names));
        bytes += size(item)?;
        // As DynamoDB does: also when the last item of the page is the last of all.
        if found.len() as u64 >= limit || bytes >= PAGE {
            last = Some(json!({"Path": {"S": path}, "Key": {"S": key}}));
            break;
        }
    }
    let mut answer = json!({"Count": found.len(), "ScannedCount": found.len()});
    if body.get("Select").is_none_or(|select| select != "COUNT") {
        answer["Items"] = json!(found);
    }
    if let Some(last) = last {
        answer["LastEvaluatedKey"] = last;
    }
    Ok(Done { answer, units: price(body, bytes) })
}

fn start(body: &Value) -> Result<Option<(String, String)>, Refusal> {
    body.get("ExclusiveStartKey").map(exact_keys).transpose()
}

pub(super) fn query(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    let known = [
        "TableName",
        "KeyConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ConsistentRead",
        "ProjectionExpression",
        "Limit",
        "ExclusiveStartKey",
        "ScanIndexForward",
        "Select",
    ];
    members(body, &known)?;
    let words = Words::of(body);
    let names = projection(body, &words)?;
    let condition = text(body, "KeyConditionExpression")?;
    let path = words.partition(condition)?;
    words.holds(condition, None)?;
    words.all_used()?;
    let start = start(body)?;
    let table = table(tables, body)?;
    let partition = table.items.range((path.clone(), String::new())..).take_while(|((at, _), _)| *at == path);
    let wanted = |item: &Item| words.holds(condition, Some(item));
    if body["ScanIndexForward"] == false {
        let items: Vec<_> = partition.filter(|(keys, _)| start.as_ref().is_none_or(|start| *keys < start)).collect();
        return page(body, items.into_iter().rev(), names.as_ref(), wanted);
    }
    page(body, partition.filter(|(keys, _)| start.as_ref().is_none_or(|start| *keys > start)), names.as_ref(), wanted)
}

pub(super) fn scan(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
    let known = [
        "TableName",
        "ConsistentRead",
        "ProjectionExpression",
        "ExpressionAttributeNames",
        "Segment",
        "TotalSegments",
        "Limit",
        "ExclusiveStartKey",
    ];
    members(body, &known)?;
    let words = Words::of(body);
    let names = projection(body, &words)?;
    words.all_used()?;
    let number = |name: &str| body.get(name).map(|number| number.as_u64().ok_or_else(|| invalid(name))).transpose();
    let (mine, all) = match (number("Segment")?, number("TotalSegments")?) {
        (None, None) => (0, 1),
        (Some(mine), Some(all)) if mine < all => (mine, all),
        _ => return Err(invalid("Segment and TotalSegments do not fit each other")),
    };
    let start = start(body)?;
    let items = table(tables, body)?.items.iter();
    let items = items.filter(|(keys, _)| segment(&keys.0, all) == mine && start.as_ref().is_none_or(|start| *keys > start));
    page(body, items, names.as_ref(), |_| Ok(true))
}
