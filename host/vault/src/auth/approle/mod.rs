//! The auth method `approle`: a program logs in with the id of its role and, as a rule, a secret id.
//!
//! What is stored is what Vault and OpenBao store, so that roles and secret ids pass from one to the other. Answers and texts are those of OpenBao
//! 2.7.2, taken from the real server, but that `role/<name>/bind-secret-id` answers, as in Vault.
//!
//! The rules: a secret id is used as often as it may be and no more, also by many clients at once and over a crash; whatever is cut off
//! leaves no secret id usable that its client was not told of, and is completed by doing it again.

mod login;
mod role;
mod roles;
mod secret;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod tidy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Login, LoginLease};
use crate::crypto;
use crate::engine::Engine;
use crate::kv::locks::Locks;
use crate::lease::clock::Clock;
use crate::logical::{Error, Operation, Request, Response, Result, one_error};
use crate::view::View;

/// An approle mount.
#[derive(Clone)]
pub struct AppRole(Arc<Inner>);

/// What requests and the tidying share.
pub struct Inner {
    view: View,
    salt: Zeroizing<Vec<u8>>,
    clock: Clock,
    /// The longest time of a lease of the mount, in nanoseconds.
    max_ttl: AtomicU64,
    /// By the names of roles, in lower case.
    roles: Locks,
    /// By the HMACs of secret ids; taken after a role's.
    secrets: Locks,
    /// Held while a role gets an id, after the role's.
    naming: Mutex<()>,
    tidying: tidy::Tidying,
}

impl std::ops::Deref for AppRole {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl AppRole {
    /// The method on the mount's view, whose salt is made if it is missing. `max_ttl` is the longest time of a lease of the mount.
    pub async fn open(view: View, clock: Clock, max_ttl: Duration) -> Result<AppRole> {
        let inner = Inner {
            salt: view.get_or_make("salt").await?,
            view,
            clock,
            max_ttl: AtomicU64::new(nanoseconds(max_ttl)),
            roles: Locks::new(),
            secrets: Locks::new(),
            naming: Mutex::default(),
            tidying: tidy::Tidying::default(),
        };
        Ok(AppRole(Arc::new(inner)))
    }

    /// The name under which an index has a role id or an accessor.
    fn salted(&self, text: &str) -> String {
        hex::encode(crypto::sha256(&[&self.salt, text.as_bytes()]))
    }

    fn max_ttl(&self) -> Duration {
        Duration::from_nanos(self.max_ttl.load(Ordering::Relaxed))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What Vault fails with where a client could have known better: 500.
fn failed(text: impl std::fmt::Display) -> Error {
    Error::Refused(one_error(text))
}

/// Whether it can be the name of a role: letters, digits and `_` at both ends, and `-` and `.` between them.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(word) && name.ends_with(word) && name.chars().all(|c| word(c) || matches!(c, '-' | '.'))
}

#[async_trait]
impl Engine for AppRole {
    async fn handle(&self, request: &Request) -> Result<Response> {
        let write = matches!(request.operation, Operation::Create | Operation::Update);
        let path = request.path.as_str();
        match path {
            "login" if write => return self.log_in(request).await,
            "tidy/secret-id" if write => return Ok(self.start_tidy()),
            "login" | "tidy/secret-id" => return Err(Error::UnsupportedOperation),
            "role" | "role/" => {
                return match request.operation {
                    Operation::List => Response::list(self.view.list("role/").await?),
                    _ => Err(Error::UnsupportedOperation),
                };
            }
            _ => {}
        }
        let rest = path.strip_prefix("role/").ok_or_else(Error::unsupported_path)?;
        let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
        // A role itself is not a folder.
        if !is_name(name) || below.is_empty() && rest != name && request.operation != Operation::List {
            return Err(Error::unsupported_path());
        }
        match (below.trim_end_matches('/'), request.operation) {
            ("", Operation::Create | Operation::Update) => self.write_role(name, request).await,
            ("", Operation::Read) => self.read_role(name).await,
            ("", Operation::Delete) => self.remove_role(name).await,
            ("", _) => Err(if rest == name { Error::UnsupportedOperation } else { Error::unsupported_path() }),
            ("secret-id", Operation::List) => self.list_secrets(name).await,
            ("secret-id", Operation::Create | Operation::Update) => self.make_secret(name, request, false).await,
            ("custom-secret-id", Operation::Create | Operation::Update) => self.make_secret(name, request, true).await,
            ("secret-id/lookup", Operation::Create | Operation::Update) => self.look_up_secret(name, request).await,
            ("secret-id/destroy", Operation::Create | Operation::Update | Operation::Delete) => self.destroy_secret(name, request).await,
            ("secret-id-accessor/lookup", Operation::Create | Operation::Update) => self.look_up_accessor(name, request).await,
            ("secret-id-accessor/destroy", Operation::Create | Operation::Update | Operation::Delete) => {
                self.destroy_accessor(name, request).await
            }
            (
                "secret-id"
                | "custom-secret-id"
                | "secret-id/lookup"
                | "secret-id/destroy"
                | "secret-id-accessor/lookup"
                | "secret-id-accessor/destroy",
                _,
            ) => Err(Error::UnsupportedOperation),
            (setting, _) => self.setting(name, setting, request).await,
        }
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        let Some(name) = request.path.strip_prefix("role/").filter(|name| is_name(name)) else { return Ok(None) };
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        Ok(Some(self.role(name).await?.is_some()))
    }

    fn unauthenticated(&self, path: &str) -> bool {
        path == "login"
    }

    fn alias(&self, request: &Request) -> Option<String> {
        let role_id = request.data.get("role_id")?.as_str()?.trim();
        (request.path == "login" && !role_id.is_empty()).then(|| role_id.to_owned())
    }

    fn tuned(&self, _default_lease_ttl: Duration, max_lease_ttl: Duration) {
        self.max_ttl.store(nanoseconds(max_lease_ttl), Ordering::Relaxed);
    }

    async fn renew(&self, lease: &LoginLease) -> Result<Login> {
        self.renewed(lease).await
    }
}
