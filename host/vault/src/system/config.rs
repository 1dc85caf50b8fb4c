//! `sys/config/…`: origins of browsers, headers for the audit log; and what this server has no use for.

use super::{Call, object, params};
use crate::audit::Wanted;
use crate::cors::Cors;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};

/// `rest` is what follows `sys/config/`, without a slash at its end.
pub(super) async fn handle(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    if let Some(name) = rest.strip_prefix("auditing/request-headers/") {
        return audited(call, name, request).await;
    }
    if rest == "ui/headers" || rest.starts_with("ui/headers/") {
        return no_interface(rest, request.operation);
    }
    match (rest, request.operation) {
        (_, Operation::List) => Err(Error::unsupported_path()),
        ("cors", Operation::Read) => Ok(Response::flat(call.active.cors.now().shown())),
        ("cors", Operation::Create | Operation::Update) => {
            let list = |name: &str| Ok::<_, Error>(params::list(&request.data, name)?.unwrap_or_default());
            if params::boolean(&request.data, "allow_credentials")? == Some(true) {
                return Err(Error::bad_request("allow_credentials is not supported by this server: clients send their token in a header"));
            }
            let cors = Cors::new(list("allowed_origins")?, list("allowed_headers")?)?;
            call.active.cors.change(|now| *now = cors).await?;
            Ok(Response::empty())
        }
        ("cors", Operation::Delete) => {
            call.active.cors.change(|now| *now = Cors::default()).await?;
            Ok(Response::empty())
        }
        ("auditing/request-headers", Operation::Read) => {
            let wanted = call.active.audit.headers().now();
            let shown: Fields = wanted.iter().map(|(name, hashed)| (name.clone(), Wanted::shown(*hashed))).collect();
            Ok(Response::flat(object([("headers", shown.into())])))
        }
        ("cors" | "auditing/request-headers", _) => Err(Error::UnsupportedOperation),
        _ => Err(Error::unsupported_path()),
    }
}

/// A header of requests that is recorded.
async fn audited(call: &Call<'_>, name: &str, request: &Request) -> Result<Response> {
    let headers = call.active.audit.headers();
    match request.operation {
        Operation::Read => {
            let hashed = headers.now().get(&name.to_lowercase()).copied();
            let hashed = hashed.ok_or_else(|| Error::bad_request("Could not find header in config"))?;
            // As the client wrote it.
            Ok(Response::flat(object([(name, Wanted::shown(hashed))])))
        }
        Operation::Create | Operation::Update => {
            let hashed = params::boolean(&request.data, "hmac")?.unwrap_or_default();
            headers.change(|wanted| wanted.set(name, Some(hashed))).await.map(|()| Response::empty())
        }
        Operation::Delete => headers.change(|wanted| wanted.set(name, None)).await.map(|()| Response::empty()),
        Operation::List => Err(Error::unsupported_path()),
        Operation::Patch => Err(Error::UnsupportedOperation),
    }
}

/// Headers of answers of a web interface, which this server does not have. What another server stored of them is kept.
fn no_interface(rest: &str, operation: Operation) -> Result<Response> {
    match operation {
        Operation::Read if rest != "ui/headers" => Err(Error::NotFound),
        Operation::List => Err(Error::NotFound),
        Operation::Patch => Err(Error::UnsupportedOperation),
        _ => Err(Error::bad_request("this server has no web interface, and so no headers for it")),
    }
}
