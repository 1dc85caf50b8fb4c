//! Tables in memory that answer as DynamoDB does, as far as the layout needs: its two keys, items of strings, bytes, integers and NULL, and the operations of the
//! guest. Strict: an unknown operation, member or expression is an error, and so is every limit of DynamoDB's that an item or a batch can break.

mod expression;
mod journal;
mod read;
mod write;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use self::expression::{bytes, number};
pub use self::journal::Applied;
use self::journal::Journal;

/// An item: attributes by name.
type Item = Map<String, Value>;

const KIB: u64 = 1024;
const ITEM: u64 = 400 * KIB;

/// An error as DynamoDB answers it.
struct Refusal {
    code: &'static str,
    message: String,
    /// Of a transaction: why each of its items failed.
    reasons: Option<Value>,
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { code: "ValidationException", message: message.into(), reasons: None }
}

fn refusal(code: &'static str, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned(), reasons: None }
}

/// What an operation gives, and the capacity units that it consumed.
struct Done {
    answer: Value,
    units: f64,
}

struct Table {
    created: Value,
    items: BTreeMap<(String, String), Item>,
}

/// Tables in memory.
#[derive(Default)]
pub struct Mini {
    tables: Mutex<BTreeMap<String, Table>>,
    /// Transactions done, by the token of the request.
    done: Mutex<BTreeMap<String, Value>>,
    journal: Journal,
}

impl Mini {
    /// No tables.
    pub fn new() -> Mini {
        Mini::default()
    }

    /// One operation: the HTTP status and the body of the answer.
    pub fn call(&self, operation: &str, body: &[u8]) -> (u16, Value) {
        self.call_as("", operation, body)
    }

    /// Keeps a journal from here on.
    pub fn keep_journal(&self) {
        self.journal.keep();
    }

    /// Every change since then, in the order in which they took effect.
    pub fn journal(&self) -> Vec<Applied> {
        self.journal.all()
    }

    /// One operation of somebody's, for the journal.
    pub(crate) fn call_as(&self, who: &str, operation: &str, body: &[u8]) -> (u16, Value) {
        let result = match serde_json::from_slice::<Value>(body) {
            Ok(body) if body.is_object() => self.operation(who, operation, &body),
            _ => Err(refusal("SerializationException", "the body is no JSON object")),
        };
        match result {
            Ok(answer) => (200, answer),
            Err(Refusal { code, message, reasons }) => {
                let mut answer = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message});
                if let Some(reasons) = reasons {
                    answer["CancellationReasons"] = reasons;
                }
                (400, answer)
            }
        }
    }

    fn operation(&self, who: &str, operation: &str, body: &Value) -> Result<Value, Refusal> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Done { mut answer, units } = match operation {
            "CreateTable" => return create(&mut tables, body),
            "DescribeTable" => {
                members(body, &["TableName"])?;
                return Ok(json!({"Table": table(&mut tables, body)?.created}));
            }
            "UpdateContinuousBackups" => {
                members(body, &["TableName", "PointInTimeRecoverySpecification"])?;
                table(&mut tables, body)?;
                return Ok(json!({"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}}));
            }
            "GetItem" => read::get(&mut tables, body)?,
            "Query" => read::query(&mut tables, body)?,
            "Scan" => read::scan(&mut tables, body)?,
            "BatchGetItem" => read::batch(&mut tables, body)?,
            "PutItem" => write::put(&mut tables, body)?,
            "DeleteItem" => write::delete(&mut tables, body)?,
            "UpdateItem" => write::update(&mut tables, body)?,
            "BatchWriteItem" => write::batch(&mut tables, body)?,
            "TransactWriteItems" => self.transact(&mut tables, body)?,
            _ => return Err(refusal("UnknownOperationException", operation)),
        };
        self.journal.enter(who, operation, body, units);
        if body.get("ReturnConsumedCapacity").is_some() {
            let consumed = json!({"CapacityUnits": units});
            let several = matches!(operation, "BatchGetItem" | "BatchWriteItem" | "TransactWriteItems");
            answer["ConsumedCapacity"] = if several { json!([consumed]) } else { consumed };
        }
        Ok(answer)
    }
}

impl Mini {
    /// A transaction whose token was seen before is not done again.
    fn transact(&self, tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Done, Refusal> {
        let Some(token) = body.get("ClientRequestToken").and_then(Value::as_str) else { return write::transact(tables, body) };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match done.get(token) {
            Some(before) if before == body => return Ok(Done { answer: json!({}), units: 0.0 }),
            Some(_) => return Err(refusal("IdempotentParameterMismatchException", "the token belongs to another request")),
            None => {}
        }
        let result = write::transact(tables, body)?;
        done.insert(token.to_owned(), body.clone());
        Ok(result)
    }
}

/// That the request has no members but these.
fn members(body: &Value, allowed: &[&str]) -> Result<(), Refusal> {
    let object = body.as_object().ok_or_else(|| invalid("an object is expected"))?;
    let unknown = object.keys().find(|name| !allowed.contains(&name.as_str()) && *name != "ReturnConsumedCapacity");
    unknown.map_or(Ok(()), |name| Err(invalid(format!("the member {name} is not known here"))))
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| invalid(format!("{name} is missing")))
}

fn table<'a>(tables: &'a mut BTreeMap<String, Table>, body: &Value) -> Result<&'a mut Table, Refusal> {
    named(tables, text(body, "TableName")?)
}

