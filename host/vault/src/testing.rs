//! What the tests of this crate share: an unsealed barrier over a storage in memory, and a key service.

pub(crate) mod log;
pub(crate) mod recorder;
pub(crate) mod service;
pub(crate) mod told;

use std::sync::Arc;

use cofferdam_test_support::Memory;

use crate::barrier::Barrier;
use crate::keyring::Keyring;
use crate::secret::Secret;
use crate::view::View;

/// An unsealed barrier with a new keyring, over the storage.
pub(crate) fn barrier_over(storage: Memory) -> Arc<Barrier> {
    let barrier = Barrier::new(Arc::new(storage));
    barrier.unseal(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap());
    barrier
}

/// An unsealed barrier over an empty storage.
pub(crate) fn test_barrier() -> Arc<Barrier> {
    barrier_over(Memory::default())
}

/// A view of an empty storage.
pub(crate) async fn test_view() -> View {
    View::new(test_barrier(), "test/")
}
