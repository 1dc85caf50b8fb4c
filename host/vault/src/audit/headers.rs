//! Which headers of requests are recorded: `sys/config/auditing/request-headers`, stored as Vault and OpenBao do.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::core::Core;
use crate::logical::{Error, Fields, Result};
use crate::view::View;

/// The entry, below the view.
const KEY: &str = "audited-headers";

/// Names of headers, in lower case, and whether their values are recorded as hashes.
pub(crate) type Wanted = BTreeMap<String, bool>;

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    hmac: bool,
}

/// The headers that the operator wants in the log.
pub(crate) struct Headers {
    view: View,
    /// Held through a change.
    changing: tokio::sync::Mutex<()>,
    wanted: RwLock<Arc<Wanted>>,
}

impl Headers {
    /// Those that are stored in the view of `sys/audited-headers-config/`.
    pub(super) async fn load(view: View) -> Result<Headers> {
        let stored: BTreeMap<String, Stored> = match view.get(KEY).await? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::Damaged(format!("{}{KEY}: not the JSON of audited headers: {error}", view.prefix())))?,
            None => BTreeMap::new(),
        };
        let wanted = stored.into_iter().map(|(name, stored)| (name.to_lowercase(), stored.hmac)).collect();
        Ok(Headers { view, changing: tokio::sync::Mutex::default(), wanted: RwLock::new(Arc::new(wanted)) })
    }

    /// All of them.
    pub(crate) fn wanted(&self) -> Arc<BTreeMap<String, bool>> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the API shows one.
    pub(crate) fn shown(hashed: bool) -> serde_json::Value {
        json!({ "hmac": hashed })
    }

    /// Records a header from now on, or, with none, no more.
    pub(crate) async fn set(&self, name: &str, hashed: Option<bool>) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut wanted = (*self.wanted()).clone();
        match hashed {
            Some(hashed) => drop(wanted.insert(name.to_lowercase(), hashed)),
            None => drop(wanted.remove(&name.to_lowercase())),
        }
        let stored: Fields = wanted.iter().map(|(name, hashed)| (name.clone(), Headers::shown(*hashed))).collect();
        let bytes = serde_json::to_vec(&stored).map_err(|error| Error::Internal(error.to_string()))?;
        self.view.put(KEY, &bytes).await?;
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(wanted);
        Ok(())
    }
}

impl Core {
    /// The headers of requests that are recorded, in lower case; none if nothing is.
    pub fn audited_headers(&self) -> Option<Arc<BTreeMap<String, bool>>> {
        let active = self.active().ok()?;
        let wanted = active.audit.headers().wanted();
        (!wanted.is_empty() && !active.audit.devices().is_empty()).then_some(wanted)
    }
}
