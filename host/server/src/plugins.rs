//! `sys/plugins`: what runs the storage and the seals of this server, how they fare, and their replacement.
//!
//! Whoever runs them is behind [`Plugins`]; here it is decided who may ask. The answers are about the server that was asked: a standby, which cannot check a token,
//! never sends a client to another server with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_vault::logical::{Error, Operation, Request, Response};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{Api, body_failed};
use crate::body;
use crate::envelope::{self, Answer};
use crate::sys;

/// The plugins of a server. Nothing of what these give may hold what a guest said.
#[async_trait]
pub trait Plugins: Send + Sync + 'static {
    /// All of them, as JSON.
    fn list(&self) -> Vec<Value>;

    /// Looks for the plugin of this name again, or for all, and replaces those that have changed.
    async fn reload(&self, plugin: Option<&str>) -> Result<BTreeMap<String, Reloaded>, UnknownPlugin>;

    /// Those that do not run as they should, by their names, with what is wrong.
    fn troubles(&self) -> BTreeMap<String, String>;

    /// Whether the storage is out of service, so that this server can do nothing.
    fn storage_lost(&self) -> bool;
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Reloaded {
    /// The same component is there, with the same settings.
    Unchanged {
        /// Its digest.
        sha256: String,
    },
    /// Another runs.
    Reloaded {
        /// The digest of the one that ran.
        from: String,
        /// The digest of the one that runs.
        to: String,
    },
    /// Nothing has changed.
    Refused {
        /// Why, in the host's words.
        reason: String,
    },
}

/// There is no plugin of this name; those that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlugin(pub Vec<String>);

/// What of them is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    List,
    Reload,
}

/// The body of a reload.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReloadRequest {
    plugin: Option<String>,
}

impl Asked {
    pub(crate) fn of(path: &str) -> Option<Asked> {
        match path {
            "sys/plugins" => Some(Asked::List),
            "sys/plugins/reload" => Some(Asked::Reload),
            _ => None,
        }
    }

    /// The answer, or why there is none.
    pub(crate) async fn answer(self, api: &Api, head: &Parts, body: &Bytes, remote: SocketAddr) -> Result<Answer, Answer> {
        let (operation, path) = match self {
            Asked::List if head.method == Method::GET => (Operation::Read, "sys/plugins"),
            Asked::Reload if head.method == Method::PUT || head.method == Method::POST => (Operation::Update, "sys/plugins/reload"),
            _ => return Err(envelope::errors(StatusCode::METHOD_NOT_ALLOWED, &[])),
        };
        let plugins = api.plugins.get().ok_or_else(|| envelope::errors(StatusCode::NOT_FOUND, &[]))?;
        let fields = body::fields(body).map_err(|error| body_failed(&error))?;
        let request = Request { data: fields, remote: Some(remote), ..api.request(operation, path, &head.headers) };
        api.core.authorize(&request).await.map_err(|error| match error {
            Error::Standby => {
                let text =
                    "this server stands by and cannot check a token: its plugins are reloaded by SIGHUP, and its log says what came of it";
                envelope::errors(StatusCode::SERVICE_UNAVAILABLE, &[text])
            }
            error => envelope::failed(&request.id, &error),
        })?;
        if self == Asked::List {
            return Ok(done(&request.id, json!({ "plugins": plugins.list() })));
        }
        let wanted: ReloadRequest = sys::typed(request.data)?;
        match plugins.reload(wanted.plugin.as_deref()).await {
            Ok(reloaded) => reloaded_answer(&request.id, &reloaded),
            Err(UnknownPlugin(known)) => {
                let text = format!("plugin: there is no such plugin; this server runs {}", known.join(", "));
                Err(envelope::errors(StatusCode::BAD_REQUEST, &[&text]))
            }
        }
    }
}

/// A reload of which something was refused is an error that says what was done all the same.
fn reloaded_answer(request_id: &str, reloaded: &BTreeMap<String, Reloaded>) -> Result<Answer, Answer> {
    let refused: Vec<String> = reloaded
        .iter()
        .filter_map(|(name, reloaded)| match reloaded {
            Reloaded::Refused { reason } => Some(format!("{name}: {reason}")),
            _ => None,
        })
        .collect();
    let data = json!({ "plugins": reloaded });
    if refused.is_empty() {
        return Ok(done(request_id, data));
    }
    Err(envelope::json_answer(StatusCode::BAD_REQUEST, &json!({ "errors": refused, "data": data })))
}

fn done(request_id: &str, data: Value) -> Answer {
    let data = if let Value::Object(data) = data { data } else { Map::new() };
    envelope::done(request_id, &Response { data: Some(data), ..Response::empty() })
}

/// An answer with what is wrong with plugins beside it, if anything is.
#[derive(Serialize)]
pub(crate) struct Troubled<T> {
    #[serde(flatten)]
    answer: T,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    plugins: BTreeMap<String, String>,
}

impl Api {
    /// The answer, with what is wrong with plugins.
    pub(crate) fn troubled<T: Serialize>(&self, status: StatusCode, answer: T) -> Answer {
        let plugins = self.plugins.get().map(|plugins| plugins.troubles()).unwrap_or_default();
        envelope::json_answer(status, &Troubled { answer, plugins })
    }

    /// Whether the storage is out of service.
    pub(crate) fn storage_lost(&self) -> bool {
        self.plugins.get().is_some_and(|plugins| plugins.storage_lost())
    }
}
