//! The seals: their components, what each is granted (by its own stanza one key, or by its plugin block), and how a server starts while a key service cannot be reached.
//!
//! The rule: what only the operator can put right stops the start of a server that has no other seal; everything else is tried again by the
//! vault, with growing pauses, while the server already answers that it is sealed.

#[cfg(test)]
mod tests;

use super::aws::{self, KeyBinding};
use super::generation;
use super::grants::{self, Granted};
use super::plugins::{SharedSeal, name_of_seal};
use crate::component::{self, Found};
use crate::config::{Config, ConfigError, Role, Seal};
use crate::exit::Failure;
use async_trait::async_trait;
use cofferdam_aws::Providers;
use cofferdam_backend::{Error, Result, Wrapped};
use cofferdam_plugins::Policy;
use cofferdam_runtime::{Component, OpenError, Runtime, SealBackend, SealConfig, World};
use cofferdam_supervisor::{Generation, OpenFailure, Options, SealGeneration, SupervisedSeal};
use cofferdam_vault::seal::{AutoSeal, HealthTimes, SealOptions, StateOptions};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// How long the start waits for a seal. The vault goes on where it stopped.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the key is taken for that of today that was described as the component was opened: a start need not ask twice.
const FRESH: Duration = Duration::from_secs(10);

/// The seals of a server, and what is to be said of them.
pub(crate) struct Opened {
    /// For the vault.
    pub options: SealOptions,
    /// Those at work, best first.
    pub active: Vec<SharedSeal>,
    /// The one that is given up.
    pub disabled: Option<SharedSeal>,
}

/// A seal whose component is opened when it is first needed, and again until that has worked.
pub(crate) struct LateSeal {
    /// What the operator says of it.
    pub settings: Seal,
    /// Its component.
    pub component: Component,
    /// Where the component came from, in words.
    pub origin: String,
    runtime: Arc<Runtime>,
    providers: Arc<Providers>,
    granted: OnceCell<Prepared>,
    backend: OnceCell<Arc<SealBackend>>,
    /// When it was opened, until the key it then had was asked for.
    fresh: Mutex<Option<Instant>>,
}

/// What opening a seal's component needs.
#[derive(Clone)]
pub(super) struct Prepared {
    /// What it may reach.
    pub granted: Granted,
    /// What it is told.
    pub settings: Vec<(String, String)>,
}

/// The file that remembers the vault. `accept_rollback` is what the operator says on the command line.
pub(crate) fn state(config: &Config, accept_rollback: bool) -> Result<Option<StateOptions>, Failure> {
    let Some((path, place)) = &config.state_path else {
        return match accept_rollback {
            true => Err(Failure::usage(
                "--accept-rollback: no state file is kept, since the configuration has no state_path: leave the flag out",
            )),
            false => Ok(None),
        };
    };
    let at = |message: String| Err(Failure::usage(ConfigError::new(place.clone(), format!("state_path: {}: {message}", path.display()))));
    if !path.is_absolute() {
        return at("expected a whole path, such as /var/lib/coffer/state.json".to_owned());
    }
    // Whoever puts an older directory in its place would put the older file there too.
    let granted = config.storage.plugin.as_ref().and_then(|plugin| plugin.grants.directory.as_ref()).map(|grant| &grant.path);
    if config.storage.path.as_ref().or(granted).is_some_and(|storage| path.starts_with(storage)) {
        return at("it is in the storage's own directory, and would go back in time with it: choose another".to_owned());
    }
    match path.parent().filter(|parent| !parent.is_dir()) {
        Some(parent) => at(format!("the directory {} does not exist: make it, for the server's user only", parent.display())),
        None => Ok(Some(StateOptions { path: path.clone(), accept_rollback })),
    }
}

