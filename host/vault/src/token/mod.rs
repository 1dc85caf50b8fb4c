//! Tokens: who is asking.
//!
//! The rule: a token counts only while its entry and its lease are both there and neither says that it is over. A new token's lease is
//! written before its entry, and a revocation begins with ending the lease, so that wherever the writing of either stops, no
//! token is usable that should not be, and what is left is cleaned up when the lease has ended.

mod backend;
mod batch;
pub(crate) mod cidr;
mod create;
mod cubbyhole;
mod entry;
mod fields;
pub(crate) mod fuzz;
mod id;
mod identity;
mod jwt;
mod leases;
mod login;
mod revoke;
mod roles;
mod store;
#[cfg(test)]
mod tests;
mod tidy;
mod wrapping;

use std::sync::Arc;

use zeroize::Zeroizing;

pub use backend::Backend;
pub(crate) use create::sanitize;
pub use cubbyhole::Cubbyhole;
pub use entry::Entry;
pub(crate) use login::{Logins, Source};
pub use store::{Parts, Store};
pub(crate) use wrapping::invalid as invalid_wrapping;

use crate::policy::Acl;

/// How many characters a root token has.
pub(crate) const ROOT_TOKEN_LEN: usize = id::SERVICE.len() + id::RANDOM;

/// Who makes a request: the token, and what it may do.
pub struct Caller {
    /// The token.
    pub entry: Arc<Entry>,
    /// What it may do.
    pub acl: Arc<Acl>,
    /// All its policies.
    pub policies: Vec<String>,
    /// The policies that its entity and that one's groups add to its own.
    pub identity_policies: Vec<String>,
    /// The token as the client sent it, for answers that show it.
    pub external_id: Zeroizing<String>,
}
