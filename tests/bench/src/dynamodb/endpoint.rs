//! What both sides of the DynamoDB rows talk to: a server in a process of its own that answers at once and stores nothing, so
//! that the clients are what is measured. It answers with the service's own shapes, counts what it is asked, and checks no signature.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::process::Owned;

/// The table that it says it has.
pub(super) const TABLE: &str = "bench";
/// The bytes of the value that every item has.
pub(super) const SIZE: usize = 1024;

/// How often each operation was asked for.
pub(super) type Counts = BTreeMap<String, u64>;

/// What is read of a GetItem.
#[derive(serde::Deserialize)]
struct Get<'a> {
    #[serde(rename = "Key", borrow)]
    key: Place<'a>,
}

/// The two attributes of a key.
#[derive(serde::Deserialize)]
struct Place<'a> {
    #[serde(rename = "Path", borrow)]
    path: Text<'a>,
    #[serde(rename = "Key", borrow)]
    name: Text<'a>,
}

#[derive(serde::Deserialize)]
struct Text<'a> {
    #[serde(rename = "S")]
    text: &'a str,
}

struct Answers {
    /// The value of every item, as base64.
    value: String,
    table: Bytes,
    counts: Mutex<Counts>,
}

impl Answers {
    fn new() -> Self {
        // 1024 bytes as base64: 341 groups of three, then one byte with its padding.
        let value = format!("{}BA==", "BAQE".repeat(SIZE / 3));
        let table = format!(
            r#"{{"Table":{{"TableName":"{TABLE}","TableStatus":"ACTIVE","KeySchema":[{{"AttributeName":"Path","KeyType":"HASH"}},{{"AttributeName":"Key","KeyType":"RANGE"}}],"AttributeDefinitions":[{{"AttributeName":"Path","AttributeType":"S"}},{{"AttributeName":"Key","AttributeType":"S"}}]}}}}"#
        );
        Self { value, table: table.into(), counts: Mutex::default() }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Ok(response(StatusCode::BAD_REQUEST, Bytes::new()));
        };
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix("DynamoDB_20120810.")).unwrap_or_default();
        let body = match operation {
            "GetItem" => self.item(&body),
            "PutItem" | "DeleteItem" | "UpdateItem" | "TransactWriteItems" => Bytes::from_static(b"{}"),
            // No folder mark is there yet, and all of them are taken.
            "BatchGetItem" => Bytes::from(format!(r#"{{"Responses":{{"{TABLE}":[]}},"UnprocessedKeys":{{}}}}"#)),
            "BatchWriteItem" => Bytes::from_static(br#"{"UnprocessedItems":{}}"#),
            "DescribeTable" => self.table.clone(),
            "" if parts.uri.path() == "/counts" => {
                let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                return Ok(response(StatusCode::OK, serde_json::to_vec(&*counts).unwrap_or_default().into()));
            }
            _ => return Ok(response(StatusCode::BAD_REQUEST, Bytes::from_static(br#"{"__type":"UnknownOperationException"}"#))),
        };
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.to_owned()).or_default() += 1;
        Ok(response(StatusCode::OK, body))
    }

    /// The whole item, as the service gives it: the key that was asked for, then the value.
    fn item(&self, request: &[u8]) -> Bytes {
        match serde_json::from_slice(request) {
            Ok(Get { key: Place { path, name } }) => {
                format!(r#"{{"Item":{{"Path":{{"S":"{}"}},"Key":{{"S":"{}"}},"Value":{{"B":"{}"}}}}}}"#, path.text, name.text, self.value)
                    .into()
            }
            Err(_) => Bytes::from_static(b"{}"),
        }
    }
}

fn response(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/x-amz-json-1.0"));
    headers.insert("x-amzn-requestid", http::HeaderValue::from_static("BENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBENCHBE"));
    response
}

/// Serves until killed; its address is the first line of the output.
pub(crate) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answers = Arc::new(Answers::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(|request| answers.answer(request));
            // A connection that breaks off is its client's to notice.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The server's process.
pub(super) struct Endpoint {
    _process: Owned,
    address: String,
}

impl Endpoint {
    /// Starts this program again as the server.
    pub(super) fn start() -> Result<Self> {
        let mut child = Owned(Command::new(std::env::current_exe()?).arg("dynamodb").stdout(Stdio::piped()).spawn()?);
        let output = child.stdout.take().context("the server has no output")?;
        let mut endpoint = Self { _process: child, address: String::new() };
        BufReader::new(output).read_line(&mut endpoint.address)?;
        endpoint.address.truncate(endpoint.address.trim_end().len());
        anyhow::ensure!(!endpoint.address.is_empty(), "the server ended before it said its address");
        Ok(endpoint)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub(super) async fn counts(&self) -> Result<Counts> {
        let mut connection = crate::load::Connection::open(&self.address, "").await?;
        let (status, body) = connection.send("GET", "/counts", Bytes::new()).await?;
        anyhow::ensure!(status == 200, "the server answers {status}");
        Ok(serde_json::from_slice(&body)?)
    }
}
