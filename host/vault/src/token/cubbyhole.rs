//! Cubbyholes: a store of its own for every token, which goes with it.
//!
//! Entries are at `logical/<mount uuid>/<cubbyhole id>/<path>`, as the JSON of their fields.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::id::{LEGACY, SERVICE};
use super::{Entry, wrapping};
use crate::crypto;
use crate::engine::Engine;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::view::View;

/// The engine of the mount `cubbyhole/`.
#[derive(Clone)]
pub struct Cubbyhole {
    view: View,
    mount_uuid: String,
}

impl Cubbyhole {
    /// The cubbyholes in the view of `logical/<mount uuid>/`.
    pub fn new(view: View, mount_uuid: impl Into<String>) -> Cubbyhole {
        Cubbyhole { view, mount_uuid: mount_uuid.into() }
    }

    /// The cubbyhole of a token.
    pub(super) fn of(&self, entry: &Entry, salted: &str) -> View {
        self.view.sub(&self.folder(entry, salted))
    }

    /// The folder of a token's cubbyhole, with a slash at its end. Tokens whose id their maker chose have no name for it in their entry.
    pub(super) fn folder(&self, entry: &Entry, salted: &str) -> String {
        let named = !entry.cubbyhole_id.is_empty() && (entry.id.starts_with(SERVICE) || entry.id.starts_with(LEGACY));
        if named {
            format!("{}/", entry.cubbyhole_id)
        } else {
            format!("{}/", crypto::sha1_hex(&[self.mount_uuid.as_bytes(), salted.as_bytes()]))
        }
    }

    /// The folders of all cubbyholes.
    pub(super) async fn folders(&self) -> Result<Vec<String>> {
        let mut names = self.view.list("").await?;
        names.retain(|name| name.ends_with('/'));
        Ok(names)
    }

    /// Deletes what is in one of these folders.
    pub(super) async fn clear(&self, folder: &str) -> Result<()> {
        self.view.sub(folder).clear().await
    }
}

/// The cubbyhole of the caller.
pub(super) struct Own {
    cubbyhole: Cubbyhole,
    store: std::sync::Arc<super::Store>,
}

impl Own {
    pub(super) fn new(cubbyhole: Cubbyhole, store: std::sync::Arc<super::Store>) -> Own {
        Own { cubbyhole, store }
    }
}

#[async_trait]
impl Engine for Own {
    async fn handle(&self, request: &Request) -> Result<Response> {
        let caller = request.caller.as_ref().ok_or(Error::PermissionDenied)?;
        if caller.entry.is_batch() {
            return Err(Error::bad_request("cubbyhole operations are only supported by \"service\" type tokens"));
        }
        let view = self.cubbyhole.of(&caller.entry, &self.store.salted(&caller.entry.id));
        let path = request.path.as_str();
        match request.operation {
            Operation::List => {
                let folder = if path.is_empty() || path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
                Response::list(view.list(&folder).await?)
            }
            // The reference answers 500 where a path or data are missing; a client's mistake is 400 here.
            _ if path.is_empty() => Err(Error::bad_request("missing path")),
            Operation::Read if path.ends_with('/') => Err(Error::NotFound),
            Operation::Read => {
                let bytes = view.get(path).await?.ok_or(Error::NotFound)?;
                let fields: Fields =
                    serde_json::from_slice(&bytes).map_err(|_| Error::Damaged(format!("{}{path}: not a JSON object", view.prefix())))?;
                let response = Response::data(fields);
                Ok(if wrapping::is_response(&caller.entry, path) { response.warn(wrapping::DEPRECATED) } else { response })
            }
            Operation::Create | Operation::Update => {
                if request.data.is_empty() {
                    return Err(Error::bad_request("missing data fields"));
                }
                let bytes = Zeroizing::new(serde_json::to_vec(&request.data).map_err(|error| Error::Internal(error.to_string()))?);
                view.put(path, &bytes).await?;
                Ok(Response::empty())
            }
            Operation::Delete => {
                view.delete(path).await?;
                Ok(Response::empty())
            }
            Operation::Patch => Err(Error::UnsupportedOperation),
        }
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        let Some(caller) = request.caller.as_ref().filter(|caller| !caller.entry.is_batch()) else { return Ok(None) };
        let view = self.cubbyhole.of(&caller.entry, &self.store.salted(&caller.entry.id));
        Ok(Some(view.get(&request.path).await?.is_some()))
    }
}
