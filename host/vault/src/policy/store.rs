//! Where the texts of policies live: `sys/policy/<name>`, as JSON that Vault and OpenBao read.
//!
//! Parsed policies and sums of them are cached; a cached one is never older than the last write that has returned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use super::{Acl, DEFAULT, Policy, RESPONSE_WRAPPING, ROOT, builtin};
use crate::identity::Subject;
use crate::lease::clock::{Clock, Time};
use crate::logical::{Error, Result};
use crate::measure;
use crate::view::View;

/// Policies, and sums of them, that are kept parsed.
const CACHED: usize = 1_000;

/// A policy as it is stored. Members that are missing have their zero value: Vault writes `Raw`, `Type` and few others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Stored {
    /// How often it was written.
    pub data_version: u64,
    /// Whether a write must name the version that it replaces.
    #[serde(rename = "CASRequired")]
    pub cas_required: bool,
    /// The text.
    pub raw: String,
    /// 0: an ACL. No other kind is known here.
    #[serde(rename = "Type")]
    kind: u64,
    /// Whether paths are made from an identity.
    templated: bool,
    /// From when on it grants nothing.
    pub expiration: Time,
    /// When it was written.
    pub modified: Time,
    /// OpenBao's switch for identities with wildcards in them.
    pub allow_wildcards_in_identity_templates: bool,
    /// OpenBao's switch for identities with slashes in them.
    pub allow_slashes_in_identity_templates: bool,
}

#[derive(Clone)]
struct Parsed {
    policy: Arc<Policy>,
    expiration: Time,
}

/// The policies of a vault.
pub struct Store {
    view: View,
    clock: Clock,
    parsed: Cache<String, Parsed>,
    /// Held shared from reading the storage until the cache has it, and exclusively from writing the storage until the cache has it.
    fill: RwLock<()>,
    /// Counts changes. A sum is good for the count that was there before its policies were read.
    generation: AtomicU64,
    acls: Cache<Vec<String>, (u64, Arc<Acl>)>,
}

