//! After a crash: what the journals hold is applied again.

use std::io;
use std::sync::Arc;

use cofferdam_backend::{Error, Result, Storage};

use crate::format::{self, Contents};
use crate::medium::{Medium, Place};

/// Applies what journals hold to the storage, sees it on the disk, and empties them. Returns how many entries that were.
///
/// Nothing else may use the storage meanwhile. Cut short, it can be begun again.
pub async fn recover(storage: &dyn Storage, place: &Arc<dyn Place>) -> Result<usize> {
    let name = place.name();
    let unusable = |error: io::Error| Error::Unavailable(format!("the journal in {name} cannot be used: {error}"));
    let damaged = |what: String| {
        Error::Corrupt(format!(
            "the journal in {name}: {what}; it holds writes that were acknowledged shortly before the server ended: restore a backup, or move the file away \
             to do without them"
        ))
    };
    let mut found: Vec<(Box<dyn Medium>, Option<Contents>)> = Vec::new();
    for number in [0, 1] {
        let Some(mut medium) = place.left(number).map_err(unusable)? else { continue };
        let bytes = medium.read().map_err(unusable)?;
        let contents = format::read(&bytes).map_err(|what| damaged(format!("journal-{number}: {what}")))?;
        if contents.is_some() {
            // A server that was killed may not have come to sync what is read here, and values are about to be written over.
            medium.write(&bytes, 0).and_then(|()| medium.sync()).map_err(unusable)?;
        }
        found.push((medium, contents));
    }
    // What is older is emptied first: alone, it would bring back what was overwritten since.
    found.sort_by_key(|(_, contents)| contents.as_ref().map(|contents| contents.header.generation));
    let (mut media, mut journals) = (Vec::new(), Vec::new());
    for (medium, contents) in found {
        media.push(medium);
        journals.extend(contents);
    }
    if let [older, newer] = journals.as_slice()
        && (older.header.generation + 1, older.end) != (newer.header.generation, newer.header.before)
    {
        return Err(damaged("one of its two files does not go on where the other ends".to_owned()));
    }
    let operations = format::last_of_each(&journals).map_err(damaged)?;
    let count = operations.len();
    for operation in operations {
        operation.apply(storage).await?;
    }
    if !journals.is_empty() {
        place.sync_all().map_err(unusable)?;
    }
    if count > 0 {
        tracing::info!(entries = count, journal = %name, "writes from before the last end of the server were applied again");
    }
    for mut medium in media {
        medium.clear().map_err(unusable)?;
    }
    Ok(count)
}
