//! What every way out of the host shares: a rate, the authorities that are trusted, the addresses that hand out credentials, and a connection to the first address that
//! answers.

mod address;
mod first;
mod rate;
mod roots;

pub use address::{Cidr, CidrError, hands_out_credentials, is_allowed, is_metadata};
pub use first::first;
pub use rate::Rate;
pub use roots::{RootsError, roots};
