//! What other servers left in the store that this one does not serve: engines and auth methods that it has not, and namespaces.
//!
//! The rule: none of it is touched, so that it is there when the store goes back; and the operator is told of it at every unseal. No request reaches it.

use serde::Deserialize;

use crate::logical::{Error, Fields, Result};
use crate::mounts::{Handler, Routes};
use crate::view::View;

/// Where OpenBao keeps the records of the namespaces directly below another; the other's prefix goes before.
const RECORDS: &str = "core/namespaces/";
/// How many of a kind the log names; the rest is counted.
const NAMED: usize = 20;

/// What is kept, as it was found when the vault was unsealed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    mounts: Vec<Mount>,
    namespaces: Vec<Namespace>,
}

#[derive(Debug, PartialEq)]
struct Mount {
    path: String,
    kind: String,
    accessor: String,
    reason: String,
}

/// A namespace of OpenBao's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Namespace {
    id: String,
    uuid: String,
    /// Empty if its record cannot be read: that of a namespace within one that has keys of its own.
    path: String,
}

impl Kept {
    /// Looks through the mounts and the namespaces' records, and logs what there is.
    pub(crate) async fn find(root: &View, routes: &Routes) -> Result<Kept> {
        let mut kept = Kept { mounts: Vec::new(), namespaces: namespaces(root).await? };
        for mount in routes.all() {
            let Handler::Refused(reason) = &mount.handler else { continue };
            let entry = &mount.entry;
            // Every vault has that mount. There are identities if anything is packed.
            let packed = || async { root.list(&format!("{}packer/", entry.storage_prefix())).await };
            if entry.kind == "identity" && packed().await?.is_empty() {
                continue;
            }
            let (kind, accessor) = (entry.kind.clone(), entry.accessor.clone());
            kept.mounts.push(Mount { path: entry.api_path(), kind, accessor, reason: reason.clone() });
        }
        kept.log();
        Ok(kept)
    }

    fn log(&self) {
        for mount in self.mounts.iter().take(NAMED) {
            let Mount { path, kind, accessor, reason } = mount;
            tracing::warn!(path, kind, accessor, reason, "a mount is kept and not served");
        }
        for Namespace { path, uuid, .. } in self.namespaces.iter().take(NAMED) {
            tracing::warn!(path, uuid, "a namespace is kept and not served, with all within: this server has the root namespace only");
        }
        for (all, what) in [(self.mounts.len(), "mounts"), (self.namespaces.len(), "namespaces")] {
            if all > NAMED {
                tracing::warn!(all, what, "sys/internal/inspect/kept names all that are kept and not served");
            }
        }
    }

    /// As `sys/internal/inspect/kept` shows it.
    pub(crate) fn shown(&self) -> Fields {
        let member = |name: &str, value: &str| (name.to_owned(), value.into());
        let mounts: Fields = (self.mounts.iter())
            .map(|Mount { path, kind, accessor, reason }| {
                let about: Fields = [member("type", kind), member("accessor", accessor), member("reason", reason)].into_iter().collect();
                (path.clone(), about.into())
            })
            .collect();
        let namespaces: Fields = (self.namespaces.iter())
            .map(|Namespace { id, uuid, path }| {
                let about: Fields = [member("id", id), member("path", path)].into_iter().collect();
                (uuid.clone(), about.into())
            })
            .collect();
        [("mounts".to_owned(), mounts.into()), ("namespaces".to_owned(), namespaces.into())].into_iter().collect()
    }
}

/// All namespaces but the root's. A record lies within its parent, the rest of a namespace lies flat beside the others.
async fn namespaces(root: &View) -> Result<Vec<Namespace>> {
    let (mut found, mut within) = (Vec::new(), vec![String::new()]);
    while let Some(parent) = within.pop() {
        for uuid in root.list(&format!("{parent}{RECORDS}")).await? {
            // No store that a server wrote has either of these.
            if uuid.ends_with('/') || found.iter().any(|known: &Namespace| known.uuid == uuid) {
                continue;
            }
            let key = format!("{parent}{RECORDS}{uuid}");
            let read = match root.get(&key).await {
                Ok(stored) => stored.and_then(|stored| serde_json::from_slice(&stored).ok()),
                Err(Error::Damaged(_)) => None,
                Err(other) => return Err(other),
            };
            within.push(format!("namespaces/{uuid}/"));
            found.push(Namespace { uuid, ..read.unwrap_or_default() });
        }
    }
    found.sort_by(|a, b| (&a.path, &a.uuid).cmp(&(&b.path, &b.uuid)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::test_view;

    #[tokio::test]
    async fn namespaces_are_found_at_any_depth_and_those_that_cannot_be_read_by_their_uuid() {
        let view = test_view().await;
        let root = view.sub("all/");
        let record = |id: &str, uuid: &str, path: &str| json!({"id": id, "uuid": uuid, "path": path, "tainted": false}).to_string();
        root.put("core/namespaces/u1", record("aaaaaa", "u1", "ns1/").as_bytes()).await.unwrap();
        root.put("namespaces/u1/core/namespaces/u2", record("bbbbbb", "u2", "ns1/child/").as_bytes()).await.unwrap();
        root.put("namespaces/u1/logical/x", b"1").await.unwrap();
        root.put("namespaces/u2/core/namespaces/u3", b"under a key of its own").await.unwrap();
        for odd in ["namespaces/u3/core/namespaces/u1", "core/namespaces/u4/x"] {
            root.put(odd, b"").await.unwrap();
        }
        let kept = Kept::find(&root, &Routes::default()).await.unwrap();
        let found: Vec<_> = kept.namespaces.iter().map(|found| (found.uuid.as_str(), found.path.as_str())).collect();
        assert_eq!(found, [("u3", ""), ("u1", "ns1/"), ("u2", "ns1/child/")]);
        assert_eq!(kept.shown()["namespaces"]["u1"], json!({"id": "aaaaaa", "path": "ns1/"}));
    }

    #[tokio::test]
    async fn a_store_without_any_keeps_nothing() {
        assert_eq!(Kept::find(&test_view().await, &Routes::default()).await.unwrap(), Kept::default());
    }
}
