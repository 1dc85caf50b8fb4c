//! The section `fault`: what the backend makes of imports that fail, linger, are throttled or lose their answer, and of instances that stop.
//!
//! The rules by which it is judged are the contract's:
//!
//! - a call that fails has happened or has not, and one that is acknowledged has;
//! - an error is the host's to act on, so its case must be that of what went wrong; a trap is never an answer to a failed import;
//! - what one call met leaves the next alone: it works, on another instance if need be.
//!
//! Each step is tried at every import that a call makes, as far as `--quick` does not draw some of them by chance.

mod injector;
mod locks;
mod model;
mod mutations;
mod outage;
mod random;
mod reads;
mod seals;

use cofferdam_runtime::World;

use crate::Case;

/// The checks for a component of this world.
pub fn cases(world: World) -> Vec<&'static Case> {
    let storage: &[&[Case]] = &[mutations::CASES, reads::CASES, random::CASES, outage::CASES];
    let groups: &[&[&[Case]]] = match world {
        World::Storage => &[storage],
        World::StorageHa => &[storage, &[locks::CASES]],
        World::Seal => &[&[seals::CASES]],
    };
    groups.iter().copied().flatten().copied().flatten().collect()
}
