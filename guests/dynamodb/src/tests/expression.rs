//! The condition expressions that this guest sends: `AND`, `OR` in parentheses, equality and existence.

use serde_json::{Map, Value};

/// Whether the condition holds for the item.
pub(super) fn holds(condition: &str, item: &Map<String, Value>, body: &Value) -> bool {
    if let Some(parts) = split(condition, " AND ") {
        return parts.into_iter().all(|part| holds(part, item, body));
    }
    if let Some(parts) = split(condition, " OR ") {
        return parts.into_iter().any(|part| holds(part, item, body));
    }
    if let Some(inner) = condition.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return holds(inner, item, body);
    }
    let attribute = |name: &str| item.get(body["ExpressionAttributeNames"][name].as_str().unwrap());
    if let Some(name) = condition.strip_prefix("attribute_not_exists(") {
        return attribute(name.strip_suffix(')').unwrap()).is_none();
    }
    if let Some(name) = condition.strip_prefix("attribute_exists(") {
        return attribute(name.strip_suffix(')').unwrap()).is_some();
    }
    let (name, value) = condition.split_once(" = ").unwrap();
    attribute(name) == Some(&body["ExpressionAttributeValues"][value])
}

/// The parts between separators outside of parentheses; none if there is no such separator.
fn split<'a>(text: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= from && text.get(at..).unwrap().starts_with(separator) => {
                parts.push(text.get(from..at).unwrap());
                from = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap());
    (parts.len() > 1).then_some(parts)
}
