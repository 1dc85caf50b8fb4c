//! The section `fault`: what the backend makes of imports that fail, linger, are throttled or lose their answer, and of instances that stop.

use cofferdam_runtime::World;

use crate::Case;

/// The checks for a component of this world.
pub fn cases(world: World) -> Vec<&'static Case> {
    let _ = world;
    Vec::new()
}
