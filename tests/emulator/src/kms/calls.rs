//! What KMS has seen, and how it answers.

use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use serde_json::Value;

use super::FORM;
use crate::listen::{Cut, Outcome};

/// A request that reached KMS, and what came of it.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// The operation, as in `Encrypt`.
    pub operation: String,
    /// The region that it was signed for.
    pub region: String,
    /// The id of the access key that it was signed with.
    pub access_key: String,
    /// The body.
    pub body: Bytes,
    /// The status of the answer; none if there was none, or none yet.
    pub status: Option<u16>,
    /// The body of the answer; null if there was none, or none yet.
    pub answer: Value,
}

impl Call {
    pub(super) fn new(operation: &str, region: &str, access_key: &str, body: Bytes) -> Call {
        let (operation, region, access_key) = (operation.to_owned(), region.to_owned(), access_key.to_owned());
        Call { at: Instant::now(), operation, region, access_key, body, status: None, answer: Value::Null }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

pub(super) fn answered(status: u16, answer: &Value) -> Outcome {
    let response = Response::builder().status(status).header(CONTENT_TYPE, FORM.content_type);
    let response = response.header("x-amzn-requestid", "6d3c9a9e-0000-4000-8000-000000000000");
    response.body(Full::new(answer.to_string().into())).map_err(|_| Cut)
}
