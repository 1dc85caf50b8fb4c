//! The paths that want no token: status, init, unseal, health, leader, and what [`crate::shares`] answers; and metrics and plugins.

use std::net::SocketAddr;

use bytes::Bytes;
use cofferdam_vault::core::{Health, InitRequest, UnsealRequest, decode_token};
use cofferdam_vault::logical::{Error, Fields, Operation, Result};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::{Api, body_failed};
use crate::body::{self, BodyError};
use crate::envelope::{self, Answer};
use crate::listener::ListenerConfig;
use crate::shares::{self, ByShares};
use crate::{plugins, query, wrapping};

/// A path that this module answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Init,
    SealStatus,
    Unseal,
    Health,
    Leader,
    Metrics,
    DecodeToken,
    Plugins(plugins::Asked),
    /// Rekeys and root tokens by shares, without a token.
    ByShares(ByShares),
}

impl Endpoint {
    /// The endpoint under this path, which follows `/v1/`.
    pub(crate) fn of(path: &str) -> Option<Endpoint> {
        Some(match path {
            "sys/init" => Endpoint::Init,
            "sys/seal-status" => Endpoint::SealStatus,
            "sys/unseal" => Endpoint::Unseal,
            "sys/health" => Endpoint::Health,
            "sys/leader" => Endpoint::Leader,
            "sys/metrics" => Endpoint::Metrics,
            "sys/decode-token" => Endpoint::DecodeToken,
            _ => return plugins::Asked::of(path).map(Endpoint::Plugins).or_else(|| ByShares::of(path).map(Endpoint::ByShares)),
        })
    }
}

pub(crate) async fn answer(
    api: &Api,
    endpoint: Endpoint,
    head: &Parts,
    parameters: &[(String, String)],
    body: &Bytes,
    listener: &ListenerConfig,
    remote: SocketAddr,
) -> Answer {
    let (core, method) = (&api.core, &head.method);
    if matches!(endpoint, Endpoint::Init | Endpoint::DecodeToken | Endpoint::ByShares(_))
        && let Some(answer) = wrapping::refuse(&head.headers)
    {
        return answer;
    }
    let request_id = uuid::Uuid::new_v4().to_string();
    let written = method == Method::PUT || method == Method::POST;
    let done = match endpoint {
        Endpoint::Init if method == Method::GET => {
            core.initialized().await.map(|initialized| envelope::json_answer(StatusCode::OK, &json!({ "initialized": initialized })))
        }
        Endpoint::Init if written => match parse::<InitRequest>(body) {
            Ok(request) => core.initialize(request).await.map(|made| envelope::json_answer(StatusCode::OK, &made)),
            Err(answer) => return answer,
        },
        Endpoint::Unseal if written => match parse::<UnsealRequest>(body) {
            Ok(request) => core.unseal(request).await.map(|status| envelope::json_answer(StatusCode::OK, &status)),
            Err(answer) => return answer,
        },
        Endpoint::SealStatus if method == Method::GET => {
            let status = core.seal_status().await;
            return status.map_or_else(|error| failed_beside(api, &request_id, &error), |status| api.troubled(StatusCode::OK, status));
        }
        Endpoint::Health if method == Method::GET || method == Method::HEAD => {
            let codes = match Codes::read(parameters) {
                Ok(codes) => codes,
                Err(answer) => return answer,
            };
            let code = |health: &Health| if api.storage_lost() { StatusCode::SERVICE_UNAVAILABLE } else { codes.of(health) };
            let health = core.health().await;
            return health.map_or_else(|error| failed_beside(api, &request_id, &error), |health| api.troubled(code(&health), health));
        }
        Endpoint::Plugins(asked) => match asked.answer(api, head, body, remote).await {
            Ok(answer) | Err(answer) => return answer,
        },
        Endpoint::Leader if method == Method::GET => core.leader().map(|leader| envelope::json_answer(StatusCode::OK, &leader)),
        Endpoint::Metrics if method == Method::GET => metrics(api, &head.headers, listener, remote).await,
        Endpoint::DecodeToken if written => match parse(body) {
            Ok(request) => decode_token(&request).map(|decoded| envelope::done(&request_id, &decoded)),
            Err(answer) => return answer,
        },
        Endpoint::DecodeToken => return shares::unsupported(None),
        Endpoint::ByShares(endpoint) => match endpoint.answer(core, method, body, listener).await {
            Ok(done) => done,
            Err(answer) => return answer,
        },
        _ => return envelope::errors(StatusCode::METHOD_NOT_ALLOWED, &[]),
    };
    done.unwrap_or_else(|error| api.failed(&request_id, &error, &head.uri))
}

