//! Mounting, tuning, moving and unmounting.

use std::collections::BTreeMap;

use cofferdam_backend::Error as Backend;

use super::entry::{Config, Entry};
use super::router::Handler;
use super::{Mounts, Tables};
use crate::auth::TokenType;
use crate::lockout;
use crate::logical::{Error, Result};

/// The auth methods of this server that can be mounted.
const AUTH_METHODS: [&str; 2] = ["approle", "aws"];

/// Paths that no mount may take.
const PROTECTED: [&str; 5] = ["audit/", "auth/", "cubbyhole/", "identity/", "sys/"];

/// A mount as a client asks for it.
#[derive(Default)]
pub(crate) struct Created {
    /// `kv`, `kv-v1` or `kv-v2`; for an auth mount its method.
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) config: Config,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) local: bool,
    pub(crate) seal_wrap: bool,
    pub(crate) external_entropy_access: bool,
}

/// What a client changes in a mount; none leaves it.
#[derive(Default)]
pub(crate) struct Tune {
    pub(crate) description: Option<String>,
    /// Nanoseconds; zero for the server's.
    pub(crate) default_lease_ttl: Option<u64>,
    /// Nanoseconds; zero for the server's.
    pub(crate) max_lease_ttl: Option<u64>,
    pub(crate) listing_visibility: Option<String>,
    pub(crate) audit_non_hmac_request_keys: Option<Vec<String>>,
    pub(crate) audit_non_hmac_response_keys: Option<Vec<String>>,
    pub(crate) passthrough_request_headers: Option<Vec<String>>,
    pub(crate) allowed_response_headers: Option<Vec<String>>,
    pub(crate) options: Option<BTreeMap<String, String>>,
    /// Only for auth mounts.
    pub(crate) token_type: Option<TokenType>,
    /// Only for auth mounts that lock clients out.
    pub(crate) user_lockout: Option<lockout::Change>,
}

impl Tune {
    /// The name of some member that is set.
    fn first(&self) -> Option<&'static str> {
        [
            (self.description.is_some(), "description"),
            (self.default_lease_ttl.is_some(), "default_lease_ttl"),
            (self.max_lease_ttl.is_some(), "max_lease_ttl"),
            (self.listing_visibility.is_some(), "listing_visibility"),
            (self.audit_non_hmac_request_keys.is_some(), "audit_non_hmac_request_keys"),
            (self.audit_non_hmac_response_keys.is_some(), "audit_non_hmac_response_keys"),
            (self.passthrough_request_headers.is_some(), "passthrough_request_headers"),
            (self.allowed_response_headers.is_some(), "allowed_response_headers"),
            (self.options.is_some(), "options"),
            (self.token_type.is_some(), "token_type"),
            (self.user_lockout.is_some(), "user_lockout_config"),
        ]
        .into_iter()
        .find_map(|(set, name)| set.then_some(name))
    }
}

impl Mounts {
    /// Mounts a secrets engine at a path, which ends with a slash.
    pub(crate) async fn enable(&self, path: &str, mut asked: Created) -> Result<()> {
        if PROTECTED.iter().any(|protected| path.starts_with(protected)) {
            return Err(Error::bad_request(format!("cannot mount {path:?}")));
        }
        if matches!(asked.kind.as_str(), "system" | "identity" | "cubbyhole" | "token") {
            return Err(Error::bad_request(format!("mount type of {:?} is not mountable", asked.kind)));
        }
        (asked.kind, asked.options) = kv_options(asked.kind, asked.options)?;
        self.mount("mounts", path, asked).await
    }

    /// Mounts an auth method at a path, which ends with a slash and is below `auth/`.
    pub(crate) async fn enable_auth(&self, path: &str, asked: Created) -> Result<()> {
        match asked.kind.as_str() {
            "" => return Err(Error::bad_request("backend type must be specified as a string")),
            "token" => return Err(Error::bad_request("token credential backend cannot be instantiated")),
            kind if !AUTH_METHODS.contains(&kind) => return Err(Error::BadRequest(format!("plugin not found in the catalog: {kind}"))),
            _ => {}
        }
        self.mount("auth", path, asked).await
    }

    /// The engine's first entries are made before the mount is in the table: a cut leaves no mount, and entries that nothing refers to.
    async fn mount(&self, table: &str, path: &str, asked: Created) -> Result<()> {
        let mut tables = self.tables.lock().await;
        let mut entry = Entry::new(table, path, &asked.kind, &asked.description)?;
        if let Some(taken) = tables.conflict(&entry.api_path()) {
            // As the client names it.
            let taken = if table == "auth" { taken.strip_prefix("auth/").unwrap_or(&taken) } else { &taken };
            return Err(Error::bad_request(format!("path is already in use at {taken}")));
        }
        entry.config = asked.config;
        entry.options = asked.options;
        entry.local = asked.local;
        entry.seal_wrap = asked.seal_wrap;
        entry.external_entropy_access = asked.external_entropy_access;
        entry.running_plugin_version.clone_from(&self.engines.running_version);
        let mount = self.engines.open(&entry).await?;
        tables.add(entry).await?;
        self.change_routes(|routes| routes.insert(mount));
        Ok(())
    }