/// Finds the seals' components, and tries each seal once.
pub(crate) async fn open(
    config: &Config,
    state: Option<StateOptions>,
    runtime: &Arc<Runtime>,
    providers: &Arc<Providers>,
) -> Result<Opened, Failure> {
    // Without a seal nothing is looked for, and no key has to be read.
    let policy = if config.seals.all().next().is_some() { component::policy(config).map_err(Failure::usage)? } else { Policy::default() };
    let find = |seal: &Seal| {
        let late = LateSeal::new(seal, &policy, runtime, providers)?;
        Ok(Arc::new(SupervisedSeal::new(name_of_seal(seal), late, Options::default())))
    };
    let active = config.seals.active.iter().map(find).collect::<Result<Vec<_>, Failure>>()?;
    let disabled = config.seals.disabled.as_ref().map(find).transpose()?;
    // Side by side: a region that does not answer must not make the start wait twice.
    let seals: Vec<Arc<LateSeal>> = active.iter().chain(&disabled).map(|seal: &SharedSeal| seal.current()).collect();
    let attempts: Vec<_> = seals.iter().cloned().map(|seal| tokio::spawn(async move { seal.attempt().await })).collect();
    for (attempt, seal) in attempts.into_iter().zip(&seals) {
        let ended = attempt.await.map_err(|error| Failure::failed(format!("{}: {error}", seal.said())))?;
        match ended {
            Err(error @ Error::Configuration(_)) if active.len() == 1 && disabled.is_none() => {
                return Err(Failure::failed(format!("{}: {error}", seal.said())));
            }
            Err(error) => {
                tracing::warn!(seal = %seal.settings.name, %error, "the seal cannot be used yet; it is tried again when it is needed")
            }
            Ok(()) => {}
        }
    }
    let for_vault = |seal: &SharedSeal| AutoSeal {
        kind: seal.current().settings.kind.clone(),
        name: seal.current().settings.name.clone(),
        backend: seal.clone(),
        allow_direct_blob: seal.current().settings.awskms.as_ref().is_some_and(|awskms| awskms.allow_direct_blob),
    };
    let options = SealOptions {
        seals: active.iter().map(for_vault).collect(),
        disabled: disabled.as_ref().map(for_vault),
        health: health(config),
        state,
        ..SealOptions::default()
    };
    Ok(Opened { options, active, disabled })
}

/// What its stanza gives a seal, or its plugin block. Boxed, since credentials alone are many futures deep.
pub(super) fn prepare<'a>(seal: &'a Seal, providers: &'a Providers) -> Pin<Box<dyn Future<Output = Result<Prepared>> + Send + 'a>> {
    Box::pin(async move {
        let Some(awskms) = &seal.awskms else {
            let granted = grants::of_plugin(seal.plugin.as_deref(), &seal.name, None, providers).await?;
            return Ok(Prepared { granted, settings: seal.settings.clone() });
        };
        let KeyBinding { aws, region } = aws::kms(seal, awskms, providers).await?;
        let mut granted = Granted::default();
        granted.aws(aws);
        Ok(Prepared { granted, settings: awskms.settings(&region) })
    })
}

fn health(config: &Config) -> HealthTimes {
    let (set, default) = (&config.seals.health, HealthTimes::default());
    HealthTimes {
        enabled: set.enabled.unwrap_or(default.enabled),
        interval: set.interval.unwrap_or(default.interval),
        unhealthy: set.unhealthy.unwrap_or(default.unhealthy),
        timeout: set.timeout.unwrap_or(default.timeout),
    }
}

impl LateSeal {
    fn new(settings: &Seal, policy: &Policy, runtime: &Arc<Runtime>, providers: &Arc<Providers>) -> Result<Self, Failure> {
        let at = |error: &dyn std::fmt::Display| settings.origin.error(&aws::said(settings), error);
        for (key, value, origin) in settings.awskms.iter().flat_map(|awskms| &awskms.access.values) {
            tracing::info!(seal = %settings.name, key, %value, %origin, "seal setting");
        }
        let found =
            component::find(Role::Seal, &settings.kind, settings.plugin.as_deref(), policy).map_err(|error| Failure::usage(at(&error)))?;
        let component = runtime.component(found.source).map_err(|error| Failure::failed(at(&error)))?;
        let inspection = component.inspect();
        if inspection.world != World::Seal {
            let message = format!("{}: a seal backend is needed, this is {}", found.origin, inspection.world);
            return Err(Failure::usage(at(&message)));
        }
        // Without its grants it could never be opened: that is known before any service is asked.
        if let Some(grant) = inspection.grants_needed().into_iter().find(|grant| !settings.grants(grant)) {
            return Err(Failure::usage(at(&component::lacks(Role::Seal, &settings.kind, &found.origin, inspection, grant))));
        }
        Ok(Self {
            settings: settings.clone(),
            component,
            origin: found.origin,
            runtime: runtime.clone(),
            providers: providers.clone(),
            granted: OnceCell::new(),
            backend: OnceCell::new(),
            fresh: Mutex::new(None),
        })
    }

