//! The auth method `aws` in its IAM form: a program shows who it is by a request for STS's `GetCallerIdentity` that it signed and did not send. The server
//! sends it, and STS says whose signature it is.
//!
//! What is stored is what Vault stores, so that mounts pass from one to the other; what belongs to instances of EC2 is kept and handed back, but nobody
//! logs in by it. Nothing is asked of AWS but that one question: principals are told by their ARN, as STS gives it and without session and path.
//!
//! The rules: a signed request goes to AWS's own STS or to the configured endpoint and to nobody else ([`sts`]); of the answer only a whole document of that very
//! operation is believed.

mod answer;
mod arn;
mod client;
pub(crate) mod fuzz;
mod headers;
mod identity;
mod login;
mod request;
mod role;
mod roles;
pub mod sts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore};

use self::sts::Sts;
use super::{Login, LoginLease};
use crate::engine::Engine;
use crate::logical::{Error, Operation, Request, Response, Result};
use crate::view::View;

/// The most questions to STS that one mount has under way.
const CALLS: usize = 64;

/// Paths of the method that are about instances, or about keys of the server's own, by their beginnings.
const NOT_OFFERED: [&str; 9] = [
    "config/certificate",
    "config/certificates",
    "config/sts",
    "config/tidy",
    "config/rotate-root",
    "identity-",
    "roletag-",
    "tidy",
    "access-list",
];

/// An aws mount.
pub struct Aws {
    view: View,
    sts: Arc<dyn Sts>,
    /// Held while what is stored is changed.
    writes: Mutex<()>,
    calls: Semaphore,
    /// Whether it was said in the log that no server's id is configured.
    warned: AtomicBool,
}

impl Aws {
    /// The method on the mount's view, with a way to STS.
    pub fn new(view: View, sts: Arc<dyn Sts>) -> Aws {
        Aws { view, sts, writes: Mutex::default(), calls: Semaphore::new(CALLS), warned: AtomicBool::new(false) }
    }
}

/// Whether it can be the name of a role: letters, digits and `_` at both ends, and `-` and `.` between them.
fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(word) && name.ends_with(word) && name.chars().all(|c| word(c) || matches!(c, '-' | '.'))
}

fn not_offered(path: &str) -> Error {
    Error::BadRequest(format!(
        "{path:?} belongs to what this server does not offer of the aws auth method (instances of EC2, look-ups in IAM, keys of its own): what is \
         stored there is kept"
    ))
}

#[async_trait]
impl Engine for Aws {
    async fn handle(&self, request: &Request) -> Result<Response> {
        use Operation::{Create, Delete, List, Read, Update};
        let path = request.path.as_str();
        match (path, request.operation) {
            ("login", Create | Update) => return self.log_in(request).await,
            ("role" | "role/" | "roles" | "roles/", List) => return self.list_roles().await,
            ("config/client", Read) => return client::read(&self.view).await,
            ("config/client", Create | Update | Delete) => {
                let _alone = self.writes.lock().await;
                return if request.operation == Delete {
                    client::delete(&self.view).await
                } else {
                    client::write(&self.view, request).await
                };
            }
            ("config/identity", Read) => return identity::read(&self.view).await,
            ("config/identity", Create | Update) => {
                let _alone = self.writes.lock().await;
                return identity::write(&self.view, request).await;
            }
            ("login" | "role" | "role/" | "roles" | "roles/" | "config/client" | "config/identity", _) => {
                return Err(Error::UnsupportedOperation);
            }
            _ => {}
        }
        let Some(name) = path.strip_prefix("role/") else {
            let known = NOT_OFFERED.iter().any(|beginning| path.starts_with(beginning));
            return Err(if known { not_offered(path) } else { Error::unsupported_path() });
        };
        if name.strip_suffix("/tag").is_some_and(is_name) {
            return Err(not_offered(path));
        }
        if !is_name(name) {
            return Err(Error::unsupported_path());
        }
        match request.operation {
            Create | Update => self.write_role(name, request).await,
            Read => self.read_role(name).await,
            Delete => self.remove_role(name).await,
            _ => Err(Error::UnsupportedOperation),
        }
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        if request.path == "config/client" {
            return client::exists(&self.view).await.map(Some);
        }
        match request.path.strip_prefix("role/").filter(|name| is_name(name)) {
            Some(name) => Ok(Some(self.role(name).await?.is_some())),
            None => Ok(None),
        }
    }

    fn unauthenticated(&self, path: &str) -> bool {
        path == "login"
    }

    async fn renew(&self, lease: &LoginLease) -> Result<Login> {
        self.renewed(lease).await
    }
}
