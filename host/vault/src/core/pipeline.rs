//! The way of a request: is the vault open, who asks, may they, which mount answers.
//!
//! The order is OpenBao's. What is decided of a request, and what became of it, goes to the audit devices: the first before the request is done, the
//! second before its answer leaves. A use of a token with a limited number of uses is counted even if the request is then denied. What a client wrote never gets into
//! a metric's label.

use std::sync::Arc;
use std::time::Instant;

use super::{Active, Core, to_the_end};
use crate::audit::Trail;
use crate::lockout::Attempt;
use crate::logical::{Error, Operation, Request, Response, Result, one_error};
use crate::measure;
use crate::mounts::{Found, Handler, no_route};
use crate::system;
use crate::token::Caller;

/// System paths that want `sudo` besides the capability for the operation, as Vault and OpenBao list them. A `*` at the end stands
/// for anything.
const SUDO: [&str; 27] = [
    "sys/audit",
    "sys/audit/*",
    "sys/auth/*",
    "sys/config/auditing/*",
    "sys/config/cors",
    "sys/config/ui/headers/*",
    "sys/internal/inspect/*",
    "sys/leases",
    "sys/leases/lookup/*",
    "sys/leases/revoke-force/*",
    "sys/leases/revoke-prefix/*",
    "sys/plugins/catalog/*",
    // Not a path of theirs.
    "sys/plugins/reload",
    "sys/raw",
    "sys/raw/*",
    "sys/remount",
    "sys/revoke-force/*",
    "sys/revoke-prefix/*",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/rotate/recovery/init",
    "sys/rotate/root",
    "sys/seal",
    "sys/step-down",
    "sys/storage/raft/snapshot-force",
    "auth/token/accessors",
    "auth/token/accessors/*",
];

/// Whether the path wants `sudo`.
pub(crate) fn wants_sudo(path: &str) -> bool {
    SUDO.iter().any(|sudo| sudo.strip_suffix('*').map_or(path == *sudo, |prefix| path.starts_with(prefix)))
}

