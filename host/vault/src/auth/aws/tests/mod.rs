//! The engine on a storage in memory, with an STS that answers by a script.

mod logins;
mod roles;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Aws;
use super::sts::{Answer, Call, CallError, Sts};
use crate::engine::Engine;
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::testing::test_view;
use crate::view::View;

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

/// A request to the engine.
pub(in crate::auth::aws) fn request(operation: Operation, path: &str, body: Value) -> Request {
    let Value::Object(data) = body else { panic!("not an object: {body}") };
    Request {
        id: String::new(),
        operation,
        path: path.to_owned(),
        data,
        token: None,
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    }
}

type Outcome = Result<Answer, CallError>;

/// Answers one after the other, the last one again and again; and what it was asked.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Outcome>>,
    calls: Mutex<Vec<Call>>,
    /// Never answers.
    silent: bool,
}

#[async_trait]
impl Sts for Script {
    async fn post(&self, call: &Call) -> Outcome {
        self.calls.lock().unwrap().push(call.clone());
        if self.silent {
            return std::future::pending().await;
        }
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers.front().unwrap().clone() }
    }
}

/// What STS says of a caller.
fn caller(arn: &str, user_id: &str) -> Outcome {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>{arn}</Arn>\
         <UserId>{user_id}</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    Ok(Answer { status: 200, content_type: Some("text/xml".to_owned()), body: body.into_bytes() })
}

/// The caller that the tests are about.
fn deploy() -> Outcome {
    caller("arn:aws:sts::123456789012:assumed-role/deploy/i-1", "AROAEXAMPLE:i-1")
}

async fn mount(answers: impl IntoIterator<Item = Outcome>) -> (Aws, Arc<Script>, View) {
    let script = Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
    let view = test_view().await;
    (Aws::new(view.clone(), script.clone()), script, view)
}

async fn ask(engine: &Aws, operation: Operation, path: &str, body: Value) -> Result<Response> {
    engine.handle(&request(operation, path, body)).await
}

async fn write(engine: &Aws, path: &str, body: Value) -> Result<Response> {
    ask(engine, Operation::Update, path, body).await
}

/// The data of a read.
async fn read(engine: &Aws, path: &str) -> Value {
    ask(engine, Operation::Read, path, json!({})).await.unwrap().data.unwrap().into()
}

/// The text of a refusal.
fn refusal(outcome: Result<Response>) -> String {
    match outcome {
        Err(Error::BadRequest(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
