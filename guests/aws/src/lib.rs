//! What the guests of AWS services share: from an SDK's request to its answer, over the import `aws`.
//!
//! - [`Request`] and [`operations!`]: the SDK's serialisers and parsers, and of the SDK nothing else.
//! - [`Transport`]: sends, and sends again as a [`Service`] allows, within the [`Patience`] of one call of the contract.
//! - [`Fault`] and [`Refused`]: what went wrong, with the errors that are the same whatever the service.
//! - [`World`]: requests, time and chance behind one trait, so that a guest's whole logic also runs in a native test; [`Host`] is the real one.
//!
//! The rule: what belongs to one service alone (its codes, the meaning of its refusals, its permissions) stays in that service's guest.

mod backoff;
mod codec;
mod fault;
mod transport;
mod world;

pub use backoff::Reason;
#[doc(hidden)]
pub use codec::macros;
pub use codec::{Codec, Request};
pub use fault::{Cause, Fault, Refused, quoted};
pub use transport::{Patience, Service, Transport};
pub use world::{Host, World};
