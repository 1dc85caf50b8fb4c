//! What a token may do: its policies, those of its entity and that one's groups, and one that it holds itself.

use std::sync::Arc;

use super::entry::Entry;
use super::store::Store;
use crate::identity::Subject;
use crate::logical::{Error, Result};
use crate::policy::{Acl, Policy};

/// What a token may do, and which policies an entity added.
pub(super) struct Rights {
    pub(super) acl: Arc<Acl>,
    pub(super) policies: Vec<String>,
    pub(super) identity_policies: Vec<String>,
}

impl Store {
    /// What a token may do. [`Error::PermissionDenied`] for one whose entity is disabled or gone, or whose own policy cannot be read.
    pub(super) async fn rights(&self, entry: &Entry) -> Result<Rights> {
        let denied = |why: &str| {
            tracing::warn!(accessor = entry.accessor, "a token was refused: {why}");
            Error::PermissionDenied
        };
        let subject = self.subject(entry).await?;
        if !entry.entity_id.is_empty() {
            let subject = subject.as_ref().ok_or_else(|| denied("there is no entity of its id"))?;
            if subject.entity.disabled {
                return Err(denied("its entity is disabled"));
            }
        }
        let identity_policies = identity_policies(entry, subject.as_ref());
        let inline = match entry.inline_policy.as_str() {
            "" => None,
            text => Some(Policy::parse("", text).map_err(|_| denied("its inline policy cannot be read"))?),
        };
        let mut names = entry.policies.clone();
        names.extend(identity_policies.iter().filter(|name| !entry.policies.contains(name)).cloned());
        let acl = self.policies.acl_of(&names, inline.as_ref(), subject.as_ref()).await?;
        Ok(Rights { acl, policies: names, identity_policies })
    }

    /// What the token may do that a client sent, from wherever it may be used; none if there is no such token.
    pub async fn acl_of_token(&self, external: &str) -> Result<Option<Arc<Acl>>> {
        let Some(live) = self.live(&self.ids.inner(external)?).await? else { return Ok(None) };
        self.rights(&live.entry).await.map(|rights| Some(rights.acl))
    }

    /// What the token of an accessor may do; none if there is no such token.
    pub async fn acl_of_accessor(&self, accessor: &str) -> Result<Option<Arc<Acl>>> {
        let Some(live) = self.by_accessor(accessor).await? else { return Ok(None) };
        self.rights(&live.entry).await.map(|rights| Some(rights.acl))
    }

    /// The id of the entity that a login belongs to, which another server made for its alias; empty if there is none. [`Error::PermissionDenied`]
    /// for one that is disabled.
    pub(super) async fn entity_of(&self, mount_accessor: &str, alias: &str) -> Result<String> {
        if alias.is_empty() {
            return Ok(String::new());
        }
        let Some(id) = self.identities.by_alias(mount_accessor, alias).await? else { return Ok(String::new()) };
        match self.identities.subject(&id).await? {
            Some(subject) if subject.entity.disabled => Err(Error::PermissionDenied),
            Some(subject) => Ok(subject.entity.id),
            None => Ok(String::new()),
        }
    }

    /// The policies that a token's entity adds, for showing them.
    pub(super) async fn identity_policies(&self, entry: &Entry) -> Result<Vec<String>> {
        Ok(identity_policies(entry, self.subject(entry).await?.as_ref()))
    }

    async fn subject(&self, entry: &Entry) -> Result<Option<Subject>> {
        if entry.entity_id.is_empty() { Ok(None) } else { self.identities.subject(&entry.entity_id).await }
    }
}

fn identity_policies(entry: &Entry, subject: Option<&Subject>) -> Vec<String> {
    subject.filter(|_| !entry.no_identity_policies).map(Subject::policies).unwrap_or_default()
}
