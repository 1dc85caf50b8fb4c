//! Reading and writing what the engine stores, below its prefix.
//!
//! The rule: whoever changes the metadata of a key holds the key's lock for writing from reading them to the last write.

use std::sync::Arc;

use cofferdam_backend::Key;
use quick_cache::sync::Cache;
use tokio::sync::{OnceCell, RwLock};

use super::LONGEST_SEGMENT;
use super::names::Names;
use super::policy::Policy;
use super::proto::{self, Configuration, KeyMetadata, Span, Stored, Timestamp, Version, VersionMetadata};
use crate::barrier::Change;
use crate::crypto;
use crate::kv::locks::Locks;
use crate::logical::{Error, Result};
use crate::view::View;

const CONFIG: &str = "config";
const SALT: &str = "salt";
/// How many versions a key keeps if neither it nor the mount says.
const MAX_VERSIONS: u32 = 10;
/// How many storage keys of metadata are kept in memory: about a megabyte.
const METADATA_KEYS: usize = 4_096;

/// The storage of one engine, and what it keeps in memory of it: the path keys, the salt and the settings, none of which changes
/// but through this engine.
pub(super) struct Store {
    /// The mount's view: the secrets of version 1 are here.
    pub(super) mount: View,
    /// Everything of version 2.
    pub(super) view: View,
    pub(super) backend_uuid: String,
    pub(super) locks: Locks,
    names: OnceCell<Names>,
    salt: OnceCell<String>,
    config: RwLock<Option<Arc<Stored<Configuration>>>>,
    /// The storage keys of metadata by the path's digest: deriving one costs some microseconds a segment, several times a request. No
    /// plain path is kept here.
    metadata_keys: Cache<String, Arc<str>>,
}

/// A path that names a secret: not empty, within the grammar of keys.
pub(super) fn checked(path: &str) -> Result<&str> {
    Key::new(path)?;
    Ok(path)
}

impl Store {
    pub(super) fn new(mount: View, backend_uuid: &str) -> Store {
        Store {
            view: mount.sub(&format!("{backend_uuid}/")),
            mount,
            backend_uuid: backend_uuid.to_owned(),
            locks: Locks::new(),
            names: OnceCell::new(),
            salt: OnceCell::new(),
            config: RwLock::new(None),
            metadata_keys: Cache::new(METADATA_KEYS),
        }
    }

    /// The encryption of paths; its policy is made if there is none.
    pub(super) async fn names(&self) -> Result<&Names> {
        let load = || async { Ok(Names::new(Policy::load_or_create(&self.view, &self.backend_uuid).await?, &self.backend_uuid)) };
        self.names.get_or_try_init(load).await
    }

    /// The mount's settings.
    pub(super) async fn config(&self) -> Result<Arc<Stored<Configuration>>> {
        if let Some(config) = &*self.config.read().await {
            return Ok(config.clone());
        }
        let mut cached = self.config.write().await;
        let config = match self.view.get(CONFIG).await? {
            Some(stored) => Arc::new(Stored::decode(&stored, CONFIG)?),
            None => Arc::default(),
        };
        *cached = Some(config.clone());
        Ok(config)
    }

    /// Changes the mount's settings.
    pub(super) async fn change_config(&self, change: impl FnOnce(&mut Configuration)) -> Result<()> {
        let mut config = Stored::clone(&*self.config().await?);
        let mut cached = self.config.write().await;
        // Another change may have come in between.
        if let Some(latest) = &*cached {
            config = Stored::clone(latest);
        }
        change(&mut config.message);
        // If it is unknown what was stored, it is read anew.
        *cached = None;
        self.view.put(CONFIG, &config.encode()).await?;
        *cached = Some(Arc::new(config));
        Ok(())
    }

