//! What tests and benches share.

pub mod table;