    /// Takes the engine at a path of a table out of service, revokes the tokens of its logins, and deletes what it stored. Nothing there is a success.
    ///
    /// The table's entry is marked first and removed last: a cut between the two is finished at the next unseal, or by asking again. From
    /// before the mark until it is known not to be stored nothing is answered: what was acknowledged then would be deleted.
    pub(crate) async fn disable(&self, table: &str, path: &str) -> Result<()> {
        let mut tables = self.tables.lock().await;
        let Some(entry) = find(&tables, table, path) else { return Ok(()) };
        if entry.required() {
            return Err(Error::bad_request(if table == "auth" {
                format!("{} credential backend cannot be disabled", entry.kind)
            } else {
                format!("cannot unmount {path:?}")
            }));
        }
        if table == "auth" && !AUTH_METHODS.contains(&entry.kind.as_str()) {
            return Err(Error::BadRequest(format!(
                "cannot disable auth/{path}: this server does not offer its auth method, and deletes no data of it"
            )));
        }
        let path = &entry.api_path();
        let mut marked = entry.clone();
        marked.mark_unmounting();
        let before = self.at(path);
        self.swap(path, Some(self.engines.refused(&marked, "it is being deleted, or its deletion may be recorded: delete it again"))).await;
        if marked != entry
            && let Err(error) = tables.replace(marked.clone()).await
        {
            if let Some(before) = before.filter(|_| !may_be_stored(&error)) {
                self.swap(path, Some((*before).clone())).await;
            }
            return Err(error);
        }
        self.finish_disable(&mut tables, &marked).await
    }

    /// The rest of an unmount, after the entry is marked.
    pub(super) async fn finish_disable(&self, tables: &mut Tables, entry: &Entry) -> Result<()> {
        if entry.table == "auth" {
            self.engines.tokens.end_leases(&entry.api_path()).await?;
        }
        self.engines.clear(entry).await?;
        tables.remove(entry).await?;
        self.change_routes(|routes| routes.remove(&entry.api_path()));
        Ok(())
    }

    /// Changes a mount's settings, in one write. Some text if kv data was converted, for the client to be warned of.
    pub(crate) async fn tune(&self, api_path: &str, tune: Tune) -> Result<Option<String>> {
        let mut tables = self.tables.lock().await;
        let Some(old) = tables.entries().find(|entry| entry.api_path() == api_path).cloned() else {
            return Err(Error::bad_request(format!("tune of path {api_path:?} failed: no mount entry found")));
        };
        let Some(first) = tune.first() else { return Ok(None) };
        if old.required() && old.table != "auth" {
            return Err(Error::bad_request(format!("cannot tune parameter {first} of {api_path}")));
        }
        if old.tainted {
            return Err(Error::bad_request(format!("cannot tune {api_path}: it is being deleted or moved")));
        }
        let entry = tuned(&old, tune)?;
        if old.kv_version() == entry.kv_version() {
            tables.replace(entry.clone()).await?;
            if let Some(mount) = self.at(api_path) {
                if matches!(mount.handler, Handler::Refused(_)) {
                    self.serve(&entry).await?;
                    return Ok(None);
                }
                let mount = self.engines.retuned(&mount, entry);
                self.change_routes(|routes| routes.insert(mount));
            }
            return Ok(None);
        }
        // The new version is in the table before the data is converted; the engine resumes a conversion that was cut off.
        tables.replace(entry.clone()).await?;
        self.swap(api_path, Some(self.engines.refused(&entry, "the mount is being upgraded"))).await;
        self.serve(&entry).await?;
        Ok(Some(
            "Upgrading mount from version 1 to version 2. This mount will be unavailable for a brief period and will resume service shortly."
                .to_owned(),
        ))
    }

