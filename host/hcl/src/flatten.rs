//! JSON objects as blocks: what HCL 1 does with a JSON text, so that `{"path": {"a/*": {…}, "b": {…}}}` is two blocks `path "a/*"`
//! and `path "b"`, and `{"listener": [{"tcp": {…}}, {"tcp": {…}}]}` two blocks `listener "tcp"`.
//!
//! An object all of whose members are objects (and that has any) is spread over its item; a list of nothing but objects likewise.

use crate::{Item, Kind, Object, Value};

pub(crate) fn flatten(object: Object) -> Object {
    let mut items = Vec::with_capacity(object.items.len());
    for item in object.items {
        spread(item, &mut items);
    }
    Object { items, ..object }
}

fn spread(item: Item, items: &mut Vec<Item>) {
    let Item { keys, value, pos } = item;
    let Value { kind, pos: value_pos } = value;
    match kind {
        Kind::List(values) if !values.is_empty() && values.iter().all(is_object) => {
            for value in values {
                spread(Item { keys: keys.clone(), value, pos }, items);
            }
        }
        Kind::Object(object) if !object.items.is_empty() && object.items.iter().all(|inner| is_object(&inner.value)) => {
            for inner in object.items {
                let keys = keys.iter().chain(&inner.keys).cloned().collect();
                spread(Item { keys, value: inner.value, pos: inner.pos }, items);
            }
        }
        Kind::Object(object) => items.push(Item { keys, value: Value { kind: Kind::Object(flatten(object)), pos: value_pos }, pos }),
        Kind::List(values) => {
            let values = values.into_iter().map(flatten_value).collect();
            items.push(Item { keys, value: Value { kind: Kind::List(values), pos: value_pos }, pos });
        }
        kind => items.push(Item { keys, value: Value { kind, pos: value_pos }, pos }),
    }
}

fn is_object(value: &Value) -> bool {
    matches!(value.kind, Kind::Object(_))
}

/// Objects inside a list that stays a list.
fn flatten_value(value: Value) -> Value {
    let kind = match value.kind {
        Kind::Object(object) => Kind::Object(flatten(object)),
        Kind::List(values) => Kind::List(values.into_iter().map(flatten_value).collect()),
        kind => kind,
    };
    Value { kind, ..value }
}
