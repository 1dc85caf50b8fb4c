//! `sys/capabilities`, `-self`, `-accessor`: what a token may do with a path.

use std::sync::Arc;

use super::{Call, params};
use crate::logical::{Error, Fields, Request, Response, Result, one_error};
use crate::policy::Acl;

/// Answers a write to one of the three, by its name.
pub(super) async fn handle(call: &Call<'_>, which: &str, request: &Request) -> Result<Response> {
    let data = &request.data;
    let one = |text: &str| Error::BadRequest(one_error(text));
    let acl: Arc<Acl> = match which {
        "capabilities-self" => call.caller.acl.clone(),
        "capabilities-accessor" => {
            let accessor = params::required(data, "accessor", "missing accessor")?;
            call.active.tokens.acl_of_accessor(&accessor).await?.ok_or_else(|| one("invalid accessor"))?
        }
        _ => {
            let token = params::text(data, "token")?.filter(|token| !token.is_empty()).ok_or_else(|| one("no token found"))?;
            call.active.tokens.acl_of_token(&token).await?.ok_or_else(|| one("invalid token"))?
        }
    };
    let mut paths = params::list(data, "paths")?.unwrap_or_default();
    if paths.is_empty() {
        paths = params::list(data, "path")?.unwrap_or_default();
    }
    if paths.is_empty() {
        return Err(Error::bad_request("paths must be supplied"));
    }
    let mut answer = Fields::new();
    for path in &paths {
        answer.insert(path.clone(), acl.capabilities(path).into());
    }
    if let [path] = paths.as_slice() {
        answer.insert("capabilities".to_owned(), acl.capabilities(path).into());
    }
    Ok(Response::flat(answer))
}
