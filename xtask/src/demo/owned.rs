//! Processes that the demonstration starts. The rule: none outlives it, however it ends.

use std::ops::{Deref, DerefMut};
use std::process::Child;

/// A child process that ends with whoever started it.
pub(super) struct Owned(pub(super) Child);

impl Deref for Owned {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
