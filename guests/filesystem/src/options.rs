//! The settings of the stanza, as every instance keeps them.

use std::cell::Cell;

use cofferdam_guest::{Result, Setting, Settings};

thread_local!(static DURABLE: Cell<bool> = const { Cell::new(true) });

/// Reads the stanza. `path` is not in it: the host turned it into the grant.
pub(crate) fn read(settings: Vec<Setting>) -> Result<()> {
    let mut settings = Settings::new(settings);
    let durable = settings.boolean("fsync", true)?;
    settings.finish()?;
    DURABLE.set(durable);
    Ok(())
}

/// Whether a mutation is acknowledged only after it has been synced.
pub(crate) fn durable() -> bool {
    DURABLE.get()
}
