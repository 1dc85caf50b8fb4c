//! `sys/policies/acl` and its older form `sys/policy`.

use super::{Call, object, params};
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::policy::ROOT;

/// `sys/policies/acl[/<name>]`.
pub(super) async fn acl(call: &Call<'_>, name: &str, request: &Request) -> Result<Response> {
    match (name, request.operation) {
        ("", Operation::List) => Ok(Response::data(object([("keys", names(call).await?.into())]))),
        ("", _) => Err(Error::UnsupportedOperation),
        (_, Operation::Read) => Ok(Response::data(read(call, name, "policy").await?)),
        (_, Operation::List) => {
            let below = format!("{name}/");
            Response::list(call.active.policies.list().await?.into_iter().filter(|name| name.starts_with(&below)).collect())
        }
        _ => write(call, name, request).await,
    }
}

/// `sys/policy[/<name>]`.
pub(super) async fn legacy(call: &Call<'_>, name: &str, request: &Request) -> Result<Response> {
    match (name, request.operation) {
        ("", Operation::Read | Operation::List) => {
            let names = names(call).await?;
            Ok(Response::flat(object([("keys", names.clone().into()), ("policies", names.into())])))
        }
        ("", _) | (_, Operation::List) => Err(Error::UnsupportedOperation),
        (_, Operation::Read) => Ok(Response::flat(read(call, name, "rules").await?)),
        _ => write(call, name, request).await,
    }
}

/// All policies. `root`, which is not stored, comes last as OpenBao has it.
async fn names(call: &Call<'_>) -> Result<Vec<String>> {
    let mut names = call.active.policies.list().await?;
    names.sort_by_key(|name| name == ROOT);
    Ok(names)
}

async fn read(call: &Call<'_>, name: &str, text: &str) -> Result<Fields> {
    let stored = call.active.policies.stored(name).await?.ok_or(Error::NotFound)?;
    Ok(object([("name", name.trim().to_lowercase().into()), (text, stored.raw.into())]))
}

async fn write(call: &Call<'_>, name: &str, request: &Request) -> Result<Response> {
    match request.operation {
        Operation::Delete => {
            call.active.policies.delete(name).await?;
            Ok(Response::empty())
        }
        Operation::Update | Operation::Create => {
            let data = &request.data;
            for unknown in ["cas", "cas_required", "ttl", "expiration"] {
                // Ignoring them would give the client less safety, or the policy a longer life, than was asked for.
                if data.get(unknown).is_some_and(|value| !value.is_null() && *value != false && *value != -1) {
                    return Err(Error::bad_request(format!("{unknown:?} is not supported by this server for policies; leave it out")));
                }
            }
            let policy = params::text(data, "policy")?.filter(|text| !text.is_empty());
            let rules = params::text(data, "rules")?.filter(|text| !text.is_empty());
            let deprecated = policy.is_none() && rules.is_some();
            let warnings = call.active.policies.put(name, &policy.or(rules).unwrap_or_default()).await?;
            let mut response = Response { warnings, ..Response::empty() };
            if deprecated {
                response = response.warn("'rules' is deprecated, please use 'policy' instead");
            }
            if data.contains_key("name") {
                response = response.warn(crate::kv::fields::replaced("name"));
            }
            Ok(response)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}
