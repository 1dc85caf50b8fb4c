//! `sys/leases`: how long tokens live, seen by their leases. No engine here makes leases for secrets.

use super::{Call, object, params, unsupported_path};
use crate::logical::{Error, Operation, Request, Response, Result};

/// `sys/leases/…`; `rest` is what follows, without a slash at its end.
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
            tokens.end_lease(&id(request, below)?).await?;
            Ok(Response::empty())
        }
        ("revoke-prefix" | "revoke-force", prefix) if writes && !prefix.is_empty() => {
            tokens.end_leases(prefix).await?;
            Ok(Response::empty())
        }
        // A lease whose token cannot be revoked is tried again for as long as it takes: none is given up.
        ("", "") if request.operation == Operation::Read && irrevocable(request)? => {
            Ok(Response::data(object([("lease_count", 0.into()), ("leases", Vec::<String>::new().into())])))
        }
        ("count", "") if request.operation == Operation::Read && irrevocable(request)? => {
            Ok(Response::data(object([("counts", serde_json::Map::new().into()), ("lease_count", 0.into())])))
        }
        ("" | "count", "") if request.operation == Operation::Read => Err(Error::NotFound),
        ("" | "count" | "lookup" | "renew" | "revoke", _) => Err(Error::UnsupportedOperation),
        _ => Err(unsupported_path()),
    }
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
