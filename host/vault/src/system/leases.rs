//! `sys/leases`: how long tokens live, seen by their leases. No engine here makes leases for secrets; those of other servers are shown, and can be
//! forgotten.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, object, params};
use crate::logical::{Error, Fields, Operation, Request, Response, Result};

/// 202: begun, and done later.
const ACCEPTED: u16 = 202;

const TIDY: &str = "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.";

/// Why a lease has ended and is still there.
const NO_ENGINE: &str = "no engine of this server can revoke it";

/// `sys/leases/…`, and `sys/renew`, `sys/revoke…` as Vault had them before; `rest` is what follows, without a slash at its end.
pub(super) async fn handle(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    let tokens = &call.active.tokens;
    let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
    let writes = matches!(request.operation, Operation::Update | Operation::Create);
    match (first, below) {
        ("lookup", _) if request.operation == Operation::List => {
            let folder = if below.is_empty() { String::new() } else { format!("{below}/") };
            Response::list(tokens.lease_names(&folder).await?)
        }
        ("lookup", "") if writes => Ok(Response::data(tokens.lease(&id(request, below)?).await?)),
        ("renew", _) if writes => {
            tokens.renew_lease(&id(request, below)?).await?;
            Ok(Response::empty())
        }
        ("revoke", _) if writes => {
            sync(request)?;
            tokens.end_lease(&id(request, below)?).await?;
            Ok(Response::empty())
        }
        ("revoke-prefix" | "revoke-force", prefix) if writes && !prefix.is_empty() => {
            sync(request)?;
            match first {
                "revoke-force" => tokens.force_leases(prefix).await?,
                _ => tokens.end_leases(prefix).await?,
            }
            Ok(Response::empty())
        }
        ("tidy", "") if writes => {
            tokens.start_tidy();
            Ok(Response { status: Some(ACCEPTED), ..Response::empty() }.warn(TIDY))
        }
        // A lease whose token cannot be revoked is tried again for as long as it takes; leases of secrets, which others made, can never be.
        ("", "") if request.operation == Operation::Read && irrevocable(request)? => {
            let leases = tokens.irrevocable_leases().into_iter().map(|id| {
                let mount = mount_of(call, &id);
                Value::from(object([("lease_id", id.into()), ("mount_id", mount.into()), ("error", NO_ENGINE.into())]))
            });
            let leases: Vec<Value> = leases.collect();
            Ok(Response::data(object([("lease_count", leases.len().into()), ("leases", leases.into())])))
        }
        ("count", "") if request.operation == Operation::Read && irrevocable(request)? => {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            let leases = tokens.irrevocable_leases();
            for id in &leases {
                *counts.entry(mount_of(call, id)).or_default() += 1;
            }
            let counts: Fields = counts.into_iter().map(|(mount, count)| (mount, count.into())).collect();
            Ok(Response::data(object([("counts", counts.into()), ("lease_count", leases.len().into())])))
        }
        ("" | "count", "") if request.operation == Operation::Read => Err(Error::NotFound),
        ("" | "count" | "lookup" | "renew" | "revoke" | "tidy", _) => Err(Error::UnsupportedOperation),
        _ => Err(Error::unsupported_path()),
    }
}

/// The accessor of the mount that a lease is of; empty if there is none.
fn mount_of(call: &Call<'_>, lease: &str) -> String {
    let routes = call.active.mounts.routes();
    routes.find(lease).map(|(mount, _)| mount.entry.accessor.clone()).unwrap_or_default()
}

/// Every revocation is done when it is answered, whether or not that is asked for.
fn sync(request: &Request) -> Result<()> {
    params::boolean(&request.data, "sync").map(drop)
}

fn irrevocable(request: &Request) -> Result<bool> {
    Ok(params::text(&request.data, "type")?.as_deref() == Some("irrevocable"))
}

/// The lease's id, in the body or in the path.
fn id(request: &Request, below: &str) -> Result<String> {
    if !below.is_empty() {
        return Ok(below.to_owned());
    }
    params::required(&request.data, "lease_id", "lease_id must be specified")
}
