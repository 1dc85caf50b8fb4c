//! The grant `http`: sends a guest's requests to the servers that the operator named, and to no others.
//!
//! The rule: **one authority decides everything.** The address of a request is parsed once, strictly; the [`Rule`] whose scheme, host and port
//! equal it gives the name that is resolved, the addresses that may be dialled, the name that the certificate must bear, and the header `Host`.
//! What a name resolves to is looked at each time, and exactly an address that passed is dialled: a name that is made to point at this machine, at its
//! network or at its metadata leads nowhere.
//!
//! What a rule adds (headers, a password, a client certificate) never enters the guest: the host puts it in after everything that the guest said, and
//! takes out whatever the guest said by the same name. An answer is the server's own, though: one that repeats the header of a
//! request in its body gives it to the guest, which no host can tell. No redirect is followed and no proxy of the environment is used.

mod authority;
mod dial;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod grant;
mod headers;
mod link;
pub mod metrics;
mod options;
mod rule;
mod secret;
mod server;

#[cfg(test)]
mod tests;

pub use authority::Scheme;
pub use cofferdam_connect::net::{Cidr, CidrError};
pub use error::GrantError;
pub use grant::HttpGrant;
pub use options::Options;
pub use rule::{AddedHeader, Basic, Rule, Secret};
