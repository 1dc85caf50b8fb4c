//! What runs the storage, one component after the other; and how another is made ready to take its place.
//!
//! The rule: what takes over is found and vouched for as at the start, and gets the settings and grants of the one that it replaces, not one more. Its
//! directory stays locked and its lease held, because both share them.

use crate::component::Found;
use crate::config::{Access, Grants, Plugin, Seal, Storage};
use async_trait::async_trait;
use cofferdam_aws::Identity;
use cofferdam_backend::Lock;
use cofferdam_runtime::{Component, GuestLimits, LoadError, OpenError, PoolOptions, Runtime, StorageBackend, StorageConfig, World};
use cofferdam_supervisor::{Generation, OpenFailure, StorageGeneration};
use std::fmt;
use std::sync::Arc;

/// A storage that is open.
pub(crate) struct Running {
    /// Its component.
    pub component: Component,
    /// Where the component came from, in words.
    pub origin: String,
    /// What it was granted, in words.
    pub granted: String,
    /// The guest.
    pub backend: Arc<StorageBackend>,
    lock: Option<Arc<dyn Lock>>,
    request: StorageConfig,
    runtime: Arc<Runtime>,
}

impl Running {
    /// What was opened as `request` asks.
    pub(super) fn new(
        component: Component,
        origin: String,
        granted: String,
        backend: Arc<StorageBackend>,
        request: StorageConfig,
        runtime: Arc<Runtime>,
    ) -> Self {
        Self { component, origin, granted, lock: backend.lock(), backend, request, runtime }
    }

    /// Whether this is what it may use.
    pub(super) fn uses(&self, limits: &GuestLimits, pool: &PoolOptions) -> bool {
        (&self.request.limits, &self.request.pool) == (limits, pool)
    }

    /// Opens another component beside this one, with its settings and its grants.
    pub(super) async fn beside(&self, found: Found, limits: GuestLimits, pool: PoolOptions) -> Result<Self, OpenFailure> {
        let origin = found.origin.clone();
        let component = compiled(&self.runtime, found).await?;
        let request = StorageConfig { limits, pool, ..self.request.clone() };
        self.opened(component, origin, request).await
    }

    async fn opened(&self, component: Component, origin: String, request: StorageConfig) -> Result<Self, OpenFailure> {
        let about = About { origin: origin.clone(), sha256: component.inspect().sha256.clone() };
        // Boxed, as the type of what all this waits for is too deep for the compiler.
        let opening = Box::pin(self.runtime.storage_after(&self.backend, &component, request.clone()));
        let backend = opening.await.map_err(|error| about.unopened(error))?;
        Ok(Self::new(component, origin, self.granted.clone(), backend, request, self.runtime.clone()))
    }
}

#[async_trait]
impl Generation for Running {
    fn sha256(&self) -> &str {
        &self.component.inspect().sha256
    }

    async fn again(self: Arc<Self>) -> Result<Self, OpenFailure> {
        self.opened(self.component.clone(), self.origin.clone(), self.request.clone()).await
    }
}

impl StorageGeneration for Running {
    fn storage(&self) -> &dyn cofferdam_backend::Storage {
        &*self.backend
    }

    fn lock(&self) -> Option<&dyn Lock> {
        self.lock.as_deref()
    }
}

/// Which bytes a failure is about.
pub(super) struct About {
    /// Where they came from.
    pub origin: String,
    /// Their digest.
    pub sha256: String,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (sha256 {})", self.origin, self.sha256)
    }
}

impl About {
    pub(super) fn refused(&self, reason: &str) -> OpenFailure {
        OpenFailure::refused(format!("{self}: {reason}"))
    }

    /// What clients read is in the host's own words: a component may have chosen the names of what it imports.
    pub(super) fn unloaded(&self, error: &LoadError) -> OpenFailure {
        let reason = match error {
            LoadError::NotWasm { .. } => "it is no WebAssembly",
            LoadError::CoreModule { .. } => "it is a core module, not a component",
            LoadError::Damaged { .. } => "it is damaged, or uses what this host does not run",
            LoadError::Compile { .. } => "it cannot be compiled within the limits",
            LoadError::World { .. } => "it is no backend",
            LoadError::Version { .. } => "it is built for a version of the contract that this host does not run",
            LoadError::UnknownImport { .. } => "it imports what this host does not offer",
            LoadError::TooLarge { .. } => "it is too large",
            _ => "it cannot be loaded",
        };
        self.refused(reason).with_detail(format!("{self}: {error}"))
    }

    pub(super) fn unopened(&self, error: OpenError) -> OpenFailure {
        let reason = match &error {
            OpenError::World { wanted, found, .. } => format!("a {wanted} backend is needed, this is {found}"),
            OpenError::MissingGrant { grant, .. } => format!("it needs the grant {grant}, which the running one has not"),
            OpenError::Options { reason, .. } => reason.clone(),
            OpenError::Guest { error, .. } => return OpenFailure::of(&format!("open of {self}"), error),
            _ => "it does not fit the contract".to_owned(),
        };
        self.refused(&reason).with_detail(format!("{self}: {error}"))
    }
}

/// Compiles a component, off the threads that serve others.
pub(super) async fn compiled(runtime: &Arc<Runtime>, found: Found) -> Result<Component, OpenFailure> {
    let about = About { origin: found.origin, sha256: found.sha256 };
    let (runtime, source) = (runtime.clone(), found.source);
    match tokio::task::spawn_blocking(move || runtime.component(source)).await {
        Ok(compiled) => compiled.map_err(|error| about.unloaded(&error)),
        Err(error) => Err(about.refused("its compilation was cut off").with_detail(error)),
    }
}

