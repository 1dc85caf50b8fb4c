//! What the process does before it starts any thread, so that no key gets out by way of a file's rights or a dump.

use crate::exit::Failure;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// Why the process could not be hardened.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {error}")]
pub(crate) struct HardenError {
    what: &'static str,
    error: rustix::io::Errno,
}

impl From<HardenError> for Failure {
    fn from(error: HardenError) -> Self {
        Self::failed(error)
    }
}

/// Files get no rights for group and others; the process cannot be traced by its own user and leaves no core dump; it may open as
/// many files as the hard limit allows, since every instance of a guest may hold some.
pub(crate) fn process() -> Result<(), HardenError> {
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| HardenError { what: "make the process not dumpable", error })?;
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, no_core).map_err(|error| HardenError { what: "turn core dumps off", error })?;
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })
        .map_err(|error| HardenError { what: "raise the limit of open files", error })
}
