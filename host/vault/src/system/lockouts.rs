//! `sys/locked-users`: who is locked out for too many logins with wrong credentials, and letting them in again.

use serde_json::Value;

use super::{Call, object, params};
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::mounts::ROOT_NAMESPACE;

/// `rest` is what follows `sys/locked-users/`.
pub(super) async fn handle(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    if rest.is_empty() {
        return match request.operation {
            Operation::Read => listed(call, request),
            Operation::List => Err(Error::unsupported_path()),
            _ => Err(Error::UnsupportedOperation),
        };
    }
    // The alias may hold slashes.
    let named =
        rest.split_once("/unlock/").filter(|(accessor, alias)| !accessor.is_empty() && !accessor.contains('/') && !alias.is_empty());
    let Some((accessor, alias)) = named else { return Err(Error::unsupported_path()) };
    match request.operation {
        Operation::Update | Operation::Create => {
            call.active.lockouts.unlock(accessor, alias).await?;
            Ok(Response::empty())
        }
        Operation::List => Err(Error::unsupported_path()),
        _ => Err(Error::UnsupportedOperation),
    }
}

fn listed(call: &Call<'_>, request: &Request) -> Result<Response> {
    let only = params::text(&request.data, "mount_accessor")?.filter(|accessor| !accessor.is_empty());
    let mut locked = call.active.lockouts.locked(&call.active.mounts.routes());
    if let Some(only) = &only {
        locked.retain(|accessor, _| accessor == only);
    }
    let total: usize = locked.values().map(Vec::len).sum();
    let mut mounts: Vec<Value> = locked
        .into_iter()
        .map(|(accessor, aliases)| {
            let members = [("mount_accessor", accessor.into()), ("counts", aliases.len().into()), ("alias_identifiers", aliases.into())];
            object(members).into()
        })
        .collect();
    if let (Some(only), true) = (only, mounts.is_empty()) {
        mounts.push(object([("mount_accessor", only.into()), ("counts", 0.into()), ("alias_identifiers", Value::Null)]).into());
    }
    let namespace = object([
        ("namespace_id", ROOT_NAMESPACE.into()),
        ("namespace_path", "".into()),
        ("counts", total.into()),
        ("mount_accessors", mounts.into()),
    ]);
    Ok(Response::data(object([("by_namespace", Value::Array(vec![namespace.into()])), ("total", total.into())])))
}
