//! The part of the barrier below a prefix: what an engine or a store gets, so that it cannot name anything else.

use std::sync::Arc;

use cofferdam_backend::Page;
use zeroize::Zeroizing;

use crate::barrier::Barrier;
use crate::logical::Result;

/// A barrier below a prefix. Cloning is cheap. Keys with an empty, `.` or `..` segment are refused, so none leads out.
#[derive(Clone)]
pub struct View {
    barrier: Arc<Barrier>,
    prefix: Arc<str>,
}

impl View {
    /// The part of the barrier below `prefix`, which is empty or ends in `/`.
    pub fn new(barrier: Arc<Barrier>, prefix: impl Into<Arc<str>>) -> View {
        View { barrier, prefix: prefix.into() }
    }

    /// The part of this view below a further prefix, which ends in `/`.
    pub fn sub(&self, prefix: &str) -> View {
        View { barrier: self.barrier.clone(), prefix: self.full(prefix).into() }
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
        self.barrier.get(&self.full(key)).await
    }

    /// Encrypts and stores.
    pub async fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        self.barrier.put(&self.full(key), plain).await
    }

    /// Deletes; a missing entry is a success.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.barrier.delete(&self.full(key)).await
    }

    /// All names directly below the folder (empty, or ending in `/`).
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.barrier.list(&self.full(folder)).await
    }

    /// A page of the names directly below the folder that sort after `after`.
    pub async fn list_page(&self, folder: &str, after: &str, limit: u32) -> Result<Page> {
        self.barrier.list_page(&self.full(folder), after, limit).await
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
    use crate::logical::Error;
    use crate::testing::test_view;

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
    async fn clear_deletes_everything_below_and_nothing_else() {
        let view = test_view().await;
        for key in ["in/a", "in/b/c", "in/b", "in/d/e/f", "inn", "out/a"] {
            view.put(key, b"").await.unwrap();
        }
        view.sub("in/").clear().await.unwrap();
        assert_eq!(view.list("").await.unwrap(), ["inn", "out/"]);
    }
}
