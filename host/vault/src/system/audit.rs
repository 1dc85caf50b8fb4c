//! `sys/audit` and `sys/audit-hash`: the audit devices.

use super::{Call, object, params};
use crate::audit::Declared;
use crate::logical::{Error, Operation, Request, Response, Result};

/// `sys/audit` and `sys/audit/NAME`.
pub(super) async fn devices(call: &Call<'_>, path: &str, request: &Request) -> Result<Response> {
    let audit = &call.active.audit;
    match (path, request.operation) {
        (_, Operation::List) => Err(Error::unsupported_path()),
        ("", Operation::Read) => Ok(Response::flat(audit.list().await)),
        ("", _) | (_, Operation::Read | Operation::Patch) => Err(Error::UnsupportedOperation),
        (path, Operation::Delete) => audit.disable(path).await.map(|()| Response::empty()),
        (path, Operation::Create | Operation::Update) => {
            let data = &request.data;
            let declared = Declared {
                path: path.to_owned(),
                kind: params::text(data, "type")?.unwrap_or_default(),
                description: params::text(data, "description")?.unwrap_or_default(),
                local: params::boolean(data, "local")?.unwrap_or_default(),
                options: params::texts(data, "options")?.unwrap_or_default(),
            };
            audit.enable(path, &declared).await.map(|()| Response::empty())
        }
    }
}

/// `sys/audit-hash/NAME`: what stands for a text in a device's file.
pub(super) fn hash(call: &Call<'_>, path: &str, request: &Request) -> Result<Response> {
    match (path, request.operation) {
        ("", _) | (_, Operation::List) => Err(Error::unsupported_path()),
        (path, Operation::Create | Operation::Update) => {
            let input = params::required(&request.data, "input", "the \"input\" parameter is empty")?;
            let hash = call.active.audit.hash(path, &input)?;
            Ok(Response::flat(object([("hash", hash.into())])))
        }
        _ => Err(Error::UnsupportedOperation),
    }
}