    /// The same seal by another component, opened, with its grants.
    pub(super) async fn beside(&self, found: Found, settings: Seal) -> Result<Self, OpenFailure> {
        let origin = found.origin.clone();
        let component = generation::seal(&self.runtime, found, |grant| settings.grants(grant)).await?;
        Box::pin(self.like(settings, component, origin)).await
    }

    async fn like(&self, settings: Seal, component: Component, origin: String) -> Result<Self, OpenFailure> {
        let (runtime, providers, granted) = (self.runtime.clone(), self.providers.clone(), self.granted.clone());
        let new = Self { settings, component, origin, runtime, providers, granted, backend: OnceCell::new(), fresh: Mutex::new(None) };
        // Boxed, as the type of what all this waits for is too deep for the compiler.
        let opened = Box::pin(new.attempt()).await;
        match opened {
            Ok(()) => Ok(new),
            Err(error) => Err(OpenFailure::of(&format!("open of {} (sha256 {})", new.origin, new.sha256()), &error)),
        }
    }

    /// The open component, if it is open.
    pub(super) fn opened(&self) -> Option<&SealBackend> {
        self.backend.get().map(|backend| &**backend)
    }

    /// Its stanza in words, with where that stands.
    fn said(&self) -> String {
        format!("{}: seal {:?}", self.settings.origin, self.settings.name)
    }

    /// What the component calls itself, once it has been opened.
    pub(crate) fn name(&self) -> Option<String> {
        self.backend.get().map(|backend| format!("{} {}", backend.name(), backend.version()))
    }

    /// What it is granted, in words, once that is known.
    pub(crate) fn granted(&self) -> Option<String> {
        self.granted.get().map(|prepared| prepared.granted.said())
    }

    async fn attempt(&self) -> Result<()> {
        let opening = tokio::time::timeout(PATIENCE, self.backend());
        opening.await.unwrap_or(Err(Error::TimedOut(PATIENCE))).map(|_| ())
    }

    /// The open component. Of callers that come while it is being opened all wait for one attempt.
    async fn backend(&self) -> Result<&SealBackend> {
        let opened = self.backend.get_or_try_init(|| async {
            let prepared = self.granted.get_or_try_init(|| prepare(&self.settings, &self.providers)).await?;
            let mut request = SealConfig::new(self.settings.name.clone());
            request.settings = prepared.settings.clone();
            request.limits = self.settings.limits.clone();
            request.pool = self.settings.pool.clone();
            request.grants = prepared.granted.grants.clone();
            let backend = self.runtime.seal(&self.component, request).await.map_err(|error| match error {
                OpenError::Guest { error, .. } => error,
                // The component, the grant or an option does not fit: waiting does not help.
                error => Error::Configuration(error.to_string()),
            })?;
            let inspection = self.component.inspect();
            tracing::info!(
                seal = %self.settings.name,
                component = %format!("{} {}", backend.name(), backend.version()),
                origin = %self.origin,
                sha256 = %inspection.sha256,
                contract = %inspection.contract,
                granted = %prepared.granted.said(),
                "seal opened"
            );
            *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            Ok::<_, Error>(backend)
        });
        Ok(opened.await?.as_ref())
    }
}

#[async_trait]
impl Generation for LateSeal {
    fn sha256(&self) -> &str {
        &self.component.inspect().sha256
    }

    async fn again(self: Arc<Self>) -> Result<Self, OpenFailure> {
        Box::pin(self.like(self.settings.clone(), self.component.clone(), self.origin.clone())).await
    }
}

impl SealGeneration for LateSeal {
    fn seal(&self) -> &dyn cofferdam_backend::Seal {
        self
    }
}

#[async_trait]
impl cofferdam_backend::Seal for LateSeal {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.backend().await?.wrap(dek).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.backend().await?.unwrap(wrapped, dek).await
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.backend().await?.unwrap_direct(wrapped).await
    }

    async fn key_id(&self) -> Result<String> {
        let backend = self.backend().await?;
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take();
        if fresh.is_some_and(|opened| opened.elapsed() < FRESH) {
            return Ok(backend.opened_key_id().to_owned());
        }
        backend.key_id().await
    }

    async fn health(&self) -> Result<()> {
        self.backend().await?.health().await
    }
}
