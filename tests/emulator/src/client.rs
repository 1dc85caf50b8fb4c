//! Plain requests to an emulator: JSON over HTTP, with a header that has the shape of a signature and is none. No SDK, and nothing of ours that is
//! under test.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::process::vaults;
use crate::proxy::record::Form;
use crate::{kms, proxy};

/// The HTTP status, and the JSON (null if the body is none).
pub type Answer = (u16, Value);

/// A client of one endpoint. Clones share its connections. They belong to the tokio runtime on which they were used first.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    endpoint: String,
}

impl Client {
    /// A client of an endpoint of the form `http://127.0.0.1:PORT`.
    pub fn new(endpoint: &str) -> Client {
        Client { http: Http::builder(TokioExecutor::new()).build_http(), endpoint: endpoint.trim_end_matches('/').to_owned() }
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Result<(u16, Bytes)> {
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = self.http.request(request).await.with_context(|| self.endpoint.clone())?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    fn post(&self, region: &str, service: &str) -> http::request::Builder {
        let scope = format!("20260101/{region}/{service}/aws4_request");
        http::Request::post(format!("{}/", self.endpoint)).header("x-amz-date", "20260101T000000Z").header(
            AUTHORIZATION,
            format!("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{scope}, SignedHeaders=host;x-amz-date;x-amz-target, Signature=00"),
        )
    }

    /// One operation of DynamoDB.
    pub async fn call(&self, operation: &str, body: &Value) -> Result<Answer> {
        self.json(&proxy::FORM, "us-east-1", operation, body).await
    }

    /// One operation of KMS in that region.
    pub async fn kms(&self, region: &str, operation: &str, body: &Value) -> Result<Answer> {
        self.json(&kms::FORM, region, operation, body).await
    }

    async fn json(&self, form: &Form, region: &str, operation: &str, body: &Value) -> Result<Answer> {
        let request = self.post(region, form.service).header(CONTENT_TYPE, form.content_type);
        let request = request.header("x-amz-target", format!("{}{operation}", form.target));
        let (status, body) = self.send(request, body.to_string()).await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Like [`Client::call`]; anything but a success is an error.
    pub async fn done(&self, operation: &str, body: &Value) -> Result<Value> {
        match self.call(operation, body).await? {
            (200, answer) => Ok(answer),
            (status, answer) => bail!("{operation}: {status} {answer}"),
        }
    }

    /// One action of a service with the query protocol, as IAM and STS have it; the XML of the answer.
    pub(crate) async fn query(&self, service: &str, parameters: &[(&str, String)]) -> Result<String> {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.post("us-east-1", service).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (status, body) = self.send(request, parameters.join("&")).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == 200 { Ok(text) } else { bail!("{service}: {status} {text}") }
    }

    /// Creates a table as Vault does, and waits until it can be used.
    pub async fn create_table(&self, table: &str) -> Result<()> {
        self.done("CreateTable", &vaults(table)).await?;
        for _ in 0..3_000 {
            let described = self.done("DescribeTable", &json!({"TableName": table})).await?;
            if described["Table"]["TableStatus"] == "ACTIVE" {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{table} does not become ACTIVE")
    }

    /// Every item of a table, as stored.
    pub async fn items(&self, table: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut body = json!({"TableName": table, "ConsistentRead": true});
        loop {
            let page = self.done("Scan", &body).await?;
            items.extend(page["Items"].as_array().cloned().unwrap_or_default());
            match page.get("LastEvaluatedKey") {
                Some(key) => body["ExclusiveStartKey"] = key.clone(),
                None => return Ok(items),
            }
        }
    }
}
