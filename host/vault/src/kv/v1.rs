//! The engine without versions: a value per path.
//!
//! Stored as `<path>` below the mount's view: the fields of the request as a JSON object. The rule: what is read is what was
//! written, to the digit; a `ttl` or `lease` field among it only sets the answer's `lease_duration`.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::fields::{Input, Schema};
use super::{duration, json, path};
use crate::engine::Engine;
use crate::keyring::json::position;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::view::View;

/// A kv engine of version 1.
pub struct Kv {
    view: View,
    default_lease: Duration,
}

impl Kv {
    /// An engine on the mount's view. `default_lease` is the mount's default lease time, which every answer to a read carries.
    pub fn new(view: View, default_lease: Duration) -> Kv {
        Kv { view, default_lease }
    }

    async fn read(&self, request: &Request) -> Result<Response> {
        if request.path.is_empty() || request.path.ends_with('/') {
            return Err(Error::NotFound);
        }
        let stored = self.view.get(&request.path).await?.ok_or(Error::NotFound)?;
        let fields: Fields = serde_json::from_slice(&stored)
            .map_err(|error| Error::Damaged(format!("{}{}: {}", self.view.prefix(), request.path, position(&error))))?;
        let lease_duration = lease(&fields).unwrap_or(self.default_lease);
        Ok(Response { lease_duration, ..Response::data(fields) })
    }

    async fn write(&self, request: &Request) -> Result<Response> {
        path::leaf(&request.path)?;
        if request.data.is_empty() {
            return Err(Error::bad_request("missing data fields"));
        }
        self.view.put(&request.path, &json::object(&request.data)).await?;
        Ok(Response::empty())
    }

    async fn delete(&self, request: &Request) -> Result<Response> {
        if !request.path.is_empty() && !request.path.ends_with('/') {
            self.view.delete(&request.path).await?;
        }
        Ok(Response::empty())
    }
}

/// What the secret says of its lifetime. None if nothing, or nothing that can be read. A negative time counts as none left.
fn lease(fields: &Fields) -> Option<Duration> {
    let value = fields.get("ttl").or_else(|| fields.get("lease"))?;
    if *value == Value::Null {
        return Some(Duration::ZERO);
    }
    let nanoseconds = duration::parse(value).ok()??;
    Some(Duration::from_secs(u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(0)))
}

const NO_FIELDS: Schema = &[];

#[async_trait]
impl Engine for Kv {
    async fn handle(&self, request: &Request) -> Result<Response> {
        match request.operation {
            Operation::Read => Ok(Input::new(request, NO_FIELDS, true)?.warn(self.read(request).await?)),
            Operation::List => {
                let names = self.view.list(&path::folder(&request.path)).await?;
                Ok(Input::new(request, NO_FIELDS, true)?.warn(Response::list(names)?))
            }
            Operation::Create | Operation::Update => self.write(request).await,
            Operation::Delete => self.delete(request).await,
            Operation::Patch => Err(Error::UnsupportedOperation),
        }
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        if path::leaf(&request.path).is_err() {
            return Ok(Some(false));
        }
        Ok(Some(self.view.get(&request.path).await?.is_some()))
    }
}

#[cfg(test)]
mod tests;
