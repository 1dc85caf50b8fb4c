//! Several servers on one table, with everything between them and DynamoDB going wrong: clocks, connections, delays, crashes.
//!
//! The rule: what counts is the table's own order of changes. Each server signs with keys of its own, so the journal of the table in memory tells who changed
//! what while whose the lock was; and every write that was acknowledged is there in the end, unless a later one took its place.

pub(crate) mod cluster;
pub(crate) mod journal;
pub(crate) mod processes;
mod trouble;
mod writers;