/// Why there is no status, and what is wrong with plugins, which may be the reason.
fn failed_beside(api: &Api, request_id: &str, error: &Error) -> Answer {
    let (status, text) = envelope::told(request_id, error);
    api.troubled(status, json!({ "errors": text.as_slice() }))
}

pub(crate) fn parse<T: DeserializeOwned + Default>(bytes: &Bytes) -> Result<T, Answer> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    // Checked as an object first, so that the error's text cannot repeat a key share.
    typed(body::fields(bytes).map_err(|error| body_failed(&error))?)
}

/// The fields of a body as what is expected of them.
pub(crate) fn typed<T: DeserializeOwned>(fields: Fields) -> Result<T, Answer> {
    serde_json::from_value(fields.into())
        .map_err(|_| body_failed(&BodyError::Malformed("a field has a value of the wrong type".to_owned())))
}

async fn metrics(api: &Api, headers: &HeaderMap, listener: &ListenerConfig, remote: SocketAddr) -> Result<Answer> {
    if !listener.unauthenticated_metrics {
        let mut request = api.request(Operation::Read, "sys/metrics", headers);
        request.remote = Some(remote);
        api.core.authorize(&request).await?;
    }
    api.core.gauges();
    let mut answer = envelope::raw(StatusCode::OK, Bytes::from(api.metrics.render()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(answer)
}

/// The statuses of `sys/health`, which a load balancer may set to others by the query.
struct Codes {
    active: StatusCode,
    standby: StatusCode,
    sealed: StatusCode,
    uninitialized: StatusCode,
}

impl Codes {
    fn read(parameters: &[(String, String)]) -> Result<Codes, Answer> {
        let refuse = |name: &str, wanted: &str| {
            let text = format!("{name}: {wanted} expected");
            envelope::errors(StatusCode::BAD_REQUEST, &[&text])
        };
        let mut codes = Codes {
            active: StatusCode::OK,
            standby: StatusCode::TOO_MANY_REQUESTS,
            sealed: StatusCode::SERVICE_UNAVAILABLE,
            uninitialized: StatusCode::NOT_IMPLEMENTED,
        };
        let mut standby_ok = false;
        for (name, value) in parameters {
            let code = || value.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| refuse(name, "an HTTP status"));
            match name.as_str() {
                "standbyok" => standby_ok = value.is_empty() || query::boolean(value).ok_or_else(|| refuse(name, "true or false"))?,
                "activecode" => codes.active = code()?,
                "standbycode" => codes.standby = code()?,
                "sealedcode" => codes.sealed = code()?,
                "uninitcode" => codes.uninitialized = code()?,
                _ => {}
            }
        }
        if standby_ok {
            codes.standby = codes.active;
        }
        Ok(codes)
    }

    fn of(&self, health: &Health) -> StatusCode {
        match health {
            Health { initialized: false, .. } => self.uninitialized,
            Health { sealed: true, .. } => self.sealed,
            Health { standby: true, .. } => self.standby,
            _ => self.active,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(initialized: bool, sealed: bool, standby: bool) -> Health {
        Health {
            initialized,
            sealed,
            standby,
            replication_performance_mode: "disabled",
            replication_dr_mode: "disabled",
            server_time_utc: 0,
            version: String::new(),
            cluster_name: None,
            cluster_id: None,
        }
    }

    #[test]
    fn health_has_a_status_for_each_state() {
        let codes = Codes::read(&[]).unwrap();
        assert_eq!(codes.of(&health(true, false, false)), 200);
        assert_eq!(codes.of(&health(true, false, true)), 429);
        assert_eq!(codes.of(&health(true, true, false)), 503);
        assert_eq!(codes.of(&health(false, true, false)), 501);
    }

    #[test]
    fn the_query_may_set_the_statuses_of_health() {
        let pairs = crate::query::pairs(Some("standbyok=true&activecode=299&sealedcode=298"));
        let codes = Codes::read(&pairs).unwrap();
        assert_eq!(codes.of(&health(true, false, true)), 299);
        assert_eq!(codes.of(&health(true, true, false)), 298);
        for query in ["standbyok=x", "activecode=abc", "uninitcode=99"] {
            assert_eq!(Codes::read(&crate::query::pairs(Some(query))).err().unwrap().status(), 400, "{query}");
        }
    }
}
