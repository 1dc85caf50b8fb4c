//! The paths that shares authorise and no token: rekeys and the making of a root token.
//!
//! The rule: a listener answers them, as Vault's do, unless its configuration says otherwise. Anyone who reaches them can begin an attempt or give up one
//! under way, so that an operator may close them; the same is offered to who has a token.

use std::sync::Arc;

use bytes::Bytes;
use cofferdam_vault::core::{Core, Target};
use cofferdam_vault::logical::Result;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::envelope::{self, Answer};
use crate::listener::ListenerConfig;
use crate::sys::parse;

/// A path of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByShares {
    Rekey(Target, Step),
    GenerateRoot(Step),
}

/// The last part of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `init`, or `attempt`.
    Begin,
    Update,
    Verify,
}

/// Why a rekey is refused here.
const REKEY_CLOSED: &str = "this listener has disable_unauthed_rekey_endpoints = true: use sys/rotate/root/* and sys/rotate/recovery/* with \
                            a token, or set it to false";
/// The same for root tokens.
const GENERATE_ROOT_CLOSED: &str = "this listener has disable_unauthed_generate_root_endpoints = true: use sys/generate-root-token/* \
                                    with a token, or set it to false";

/// The answer to a method that a path does not take, or takes from nobody; `why` says what may be done.
pub(crate) fn unsupported(why: Option<&str>) -> Answer {
    let texts: Vec<&str> = std::iter::once("unsupported operation").chain(why).collect();
    envelope::errors(StatusCode::METHOD_NOT_ALLOWED, &texts)
}

fn json<T: Serialize>(done: Result<T>) -> Result<Answer> {
    done.map(|value| envelope::json_answer(StatusCode::OK, &value))
}

fn empty(done: Result<()>) -> Result<Answer> {
    done.map(|()| envelope::raw(StatusCode::NO_CONTENT, Bytes::new()))
}

impl ByShares {
    /// The endpoint under this path, which follows `/v1/`.
    pub(crate) fn of(path: &str) -> Option<ByShares> {
        let (target, step) = path.strip_prefix("sys/")?.split_once('/')?;
        let target = match target {
            "rekey" => Target::Root,
            "rekey-recovery-key" => Target::Recovery,
            "generate-root" => {
                return Some(ByShares::GenerateRoot(match step {
                    "attempt" => Step::Begin,
                    "update" => Step::Update,
                    _ => return None,
                }));
            }
            _ => return None,
        };
        Some(ByShares::Rekey(
            target,
            match step {
                "init" => Step::Begin,
                "update" => Step::Update,
                "verify" => Step::Verify,
                _ => return None,
            },
        ))
    }

    /// Answers a request; the error is an answer too, to what was no request of the path's.
    pub(crate) async fn answer(
        self,
        core: &Arc<Core>,
        method: &Method,
        body: &Bytes,
        listener: &ListenerConfig,
    ) -> Result<Result<Answer>, Answer> {
        let method = match method.as_str() {
            "POST" => "PUT",
            method => method,
        };
        match self {
            ByShares::Rekey(..) if listener.disable_unauthed_rekey_endpoints => Err(unsupported(Some(REKEY_CLOSED))),
            ByShares::GenerateRoot(_) if listener.disable_unauthed_generate_root_endpoints => Err(unsupported(Some(GENERATE_ROOT_CLOSED))),
            ByShares::Rekey(target, step) => rekey(core, target, step, method, body).await,
            ByShares::GenerateRoot(step) => generate_root(core, step, method, body).await,
        }
    }
}

async fn rekey(core: &Arc<Core>, target: Target, step: Step, method: &str, body: &Bytes) -> Result<Result<Answer>, Answer> {
    Ok(match (step, method) {
        (Step::Begin, "GET") => json(core.rekey_status(target).await),
        (Step::Begin, "PUT") => json(core.rekey_begin(target, parse(body)?).await),
        (Step::Begin, "DELETE") => empty(core.rekey_cancel(target).await),
        (Step::Update, "PUT") => json(core.rekey_update(target, parse(body)?).await),
        (Step::Verify, "GET") => json(core.rekey_verification(target).await),
        (Step::Verify, "PUT") => json(core.rekey_verify(target, parse(body)?).await),
        (Step::Verify, "DELETE") => json(core.rekey_verification_restart(target).await),
        _ => return Err(unsupported(None)),
    })
}

async fn generate_root(core: &Arc<Core>, step: Step, method: &str, body: &Bytes) -> Result<Result<Answer>, Answer> {
    Ok(match (step, method) {
        (Step::Begin, "GET") => json(core.generate_root_status().await),
        (Step::Begin, "PUT") => json(core.generate_root_begin(parse(body)?).await),
        (Step::Begin, "DELETE") => empty(core.generate_root_cancel().await),
        (Step::Update, "PUT") => json(core.generate_root_update(parse(body)?).await),
        _ => return Err(unsupported(None)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_vault_and_nothing_beside() {
        for (path, endpoint) in [
            ("sys/rekey/init", ByShares::Rekey(Target::Root, Step::Begin)),
            ("sys/rekey/verify", ByShares::Rekey(Target::Root, Step::Verify)),
            ("sys/rekey-recovery-key/update", ByShares::Rekey(Target::Recovery, Step::Update)),
            ("sys/generate-root/attempt", ByShares::GenerateRoot(Step::Begin)),
            ("sys/generate-root/update", ByShares::GenerateRoot(Step::Update)),
        ] {
            assert_eq!(ByShares::of(path), Some(endpoint), "{path}");
        }
        for path in ["sys/rekey", "sys/rekey/backup", "sys/rekey/init/", "sys/generate-root/verify", "sys/rotate/root/init", "rekey/init"] {
            assert_eq!(ByShares::of(path), None, "{path}");
        }
    }
}
