//! The HTTP API: listeners and TLS, requests in, envelopes out.
//!
//! It turns HTTP into the vault's requests and back, in the shapes that Vault's clients know, and decides nothing else. The rule it
//! keeps: nothing of a backend's or a guest's text gets into an answer; a client sees the error's case and a request id.

mod api;
mod body;
mod cors;
mod elsewhere;
mod envelope;
#[doc(hidden)]
pub mod fuzz;
mod listener;
mod metrics;
mod payload;
mod plugins;
mod query;
mod serve;
mod shares;
mod snapshot;
mod sys;
mod tls;
mod trace;
mod wrapping;

pub use listener::{BindError, ListenerConfig};
pub use metrics::Metrics;
pub use plugins::{Plugins, Reloaded, UnknownPlugin};
pub use serve::{Reload, Server, ServerOptions};
pub use tls::{TlsConfig, TlsError, TlsVersion};
pub use trace::Adopt;

#[cfg(test)]
mod tests;
