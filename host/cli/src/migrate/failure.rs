//! What is said of a migration that ended early: why, what it leaves, and what to do.

use crate::exit::Failure;
use crate::migrate::show;
use cofferdam_migrate::{Error, Unfits};
use std::path::Path;

fn again(path: &Path) -> String {
    format!(
        "Both ends are locked (core/migration): no server starts on them. Run the same command again, and it goes on where it stopped; or give it up: \
         coffer migrate --config {0} --reset unlocks the source, and the destination is not to be used",
        path.display()
    )
}

/// After a signal.
pub(super) fn interrupted(path: &Path) -> String {
    format!("The migration was interrupted. {}.", again(path))
}

/// After an error.
pub(super) fn of(error: Error, path: &Path) -> Failure {
    let reset = format!("coffer migrate --config {} --reset", path.display());
    let advice = match &error {
        Error::InProgress { .. } => format!("wait for its end; if it was interrupted, remove the source's lock: {reset}"),
        Error::NotEmpty { .. } => {
            "choose an empty one, or have it emptied by --overwrite; if an earlier run had come to its end, --verify-only compares the two"
                .to_owned()
        }
        Error::Foreign { .. } => "begin anew with --overwrite, which removes what it holds".to_owned(),
        Error::HalfSource(_) | Error::TakenOver => return Failure::failed(format!("Error migrating: {error}")),
        Error::Nothing(_) => "nothing was migrated: is it the one that was meant?".to_owned(),
        Error::TooLarge { unfit, untouched: true, .. } => {
            return Failure::failed(format!("Error migrating: {error}:\n{}Nothing was copied, and neither end is locked.", named(unfit)));
        }
        Error::TooLarge { unfit, .. } => {
            return Failure::failed(format!(
                "Error migrating: {error}; all others were copied:\n{}The destination is not to be used and stays locked; {reset} unlocks the source.",
                named(unfit)
            ));
        }
        Error::Differs(report) => {
            return Failure::failed(format!("Error migrating: {error}:\n\n{}\n{}.", show::compared(report), again(path)));
        }
        // It is read through before anything is begun.
        Error::Snapshot(cofferdam_snapshot::Error::Damaged { .. }) => {
            "nothing was copied out of it: have it saved or fetched anew. An end that an earlier run of this migration has locked stays so"
                .to_owned()
        }
        _ => again(path),
    };
    Failure::failed(format!("Error migrating: {error}\n{advice}"))
}

/// A line for each entry that is named. Keys are others' text.
pub(super) fn named(unfit: &Unfits) -> String {
    let mut text: String = unfit.first.iter().map(|unfit| format!("  {:?}: {}\n", unfit.key, unfit.reason.escape_debug())).collect();
    let shown = u64::try_from(unfit.first.len()).unwrap_or(u64::MAX);
    if unfit.count > shown {
        text.push_str(&format!("  and {} more\n", unfit.count - shown));
    }
    text
}
