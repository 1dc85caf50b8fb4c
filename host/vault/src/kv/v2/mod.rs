//! The engine with versions.
//!
//! Stored below `<backend uuid>/` in the mount's view: `config`, `upgrading`, `salt`, the path policy ([`policy`]), the metadata of
//! each key under its encrypted path ([`names`]), and each version under a salted hash ([`store`]).
//!
//! The rule for every operation that writes more than once: at each point between two writes, readers see the state before or the
//! state after, and doing the operation again completes it. So a version is written before the metadata that name it, and removed
//! after those that stopped naming it.

mod config;
mod data;
pub(crate) mod fuzz;
mod metadata;
mod names;
mod policy;
mod proto;
mod store;
mod subkeys;
mod upgrade;
mod versions;

use async_trait::async_trait;

use crate::engine::Engine;
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::view::View;
use store::Store;

pub use names::LONGEST_SEGMENT;

/// A kv engine of version 2.
pub struct Kv {
    store: Store,
}

impl Kv {
    /// An engine on the mount's view (`logical/<mount uuid>/`); `backend_uuid` is the mount's `backend_aware_uuid`.
    pub fn new(view: View, backend_uuid: &str) -> Kv {
        Kv { store: Store::new(view, backend_uuid) }
    }

    /// Prepares the storage, to be awaited before the first request: at mounting it writes the path policy; where the mount was of
    /// version 1, it moves the secrets. It goes on where an earlier call was cut off, and does nothing once all is done.
    pub async fn setup(&self) -> Result<()> {
        upgrade::run(&self.store).await
    }
}

/// What a request is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Config,
    Data(&'a str),
    Metadata(&'a str),
    Detailed(&'a str),
    Delete(&'a str),
    Undelete(&'a str),
    Destroy(&'a str),
    Subkeys(&'a str),
    /// The folder above all secrets, which can only be listed.
    Root,
    Unknown,
}

impl Route<'_> {
    fn of(path: &str) -> Route<'_> {
        match path.split_once('/') {
            Some(("data", path)) => Route::Data(path),
            Some(("metadata", path)) => Route::Metadata(path),
            Some(("detailed-metadata", path)) => Route::Detailed(path),
            Some(("delete", path)) => Route::Delete(path),
            Some(("undelete", path)) => Route::Undelete(path),
            Some(("destroy", path)) => Route::Destroy(path),
            Some(("subkeys", path)) => Route::Subkeys(path),
            None if path == "config" => Route::Config,
            None if matches!(path, "metadata" | "data" | "delete" | "undelete" | "destroy") => Route::Root,
            _ => Route::Unknown,
        }
    }
}

#[async_trait]
impl Engine for Kv {
    async fn handle(&self, request: &Request) -> Result<Response> {
        use Operation::{Create, Delete, List, Patch, Read, Update};
        let writes = matches!(request.operation, Create | Update | Patch);
        if writes && request.path.ends_with('/') {
            return Err(Error::bad_request("cannot write to a path ending in '/'"));
        }
        let path = if request.operation == List { super::path::folder(&request.path) } else { request.path.as_str().into() };
        let store = &self.store;
        match (Route::of(&path), request.operation) {
            (Route::Config, Read) => config::read(store, request).await,
            (Route::Config, Create | Update) => config::write(store, request).await,
            (Route::Data(path), Read) => data::read(store, path, request).await,
            (Route::Data(path), Create | Update) => data::write(store, path, request).await,
            (Route::Data(path), Patch) => data::patch(store, path, request).await,
            (Route::Data(path), Delete) => versions::delete_latest(store, path).await,
            (Route::Metadata(path), Read) => metadata::read(store, path, request).await,
            (Route::Metadata(path), Create | Update) => metadata::write(store, path, request).await,
            (Route::Metadata(path), Patch) => metadata::patch(store, path, request).await,
            (Route::Metadata(path), Delete) => metadata::delete(store, path).await,
            (Route::Metadata(folder), List) => metadata::list(store, folder, request).await,
            (Route::Detailed(folder), List) => metadata::list_detailed(store, folder, request).await,
            (Route::Delete(path), Create | Update) => versions::delete(store, path, request).await,
            (Route::Undelete(path), Create | Update) => versions::undelete(store, path, request).await,
            (Route::Destroy(path), Create | Update) => versions::destroy(store, path, request).await,
            (Route::Subkeys(path), Read) => subkeys::read(store, path, request).await,
            (Route::Root, _) => Ok(not_found().warn("Non-listing operations on the root of a K/V v2 mount are not supported.")),
            (Route::Unknown, operation) => Ok(invalid_path(operation)),
            _ => Err(Error::UnsupportedOperation),
        }
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        match Route::of(&request.path) {
            // What cannot be a path is refused by the request itself.
            Route::Data(path) | Route::Metadata(path) if store::checked(path).is_ok() => {
                Ok(Some(self.store.metadata(path).await?.is_some()))
            }
            Route::Data(_) | Route::Metadata(_) => Ok(Some(false)),
            _ => Ok(None),
        }
    }
}

fn not_found() -> Response {
    Response { status: Some(404), ..Response::default() }
}

fn invalid_path(operation: Operation) -> Response {
    let command = match operation {
        Operation::Create | Operation::Update => "put",
        Operation::Patch => "patch",
        Operation::Read => "get",
        Operation::List => "list",
        Operation::Delete => "delete",
    };
    not_found().warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the OpenBao \
         CLI, use 'bao kv {command}' for this operation."
    ))
}

#[cfg(test)]
mod tests;
