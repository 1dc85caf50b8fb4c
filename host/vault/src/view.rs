//! The part of the barrier below a prefix: what an engine or a store gets, so that it cannot name anything else, nor outlive a seal.

use std::sync::Arc;

use cofferdam_backend::Page;
use zeroize::Zeroizing;

use crate::barrier::{Barrier, Change, frame};
use crate::crypto;
use crate::logical::Result;

/// A barrier below a prefix. Cloning is cheap. Keys with an empty, `.` or `..` segment are refused, so none leads out. From the next seal on
/// everything is [`Error::Sealed`](crate::logical::Error::Sealed), also after an unseal.
#[derive(Clone)]
pub struct View {
    barrier: Arc<Barrier>,
    epoch: u64,
    prefix: Arc<str>,
}

impl View {
    /// The part of the barrier below `prefix`, which is empty or ends in `/`.
    pub fn new(barrier: Arc<Barrier>, prefix: impl Into<Arc<str>>) -> View {
        View { epoch: barrier.epoch(), barrier, prefix: prefix.into() }
    }

    /// The part of this view below a further prefix, which ends in `/`.
    pub fn sub(&self, prefix: &str) -> View {
        View { barrier: self.barrier.clone(), epoch: self.epoch, prefix: self.full(prefix).into() }
    }

    /// The prefix, from the barrier's root.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The entry, decrypted, or none.
    pub async fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        self.barrier.get_of(self.epoch, &self.full(key)).await
    }

    /// The entry, or, where there is none, the text of a new UUID, which is stored.
    pub(crate) async fn get_or_make(&self, key: &str) -> Result<Zeroizing<Vec<u8>>> {
        if let Some(stored) = self.get(key).await? {
            return Ok(stored);
        }
        let made = Zeroizing::new(crypto::uuid().into_bytes());
        self.put(key, &made).await?;
        Ok(made)
    }

    /// Encrypts and stores.
    pub async fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        self.barrier.put_of(self.epoch, &self.full(key), plain).await
    }

    /// A put, or without a value a delete, to be made by [`View::batch`], of this view or another one.
    pub(crate) fn change(&self, key: &str, plain: Option<&[u8]>) -> Result<Change> {
        self.barrier.change_of(self.epoch, &self.full(key), plain)
    }

    /// Whether a batch is one write of the storage's, which is made as a whole or not at all. If not, its changes are made one by one.
    pub(crate) fn batches(&self) -> bool {
        self.barrier.batches()
    }

    /// Makes the changes in their order, of which no two are of one key. After an error the first of them may be made.
    pub(crate) async fn batch(&self, changes: Vec<Change>) -> Result<()> {
        self.barrier.batch_of(self.epoch, changes).await
    }

    /// Encrypts what is handed out and not stored.
    pub(crate) fn seal_loose(&self, plain: &[u8]) -> Result<Vec<u8>> {
        self.barrier.seal_loose(self.epoch, plain)
    }

    /// Decrypts what [`View::seal_loose`] encrypted.
    pub(crate) fn open_loose(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.barrier.open_loose(self.epoch, sealed)
    }

    /// The most bytes that one entry takes.
    pub(crate) fn largest(&self) -> usize {
        let limit = usize::try_from(self.barrier.storage().descriptor().limits.value).unwrap_or(usize::MAX);
        limit.saturating_sub(frame::OVERHEAD)
    }

    /// Deletes; a missing entry is a success.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.barrier.delete_of(self.epoch, &self.full(key)).await
    }

    /// All names directly below the folder (empty, or ending in `/`).
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.barrier.list_of(self.epoch, &self.full(folder)).await
    }

    /// A page of the names directly below the folder that sort after `after`.
    pub async fn list_page(&self, folder: &str, after: &str, limit: u32) -> Result<Page> {
        self.barrier.list_page_of(self.epoch, &self.full(folder), after, limit).await
    }

    /// As if no write that was given up could take effect any more.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        self.barrier.settle();
    }

    /// Deletes everything below.
    pub async fn clear(&self) -> Result<()> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.list(&folder).await? {
                let name = format!("{folder}{name}");
                if name.ends_with('/') {
                    folders.push(name);
                } else {
                    self.delete(&name).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::View;
    use crate::keyring::Keyring;
    use crate::logical::Error;
    use crate::testing::{test_barrier, test_view};

    #[tokio::test]
    async fn a_view_sees_what_is_below_it_and_nothing_else() {
        let view = test_view().await;
        let inner = view.sub("inner/");
        inner.put("a", b"1").await.unwrap();
        view.put("b", b"2").await.unwrap();
        assert_eq!(**view.get("inner/a").await.unwrap().unwrap(), *b"1");
        assert_eq!(inner.list("").await.unwrap(), ["a"]);
        assert_eq!(view.list("").await.unwrap(), ["b", "inner/"]);
        for key in ["../b", "x/../../b", "", "/b", "a/", "./b"] {
            assert!(matches!(inner.get(key).await, Err(Error::BadRequest(_))), "{key:?}");
            assert!(matches!(inner.put(key, b"").await, Err(Error::BadRequest(_))), "{key:?}");
            assert!(matches!(inner.delete(key).await, Err(Error::BadRequest(_))), "{key:?}");
        }
        assert!(inner.list("../").await.is_err());
    }

    #[tokio::test]
    async fn a_view_from_before_a_seal_stays_closed_after_the_next_unseal() {
        let barrier = test_barrier();
        let keyring = barrier.with_keyring(|keyring| Keyring::from_stored(keyring.root().clone(), &keyring.to_stored()?)).unwrap();
        let view = View::new(barrier.clone(), "test/");
        let below = view.sub("below/");
        below.put("a", b"1").await.unwrap();
        barrier.seal();
        barrier.unseal(keyring);
        for old in [below, view.sub("below/")] {
            assert!(matches!(old.get("a").await, Err(Error::Sealed)));
            assert!(matches!(old.put("a", b"2").await, Err(Error::Sealed)));
            assert!(matches!(old.delete("a").await, Err(Error::Sealed)));
            assert!(matches!(old.list("").await, Err(Error::Sealed)));
            assert!(matches!(old.list_page("", "", 1).await, Err(Error::Sealed)));
            assert!(matches!(old.clear().await, Err(Error::Sealed)));
        }
        let new = View::new(Arc::clone(&barrier), "test/below/");
        assert_eq!(**new.get("a").await.unwrap().unwrap(), *b"1");
    }

    #[tokio::test]
    async fn clear_deletes_everything_below_and_nothing_else() {
        let view = test_view().await;
        for key in ["in/a", "in/b/c", "in/b", "in/d/e/f", "inn", "out/a"] {
            view.put(key, b"").await.unwrap();
        }
        view.sub("in/").clear().await.unwrap();
        assert_eq!(view.list("").await.unwrap(), ["inn", "out/"]);
    }
}
