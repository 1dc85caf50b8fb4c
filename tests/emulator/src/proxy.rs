//! A proxy before an emulator. It is what a client takes for DynamoDB, and it can do what DynamoDB does on a bad day.
//!
//! It ends with the tokio runtime on which it was started, or when it is dropped.

mod answer;
pub(crate) mod record;
mod script;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, DATE};
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use self::answer::{Answer, date, json_headers, take_off};
use self::record::Form;
pub use self::record::Request;
pub use self::script::{Action, Gate, Rule};
use crate::listen::{Answers, Cut, Listening, Outcome};
use crate::{Dynalite, Mini, Moto};

/// What requests to DynamoDB look like.
pub(crate) const FORM: Form = Form { target: "DynamoDB_20120810.", content_type: "application/x-amz-json-1.0", service: "dynamodb" };

/// What stands behind the proxy.
#[derive(Clone)]
pub enum Upstream {
    /// An emulator at an address of the form `http://127.0.0.1:PORT`.
    Address(String),
    /// Tables in memory.
    Mini(Arc<Mini>),
}

impl From<&Dynalite> for Upstream {
    fn from(dynalite: &Dynalite) -> Upstream {
        Upstream::Address(dynalite.endpoint().to_owned())
    }
}

impl From<&Moto> for Upstream {
    fn from(moto: &Moto) -> Upstream {
        Upstream::Address(moto.endpoint().to_owned())
    }
}

impl From<&Arc<Mini>> for Upstream {
    fn from(mini: &Arc<Mini>) -> Upstream {
        Upstream::Mini(Arc::clone(mini))
    }
}

/// The proxy.
pub struct Proxy {
    listening: Listening,
    inner: Arc<Inner>,
}

struct Inner {
    upstream: Upstream,
    http: Http<HttpConnector, Full<Bytes>>,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    complaints: Mutex<Vec<String>>,
    /// How many further requests get through.
    left: AtomicI64,
    cut: AtomicU64,
    measure: AtomicBool,
    clock: AtomicI64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start(upstream: impl Into<Upstream>) -> Result<Proxy> {
        let inner = Arc::new(Inner {
            upstream: upstream.into(),
            http: Http::builder(TokioExecutor::new()).build_http(),
            rules: Mutex::default(),
            requests: Mutex::default(),
            complaints: Mutex::default(),
            left: AtomicI64::new(i64::MAX),
            cut: AtomicU64::new(0),
            measure: AtomicBool::new(false),
            clock: AtomicI64::new(0),
        });
        Ok(Proxy { listening: Listening::start(0, Arc::clone(&inner)).await?, inner })
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        self.listening.endpoint()
    }

    /// Adds a rule. Of several that fit a request, the oldest has effect.
    pub fn rule(&self, rule: Rule) {
        lock(&self.inner.rules).push(rule);
    }

    /// Takes all rules away, and lets everything through again.
    pub fn clear(&self) {
        lock(&self.inner.rules).clear();
        self.allow(i64::MAX);
    }

    /// Lets so many further requests through. To later ones there is no answer, and they have no effect.
    pub fn allow(&self, requests: i64) {
        self.inner.left.store(requests, Ordering::SeqCst);
    }

    /// How many requests had no answer because no more were allowed.
    pub fn cut(&self) -> u64 {
        self.inner.cut.load(Ordering::SeqCst)
    }

    /// Gives answers the time of day that is so many seconds off, and refuses signatures that are five minutes away from that.
    pub fn clock(&self, seconds: i64) {
        self.inner.clock.store(seconds, Ordering::SeqCst);
    }

    /// Asks the emulator what each request consumes; the client does not see that.
    pub fn measure(&self) {
        self.inner.measure.store(true, Ordering::SeqCst);
    }

    /// The requests so far; the record begins anew.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.inner.requests))
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.inner.requests).clone()
    }

    /// What was wrong with the form of requests so far: method, path, headers given twice or not at all, headers that are not signed.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.inner.complaints).clone()
    }
}

impl Answers for Inner {
    async fn answer(&self, parts: Parts, body: Bytes) -> Outcome {
        let operation = FORM.operation(&parts.headers);
        lock(&self.complaints).extend(FORM.complaints(&parts, &operation));
        let place = {
            let mut requests = lock(&self.requests);
            let (operation, headers, body) = (operation.clone(), parts.headers.clone(), body.clone());
            requests.push(Request { at: SystemTime::now(), operation, headers, body, status: None, units: 0.0 });
            requests.len() - 1
        };
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.cut.fetch_add(1, Ordering::SeqCst);
            return Err(Cut);
        }
        let action = lock(&self.rules).iter_mut().fold(None, |found, rule| {
            let befalls = rule.befalls(&operation);
            found.or_else(|| befalls.then(|| rule.action.clone()))
        });
        let mut answer = match self.skewed(&parts.headers) {
            Some(refusal) => refusal,
            None => self.act(action, parts, &operation, body).await?,
        };
        let units = self.units(&mut answer);
        let clock = self.clock.load(Ordering::SeqCst);
        if clock != 0 {
            answer.headers.insert(DATE, date(OffsetDateTime::now_utc() + time::Duration::seconds(clock)));
        }
        // The record may have been taken meanwhile: then this one's end is not recorded.
        if let Some(request) = lock(&self.requests).get_mut(place).filter(|request| request.operation == operation) {
            (request.status, request.units) = (Some(answer.status), units);
        }
        answer.response()
    }
}

