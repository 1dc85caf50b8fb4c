//! One request and what came of it, as the tape has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::{Error, Wrapped};
use cofferdam_runtime::{AwsResponse, AwsSendError, HttpError, KeyAnswered, KeyCall};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scrub::{Scrub, pairs};

/// Bytes: as text if they are some.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Body {
    Text(String),
    Base64(String),
}

impl Body {
    pub(super) fn of(bytes: &[u8]) -> Body {
        match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Base64(STANDARD.encode(bytes)),
        }
    }

    pub(super) fn size(&self) -> usize {
        let (Body::Text(text) | Body::Base64(text)) = self;
        text.len()
    }

    /// The bytes; none if they are not written as they should be.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Body::Text(text) => Some(text.clone().into_bytes()),
            Body::Base64(text) => STANDARD.decode(text).ok(),
        }
    }

    /// What is shown of it in a report.
    pub(super) fn shown(&self) -> String {
        const SHOWN: usize = 160;
        let (Body::Text(text) | Body::Base64(text)) = self;
        let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN).is_some() { format!("{shown}…") } else { shown }
    }
}

/// A request's body, in the form in which requests are compared: members of JSON may come in any order.
pub(super) fn asked(scrub: &mut Scrub, body: &[u8]) -> Body {
    let hidden = scrub.hide(body);
    match serde_json::from_slice::<Value>(&hidden) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Body::Text(sorted(value).to_string()),
        _ => Body::of(&hidden),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(Map::from_iter(members))
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// A request with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// The operation, or method and address.
    pub(super) asked: String,
    pub(super) body: Body,
    pub(super) came: Came,
    /// What the host has found of a key's use, of a seal on AWS.
    #[serde(default, skip_serializing_if = "Found::is_nothing")]
    pub(super) found: Found,
}

impl Exchange {
    /// Why it cannot be an answer to anything, if so.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let found = [self.found.wrapped.as_ref().map(|(blob, _)| blob), self.found.plain.as_ref()];
        let mut bodies: Vec<&Body> = std::iter::once(&self.body).chain(found.into_iter().flatten()).collect();
        if let Came::Answer { status, headers, body } = &self.came {
            bodies.push(body);
            if StatusCode::from_u16(*status).is_err() {
                return Some("its status is none of HTTP");
            }
            let is_header = |(name, value): &(String, String)| HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
            if !headers.iter().all(is_header) {
                return Some("a header of its answer is none");
            }
        }
        bodies.iter().any(|body| body.bytes().is_none()).then_some("a body of it is not in base 64")
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Came {
    Answer { status: u16, headers: Vec<(String, String)>, body: Body },
    Refused(String),
    Unreachable(String),
    Interrupted(String),
    TooLarge(u64),
    Credentials(String),
}

impl Came {
    pub(super) fn size(&self) -> usize {
        match self {
            Came::Answer { body, .. } => body.size(),
            _ => 0,
        }
    }

    pub(super) fn of_aws(scrub: &mut Scrub, result: &Result<AwsResponse, AwsSendError>) -> Came {
        match result {
            Ok(answer) => Came::Answer {
                status: answer.status,
                headers: scrub.headers(answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))),
                body: Body::of(&scrub.hide(&answer.body)),
            },
            Err(AwsSendError::Refused(text)) => Came::Refused(scrub.hide_text(text)),
            Err(AwsSendError::Unreachable(text)) => Came::Unreachable(scrub.hide_text(text)),
            Err(AwsSendError::Interrupted(text)) => Came::Interrupted(scrub.hide_text(text)),
            Err(AwsSendError::TooLarge(size)) => Came::TooLarge(*size),
            Err(AwsSendError::Credentials(text)) => Came::Credentials(scrub.hide_text(text)),
        }
    }

    /// None if the recording cannot be read so.
    pub(super) fn for_aws(self, scrub: &Scrub) -> Option<Result<AwsResponse, AwsSendError>> {
        Some(Err(match self {
            Came::Answer { status, headers, body } => {
                let body = scrub.show(body.bytes()?)?.to_vec().into();
                return Some(Ok(AwsResponse { status, headers, body }));
            }
            Came::Refused(text) => AwsSendError::Refused(text),
            Came::Unreachable(text) => AwsSendError::Unreachable(text),
            Came::Interrupted(text) => AwsSendError::Interrupted(text),
            Came::TooLarge(size) => AwsSendError::TooLarge(size),
            Came::Credentials(text) => AwsSendError::Credentials(text),
        }))
    }

    pub(super) fn of_http(scrub: &mut Scrub, result: &Result<Response<bytes::Bytes>, HttpError>) -> Came {
        match result {
            Ok(answer) => Came::Answer {
                status: answer.status().as_u16(),
                headers: scrub.headers(pairs(answer.headers())),
                body: Body::of(&scrub.hide(answer.body())),
            },
            Err(HttpError::Refused(text)) => Came::Refused(scrub.hide_text(text)),
            Err(HttpError::Unreachable(text)) => Came::Unreachable(scrub.hide_text(text)),
            Err(HttpError::Interrupted(text)) => Came::Interrupted(scrub.hide_text(text)),
            Err(HttpError::TooLarge(size)) => Came::TooLarge(*size),
        }
    }

    /// None if the recording cannot be read so.
    pub(super) fn for_http(self, scrub: &Scrub) -> Option<Result<Response<bytes::Bytes>, HttpError>> {
        Some(Err(match self {
            Came::Answer { status, headers, body } => {
                let body = scrub.show(body.bytes()?)?.to_vec();
                let mut answer = Response::builder().status(status).body(body.into()).ok()?;
                for (name, value) in headers {
                    let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
                    answer.headers_mut().append(name, value);
                }
                return Some(Ok(answer));
            }
            Came::Refused(text) => HttpError::Refused(text),
            Came::Unreachable(text) => HttpError::Unreachable(text),
            Came::Interrupted(text) => HttpError::Interrupted(text),
            Came::TooLarge(size) => HttpError::TooLarge(size),
            Came::Credentials(_) => return None,
        }))
    }
}