/// The component of a seal, compiled, if it is one and asks for nothing that was not granted.
pub(super) async fn seal(runtime: &Arc<Runtime>, found: Found, granted: impl Fn(&str) -> bool) -> Result<Component, OpenFailure> {
    let about = About { origin: found.origin.clone(), sha256: found.sha256.clone() };
    let component = compiled(runtime, found).await?;
    let inspection = component.inspect();
    if inspection.world != World::Seal {
        return Err(about.refused(&format!("a seal backend is needed, this is {}", inspection.world)));
    }
    match inspection.grants_needed().into_iter().find(|grant| !granted(grant)) {
        Some(grant) => Err(about.refused(&format!("it needs the grant {grant}, which the running one has not"))),
        None => Ok(component),
    }
}

/// What of a stanza and its plugin block holds for as long as the server runs. Where it stands is no part of it.
#[derive(PartialEq, Eq)]
pub(super) struct Lasting {
    /// All but what is secret: places show nothing of themselves, and secrets neither.
    said: String,
    /// Who the backend is to AWS, by its stanza and by its grant.
    identities: [Option<Identity>; 2],
}

impl Lasting {
    fn new(said: String, of_stanza: Option<&Access>, plugin: Option<&Plugin>) -> Self {
        // A block that grants nothing is as none.
        let none = Grants::default();
        let (grants, requests) = plugin.map_or((&none, None), |plugin| (&plugin.grants, plugin.requests));
        let said = format!("{said} {grants:?} {:?}", requests.unwrap_or_default());
        let of_grant = grants.aws.as_ref().map(|grant| &grant.access);
        Self { said, identities: [of_stanza, of_grant].map(|access| access.map(|access| access.identity.clone())) }
    }
}

/// Of a storage.
pub(super) fn lasting_of_storage(storage: &Storage) -> Lasting {
    let stanza = Storage { plugin: None, limits: GuestLimits::default(), pool: PoolOptions::default(), ..storage.clone() };
    Lasting::new(format!("{stanza:?}"), storage.dynamodb.as_ref().map(|dynamodb| &dynamodb.access), storage.plugin.as_deref())
}

/// Of a seal.
pub(super) fn lasting_of_seal(seal: &Seal) -> Lasting {
    let stanza = Seal { plugin: None, limits: GuestLimits::default(), pool: PoolOptions::default(), ..seal.clone() };
    Lasting::new(format!("{stanza:?}"), seal.awskms.as_ref().map(|awskms| &awskms.access), seal.plugin.as_deref())
}

#[cfg(test)]
mod tests {
    use super::{Lasting, lasting_of_seal, lasting_of_storage};
    use crate::config::{self, Environment};

    /// Of a storage and a seal, in a file of their own.
    fn lasting(storage: &str, seal: &str, more: &str) -> (Lasting, Lasting) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.hcl");
        let text = format!(
            "{more}\nstorage \"dynamodb\" {{ {storage} region = \"eu-west-1\" }}\nseal \"awskms\" {{ kms_key_id = \"k\" {seal} }}\nlistener \"tcp\" {{ tls_disable = true }}"
        );
        std::fs::write(&path, text).unwrap();
        let config = config::load(&[path], &Environment::default()).unwrap();
        (lasting_of_storage(&config.storage), lasting_of_seal(&config.seals.active[0]))
    }

    #[test]
    fn limits_pools_and_pins_may_change_and_nothing_else() {
        let before = || lasting("table = \"plain\"", "", "");
        let is = |other: (Lasting, Lasting)| (other.0 == before().0, other.1 == before().1);
        assert_eq!(is(before()), (true, true), "another file is no change");
        assert_eq!(is(lasting("table = \"plain\" pool { size = 3 }", "", "\n\n")), (true, true));
        let plugin = |more: &str| format!("plugin \"storage\" \"dynamodb\" {{ replaces_builtin = true {more} }}");
        // The first block of a plugin is no change by itself.
        assert_eq!(is(lasting("table = \"plain\"", "", &plugin(""))), (true, true));
        let digest = "ab".repeat(32);
        let pinned = format!("path = \"/p.wasm\" sha256 = \"{digest}\" limits {{ memory = \"64MiB\" }}");
        assert_eq!(is(lasting("table = \"plain\"", "", &plugin(&pinned))), (true, true));
        assert_eq!(is(lasting("table = \"other\"", "", "")), (false, true));
        // What a grant may send is the grant's: it is made once.
        assert_eq!(is(lasting("table = \"plain\"", "", &plugin("limits { requests_per_second = 3 }"))), (false, true));
    }

    #[test]
    fn another_secret_is_a_change() {
        let keys = |secret: &str| format!("access_key = \"AKIA\" secret_key = \"{secret}\"");
        let of = |storage: &str, seal: &str| lasting(&format!("table = \"plain\" {}", keys(storage)), &keys(seal), "");
        let (before, same, other) = (of("geheim-1", "geheim-1"), of("geheim-1", "geheim-1"), of("geheim-2", "geheim-1"));
        assert!(before == same && before.0 != other.0 && before.1 == other.1);
        assert!(before.1 != of("geheim-1", "geheim-2").1);
        assert!(!before.0.said.contains("geheim") && !before.1.said.contains("geheim"), "no secret in a text");
    }
}
