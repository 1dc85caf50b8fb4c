//! `sys/key-status` and `sys/rotate`: the keyring, and the keys above it.

use serde_json::Value;

use super::{Call, object, params, rekey};
use crate::core::Target;
use crate::keyring::MAX_OPERATIONS;
use crate::kv::duration;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};

/// The fewest encryptions after which a key may be rotated, as OpenBao has it.
const MIN_OPERATIONS: u64 = 1_000_000;
/// The shortest time after which a key may be rotated, in nanoseconds.
const MIN_INTERVAL: i64 = 24 * 3_600 * 1_000_000_000;

/// The newest key.
pub(super) fn status(call: &Call<'_>) -> Result<Response> {
    let status = call.core.unsealer().key_status()?;
    let data =
        object([("encryptions", status.encryptions.into()), ("install_time", status.install_time.into()), ("term", status.term.into())]);
    Ok(Response::flat(data))
}

/// `sys/rotate`, `sys/rotate/keyring`, and their configuration; `sys/rotate/root` and what is below it and `sys/rotate/recovery`. `rest` is what follows `rotate`.
pub(super) async fn rotate(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    let writes = matches!(request.operation, Operation::Update | Operation::Create);
    match rest {
        "" | "keyring" if writes => {
            call.core.unsealer().rotate().await?;
            Ok(Response::empty())
        }
        "config" | "keyring/config" if request.operation == Operation::Read => read_config(call),
        "config" | "keyring/config" if writes => config(call, &request.data).await,
        "root" if writes => {
            call.core.unsealer().rotate_root().await?;
            Ok(Response::empty())
        }
        "" | "keyring" | "config" | "keyring/config" | "root" => Err(Error::UnsupportedOperation),
        _ => match rest.split_once('/') {
            Some(("root", "backup")) => rekey::backup(call, Target::Root, request.operation).await,
            Some(("recovery", "backup")) => rekey::backup(call, Target::Recovery, request.operation).await,
            Some(("root", verb)) => rekey::rotate(call, Target::Root, verb, request).await,
            Some(("recovery", verb)) => rekey::rotate(call, Target::Recovery, verb, request).await,
            _ => Err(Error::unsupported_path()),
        },
    }
}

fn read_config(call: &Call<'_>) -> Result<Response> {
    let rotation = call.core.unsealer().rotation()?;
    let interval = if rotation.interval == 0 { Value::from(0) } else { duration::format(rotation.interval).into() };
    Ok(Response::data(object([
        ("enabled", (!rotation.disabled).into()),
        ("interval", interval),
        ("max_operations", rotation.max_operations.into()),
    ])))
}

async fn config(call: &Call<'_>, data: &Fields) -> Result<Response> {
    let mut rotation = call.core.unsealer().rotation()?;
    if let Some(operations) = params::text(data, "max_operations")? {
        rotation.max_operations = operations
            .parse()
            .ok()
            .filter(|operations| (MIN_OPERATIONS..=MAX_OPERATIONS).contains(operations))
            .ok_or_else(|| Error::BadRequest(format!("max_operations must be in the range [{MIN_OPERATIONS},{MAX_OPERATIONS}]")))?;
    }
    if let Some(interval) = data.get("interval") {
        let interval = duration::parse(interval).map_err(|reason| Error::BadRequest(format!("interval: {reason}")))?.unwrap_or_default();
        if interval != 0 && interval < MIN_INTERVAL {
            return Err(Error::bad_request("interval must be greater or equal to 24h0m0s"));
        }
        rotation.interval = interval;
    }
    if let Some(enabled) = params::boolean(data, "enabled")? {
        rotation.disabled = !enabled;
    }
    call.core.unsealer().set_rotation(rotation).await?;
    Ok(Response::empty())
}