impl Inner {
    /// A refusal if the signature is of another time than the proxy's clock has.
    fn skewed(&self, headers: &HeaderMap) -> Option<Answer> {
        let clock = self.clock.load(Ordering::SeqCst);
        let signed = headers.get("x-amz-date").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let signed = PrimitiveDateTime::parse(signed, format).ok()?.assume_utc();
        let now = OffsetDateTime::now_utc() + time::Duration::seconds(clock);
        if clock == 0 || (now - signed).abs() <= time::Duration::minutes(5) {
            return None;
        }
        let message = if signed < now { "Signature expired: now is later" } else { "Signature not yet current: now is earlier" };
        Some(Answer::error(400, "com.amazon.coral.service#InvalidSignatureException", message))
    }

    async fn act(&self, action: Option<Action>, parts: Parts, operation: &str, body: Bytes) -> Result<Answer, Cut> {
        let Some(action) = action else { return self.forward(&parts.headers, operation, body).await };
        match action {
            Action::Refuse(code) => Ok(Answer::error(400, &format!("com.amazonaws.dynamodb.v20120810#{code}"), "by the test's script")),
            Action::Conflict => Ok(Answer::conflict(operation)),
            Action::Status(status) => {
                let code = if status == 503 { "ServiceUnavailable" } else { "InternalServerError" };
                Ok(Answer::error(status, &format!("com.amazonaws.dynamodb.v20120810#{code}"), "by the test's script"))
            }
            Action::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(&parts.headers, operation, body).await
            }
            Action::CutBefore => Err(Cut),
            Action::CutAfter => self.forward(&parts.headers, operation, body).await.and(Err(Cut)),
            Action::Hold(gate) => {
                gate.pass().await;
                self.forward(&parts.headers, operation, body).await
            }
            Action::Partly(count) => {
                let mut body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let left = take_off(&mut body["RequestItems"], count);
                let mut answer = if count == 0 {
                    Answer { status: 200, headers: json_headers(), body: Bytes::from_static(b"{}") }
                } else {
                    self.forward(&parts.headers, operation, body.to_string().into()).await?
                };
                let name = if operation == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
                answer.change(|json| json[name] = left);
                Ok(answer)
            }
            Action::TableStatus(status) => {
                let mut answer = self.forward(&parts.headers, operation, body).await?;
                answer.change(|json| {
                    if let Some(table) = json.get_mut("Table") {
                        table["TableStatus"] = json!(status);
                    }
                });
                Ok(answer)
            }
        }
    }

    async fn forward(&self, headers: &HeaderMap, operation: &str, mut body: Bytes) -> Result<Answer, Cut> {
        let mut headers = headers.clone();
        if self.measure.load(Ordering::SeqCst)
            && !matches!(operation, "CreateTable" | "DescribeTable" | "UpdateContinuousBackups")
            && let Ok(mut json) = serde_json::from_slice::<Value>(&body)
        {
            json["ReturnConsumedCapacity"] = json!("TOTAL");
            body = json.to_string().into();
        }
        headers.remove(CONTENT_LENGTH);
        let address = match &self.upstream {
            Upstream::Address(address) => address,
            Upstream::Mini(mini) => {
                let (status, answer) = mini.call_as(&record::signer(&headers), operation, &body);
                return Ok(Answer { status, headers: json_headers(), body: answer.to_string().into() });
            }
        };
        // The emulator that checks signatures has the host of the signature from this header: it stays as the client sent it.
        let mut request = http::Request::post(format!("{address}/"));
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let request = request.body(Full::new(body)).map_err(|_| Cut)?;
        let (parts, body) = self.http.request(request).await.map_err(|_| Cut)?.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Takes out of the answer what the proxy asked for beside the client.
    fn units(&self, answer: &mut Answer) -> f64 {
        if !self.measure.load(Ordering::SeqCst) {
            return 0.0;
        }
        let mut units = 0.0;
        answer.change(|json| {
            let consumed = json.as_object_mut().and_then(|json| json.remove("ConsumedCapacity"));
            let all = match consumed {
                Some(Value::Array(all)) => all,
                other => other.into_iter().collect(),
            };
            units = all.iter().filter_map(|one| one["CapacityUnits"].as_f64()).sum();
        });
        units
    }
}
