//! That [`Mini`] answers as the emulators do that were not written here: the same requests to each, and the same answers, except where an emulator is known to
//! be wrong.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Client, Dynalite, Mini, Moto, Proxy};

const TABLE: &str = "agreement";

fn key(path: &str, name: &str) -> Value {
    json!({"Path": {"S": path}, "Key": {"S": name}})
}

fn item(path: &str, name: &str, value: &[u8]) -> Value {
    let mut item = key(path, name);
    item["Value"] = json!({"B": STANDARD.encode(value)});
    item
}

/// The requests, with those emulators that are known to answer otherwise.
fn requests() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let table = |mut body: Value| {
        body["TableName"] = json!(TABLE);
        body
    };
    let get = |path: &str, name: &str| table(json!({"Key": key(path, name), "ConsistentRead": true}));
    let put = |item: Value| table(json!({"Item": item}));
    let large = |size: usize| put(item("l", "k", &vec![7; size]));
    let query = |condition: &str, values: Value, more: Value| {
        let mut body = json!({
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#p": "Path", "#k": "Key"},
            "ExpressionAttributeValues": values,
            "ProjectionExpression": "#k",
            "ConsistentRead": true,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        table(body)
    };
    let update = |condition: &str, names: Value, values: Value| {
        let (mut all_names, mut all_values) = (json!({"#v": "Value", "#i": "Identity", "#e": "Expires"}), json!({}));
        for (name, value) in names.as_object().into_iter().flatten() {
            all_names[name] = value.clone();
        }
        for (name, value) in [(":v", json!({"B": "Yg=="})), (":i", json!({"B": "bWU="})), (":e", json!({"N": "1800000000000000001"}))] {
            all_values[name] = value;
        }
        for (name, value) in values.as_object().into_iter().flatten() {
            all_values[name] = value.clone();
        }
        table(json!({
            "Key": key("core", "_lock"),
            "UpdateExpression": "SET #v = :v, #i = :i, #e = :e",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": all_names,
            "ExpressionAttributeValues": all_values,
        }))
    };
    let batch = |requests: Vec<Value>| json!({"RequestItems": {TABLE: requests}});
    let put_request = |name: &str| json!({"PutRequest": {"Item": item("b", name, b"x")}});
    let check = |identity: &str| {
        json!({"ConditionCheck": {
            "TableName": TABLE, "Key": key("core", "_lock"), "ConditionExpression": "#i = :i",
            "ExpressionAttributeNames": {"#i": "Identity"}, "ExpressionAttributeValues": {":i": {"B": STANDARD.encode(identity)}},
        }})
    };
    let transact_put = |name: &str| json!({"Put": {"TableName": TABLE, "Item": item("t", name, b"x")}});
    let transact = |items: Vec<Value>| json!({"TransactItems": items});
    let condition = |identity: &str| {
        table(json!({
            "Key": key("core", "_lock"), "ConditionExpression": "#i = :i",
            "ExpressionAttributeNames": {"#i": "Identity"}, "ExpressionAttributeValues": {":i": {"B": STANDARD.encode(identity)}},
        }))
    };
    let p = |path: &str| json!({":p": {"S": path}});
    let pa = |path: &str, after: &str| json!({":p": {"S": path}, ":a": {"S": after}});
    let p_only = json!({"#p": "Path", "#k": "Key"});
    let mut all: Vec<(&str, Value, &[&str])> = vec![
        ("DescribeTable", json!({"TableName": "absent"}), &[]),
        ("GetItem", json!({"TableName": "absent", "Key": key("a", "b")}), &[]),
        ("GetItem", get("a", "b"), &[]),
        ("PutItem", put(item("a", "b", b"1")), &[]),
        ("PutItem", put(item("a", "c", b"2")), &[]),
        ("PutItem", put(item("a", "c/", b"")), &[]),
        ("PutItem", put(item("a", "\u{e9}", b"3")), &[]),
        ("PutItem", put(item("b", "c", b"4")), &[]),
        ("PutItem", put(json!({"Path": {"S": " "}, "Key": {"S": "a/"}, "Value": {"NULL": true}})), &[]),
        ("GetItem", get("a", "b"), &[]),
        ("GetItem", get(" ", "a/"), &[]),
        ("PutItem", put(item("", "b", b"1")), &[]),
        ("PutItem", put(item("a", "", b"1")), &[]),
        ("PutItem", put(json!({"Path": {"S": "a"}})), &[]),
        ("PutItem", put(item(&"p".repeat(2048), &"k".repeat(1024), b"")), &[]),
        ("PutItem", put(item(&"p".repeat(2049), "k", b"")), &[]),
        ("PutItem", put(item("p", &"k".repeat(1025), b"")), &[]),
        ("PutItem", large(409_586), &["moto"]),
        ("PutItem", large(409_587), &[]),
        ("DeleteItem", table(json!({"Key": key("l", "k")})), &[]),
        ("DeleteItem", table(json!({"Key": key("l", "k")})), &[]),
        ("Query", query("#p = :p", p("a"), json!({"ExpressionAttributeNames": p_only})), &[]),
        ("Query", query("#p = :p AND #k > :a", pa("a", "b"), json!({})), &[]),
        ("Query", query("#p = :p AND #k > :a", pa("a", "b"), json!({"Limit": 1})), &[]),
        // The last item of all: DynamoDB still says that there may be more.
        ("Query", query("#p = :p AND #k > :a", pa("a", "c/"), json!({"Limit": 1})), &["moto"]),
        ("Query", query("#p = :p", p("a"), json!({"ScanIndexForward": false})), &[]),
        ("Query", query("#p = :p", p("a"), json!({"ExclusiveStartKey": key("a", "c")})), &[]),
        ("Query", query("#p = :p", p("absent"), json!({})), &[]),
        ("Query", query("#p = :p AND begins_with(#k, :a)", pa("a", "c"), json!({})), &[]),
        ("Query", query("#p > :p", p("a"), json!({})), &[]),
        // A value that no expression uses.
        ("Query", query("#p = :p", pa("a", "b"), json!({})), &["moto"]),
        ("Query", query("Path = :p", p("a"), json!({})), &["moto"]),
        (
            "BatchGetItem",
            json!({"RequestItems": {TABLE: {"Keys": [key("a", "b"), key("b", "c"), key("x", "y")], "ConsistentRead": true}}}),
            &[],
        ),
        ("BatchGetItem", json!({"RequestItems": {TABLE: {"Keys": [key("a", "b"), key("a", "b")]}}}), &[]),
        ("BatchWriteItem", batch((0..25).map(|number| put_request(&format!("{number:02}"))).collect()), &[]),
        ("BatchWriteItem", batch((0..26).map(|number| put_request(&format!("{number:02}"))).collect()), &["moto"]),
        ("BatchWriteItem", batch(vec![put_request("same"), put_request("same")]), &[]),
        ("BatchWriteItem", batch(vec![json!({"DeleteRequest": {"Key": key("b", "07")}}), put_request("07x")]), &[]),
        ("Query", query("#p = :p", p("b"), json!({})), &[]),
        ("UpdateItem", update("attribute_not_exists(#p)", json!({"#p": "Path"}), json!({})), &[]),
        ("UpdateItem", update("attribute_not_exists(#p)", json!({"#p": "Path"}), json!({})), &[]),
        ("UpdateItem", update("#i = :j AND #e = :f", json!({}), json!({":j": {"B": "bWU="}, ":f": {"N": "1800000000000000001"}})), &[]),
        ("UpdateItem", update("#i = :j AND #e = :f", json!({}), json!({":j": {"B": "bWU="}, ":f": {"N": "1800000000000000002"}})), &[]),
        ("UpdateItem", update("attribute_exists(#p) AND attribute_not_exists(#i)", json!({"#p": "Path"}), json!({})), &[]),
        ("GetItem", get("core", "_lock"), &[]),
        ("DeleteItem", condition("you"), &[]),
        ("TransactWriteItems", transact(vec![check("me"), transact_put("a")]), &["dynalite"]),
        ("TransactWriteItems", transact(vec![check("you"), transact_put("b")]), &["dynalite"]),
        ("TransactWriteItems", transact(vec![transact_put("c"), transact_put("c")]), &["dynalite"]),
        ("TransactWriteItems", transact((0..101).map(|number| transact_put(&format!("n{number}"))).collect()), &["dynalite"]),
        ("Query", query("#p = :p", p("t"), json!({})), &["dynalite"]),
        ("DeleteItem", condition("me"), &[]),
        ("DeleteItem", condition("me"), &[]),
        ("GetItem", get("core", "_lock"), &[]),
    ];
    for (segment, of) in [(0, 1), (0, 3), (1, 3), (2, 3)] {
        // Which segment an item is in differs from emulator to emulator: held together below.
        all.push(("Scan", table(json!({"Segment": segment, "TotalSegments": of, "ConsistentRead": true})), &["dynalite", "moto"]));
    }
    all
}

/// An answer without what may differ: the text of errors, and order where there is none.
fn plain((status, answer): (u16, Value)) -> Value {
    if status != 200 {
        let code = answer["__type"].as_str().unwrap_or_default();
        let reasons = answer["CancellationReasons"].as_array().map(|all| all.iter().map(|one| one["Code"].clone()).collect::<Vec<_>>());
        return json!({"status": status, "code": code.rsplit('#').next(), "reasons": reasons});
    }
    let sorted = |list: &Value| {
        let mut list = list.as_array().cloned().unwrap_or_default();
        list.sort_by_key(Value::to_string);
        list
    };
    let unprocessed = |name: &str| answer.get(name).and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    json!({
        "item": answer.get("Item"),
        "items": answer.get("Items"),
        "batch": sorted(&answer["Responses"][TABLE]),
        "last": answer.get("LastEvaluatedKey"),
        "count": answer.get("Count"),
        "unprocessed": unprocessed("UnprocessedItems") || unprocessed("UnprocessedKeys"),
    })
}

async fn agrees(name: &str, endpoint: &str) {
    let mini = Mini::new();
    let other = Client::new(endpoint);
    other.create_table(TABLE).await.unwrap();
    assert_eq!(mini.call("CreateTable", crate::process::vaults(TABLE).to_string().as_bytes()).0, 200);
    let mut compared = 0;
    for (operation, body, except) in requests() {
        let ours = plain(mini.call(operation, body.to_string().as_bytes()));
        if except.contains(&name) {
            continue;
        }
        let theirs = plain(other.call(operation, &body).await.unwrap());
        assert_eq!(ours, theirs, "ours and {name}'s answer to {operation} {body}");
        compared += 1;
    }
    assert!(compared > 40);
    let all = |pages: Vec<Value>| {
        let mut items: Vec<Value> = pages.into_iter().flat_map(|page| page["Items"].as_array().cloned().unwrap()).collect();
        items.sort_by_key(Value::to_string);
        items
    };
    let mut parts = Vec::new();
    for segment in 0..5 {
        let body = json!({"TableName": TABLE, "Segment": segment, "TotalSegments": 5});
        parts.push(mini.call("Scan", body.to_string().as_bytes()).1);
    }
    let theirs = json!({"Items": other.items(TABLE).await.unwrap()});
    let transacted = |item: &Value| item["Path"]["S"] != "t";
    let (ours, theirs) = (all(parts), all(vec![theirs]));
    assert!(ours.iter().filter(|item| transacted(item)).eq(theirs.iter().filter(|item| transacted(item))), "what is stored differs");
}

#[tokio::test]
async fn mini_answers_as_dynalite_does() {
    let dynalite = Dynalite::start(0).unwrap();
    agrees("dynalite", dynalite.endpoint()).await;
}

#[tokio::test]
async fn mini_answers_as_moto_does() {
    let moto = Moto::start().unwrap();
    agrees("moto", moto.endpoint()).await;
}

#[tokio::test]
async fn pages_end_at_a_mebibyte_as_dynalites_do_and_units_are_the_same() {
    let dynalite = Dynalite::start(0).unwrap();
    let (proxy, measured) = (Proxy::start(&Arc::new(Mini::new())).await.unwrap(), Proxy::start(&dynalite).await.unwrap());
    let mut seen = Vec::new();
    for proxy in [&proxy, &measured] {
        let client = Client::new(proxy.endpoint());
        client.create_table(TABLE).await.unwrap();
        proxy.measure();
        proxy.take();
        for number in 0..30 {
            client
                .done("PutItem", &json!({"TableName": TABLE, "Item": item("p", &format!("{number:02}"), &[7; 100 << 10])}))
                .await
                .unwrap();
        }
        assert_eq!(client.items(TABLE).await.unwrap().len(), 30);
        client.done("GetItem", &json!({"TableName": TABLE, "Key": key("p", "00"), "ConsistentRead": true})).await.unwrap();
        client.done("DeleteItem", &json!({"TableName": TABLE, "Key": key("p", "00")})).await.unwrap();
        client.done("DeleteItem", &json!({"TableName": TABLE, "Key": key("p", "00")})).await.unwrap();
        let halved = |operation: &str, units: f64| if operation == "Scan" && seen.is_empty() { units / 2.0 } else { units };
        // A consistent scan costs twice what Dynalite says.
        let unit = |request: crate::Request| (request.operation.clone(), halved(&request.operation, request.units));
        let units: Vec<(String, f64)> = proxy.take().into_iter().map(unit).collect();
        assert!(units.iter().filter(|(operation, _)| operation == "Scan").count() >= 3);
        seen.push(units);
    }
    assert_eq!(seen[0], seen[1]);
}
