//! Which headers of requests are recorded: `sys/config/auditing/request-headers`, stored as Vault and OpenBao do.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::core::Core;
use crate::setting::Setting;

/// Where they are stored.
pub(super) const VIEW: &str = "sys/audited-headers-config/";
pub(super) const KEY: &str = "audited-headers";

/// The headers that the operator wants in the log.
pub(crate) type Headers = Setting<Wanted>;

/// Names of headers, in lower case, and whether their values are recorded as hashes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Stored>", into = "BTreeMap<String, Stored>")]
pub struct Wanted(BTreeMap<String, bool>);

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    hmac: bool,
}

impl From<BTreeMap<String, Stored>> for Wanted {
    fn from(stored: BTreeMap<String, Stored>) -> Wanted {
        Wanted(stored.into_iter().map(|(name, stored)| (name.to_lowercase(), stored.hmac)).collect())
    }
}

impl From<Wanted> for BTreeMap<String, Stored> {
    fn from(wanted: Wanted) -> BTreeMap<String, Stored> {
        wanted.0.into_iter().map(|(name, hmac)| (name, Stored { hmac })).collect()
    }
}

impl Deref for Wanted {
    type Target = BTreeMap<String, bool>;

    fn deref(&self) -> &BTreeMap<String, bool> {
        &self.0
    }
}

impl Wanted {
    /// Records a header from now on, or, with none, no more.
    pub(crate) fn set(&mut self, name: &str, hashed: Option<bool>) {
        let name = name.to_lowercase();
        match hashed {
            Some(hashed) => drop(self.0.insert(name, hashed)),
            None => drop(self.0.remove(&name)),
        }
    }

    /// How the API shows one.
    pub(crate) fn shown(hashed: bool) -> serde_json::Value {
        json!({ "hmac": hashed })
    }
}

impl Core {
    /// The headers of requests that are recorded, in lower case; none if nothing is.
    pub fn audited_headers(&self) -> Option<Arc<Wanted>> {
        let active = self.active().ok()?;
        let wanted = active.audit.headers().now();
        (!wanted.is_empty() && !active.audit.devices().is_empty()).then_some(wanted)
    }
}