/// Paths that are about what the token may do, and so are answered to every valid token, without counting as a use of it.
fn checks_itself(path: &str) -> bool {
    path.strip_prefix("sys/internal/ui/mounts").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Paths that are answered without a token, in part.
fn needs_no_token(path: &str) -> bool {
    path == "sys/internal/ui/mounts"
}

/// The answer to a seal of a standby.
const STANDBY_SEAL: &str = "vault cannot seal when in standby mode; please restart instead";

impl Core {
    /// Every other path, `sys/seal` among them. `request.path` is what follows `/v1/`.
    ///
    /// A mutating request runs to its end even if the caller drops the future.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Result<Response> {
        let _under_way = measure::UnderWay::begin();
        // These end the leadership themselves.
        if matches!(request.path.as_str(), "sys/seal" | "sys/step-down") {
            return self.run(request).await;
        }
        self.while_leading(self.run(request)).await
    }

    async fn run(self: &Arc<Self>, request: Request) -> Result<Response> {
        let answer = async {
            if request.operation.mutates() || request.wrap_ttl.is_some() {
                let core = self.clone();
                to_the_end(async move { core.answer(request).await }).await
            } else {
                self.answer(request).await
            }
        };
        measure::time("vault_core_handle_request", answer).await
    }

    /// Has the audit devices open their files again, so that one that was renamed is let go.
    pub fn reopen_audit(&self) {
        if let Ok(active) = self.active() {
            active.audit.reopen();
        }
    }

    /// Whether the request's token may do this, without doing it: for paths that the server answers itself. The audit devices are told
    /// the decision, not the answer.
    pub async fn authorize(&self, request: &Request) -> Result<()> {
        self.while_leading(self.authorize_now(request)).await
    }

    async fn authorize_now(&self, request: &Request) -> Result<()> {
        let _under_way = self.requests.clone().read_owned().await;
        let active = self.active()?;
        let mut trail = Trail::of(&active, request);
        let outcome = authorized(&active, request, &mut trail).await;
        trail.end(outcome.map(|()| Response::empty())).await.map(drop)
    }

    async fn answer(self: &Arc<Self>, mut request: Request) -> Result<Response> {
        let (seals, steps_down) = (request.path == "sys/seal", request.path == "sys/step-down");
        if seals || steps_down {
            if !matches!(request.operation, Operation::Create | Operation::Update) {
                return Err(Error::WrongMethod);
            }
            match self.active() {
                Ok(_) => {}
                // As Vault has it: a standby cannot tell whose the token is.
                Err(Error::Standby) if seals => return Err(Error::Refused(STANDBY_SEAL.to_owned())),
                Err(Error::Standby) => return Err(Error::Standby),
                Err(_) => return Ok(Response::empty()),
            }
        }
        let response = {
            let _under_way = self.requests.clone().read_owned().await;
            let active = self.active()?;
            check_path(&request.path)?;
            if request.path.ends_with('/') && matches!(request.operation, Operation::Create | Operation::Update | Operation::Patch) {
                return Err(Error::bad_request("cannot write to a path ending in '/'"));
            }
            // A list is one of a folder.
            if request.operation == Operation::List && !request.path.is_empty() && !request.path.ends_with('/') {
                request.path.push('/');
            }
            let mut trail = Trail::of(&active, &request);
            let wraps = system::wrapping::Asked::of(&request, &self.options.api_addr);
            let mut outcome = Box::pin(self.attended(&active, &mut request, &mut trail)).await;
            if let (Some(asked), Ok(response)) = (wraps, &mut outcome) {
                outcome = Box::pin(system::wrapping::wrap(&active, &asked, std::mem::take(response))).await;
            }
            trail.end(outcome).await?
        };
        if seals {
            self.shutdown().await;
        }
        if steps_down {
            self.step_down().await;
        }
        Ok(response)
    }

    async fn attended(self: &Arc<Self>, active: &Arc<Active>, request: &mut Request, trail: &mut Trail) -> Result<Response> {
        if system::wrapping::concerns(&request.path) {
            Box::pin(system::wrapping::check(active, request)).await?;
            if system::wrapping::is_lookup(&request.path) {
                trail.allowed(Vec::new).await?;
                return Box::pin(system::wrapping::lookup(active, request)).await;
            }
        }
        let found = active.mounts.find(&request.path);
        if found.as_ref().is_some_and(Found::unauthenticated) {
            return Box::pin(login(active, request, found, trail)).await;
        }
        let Some(caller) = caller(active, request).await? else {
            trail.allowed(Vec::new).await?;
            return system::public(active, request);
        };
        request.caller = Some(caller.clone());
        trail.caller(&caller);
        if checks_itself(&request.path) {
            trail.allowed(Vec::new).await?;
            request.path = request.path.split_off("sys/".len());
            return Box::pin(system::handle(self, active, &caller, request)).await;
        }
        let tokens = active.tokens.clone();
        let last = {
            let (tokens, caller) = (tokens.clone(), caller.clone());
            if caller.entry.num_uses == 0 { false } else { to_the_end(async move { tokens.spend(&caller).await }).await? }
        };
        let response = self.checked(active, &caller, request, found, trail).await;
        if last {
            to_the_end(async move { tokens.revoke(&caller.entry.id).await }).await?;
        }
        response
    }

    async fn checked(
        self: &Arc<Self>,
        active: &Arc<Active>,
        caller: &Caller,
        request: &mut Request,
        found: Option<Found>,
        trail: &mut Trail,
    ) -> Result<Response> {
        let entered = active.mounts.enter_found(&request.path, found).await;
        let path = request.path.clone();
        // The system backend takes some paths with a slash at their end too: policies see them without, as they name them.
        let path = match path.strip_suffix('/') {
            Some(trimmed) if request.operation != Operation::List && path.starts_with("sys/") => trimmed.to_owned(),
            _ => path,
        };
        if let Some((mount, _, rest)) = &entered {
            request.path.clone_from(rest);
            // Only policies and the audit log make a difference between the two.
            if request.operation == Operation::Update
                && (!caller.acl.root() || trail.on())
                && let Handler::Engine(engine) = &mount.handler
                && engine.exists(request).await? == Some(false)
            {
                request.operation = Operation::Create;
                trail.operation(request.operation);
            }
            measure::entered(mount, request.operation);
        }
        if !may(caller, &path, request) {
            trail.denied();
            return Err(denied_by_policy());
        }
        trail.allowed(|| caller.acl.granting(request.operation, &path)).await?;
        let Some((mount, guard, _)) = entered else { return Err(no_route(&path)) };
        let begun = Instant::now();
        let response = match &mount.handler {
            Handler::Engine(engine) => engine.handle(request).await,
            Handler::System => {
                // Changes of mounts wait for all that are within a mount.
                drop(guard);
                // Boxed, as are others: what it may come to is large, and would be a part of every request's task.
                Box::pin(system::handle(self, active, caller, request)).await
            }
            Handler::Refused(reason) => Err(Error::BadRequest(format!("{:?} cannot be used: {reason}", mount.entry.api_path()))),
        };
        measure::route(&mount, request.operation, begun, response.is_ok());
        response
    }
}