    /// The storage key of a path's metadata. The path has been checked.
    async fn metadata_key(&self, path: &str) -> Result<Arc<str>> {
        let digest = crypto::sha256_hex(&[path.as_bytes()]);
        if let Some(key) = self.metadata_keys.get(&digest) {
            return Ok(key);
        }
        let key: Arc<str> = format!("metadata/{}", self.names().await?.encrypt(path)?).into();
        self.metadata_keys.insert(digest, key.clone());
        Ok(key)
    }

    /// The metadata of a key.
    pub(super) async fn metadata(&self, path: &str) -> Result<Option<Stored<KeyMetadata>>> {
        let key = self.metadata_key(path).await?;
        let stored = self.view.get(&key).await.map_err(|error| too_long(error, path))?;
        stored.map(|stored| Stored::decode(&stored, &key)).transpose()
    }

    pub(super) async fn put_metadata(&self, metadata: &Stored<KeyMetadata>) -> Result<()> {
        let path = &metadata.message.key;
        let key = self.metadata_key(path).await?;
        self.view.put(&key, &metadata.encode()).await.map_err(|error| too_long(error, path))
    }

    /// The deletion of the metadata.
    pub(super) async fn metadata_deletion(&self, path: &str) -> Result<Change> {
        self.view.change(&self.metadata_key(path).await?, None)
    }

    /// The plain names in a plain folder (empty, or with a slash at its end), sorted, after `after` and at most `limit`.
    pub(super) async fn list(&self, folder: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let names = self.names().await?;
        let stored = self.view.list(&format!("metadata/{}", names.encrypt(folder)?)).await?;
        let mut plain = names.decrypt_all(folder, &stored)?;
        plain.retain(|name| name.as_str() > after);
        plain.truncate(limit);
        Ok(plain)
    }

    /// The storage key of a version: the hash of salt, path and number.
    pub(super) async fn version_key(&self, path: &str, version: u64) -> Result<String> {
        let salt = self.salt.get_or_try_init(|| self.load_or_create_salt()).await?;
        let hash = crypto::sha256_hex(&[salt.as_bytes(), path.as_bytes(), b"|", version.to_string().as_bytes()]);
        let (folder, leaf) = hash.split_at_checked(3).unwrap_or_default();
        Ok(format!("versions/{folder}/{leaf}"))
    }

    async fn load_or_create_salt(&self) -> Result<String> {
        if let Some(salt) = self.view.get(SALT).await? {
            return String::from_utf8(salt.to_vec()).map_err(|_| Error::Damaged(format!("{SALT}: is no text")));
        }
        let salt = crypto::uuid();
        self.view.put(SALT, salt.as_bytes()).await?;
        Ok(salt)
    }

    /// A version that the metadata name.
    pub(super) async fn version(&self, path: &str, version: u64) -> Result<Version> {
        let key = self.version_key(path, version).await?;
        let stored = self.view.get(&key).await?;
        let stored =
            stored.ok_or_else(|| Error::Damaged(format!("{key}: the entry of version {version} is missing, which metadata name")))?;
        proto::decode(&stored, &key)
    }

    /// Stores the current version, then the metadata that name it, and then deletes the entries of `trimmed` versions (ascending). Inside, how the last
    /// went where it is a write of its own.
    pub(super) async fn put_current(&self, metadata: &Stored<KeyMetadata>, version: &Version, trimmed: &[u64]) -> Result<Result<()>> {
        let (path, number) = (&metadata.message.key, metadata.message.current_version);
        let mut changes = vec![
            self.view.change(&self.version_key(path, number).await?, Some(&proto::encode(version)))?,
            self.change_metadata(metadata).await?,
        ];
        let mut deletions = self.deletions(path, trimmed).await;
        if let Ok(deletions) = &mut deletions
            && self.view.batches()
        {
            changes.append(deletions);
        }
        self.view.batch(changes).await?;
        Ok(match deletions {
            Ok(deletions) => self.view.batch(deletions).await,
            Err(error) => Err(error),
        })
    }

