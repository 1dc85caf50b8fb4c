//! The system backend: the paths below `sys/` that need an unsealed vault.
//!
//! Answers, statuses and texts are those of OpenBao 2.7.2, asked with the same requests. What this server does not offer answers as a path
//! that does not exist.

mod audit;
mod capabilities;
mod config;
mod internal;
mod keys;
mod leases;
mod lockouts;
mod mounts;
mod params;
mod policies;
mod rekey;
#[cfg(test)]
mod tests;
pub(crate) mod wrapping;

use std::sync::Arc;

use serde_json::Value;

use crate::core::{Active, Core, Target};
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::mounts::Entry;
use crate::token::Caller;

pub(crate) use internal::public;

/// A request to the system backend, with what it works on.
pub(crate) struct Call<'a> {
    core: &'a Arc<Core>,
    active: &'a Arc<Active>,
    caller: &'a Caller,
}

impl Call<'_> {
    /// How the API shows a mount.
    fn info(&self, entry: &Entry) -> Fields {
        entry.info(self.active.mounts.running_version())
    }
}

/// Answers a request that the client's policies allow. `request.path` is what follows `sys/`.
pub(crate) async fn handle(core: &Arc<Core>, active: &Arc<Active>, caller: &Caller, request: &Request) -> Result<Response> {
    let call = Call { core, active, caller };
    let path = request.path.strip_suffix('/').unwrap_or(&request.path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let writes = matches!(request.operation, Operation::Update | Operation::Create);
    let folder = request.operation == Operation::List;
    if path != request.path && !folder && !matches!(first, "mounts" | "auth" | "policy" | "policies" | "internal") {
        return Err(Error::unsupported_path());
    }
    match (first, rest) {
        ("mounts", _) => mounts::handle(&call, mounts::Family::Secrets, rest, request).await,
        ("auth", _) => mounts::handle(&call, mounts::Family::Auth, rest, request).await,
        ("remount", _) => mounts::remount(&call, rest, request).await,
        ("policy", _) => policies::legacy(&call, rest, request).await,
        ("policies", _) => match rest.split_once('/').unwrap_or((rest, "")) {
            ("acl", name) => policies::acl(&call, name, request).await,
            _ => Err(Error::unsupported_path()),
        },
        ("capabilities" | "capabilities-self" | "capabilities-accessor", "") if writes => capabilities::handle(&call, first, request).await,
        ("wrapping", _) => wrapping::handle(&call, rest, request).await,
        ("leases", _) => leases::handle(&call, rest, request).await,
        ("renew" | "revoke" | "revoke-prefix" | "revoke-force", _) => leases::handle(&call, path, request).await,
        ("internal", _) => internal::handle(&call, rest, request),
        ("key-status", "") if request.operation == Operation::Read => keys::status(&call),
        ("rekey", "backup") => rekey::backup(&call, Target::Root, request.operation).await,
        ("rekey", "recovery-key-backup") => rekey::backup(&call, Target::Recovery, request.operation).await,
        ("rotate", _) => keys::rotate(&call, rest, request).await,
        ("generate-root-token", _) => rekey::generate_root(&call, rest, request).await,
        // The core does it when this is answered.
        ("seal" | "step-down", "") if writes => Ok(Response::empty()),
        ("locked-users", _) => lockouts::handle(&call, rest, request).await,
        ("audit", _) => audit::devices(&call, rest, request).await,
        ("audit-hash", _) => audit::hash(&call, rest, request),
        ("ha-status", "") if request.operation == Operation::Read => Ok(internal::ha_status(&call)),
        ("config", _) => config::handle(&call, rest, request).await,
        ("capabilities" | "capabilities-self" | "capabilities-accessor" | "key-status" | "seal" | "step-down" | "ha-status", "") => {
            Err(Error::UnsupportedOperation)
        }
        _ => Err(Error::unsupported_path()),
    }
}

/// An object with these members.
fn object<const N: usize>(members: [(&str, Value); N]) -> Fields {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
