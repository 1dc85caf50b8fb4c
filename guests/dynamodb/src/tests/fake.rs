//! A DynamoDB table in memory behind [`Surroundings`], whose answers a test can disturb. It understands what this guest sends and nothing else: any
//! other member, operation or expression fails the test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use cofferdam_guest::aws::{Response, SendError};
use cofferdam_guest::fencing::Fence;
use serde_json::{Map, Value, json};

use super::control;
use super::expression::holds;
use crate::store::Surroundings;

pub(super) const TABLE: &str = "vault";

/// A disturbance of one request.
#[derive(Clone, Debug)]
pub(super) enum Upset {
    /// The request is answered by this, and does nothing.
    Answer(u16, &'static str),
    /// A cancelled transaction with this reason on its last part.
    Cancelled(&'static str),
    /// It takes effect, and the answer is lost.
    Lost,
    /// It does not leave the host.
    Unsent(SendError),
    /// Of a batch only this many parts are done.
    Partly(usize),
    /// Nothing happens any more, neither this nor later.
    Killed,
}

pub(super) type Item = Map<String, Value>;

/// All that the fake knows.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) items: BTreeMap<(String, String), Item>,
    pub(super) table: control::Table,
    /// Requests in their order: operation and body.
    pub(super) sent: Vec<(String, Value)>,
    /// What happens to the next requests; `None` leaves one alone.
    pub(super) upsets: VecDeque<Option<Upset>>,
    /// What happens to every request once these are used up.
    pub(super) always: Option<Upset>,
    pub(super) fence: Option<Fence>,
    pub(super) time: Duration,
    /// The most items on a page of a query or a scan.
    pub(super) page: usize,
    chance: u64,
    tokens: Vec<(String, Value)>,
}

#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<World>);

impl Fake {
    pub(super) fn new() -> Fake {
        let fake = Fake::default();
        fake.world().page = usize::MAX;
        fake
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The operations sent since the last call of this.
    pub(super) fn operations(&self) -> Vec<String> {
        std::mem::take(&mut self.world().sent).into_iter().map(|(operation, _)| operation).collect()
    }

    pub(super) fn upset(&self, upsets: impl IntoIterator<Item = Upset>) {
        self.world().upsets = upsets.into_iter().map(Some).collect();
    }

    /// The places of all items, as `Path|Key`.
    pub(super) fn places(&self) -> Vec<String> {
        self.world().items.keys().map(|(path, name)| format!("{path}|{name}")).collect()
    }

    /// Puts an item there as another server would.
    pub(super) fn plant(&self, path: &str, name: &str, more: Value) {
        let mut item = more.as_object().unwrap().clone();
        item.insert("Path".into(), json!({ "S": path }));
        item.insert("Key".into(), json!({ "S": name }));
        self.world().items.insert((path.into(), name.into()), item);
    }
}

fn answered(status: u16, body: &Value) -> Result<Response, SendError> {
    Ok(Response {
        status,
        headers: vec![("content-type".into(), "application/x-amz-json-1.0".into())],
        body: body.to_string().into_bytes(),
    })
}

/// An error answer of the service.
pub(super) struct Refusal(pub(super) &'static str, pub(super) Value);

pub(super) fn refuse<T>(code: &'static str) -> Result<T, Refusal> {
    Err(Refusal(code, json!({})))
}

impl cofferdam_guest_aws::World for Fake {
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        let body: Value = serde_json::from_slice(body).unwrap();
        let mut world = self.world();
        world.sent.push((operation.to_owned(), body.clone()));
        let upset = world.upsets.pop_front().unwrap_or_else(|| world.always.clone());
        if let Some(Upset::Killed) = upset {
            world.always = upset.clone();
        }
        let error = |status, code: &str, more: &Value| {
            let mut body =
                json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": format!("the message of {code}") });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            answered(status, &body)
        };
        match upset {
            Some(Upset::Answer(status, code)) => return error(status, code, &json!({})),
            Some(Upset::Cancelled(code)) => {
                return error(
                    400,
                    "TransactionCanceledException",
                    &json!({ "CancellationReasons": [{ "Code": "None" }, { "Code": code }] }),
                );
            }
            Some(Upset::Unsent(error)) => return Err(error),
            Some(Upset::Killed) => return Err(SendError::Refused("killed".into())),
            _ => {}
        }
        let most = if let Some(Upset::Partly(most)) = upset { most } else { usize::MAX };
        let outcome = world.act(operation, &body, most);
        if let Some(Upset::Lost) = upset {
            return Err(SendError::Interrupted("cut".into()));
        }
        match outcome {
            Ok(body) => answered(200, &body),
            Err(Refusal(code, more)) => error(400, code, &more),
        }
    }

    fn now(&self) -> Duration {
        self.world().time
    }

    fn sleep(&self, time: Duration) {
        self.world().time += time;
    }

    fn chance(&self) -> u64 {
        let mut world = self.world();
        world.chance = world.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        world.chance >> 13
    }
}

impl Surroundings for Fake {
    fn fence(&self) -> Option<Fence> {
        self.world().fence.clone()
    }
}

fn text(value: &Value) -> String {
    value["S"].as_str().unwrap().to_owned()
}

fn place(key: &Value) -> (String, String) {
    (text(&key["Path"]), text(&key["Key"]))
}

/// The members must be among these: what the host's binding lets through.
fn members(body: &Value, allowed: &[&str]) {
    for member in body.as_object().unwrap().keys() {
        assert!(allowed.contains(&member.as_str()), "{member} in {body}");
    }
}

impl World {
    fn act(&mut self, operation: &str, body: &Value, most: usize) -> Result<Value, Refusal> {
        if let Some(answer) = self.table.act(operation, body) {
            return answer;
        }
        if !matches!(operation, "BatchGetItem" | "BatchWriteItem" | "TransactWriteItems") {
            assert_eq!(body["TableName"], TABLE);
        }
        match operation {
            "GetItem" => {
                members(body, &["TableName", "Key", "ConsistentRead"]);
                assert_eq!(body["ConsistentRead"], true);
                Ok(self.items.get(&place(&body["Key"])).map_or(json!({}), |item| json!({ "Item": item })))
            }
            "PutItem" => {
                members(body, &["TableName", "Item"]);
                self.store(&body["Item"]);
                Ok(json!({}))
            }
            "DeleteItem" => {
                members(body, &["TableName", "Key", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"]);
                self.check(body)?;
                self.items.remove(&place(&body["Key"]));
                Ok(json!({}))
            }
            "UpdateItem" => self.update(body),
            "Query" => Ok(self.query(body)),
            "Scan" => Ok(self.scan(body)),
            "BatchGetItem" => Ok(self.batch_get(body, most)),
            "BatchWriteItem" => Ok(self.batch_write(body, most)),
            "TransactWriteItems" => self.transact(body),
            other => panic!("the guest has no use for {other}"),
        }
    }

    fn store(&mut self, item: &Value) {
        self.items.insert(place(item), item.as_object().unwrap().clone());
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        let none = Map::new();
        let item = self.items.get(&place(&body["Key"])).unwrap_or(&none);
        if body.get("ConditionExpression").is_none_or(|condition| holds(condition.as_str().unwrap(), item, body)) {
            Ok(())
        } else {
            refuse("ConditionalCheckFailedException")
        }
    }

    fn update(&mut self, body: &Value) -> Result<Value, Refusal> {
        let allowed =
            ["TableName", "Key", "UpdateExpression", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"];
        members(body, &allowed);
        self.check(body)?;
        let item = self.items.entry(place(&body["Key"])).or_insert_with(|| body["Key"].as_object().unwrap().clone());
        for part in body["UpdateExpression"].as_str().unwrap().strip_prefix("SET ").unwrap().split(", ") {
            let (name, value) = part.split_once(" = ").unwrap();
            let name = body["ExpressionAttributeNames"][name].as_str().unwrap();
            item.insert(name.to_owned(), body["ExpressionAttributeValues"][value].clone());
        }
        Ok(json!({}))
    }

    fn query(&self, body: &Value) -> Value {
        let allowed = [
            "TableName",
            "KeyConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            "ConsistentRead",
            "ProjectionExpression",
            "Limit",
        ];
        members(body, &allowed);
        assert_eq!(body["ConsistentRead"], true);
        let values = &body["ExpressionAttributeValues"];
        let after = match body["KeyConditionExpression"].as_str().unwrap() {
            "#p = :p" => String::new(),
            "#p = :p AND #k > :a" => text(&values[":a"]),
            other => panic!("{other}"),
        };
        let path = text(&values[":p"]);
        let below = self.items.iter().filter(|((at, name), _)| *at == path && *name > after);
        self.page_of(below.map(|(_, item)| item), body)
    }

    fn scan(&self, body: &Value) -> Value {
        members(body, &["TableName", "ConsistentRead", "Segment", "TotalSegments", "Limit", "ExclusiveStartKey"]);
        assert_eq!(body["ConsistentRead"], true);
        let segments = body["TotalSegments"].as_u64().unwrap_or(1);
        let segment = body["Segment"].as_u64().unwrap_or(0);
        let start = body.get("ExclusiveStartKey").map(place);
        let own = self.items.iter().filter(|((path, name), _)| {
            let hash: u64 = path.bytes().map(u64::from).sum();
            hash % segments == segment && start.as_ref().is_none_or(|start| *start < (path.clone(), name.clone()))
        });
        self.page_of(own.map(|(_, item)| item), body)
    }

    fn page_of<'a>(&self, items: impl Iterator<Item = &'a Item>, body: &Value) -> Value {
        let most = self.page.min(usize::try_from(body["Limit"].as_u64().unwrap()).unwrap());
        let items: Vec<_> = items.take(most).cloned().collect();
        let projected = |mut item: Item| {
            if let Some(wanted) = body.get("ProjectionExpression") {
                let names: Vec<_> =
                    wanted.as_str().unwrap().split(", ").map(|name| body["ExpressionAttributeNames"][name].as_str().unwrap()).collect();
                item.retain(|name, _| names.contains(&name.as_str()));
            }
            item
        };
        // As the service does, a full page has a key even if nothing follows.
        let last = if items.len() == most { items.last().map(|item| json!({ "Path": item["Path"], "Key": item["Key"] })) } else { None };
        let mut answer = json!({ "Items": items.into_iter().map(projected).collect::<Vec<_>>() });
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = last;
        }
        answer
    }

    fn batch_get(&self, body: &Value, most: usize) -> Value {
        members(body, &["RequestItems"]);
        let request = &body["RequestItems"][TABLE];
        members(request, &["Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"]);
        assert_eq!(request["ConsistentRead"], true);
        let keys = request["Keys"].as_array().unwrap();
        assert!((1..=100).contains(&keys.len()));
        let (done, left) = keys.split_at(most.min(keys.len()));
        let found: Vec<_> = done.iter().filter_map(|key| self.items.get(&place(key))).collect();
        let mut answer = json!({ "Responses": { TABLE: found }, "UnprocessedKeys": {} });
        if !left.is_empty() {
            let mut again = request.clone();
            again["Keys"] = json!(left);
            answer["UnprocessedKeys"] = json!({ TABLE: again });
        }
        answer
    }

    fn batch_write(&mut self, body: &Value, most: usize) -> Value {
        members(body, &["RequestItems"]);
        let requests = body["RequestItems"][TABLE].as_array().unwrap().clone();
        assert!((1..=25).contains(&requests.len()));
        // The service keeps no order: what comes last is done first.
        let (left, done) = requests.split_at(requests.len() - most.min(requests.len()));
        for request in done {
            self.store(&request["PutRequest"]["Item"]);
        }
        if left.is_empty() { json!({ "UnprocessedItems": {} }) } else { json!({ "UnprocessedItems": { TABLE: left } }) }
    }

    fn transact(&mut self, body: &Value) -> Result<Value, Refusal> {
        members(body, &["TransactItems", "ClientRequestToken"]);
        let parts = body["TransactItems"].as_array().unwrap();
        assert!((2..=100).contains(&parts.len()));
        let token = body["ClientRequestToken"].as_str().unwrap().to_owned();
        if let Some((_, before)) = self.tokens.iter().find(|(known, _)| *known == token) {
            assert_eq!(before, body, "a token was used again for another transaction");
            return Ok(json!({}));
        }
        let unmet = parts.iter().any(|part| part.get("ConditionCheck").is_some_and(|check| self.check(check).is_err()));
        if unmet {
            let mut reasons = vec![json!({ "Code": "None" }); parts.len()];
            reasons[0] = json!({ "Code": "ConditionalCheckFailed", "Message": "The conditional request failed" });
            return Err(Refusal("TransactionCanceledException", json!({ "CancellationReasons": reasons })));
        }
        for part in parts {
            if let Some(put) = part.get("Put") {
                members(put, &["TableName", "Item"]);
                self.store(&put["Item"]);
            } else if let Some(delete) = part.get("Delete") {
                members(delete, &["TableName", "Key"]);
                self.items.remove(&place(&delete["Key"]));
            }
        }
        self.tokens.push((token, body.clone()));
        Ok(json!({}))
    }
}
