//! Whether an end holds anything, and removing all that it holds.

use cofferdam_backend::{Key, Operation, Storage};

use crate::copy::Scope;
use crate::read::PAGE;
use crate::retry::Patience;
use crate::{Error, Result};

/// The first entry that is found; none if there is none.
pub(crate) async fn first(storage: &dyn Storage, end: &str, scope: Scope<'_>, patience: Patience<'_>) -> Result<Option<String>> {
    let mut cursor = None;
    loop {
        let page = patience.persist(async || storage.scan(0, 1, cursor.clone(), PAGE).await).await;
        let page = page.map_err(|source| Error::Read { end: end.to_owned(), source })?;
        if let Some(entry) = page.entries.into_iter().find(|entry| scope.takes(&entry.key)) {
            return Ok(Some(entry.key));
        }
        if page.cursor.is_none() {
            return Ok(None);
        }
        cursor = page.cursor;
    }
}

/// Removes every entry. Cut short, it can be begun again.
pub(crate) async fn empty(storage: &dyn Storage, end: &str, scope: Scope<'_>, patience: Patience<'_>) -> Result<()> {
    let most = usize::try_from(storage.descriptor().limits.batch_operations.max(1)).unwrap_or(1);
    let failed = |source| Error::Write { end: end.to_owned(), source };
    let mut cursor = None;
    loop {
        let page = patience.persist(async || storage.scan(0, 1, cursor.clone(), PAGE).await).await.map_err(failed)?;
        let mut keys: Vec<String> = page.entries.into_iter().map(|entry| entry.key).filter(|key| scope.takes(key)).collect();
        keys.sort_unstable();
        keys.dedup();
        for chunk in keys.chunks(most) {
            let delete = |key: &String| Ok(Operation::Delete(Key::new(key)?));
            let operations: Vec<Operation> = chunk.iter().map(delete).collect::<Result<_, cofferdam_backend::Error>>().map_err(failed)?;
            patience.persist(async || storage.batch(operations.clone()).await).await.map_err(failed)?;
            patience.progress.add(u64::try_from(chunk.len()).unwrap_or_default(), 0);
        }
        if page.cursor.is_none() {
            return Ok(());
        }
        cursor = page.cursor;
    }
}