/// A request to a path where clients log in: nobody is asked who they are, and whoever has the right credential gets a token.
async fn login(active: &Arc<Active>, request: &mut Request, found: Option<Found>, trail: &mut Trail) -> Result<Response> {
    trail.allowed(Vec::new).await?;
    let path = request.path.clone();
    // Held until the token is there: whoever takes the mount out of service revokes what its logins earned.
    let (mount, _within, rest) = active.mounts.enter_found(&path, found).await.ok_or_else(|| no_route(&path))?;
    request.path = rest;
    measure::entered(&mount, request.operation);
    let begun = Instant::now();
    let answer = async {
        let engine = match &mount.handler {
            Handler::Engine(engine) if engine.unauthenticated(&request.path) => engine,
            _ => return Err(Error::Forbidden("permission denied".to_owned())),
        };
        // Whoever is locked out learns nothing of the credentials.
        let attempt = engine.alias(request).and_then(|alias| active.lockouts.attempt(&mount.entry, alias));
        if attempt.as_ref().is_some_and(Attempt::locked) {
            return Err(Error::Forbidden("permission denied".to_owned()));
        }
        let handled = engine.handle(request).await;
        if let (Err(Error::WrongCredentials(_)), Some(attempt)) = (&handled, &attempt) {
            attempt.failed().await;
        }
        let mut response = handled?;
        if let Some(attempt) = attempt.filter(|_| response.login.is_some()) {
            attempt.succeeded().await?;
        }
        if let Some(login) = response.login.take() {
            let (auth, warnings) = active.tokens.log_in(*login, &path, &active.mounts.source(&mount.entry)).await?;
            response.warnings.extend(warnings);
            response.auth = Some(Box::new(auth));
        }
        Ok(response)
    };
    let response = answer.await;
    measure::route(&mount, request.operation, begun, response.is_ok());
    response
}

/// Whether the token's policies allow it: the operation, and `sudo` where the path wants it.
fn may(caller: &Caller, path: &str, request: &Request) -> bool {
    let allowed = caller.acl.allows_wrapped(request.operation, path, &request.data, request.wrap_ttl);
    // Of this one only a write puts another store in place of this.
    let restores = path == "sys/storage/raft/snapshot" && request.operation.mutates();
    allowed && (!(wants_sudo(path) || restores) || caller.acl.sudo(path))
}

/// The error of a request that the token's policies do not allow. Its text is not that of a token that does not count.
fn denied_by_policy() -> Error {
    Error::Forbidden(one_error("permission denied"))
}

async fn authorized(active: &Arc<Active>, request: &Request, trail: &mut Trail) -> Result<()> {
    let caller = caller(active, request).await?.ok_or(Error::PermissionDenied)?;
    trail.caller(&caller);
    if caller.entry.num_uses != 0 || !may(&caller, &request.path, request) {
        trail.denied();
        return Err(Error::PermissionDenied);
    }
    trail.allowed(|| caller.acl.granting(request.operation, &request.path)).await
}

/// Who asks. None if nobody does and the path allows it.
async fn caller(active: &Arc<Active>, request: &Request) -> Result<Option<Arc<Caller>>> {
    let denied = || Error::Forbidden("permission denied".to_owned());
    match request.token.as_ref().filter(|token| !token.is_empty()) {
        Some(token) => {
            let found = measure::time("vault_core_check_token", active.tokens.caller(token, request.remote)).await?;
            found.ok_or_else(denied).map(Some)
        }
        None if needs_no_token(&request.path) => Ok(None),
        None => Err(denied()),
    }
}

/// Refuses paths that could mean something else to a policy than to an engine.
fn check_path(path: &str) -> Result<()> {
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Error::bad_request("relative paths not supported"));
    }
    if path.starts_with('/') || path.contains("//") {
        return Err(Error::bad_request("the path has an empty segment"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_want_sudo_are_those_of_the_list() {
        for path in [
            "sys/seal",
            "sys/auth/token/tune",
            "sys/raw",
            "sys/raw/core/mounts",
            "sys/leases/lookup/",
            "auth/token/accessors/",
            "sys/rotate",
        ] {
            assert!(wants_sudo(path), "{path}");
        }
        for path in [
            "sys/auth",
            "sys/rotate/config",
            "sys/rotate/root/init",
            "sys/leases/lookup",
            "sys/mounts",
            "sys/seal-status",
            "auth/token/create",
            "sys/raws",
        ] {
            assert!(!wants_sudo(path), "{path}");
        }
    }

    #[test]
    fn paths_with_empty_or_relative_segments_are_refused() {
        for path in ["a/../b", "..", "a/.", "./a", "a//b", "/a", "a//"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in ["", "a", "a/", "a/..b/c", "a/b.."] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }
}
