//! What the spans of traces have in common.
//!
//! The rule: a span tells what kind of thing was done, for which mount, by which backend, how long it took and how it ended; never which entry
//! it was about, nothing of a request's or an answer's content, and no text of a guest or of a service.

/// The target of all spans that traces are made of. The log leaves it out; where no traces are sent, nothing is recorded under it.
pub const SPANS: &str = "coffer::trace";
