//! `sys/internal/ui/…`, which clients ask before they use a mount, `sys/internal/inspect/kept`, and `sys/ha-status`.

use std::sync::Arc;

use serde_json::Value;

use super::mounts::Family;
use super::{Call, mounts, object};
use crate::core::Active;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::mounts::options_value;

/// Answers those without a token: the mounts that are shown to everybody.
pub(crate) fn public(active: &Arc<Active>, request: &Request) -> Result<Response> {
    if request.operation != Operation::Read {
        return Err(Error::UnsupportedOperation);
    }
    let routes = active.mounts.routes();
    let family = |table: &str| -> Fields {
        let shown =
            routes.all().into_iter().filter(|mount| mount.entry.table == table && mount.entry.config.listing_visibility == "unauth");
        shown
            .map(|mount| {
                let entry = &mount.entry;
                let info = object([
                    ("type", entry.kind.as_str().into()),
                    ("description", entry.description.as_str().into()),
                    ("options", options_value(entry.options.as_ref())),
                ]);
                (entry.path.clone(), info.into())
            })
            .collect()
    };
    Ok(Response::data(object([("auth", family("auth").into()), ("secret", family("mounts").into())])))
}

/// `sys/internal/…`; `rest` is what follows.
pub(super) fn handle(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    let acl = &call.caller.acl;
    if request.operation != Operation::Read {
        return Err(if rest.starts_with("ui/") { Error::UnsupportedOperation } else { Error::unsupported_path() });
    }
    match rest {
        "ui/mounts" => {
            let visible = |family: Family, prefix: &str| -> Value {
                let mut mounts = mounts::list(call, family);
                mounts.retain(|path, info| {
                    acl.mount_visible(&format!("{prefix}{path}"))
                        || info.pointer("/config/listing_visibility").is_some_and(|shown| *shown == "unauth")
                });
                mounts.into()
            };
            Ok(Response::data(object([("auth", visible(Family::Auth, "auth/")), ("secret", visible(Family::Secrets, ""))])))
        }
        "inspect/kept" => Ok(Response::data(call.active.kept.shown())),
        _ => match rest.strip_prefix("ui/mounts/") {
            Some(path) => mount(call, path),
            None => Err(Error::unsupported_path()),
        },
    }
}

/// The mount that a path belongs to, if the client may do anything there; else as if there were none.
fn mount(call: &Call<'_>, path: &str) -> Result<Response> {
    let routes = call.active.mounts.routes();
    let found = routes.find(path).filter(|(mount, _)| call.caller.acl.mount_visible(&mount.entry.api_path()));
    let Some((mount, _)) = found else {
        let folder = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        return Err(Error::Forbidden(format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path {folder:?}"
        )));
    };
    let mut info = call.info(&mount.entry);
    info.insert("path".to_owned(), mount.entry.path.as_str().into());
    Ok(Response::data(info))
}

/// The servers of this store: the one that answers.
pub(super) fn ha_status(call: &Call<'_>) -> Response {
    let options = call.core.options();
    let node = object([
        ("hostname", hostname().into()),
        ("api_address", options.api_addr.as_str().into()),
        ("cluster_address", options.cluster_addr.as_str().into()),
        ("active_node", true.into()),
        ("last_echo", Value::Null),
        ("version", options.version.as_str().into()),
    ]);
    Response::flat(object([("nodes", Value::Array(vec![node.into()]))]))
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