    /// Moves the mount at a path to another of its family, in one write, after what it lent or whom it let in is revoked. Both paths end with a slash.
    pub(crate) async fn remount(&self, from: &str, to: &str) -> Result<()> {
        let mut tables = self.tables.lock().await;
        let Some(old) = tables.entries().find(|entry| entry.api_path() == from).cloned() else {
            return Err(Error::bad_request(format!("no matching mount at {from:?}")));
        };
        let below = to.strip_prefix("auth/").filter(|below| !below.is_empty());
        let path = match (old.table.as_str(), below) {
            ("auth", Some(below)) => below,
            ("auth", None) => return Err(Error::bad_request(format!("cannot remount auth mount to non-auth mount {to:?}"))),
            _ if PROTECTED.iter().any(|protected| to.starts_with(protected)) => {
                return Err(Error::bad_request(format!("cannot remount to destination {to}")));
            }
            _ => to,
        };
        if old.required() {
            return Err(Error::bad_request(format!("cannot remount {from:?}")));
        }
        // The mount itself is one of those that no path may lie below or above.
        if let Some(taken) = tables.conflict(to) {
            return Err(Error::bad_request(format!("path already in use at {taken:?}")));
        }
        if old.unmounting() {
            return Err(Error::bad_request(format!("cannot remount {from:?}: it is being deleted")));
        }
        self.engines.tokens.end_leases(from).await?;
        let mut entry = old.clone();
        path.clone_into(&mut entry.path);
        // A move that another server began left the mark; this finishes it.
        entry.tainted = false;
        tables.replace(entry.clone()).await?;
        self.swap(from, None).await;
        // Those of the meantime.
        if let Err(error) = self.engines.tokens.end_leases(from).await {
            tracing::warn!(mount = entry.accessor, %error, "a mount was moved; some of its last leases are left to end by themselves");
        }
        self.serve(&entry).await
    }
}

/// Whether a write that failed may be stored, or become so yet.
fn may_be_stored(error: &Error) -> bool {
    matches!(error, Error::Storage(Backend::TimedOut(_) | Backend::Unavailable(_) | Backend::Breach(_)))
}

fn find(tables: &Tables, table: &str, path: &str) -> Option<Entry> {
    tables.entries().find(|entry| entry.table == table && entry.path == path).cloned()
}

/// The engine and the options that a client's type stands for.
fn kv_options(kind: String, options: Option<BTreeMap<String, String>>) -> Result<(String, Option<BTreeMap<String, String>>)> {
    let version = match kind.as_str() {
        "" => return Err(Error::bad_request("backend type must be specified as a string")),
        "kv" => None,
        "kv-v1" => Some("1"),
        "kv-v2" => Some("2"),
        _ => return Err(Error::bad_request(format!("plugin not found in the catalog: {kind}"))),
    };
    let mut options = options;
    if let Some(version) = version {
        options.get_or_insert_default().insert("version".to_owned(), version.to_owned());
    }
    match options.as_ref().and_then(|options| options.get("version")).map(String::as_str) {
        None | Some("" | "1" | "2") => Ok(("kv".to_owned(), options)),
        Some(other) => Err(Error::bad_request(format!("invalid version of the kv engine: {other:?}; it is \"1\" or \"2\""))),
    }
}

fn tuned(old: &Entry, tune: Tune) -> Result<Entry> {
    let mut entry = old.clone();
    let config = &mut entry.config;
    if let Some(ttl) = tune.default_lease_ttl {
        config.default_lease_ttl = ttl;
    }
    if let Some(ttl) = tune.max_lease_ttl {
        config.max_lease_ttl = ttl;
    }
    if let Some(kind) = tune.token_type {
        config.set_token_type(kind);
    }
    if let Some(change) = &tune.user_lockout {
        config.user_lockout_config.get_or_insert_default().change(change);
    }
    if config.max_lease_ttl > 0 && config.default_lease_ttl > config.max_lease_ttl {
        return Err(Error::bad_request(format!(
            "backend max lease TTL of {} would be less than backend default lease TTL of {}",
            super::seconds(config.max_lease_ttl),
            super::seconds(config.default_lease_ttl)
        )));
    }
    if let Some(visibility) = tune.listing_visibility {
        config.listing_visibility = visibility;
    }
    for (slot, new) in [
        (&mut config.audit_non_hmac_request_keys, tune.audit_non_hmac_request_keys),
        (&mut config.audit_non_hmac_response_keys, tune.audit_non_hmac_response_keys),
        (&mut config.passthrough_request_headers, tune.passthrough_request_headers),
        (&mut config.allowed_response_headers, tune.allowed_response_headers),
    ] {
        if new.is_some() {
            *slot = new;
        }
    }
    if let Some(description) = tune.description {
        entry.description = description;
    }
    if let Some(options) = tune.options {
        tune_options(&mut entry, options)?;
    }
    Ok(entry)
}

/// Options are merged into those that are there; an empty text removes one.
fn tune_options(entry: &mut Entry, new: BTreeMap<String, String>) -> Result<()> {
    if let (Some(old), Some(version)) = (entry.kv_version(), new.get("version")) {
        match (old, version.as_str()) {
            ("1", "1" | "2") | ("2", "2") => {}
            ("2", "1") => return Err(Error::bad_request("cannot downgrade mount from version 2")),
            (_, "") => return Err(Error::bad_request("invalid version provided: 0")),
            (_, other) => return Err(Error::bad_request(format!("invalid version provided: {other}"))),
        }
    }
    let options = entry.options.get_or_insert_default();
    for (name, value) in new {
        if value.is_empty() {
            options.remove(&name);
        } else {
            options.insert(name, value);
        }
    }
    Ok(())
}
