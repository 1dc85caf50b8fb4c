//! The settings of the stanza, as every instance keeps them.

use std::cell::Cell;

use cofferdam_guest::{Result, Setting, Settings};

thread_local! {
    static DURABLE: Cell<bool> = const { Cell::new(true) };
    static IN_PLACE: Cell<bool> = const { Cell::new(false) };
}

/// Reads the stanza. `path` is not in it: the host turned it into the grant.
pub(crate) fn read(settings: Vec<Setting>) -> Result<()> {
    let mut settings = Settings::new(settings);
    let durable = settings.boolean("fsync", true)?;
    // Set by a host that keeps a journal, and never by the stanza.
    let in_place = settings.boolean("in_place", false)?;
    settings.finish()?;
    DURABLE.set(durable);
    IN_PLACE.set(in_place);
    Ok(())
}

/// Whether a mutation is acknowledged only after it has been synced.
pub(crate) fn durable() -> bool {
    DURABLE.get()
}

/// Whether a value may be written over the one before it: the host has it in its journal, and lets nobody read the entry meanwhile.
pub(crate) fn in_place() -> bool {
    IN_PLACE.get()
}
