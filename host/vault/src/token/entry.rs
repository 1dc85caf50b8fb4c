//! A token as it is stored at `sys/token/id/<salted id>`, in JSON that Vault and OpenBao read, and the index of accessors.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::lease::entry::{nanoseconds, null_is_default, token_kind};
use crate::logical::Error;
use crate::policy::ROOT;

/// The value of [`Entry::num_uses`] of a token that is being revoked.
pub(crate) const REVOKING: i64 = -1;
/// The only namespace here.
const ROOT_NAMESPACE: &str = "root";
/// [`Entry::kind`] of a service token.
pub(crate) const SERVICE: u64 = 1;
/// [`Entry::kind`] of a batch token.
pub(crate) const BATCH: u64 = 2;

/// A token. Members that are missing have their zero value; those that are not known are kept.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    #[serde(rename = "type", deserialize_with = "token_kind")]
    pub(crate) kind: u64,
    /// The inner form.
    pub id: Zeroizing<String>,
    /// What others may know it by.
    pub accessor: String,
    /// The inner form of the token that made it; empty for an orphan.
    #[serde(deserialize_with = "null_is_default")]
    pub parent: Zeroizing<String>,
    /// Its policies, sorted.
    #[serde(deserialize_with = "null_is_default")]
    pub policies: Vec<String>,
    pub(crate) inline_policy: String,
    /// The path that made it.
    pub path: String,
    /// What its maker wrote on it.
    pub meta: Option<BTreeMap<String, String>>,
    pub(crate) internal_meta: Option<BTreeMap<String, String>>,
    /// Its name for people.
    pub display_name: String,
    /// How often it can be used; zero for no limit, less for none.
    pub num_uses: i64,
    /// When it was made, in seconds since 1970.
    pub creation_time: i64,
    /// How long it was to live when it was made; zero for ever.
    #[serde(with = "nanoseconds")]
    pub ttl: Duration,
    /// It never lives longer than this.
    #[serde(with = "nanoseconds")]
    pub explicit_max_ttl: Duration,
    /// The token role that it was made with.
    pub role: String,
    /// It lives this long again with every renewal.
    #[serde(with = "nanoseconds")]
    pub period: Duration,
    // Old names of members, which Vault still writes.
    #[serde(rename = "DisplayName")]
    pub(crate) old_display_name: String,
    #[serde(rename = "NumUses")]
    pub(crate) old_num_uses: i64,
    #[serde(rename = "CreationTime")]
    pub(crate) old_creation_time: i64,
    #[serde(rename = "ExplicitMaxTTL")]
    pub(crate) old_explicit_max_ttl: i64,
    /// The entity that it belongs to; empty for none.
    pub entity_id: String,
    pub(crate) no_identity_policies: bool,
    pub(crate) bound_cidrs: Option<Vec<String>>,
    pub(crate) namespace_id: String,
    /// The name of its cubbyhole.
    pub(crate) cubbyhole_id: String,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Entry {
    /// A service token without id and accessor, which [`Store::create`](super::Store) gives it.
    pub(crate) fn new(path: String, display_name: String, creation_time: i64) -> Entry {
        Entry { kind: SERVICE, path, display_name, creation_time, namespace_id: ROOT_NAMESPACE.to_owned(), ..Entry::default() }
    }

    /// Whether it has the policy `root` and no other.
    pub fn is_root(&self) -> bool {
        self.policies.len() == 1 && self.policies.iter().all(|policy| policy == ROOT)
    }

    /// Whether it is a batch token, which is not stored and has no lease.
    pub(crate) fn is_batch(&self) -> bool {
        self.kind == BATCH
    }

    /// Its kind, as clients see it.
    pub(crate) fn type_name(&self) -> &'static str {
        if self.is_batch() { "batch" } else { "service" }
    }

    /// Whether it needs no lease.
    pub(crate) fn never_expires(&self) -> bool {
        self.is_root() && self.ttl.is_zero()
    }

    /// Whether it belongs to a namespace of another server, which this one does not have.
    pub(crate) fn elsewhere(&self) -> bool {
        !matches!(self.namespace_id.as_str(), "" | ROOT_NAMESPACE)
    }

    /// The id of its lease.
    pub(crate) fn lease_id(&self, salted: &str) -> String {
        format!("{}/{salted}", self.path.trim_matches('/'))
    }

    pub(crate) fn from_stored(key: &str, bytes: &[u8]) -> Result<Entry, Error> {
        // The text of serde's error could hold a part of the entry; its place is enough.
        let entry: Entry = serde_json::from_slice(bytes).map_err(|error| {
            Error::Damaged(format!("sys/token/id/{key}: not the JSON of a token, at line {}, column {}", error.line(), error.column()))
        })?;
        Ok(entry.upgraded())
    }

    /// With what only the old names of members say, which servers before Vault 0.6 wrote: of two limits the lesser counts.
    fn upgraded(mut self) -> Entry {
        let name = std::mem::take(&mut self.old_display_name);
        if self.display_name.is_empty() {
            self.display_name = name;
        }
        let uses = std::mem::take(&mut self.old_num_uses);
        if uses != 0 && (self.num_uses == 0 || uses < self.num_uses) {
            self.num_uses = uses;
        }
        let time = std::mem::take(&mut self.old_creation_time);
        if self.creation_time == 0 {
            self.creation_time = time;
        }
        let limit = Duration::from_nanos(u64::try_from(std::mem::take(&mut self.old_explicit_max_ttl)).unwrap_or_default());
        if !limit.is_zero() && (self.explicit_max_ttl.is_zero() || limit < self.explicit_max_ttl) {
            self.explicit_max_ttl = limit;
        }
        self
    }

    pub(crate) fn to_stored(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|error| Error::Internal(error.to_string()))
    }
}

/// The index from an accessor to its token, at `sys/token/accessor/<salted accessor>`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Accessor {
    pub(crate) token_id: Zeroizing<String>,
    pub(crate) accessor_id: String,
    pub(crate) namespace_id: String,
}

impl Accessor {
    pub(crate) fn of(entry: &Entry) -> Accessor {
        Accessor { token_id: entry.id.clone(), accessor_id: entry.accessor.clone(), namespace_id: entry.namespace_id.clone() }
    }

    pub(crate) fn from_stored(key: &str, bytes: &[u8]) -> Result<Accessor, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::Damaged(format!("sys/token/accessor/{key}: not the JSON of an accessor")))
    }

    pub(crate) fn to_stored(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut bytes = Zeroizing::new(serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?);
        bytes.push(b'\n');
        Ok(bytes)
    }
}