fn named<'a>(tables: &'a mut BTreeMap<String, Table>, name: &str) -> Result<&'a mut Table, Refusal> {
    tables.get_mut(name).ok_or_else(|| refusal("ResourceNotFoundException", "Requested resource not found"))
}

fn create(tables: &mut BTreeMap<String, Table>, body: &Value) -> Result<Value, Refusal> {
    let known = [
        "TableName",
        "AttributeDefinitions",
        "KeySchema",
        "ProvisionedThroughput",
        "BillingMode",
        "DeletionProtectionEnabled",
        "Tags",
        "SSESpecification",
    ];
    members(body, &known)?;
    let keys = json!([{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}]);
    if body["KeySchema"] != keys {
        return Err(invalid("only tables with the keys Path and Key are known here"));
    }
    let on_demand = body["BillingMode"] == "PAY_PER_REQUEST";
    if on_demand == body.get("ProvisionedThroughput").is_some() {
        return Err(invalid("ProvisionedThroughput belongs to the billing mode PROVISIONED, and to no other"));
    }
    let name = text(body, "TableName")?;
    if tables.contains_key(name) {
        return Err(refusal("ResourceInUseException", &format!("Table already exists: {name}")));
    }
    let mut created = body.clone();
    created["TableStatus"] = json!("ACTIVE");
    tables.insert(name.to_owned(), Table { created: created.clone(), items: BTreeMap::new() });
    Ok(json!({"TableDescription": created}))
}

/// The two keys of an item or of a `Key`, within DynamoDB's limits.
fn keys(item: &Value) -> Result<(String, String), Refusal> {
    let key = |name: &str, limit: usize| {
        let value = item.get(name).and_then(|value| value.get("S")).and_then(Value::as_str);
        let value = value.ok_or_else(|| invalid(format!("the key {name} is missing or no string")))?;
        if value.is_empty() || value.len() > limit {
            return Err(invalid(format!("the key {name} has {} bytes, 1 to {limit} are allowed", value.len())));
        }
        Ok(value.to_owned())
    };
    Ok((key("Path", 2048)?, key("Key", 1024)?))
}

/// The keys of a member `Key`, which holds nothing else.
fn exact_keys(key: &Value) -> Result<(String, String), Refusal> {
    members(key, &["Path", "Key"])?;
    keys(key)
}

/// The size of an item as DynamoDB reckons it, after a look at its values.
fn size(item: &Item) -> Result<u64, Refusal> {
    item.iter().try_fold(0, |sum, (name, value)| {
        let value = value.as_object().filter(|value| value.len() == 1).ok_or_else(|| invalid(format!("{name} is no value")))?;
        let (kind, value) = value.iter().next().ok_or_else(|| invalid(name.as_str()))?;
        let bytes = match (kind.as_str(), value) {
            ("S", Value::String(text)) => text.len(),
            ("B", Value::String(text)) => bytes(text)?.len(),
            ("N", Value::String(text)) => {
                number(text)?;
                text.len() / 2 + 1
            }
            ("NULL", Value::Bool(true)) => 1,
            _ => return Err(invalid(format!("{name} is of type {kind}, which is not known here"))),
        };
        Ok(sum + name.len() as u64 + bytes as u64)
    })
}

/// An item that may be stored, with its keys and its size.
fn storable(item: &Value) -> Result<((String, String), Item, u64), Refusal> {
    let keys = keys(item)?;
    let item = item.as_object().cloned().unwrap_or_default();
    let size = size(&item)?;
    if size > ITEM {
        return Err(invalid("Item size has exceeded the maximum allowed size"));
    }
    Ok((keys, item, size))
}

fn units(size: u64, unit: u64) -> f64 {
    size.div_ceil(unit).max(1) as f64
}

/// In which of so many segments a partition lies.
fn segment(path: &str, segments: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish() % segments.max(1)
}
