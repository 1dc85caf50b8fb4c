//! Batch tokens: they hold their own entry, encrypted under the barrier's key, and are not stored.
//!
//! They cannot be revoked, renewed or counted, and have no accessor, no cubbyhole and no children. What ends them is the time in them, or the
//! end of their parent. The encrypted message is that of Vault and OpenBao: each reads the others', as long as the keyring holds the key.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::entry::{BATCH, Entry};
use super::id::{BATCH as PREFIX, LEGACY_BATCH};
use super::store::{Live, Store};
use crate::lease::Times;
use crate::lease::clock::Time;
use crate::logical::{Error, Result};

/// The entry within a batch token. Fields that only service tokens have are not read.
#[derive(Clone, PartialEq, Message)]
struct Held {
    #[prost(string, tag = "3")]
    parent: String,
    #[prost(string, repeated, tag = "4")]
    policies: Vec<String>,
    #[prost(string, tag = "5")]
    path: String,
    #[prost(map = "string, string", tag = "6")]
    meta: HashMap<String, String>,
    #[prost(string, tag = "7")]
    display_name: String,
    #[prost(int64, tag = "9")]
    creation_time: i64,
    /// In nanoseconds.
    #[prost(int64, tag = "10")]
    ttl: i64,
    #[prost(string, tag = "12")]
    role: String,
    #[prost(string, tag = "14")]
    entity_id: String,
    #[prost(string, repeated, tag = "15")]
    bound_cidrs: Vec<String>,
    #[prost(string, tag = "16")]
    namespace_id: String,
    #[prost(uint32, tag = "18")]
    kind: u32,
    #[prost(map = "string, string", tag = "19")]
    internal_meta: HashMap<String, String>,
    #[prost(string, tag = "20")]
    inline_policy: String,
    #[prost(bool, tag = "21")]
    no_identity_policies: bool,
}

/// The message within the batch token of this entry.
pub(super) fn encode(entry: &Entry) -> Zeroizing<Vec<u8>> {
    let map = |map: &Option<BTreeMap<String, String>>| map.clone().unwrap_or_default().into_iter().collect();
    let held = Held {
        parent: entry.parent.to_string(),
        policies: entry.policies.clone(),
        path: entry.path.clone(),
        meta: map(&entry.meta),
        display_name: entry.display_name.clone(),
        creation_time: entry.creation_time,
        ttl: i64::try_from(entry.ttl.as_nanos()).unwrap_or(i64::MAX),
        role: entry.role.clone(),
        entity_id: entry.entity_id.clone(),
        bound_cidrs: entry.bound_cidrs.clone().unwrap_or_default(),
        namespace_id: entry.namespace_id.clone(),
        kind: u32::try_from(BATCH).unwrap_or_default(),
        internal_meta: map(&entry.internal_meta),
        inline_policy: entry.inline_policy.clone(),
        no_identity_policies: entry.no_identity_policies,
    };
    Zeroizing::new(held.encode_to_vec())
}

/// The entry within a batch token; none if the message is not one of these.
pub(super) fn decode(bytes: &[u8]) -> Option<Entry> {
    let held = Held::decode(bytes).ok().filter(|held| u64::from(held.kind) == BATCH)?;
    let map = |map: HashMap<String, String>| (!map.is_empty()).then(|| map.into_iter().collect());
    Some(Entry {
        kind: BATCH,
        parent: Zeroizing::new(held.parent),
        policies: held.policies,
        path: held.path,
        meta: map(held.meta),
        display_name: held.display_name,
        creation_time: held.creation_time,
        ttl: Duration::from_nanos(u64::try_from(held.ttl).unwrap_or_default()),
        role: held.role,
        entity_id: held.entity_id,
        bound_cidrs: (!held.bound_cidrs.is_empty()).then_some(held.bound_cidrs),
        namespace_id: held.namespace_id,
        internal_meta: map(held.internal_meta),
        inline_policy: held.inline_policy,
        no_identity_policies: held.no_identity_policies,
        ..Entry::default()
    })
}

/// When the token of an entry was made and when it ends; none if these are no times.
pub(super) fn times(entry: &Entry) -> Option<Times> {
    let issue = OffsetDateTime::from_unix_timestamp(entry.creation_time).ok()?;
    let expire = issue.checked_add(time::Duration::try_from(entry.ttl).ok()?)?;
    Some(Times { issue: Time::from(issue), expire: Time::from(expire), last_renewal: Time::ZERO, renewable: false })
}

impl Store {
    /// Makes a batch token: the entry with its id, which is what the client gets. The entry's time to live is decided already; what batch
    /// tokens do not have is left out.
    pub(crate) fn create_batch(&self, entry: Entry) -> Result<Entry> {
        if entry.policies.iter().any(|policy| policy == crate::policy::ROOT) {
            return Err(Error::bad_request("batch tokens cannot be root tokens"));
        }
        if entry.ttl.is_zero() {
            return Err(Error::Internal("a batch token without a time to live".to_owned()));
        }
        let mut entry = Entry {
            kind: BATCH,
            id: Zeroizing::default(),
            accessor: String::new(),
            num_uses: 0,
            period: Duration::ZERO,
            explicit_max_ttl: Duration::ZERO,
            cubbyhole_id: String::new(),
            ..entry
        };
        let sealed = self.view.seal_loose(&encode(&entry))?;
        entry.id = Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)));
        Ok(entry)
    }

    /// The batch token, if it counts: made under a key that this vault holds, not over, and its parent, if it has one, counts too.
    pub(super) async fn batch(&self, token: &str) -> Result<Option<Live>> {
        let Some(body) = token.strip_prefix(PREFIX).or_else(|| token.strip_prefix(LEGACY_BATCH)) else { return Ok(None) };
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(body) else { return Ok(None) };
        let opened = match self.view.open_loose(&sealed) {
            Ok(opened) => opened,
            Err(Error::Damaged(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        let Some(entry) = decode(&opened).filter(|entry| !entry.elsewhere()) else { return Ok(None) };
        let Some(times) = times(&entry).filter(|times| !times.expire.passed(self.leases.clock().now())) else { return Ok(None) };
        // Only service tokens have children.
        if !entry.parent.is_empty() && self.live_service(&entry.parent).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Live { entry: Entry { id: Zeroizing::new(token.to_owned()), ..entry }.into(), times: Some(times) }))
    }
}