    /// What [`Store::put_metadata`] does, for a batch.
    pub(super) async fn change_metadata(&self, metadata: &Stored<KeyMetadata>) -> Result<Change> {
        self.view.change(&self.metadata_key(&metadata.message.key).await?, Some(&metadata.encode()))
    }

    /// The deletion of a version's entry.
    pub(super) async fn deletion(&self, path: &str, version: u64) -> Result<Change> {
        self.view.change(&self.version_key(path, version).await?, None)
    }

    /// The deletion of the entries of `versions` (ascending), and of what a clean-up that was cut off left below them. The oldest go first, so that
    /// what the next cut leaves is found in the same way. That none is left below, which is the rule, the cache knows from the last time.
    pub(super) async fn deletions(&self, path: &str, versions: &[u64]) -> Result<Vec<Change>> {
        let Some(&lowest) = versions.first() else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for version in (1..lowest).rev() {
            if self.view.get(&self.version_key(path, version).await?).await?.is_none() {
                break;
            }
            left.push(version);
        }
        let mut changes = Vec::with_capacity(left.len() + versions.len());
        for version in left.iter().rev().chain(versions) {
            changes.push(self.deletion(path, *version).await?);
        }
        Ok(changes)
    }
}

/// Says what a segment's length means to the one who sent it: its encrypted name is more than twice as long.
pub(super) fn too_long(error: Error, path: &str) -> Error {
    let longest = path.split('/').map(str::len).max().unwrap_or(0);
    match error {
        Error::TooLarge(_) if longest > LONGEST_SEGMENT => Error::TooLarge(format!(
            "a segment of the path is {longest} bytes long; the storage takes at most {LONGEST_SEGMENT}, because names are stored encrypted"
        )),
        other => other,
    }
}

impl KeyMetadata {
    /// Metadata of a key that has no version.
    pub(super) fn of(path: &str) -> KeyMetadata {
        KeyMetadata { key: path.to_owned(), ..KeyMetadata::default() }
    }

    /// Adds the next version and forgets those that are too many, whose numbers it returns.
    pub(super) fn add_version(&mut self, created: Timestamp, deletion: Option<Timestamp>, mount_max_versions: u32) -> Vec<u64> {
        let version = VersionMetadata { created_time: Some(created), deletion_time: deletion, destroyed: false };
        self.current_version += 1;
        self.versions.insert(self.current_version, version);
        self.updated_time = Some(created);
        self.created_time.get_or_insert(created);
        let limit = match self.max_versions.max(mount_max_versions) {
            0 => MAX_VERSIONS,
            limit => limit,
        };
        if self.current_version.saturating_sub(self.oldest_version) < u64::from(limit) {
            return Vec::new();
        }
        self.oldest_version = self.current_version - u64::from(limit) + 1;
        let kept = self.versions.split_off(&self.oldest_version);
        std::mem::replace(&mut self.versions, kept).into_keys().collect()
    }

    /// When a version that is made now is deleted, by the settings of the key and of the mount: the shorter of the two holds, and
    /// a negative one of the mount turns both off.
    pub(super) fn deletion_time(&self, now: Timestamp, config: &Configuration) -> Option<Timestamp> {
        let of = |span: Option<Span>| span.filter(|span| span.nanoseconds() != 0);
        let span = match (of(config.delete_version_after), of(self.delete_version_after)) {
            (Some(mount), _) if mount.nanoseconds() < 0 => return None,
            (Some(mount), Some(key)) => {
                if key.nanoseconds() < mount.nanoseconds() {
                    key
                } else {
                    mount
                }
            }
            (mount, key) => mount.or(key)?,
        };
        Some(now.after(span))
    }
}

impl VersionMetadata {
    /// Whether it was deleted, by a request or by time.
    pub(super) fn deleted(&self, now: Timestamp) -> bool {
        self.deletion_time.is_some_and(|time| time < now)
    }
}
