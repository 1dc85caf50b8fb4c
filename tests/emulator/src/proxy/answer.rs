//! What goes back to the client.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::listen::{Cut, Outcome};

/// Leaves the first `count` parts in the tables of a batch, and returns the others in the same form.
pub(super) fn take_off(items: &mut Value, count: usize) -> Value {
    let mut left = items.clone();
    let (mut stay, mut go) = (count, count);
    let lists = |items: &mut Value, change: &mut dyn FnMut(&mut Vec<Value>)| {
        let Some(tables) = items.as_object_mut() else { return };
        for table in tables.values_mut() {
            let list = if table.is_array() { Some(&mut *table) } else { table.get_mut("Keys") };
            if let Some(list) = list.and_then(Value::as_array_mut) {
                change(list);
            }
        }
        tables.retain(|_, table| table.get("Keys").unwrap_or(table).as_array().is_some_and(|list| !list.is_empty()));
    };
    lists(items, &mut |list| {
        let here = stay.min(list.len());
        list.truncate(here);
        stay -= here;
    });
    lists(&mut left, &mut |list| {
        let here = go.min(list.len());
        list.drain(..here);
        go -= here;
    });
    left
}

pub(super) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"))])
}

pub(super) fn date(time: OffsetDateTime) -> HeaderValue {
    let format = format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    time.format(format).ok().and_then(|text| text.parse().ok()).unwrap_or(HeaderValue::from_static("unknown"))
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
        Answer { status, headers: json_headers(), body: json!({"__type": code, "message": message}).to_string().into() }
    }

    /// The answer to an operation that met a transaction on the same item.
    pub(super) fn conflict(operation: &str) -> Answer {
        if operation != "TransactWriteItems" {
            return Answer::error(
                400,
                "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
                "Transaction is ongoing for the item",
            );
        }
        let mut answer = Answer::error(400, "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "Transaction cancelled");
        let reasons = json!([{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]);
        if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
            body["CancellationReasons"] = reasons;
            answer.body = body.to_string().into();
        }
        answer
    }

    /// Changes the JSON of a success, whose checksum is then void.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        if self.status == 200
            && let Ok(mut json) = serde_json::from_slice(&self.body)
        {
            change(&mut json);
            self.body = json.to_string().into();
            self.headers.remove("x-amz-crc32");
        }
    }

    pub(super) fn response(self) -> Outcome {
        let mut response = Response::builder().status(self.status);
        if let Some(headers) = response.headers_mut() {
            *headers = self.headers;
            for own in ["content-length", "connection", "keep-alive", "transfer-encoding"] {
                headers.remove(own);
            }
        }
        response.body(Full::new(self.body)).map_err(|_| Cut)
    }
}
