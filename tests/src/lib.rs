//! What tests and benches share.

pub mod native;
pub mod table;
