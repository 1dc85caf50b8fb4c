//! What the operator sets through the API and every request is looked at by: one entry of the storage, held in memory.

use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::stored;
use crate::logical::Result;
use crate::view::View;

/// A setting, as it is in force.
pub(crate) struct Setting<T> {
    view: View,
    /// The entry, below the view.
    key: &'static str,
    /// Held through a change.
    changing: tokio::sync::Mutex<()>,
    now: RwLock<Arc<T>>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Setting<T> {
    /// What is stored of it.
    pub(crate) async fn load(view: View, key: &'static str) -> Result<Setting<T>> {
        let now = RwLock::new(Arc::new(stored::get(&view, key).await?.unwrap_or_default()));
        Ok(Setting { view, key, changing: tokio::sync::Mutex::default(), now })
    }

    /// As it is.
    pub(crate) fn now(&self) -> Arc<T> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it. What is in force changes only once it is stored.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut T)) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut next = (*self.now()).clone();
        change(&mut next);
        stored::put(&self.view, self.key, &next).await?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}
