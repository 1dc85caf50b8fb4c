//! What tests and benches share.

pub mod table;

pub use cofferdam_test_support::native;
