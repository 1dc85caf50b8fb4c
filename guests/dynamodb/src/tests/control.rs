//! The fake's table itself: whether it is there, what it is like and when it can be used.

use serde_json::{Value, json};

use super::fake::{Refusal, TABLE, refuse};

/// The state of the table. By default it is there and active.
#[derive(Debug)]
pub(super) struct Table {
    /// What DescribeTable answers, one after the other; the last one stays. None is a missing table.
    pub(super) states: Vec<Option<Value>>,
    /// Another server creates the table just before this one.
    pub(super) raced: bool,
    /// How often point-in-time recovery is not available yet.
    pub(super) recovery_after: u32,
}

pub(super) fn described(status: &str, keys: &[(&str, &str, &str)]) -> Option<Value> {
    let schema: Vec<_> = keys.iter().map(|(name, part, _)| json!({ "AttributeName": name, "KeyType": part })).collect();
    let attributes: Vec<_> = keys.iter().map(|(name, _, kind)| json!({ "AttributeName": name, "AttributeType": kind })).collect();
    Some(json!({ "TableName": TABLE, "TableStatus": status, "KeySchema": schema, "AttributeDefinitions": attributes }))
}

pub(super) fn ours(status: &str) -> Option<Value> {
    described(status, &[("Path", "HASH", "S"), ("Key", "RANGE", "S")])
}

impl Default for Table {
    fn default() -> Table {
        Table { states: vec![ours("ACTIVE")], raced: false, recovery_after: 0 }
    }
}

impl Table {
    /// The answer if the operation is on the table as a whole.
    pub(super) fn act(&mut self, operation: &str, body: &Value) -> Option<Result<Value, Refusal>> {
        match operation {
            "DescribeTable" => {
                let state = if self.states.len() > 1 { self.states.remove(0) } else { self.states[0].clone() };
                Some(match state {
                    None => refuse("ResourceNotFoundException"),
                    Some(table) => Ok(json!({ "Table": table })),
                })
            }
            "CreateTable" if self.raced => Some(refuse("ResourceInUseException")),
            "CreateTable" => Some(Ok(json!({ "TableDescription": { "TableName": body["TableName"], "TableStatus": "CREATING" } }))),
            "UpdateContinuousBackups" if self.recovery_after > 0 => {
                self.recovery_after -= 1;
                Some(refuse("ContinuousBackupsUnavailableException"))
            }
            "UpdateContinuousBackups" => Some(Ok(json!({}))),
            _ => None,
        }
    }
}
