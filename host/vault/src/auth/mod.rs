//! Auth methods besides tokens: engines that turn a credential into a token.
//!
//! The rule: an engine decides who it is and what their token may be ([`Login`]); it neither makes the token nor sees it. The core makes it, with a
//! lease of its own, asks the engine again at every renewal, and revokes it with the mount.

pub mod approle;
pub mod aws;
mod login;
pub(crate) mod networks;
pub(crate) mod params;
pub(crate) mod stored;

pub use login::{Login, LoginLease, TokenType};