/// What the host has found of a key's use in a call: the player has no binding that would find it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Found {
    /// The wrapped key that the service answered, and its key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped: Option<(Body, String)>,
    /// What the service decrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    plain: Option<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// The error's case, and its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfit: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

impl Found {
    fn is_nothing(&self) -> bool {
        *self == Found::default()
    }

    pub(super) fn of(scrub: &mut Scrub, call: Option<&KeyCall>) -> Found {
        let Some(call) = call else { return Found::default() };
        let mut found = Found::default();
        match &call.answered {
            Some(KeyAnswered::Wrapped(wrapped)) => {
                found.wrapped = Some((Body::of(&scrub.hide(&wrapped.blob)), scrub.hide_text(&wrapped.key_id)));
            }
            Some(KeyAnswered::Plain(plain)) => found.plain = Some(Body::of(&scrub.hide(plain))),
            None => {}
        }
        found.refused = call.refused.as_ref().map(|text| scrub.hide_text(text));
        found.unfit = call.unfit.as_ref().map(|error| (error.case().to_owned(), scrub.hide_text(said(error))));
        found.trouble = call.trouble.as_ref().map(|text| scrub.hide_text(text));
        found
    }

    /// The same with keys in their places; none if the recording cannot be read so.
    pub(super) fn shown(self, scrub: &Scrub) -> Option<Shown> {
        let shown = |body: Body| scrub.show(body.bytes()?);
        let mut answered = None;
        if let Some((blob, key_id)) = self.wrapped {
            answered = Some(KeyAnswered::Wrapped(Wrapped { blob: shown(blob)?.to_vec().into(), key_id }));
        }
        if let Some(plain) = self.plain {
            answered = Some(KeyAnswered::Plain(shown(plain)?));
        }
        let unfit = self.unfit.map(|(case, text)| error(&case, text));
        Some(Shown { answered, refused: self.refused, unfit, trouble: self.trouble })
    }
}

/// What was found, as it is noted in a call.
pub(super) struct Shown {
    answered: Option<KeyAnswered>,
    refused: Option<String>,
    unfit: Option<Error>,
    trouble: Option<String>,
}

impl Shown {
    /// Notes it.
    pub(super) fn note(self, call: Option<&mut KeyCall>) {
        let Some(call) = call else { return };
        call.answered = self.answered.or(call.answered.take());
        call.refused = self.refused.or(call.refused.take());
        call.unfit = self.unfit.or(call.unfit.take());
        call.trouble = self.trouble.or(call.trouble.take());
    }
}

/// The text of those errors that a binding finds.
fn said(error: &Error) -> &str {
    match error {
        Error::Denied(text) | Error::Corrupt(text) | Error::Unavailable(text) => text,
        _ => "",
    }
}

fn error(case: &str, text: String) -> Error {
    match case {
        "denied" => Error::Denied(text),
        "corrupt" => Error::Corrupt(text),
        _ => Error::Unavailable(text),
    }
}