/// The form in which names are stored and compared.
fn canonical(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Store {
    /// The policies in the view of `sys/policy/`.
    pub fn new(view: View, clock: Clock) -> Store {
        Store { view, clock, parsed: Cache::new(CACHED), fill: RwLock::new(()), generation: AtomicU64::new(0), acls: Cache::new(CACHED) }
    }

    /// The policy, parsed. None if there is none, or it has expired. [`Error::Damaged`] for a text that does not parse: no token that has
    /// such a policy can do anything, since what it denies is not known.
    pub async fn get(&self, name: &str) -> Result<Option<Arc<Policy>>> {
        measure::time("vault_policy_get_policy", self.found(name)).await
    }

    async fn found(&self, name: &str) -> Result<Option<Arc<Policy>>> {
        let name = canonical(name);
        if name == ROOT {
            return Ok(Some(Arc::new(Policy::root())));
        }
        let parsed = match self.parsed.get(&name) {
            Some(parsed) => parsed,
            None => {
                let _reading = self.fill.read().await;
                let Some(stored) = self.load(&name).await? else { return Ok(None) };
                if stored.kind != 0 {
                    return Err(Error::Damaged(format!(
                        "policy {name:?} is of type {}; only ACL policies (type 0) are known",
                        stored.kind
                    )));
                }
                let policy = Policy::parse(&name, &stored.raw).map_err(|error| Error::Damaged(format!("policy {name:?}: {error}")))?;
                let parsed = Parsed { policy: Arc::new(policy), expiration: stored.expiration };
                self.parsed.insert(name, parsed.clone());
                parsed
            }
        };
        Ok((!parsed.expiration.passed(self.clock.now())).then_some(parsed.policy))
    }

    /// The policy as stored, for showing it. `root` has an empty text.
    pub async fn stored(&self, name: &str) -> Result<Option<Stored>> {
        let name = canonical(name);
        if name == ROOT {
            return Ok(Some(Stored::default()));
        }
        Ok(self.load(&name).await?.filter(|stored| !stored.expiration.passed(self.clock.now())))
    }

    async fn load(&self, name: &str) -> Result<Option<Stored>> {
        let Some(bytes) = self.view.get(name).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Damaged(format!("{}{name}: {error}", self.view.prefix())))
    }

    /// The sum of the policies of these names; those that do not exist add nothing.
    pub async fn acl(&self, names: &[String]) -> Result<Arc<Acl>> {
        let generation = self.generation.load(Ordering::SeqCst);
        if let Some((made, acl)) = self.acls.get(names)
            && made == generation
        {
            return Ok(acl);
        }
        let mut policies = Vec::with_capacity(names.len());
        let mut lasting = true;
        for name in names {
            if let Some(policy) = self.get(name).await? {
                lasting &= self.parsed.get(policy.name()).is_none_or(|parsed| parsed.expiration.is_zero());
                policies.push(policy);
            }
        }
        let acl = Arc::new(Acl::new(&policies)?);
        if lasting {
            self.acls.insert(names.to_vec(), (generation, acl.clone()));
        }
        Ok(acl)
    }

    /// The sum of the policies of these names and of one that a token holds itself, for its entity with their groups.
    pub(crate) async fn acl_of(&self, names: &[String], inline: Option<&Policy>, subject: Option<&Subject>) -> Result<Arc<Acl>> {
        if inline.is_none() && subject.is_none() {
            return self.acl(names).await;
        }
        let mut policies: Vec<Arc<Policy>> = inline.map(|policy| Arc::new(policy.clone())).into_iter().collect();
        for name in names {
            policies.extend(self.get(name).await?);
        }
        if let Some(subject) = subject {
            for policy in &mut policies {
                if policy.identity_paths().next().is_some() {
                    *policy = Arc::new(policy.of_subject(subject)?);
                }
            }
        }
        Ok(Arc::new(Acl::new(&policies)?))
    }

    /// Stores the text (HCL 1 or JSON, or either as base64) and answers with warnings for the client.
    /// [`Error::BadRequest`] if it does not parse, or may not be written.
    pub async fn put(&self, name: &str, text: &str) -> Result<Vec<String>> {
        let name = canonical(name);
        if name.is_empty() {
            return Err(Error::bad_request("policy name missing"));
        }
        if name == ROOT || name == RESPONSE_WRAPPING {
            return Err(Error::BadRequest(format!("cannot update {name:?} policy")));
        }
        if text.is_empty() {
            return Err(Error::bad_request("'policy' parameter not supplied or empty"));
        }
        let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = decoded.as_deref().unwrap_or(text);
        let policy = Policy::parse(&name, text).map_err(|error| Error::BadRequest(format!("failed to parse policy: {error}")))?;
        let warnings = policy
            .identity_paths()
            .map(|path| format!("path {path:?} is made from an identity: it matches only for tokens whose entity another server made"))
            .collect();
        measure::time("vault_policy_set_policy", self.write(&name, text, policy)).await?;
        Ok(warnings)
    }

    async fn write(&self, name: &str, text: &str, policy: Policy) -> Result<()> {
        let _changing = self.fill.write().await;
        let earlier = match self.load(name).await {
            Ok(earlier) => earlier.unwrap_or_default(),
            // It is replaced.
            Err(Error::Damaged(_)) => Stored::default(),
            Err(other) => return Err(other),
        };
        if earlier.cas_required {
            return Err(Error::bad_request("check-and-set parameter required for this call"));
        }
        let stored = Stored {
            data_version: earlier.data_version.saturating_add(1),
            raw: text.to_owned(),
            templated: policy.identity_paths().next().is_some(),
            modified: Time::from(self.clock.now()),
            ..Stored::default()
        };
        let mut bytes = serde_json::to_vec(&stored).map_err(|error| Error::Internal(error.to_string()))?;
        bytes.push(b'\n');
        self.forget(name);
        self.view.put(name, &bytes).await?;
        self.parsed.insert(name.to_owned(), Parsed { policy: Arc::new(policy), expiration: Time::ZERO });
        Ok(())
    }

    /// Deletes; a missing policy is a success. [`Error::BadRequest`] for those that every vault has.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let name = canonical(name);
        match name.as_str() {
            DEFAULT => return Err(Error::bad_request("cannot delete default policy")),
            ROOT | RESPONSE_WRAPPING => return Err(Error::BadRequest(format!("cannot delete {name:?} policy"))),
            _ => {}
        }
        let _changing = self.fill.write().await;
        self.forget(&name);
        measure::time("vault_policy_delete_policy", self.view.delete(&name)).await
    }

    /// Before a change of the storage, so that it counts even if the storage fails and the change is made all the same.
    fn forget(&self, name: &str) {
        self.parsed.remove(name);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// All names that a token can have, sorted.
    pub async fn list(&self) -> Result<Vec<String>> {
        measure::time("vault_policy_list_policies", self.names()).await
    }

    async fn names(&self) -> Result<Vec<String>> {
        let mut names = vec![ROOT.to_owned()];
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.view.list(&folder).await? {
                let name = format!("{folder}{name}");
                if name.ends_with('/') {
                    folders.push(name);
                } else if name != RESPONSE_WRAPPING {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// Writes the policies that every vault has, where they are missing.
    pub async fn ensure_defaults(&self) -> Result<()> {
        for (name, text) in [(DEFAULT, builtin::DEFAULT), (RESPONSE_WRAPPING, builtin::RESPONSE_WRAPPING)] {
            if self.view.get(name).await?.is_none() {
                let policy = Policy::parse(name, text).map_err(|error| Error::Internal(format!("built-in policy {name:?}: {error}")))?;
                self.write(name, text, policy).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
