//! `coffer server`: from the command line to a running server, and down again.
//!
//! The order is the rule: configuration, log, storage (directory locked, component checked), seals, then sockets; whatever fails stops the
//! start with an error that says what to change, but for a key service that does not answer yet. Nothing is served from a store that somebody is migrating.

mod apart;
mod aws;
mod banner;
mod dev;
mod generation;
mod grants;
pub(crate) mod logging;
mod pid;
mod plugins;
mod reseal;
mod seal;
mod storage;
mod sts;
mod traces;
pub(crate) mod trial;

use crate::args::ServerArguments;
use crate::config::{self, Config, Environment};
use crate::exit::{Exit, Failure, Outcome};
use cofferdam_aws::{Providers, Sources};
use cofferdam_server::{Metrics, Reload, Server, ServerOptions};
use cofferdam_vault::core::{Core, Options};
use cofferdam_vault::seal::{SealOptions, StateOptions};
use plugins::Plugins;
pub(crate) use reseal::run as migrate_seal;
use std::path::PathBuf;
use std::sync::Arc;
pub(crate) use storage::{COMPILE, Durable, open as open_storage, runtime as component_runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Room for the calls of a thread. A request is polled through all of its layers at once, which in a build without optimisation takes more than the usual 2 MiB.
const STACK: usize = 8 << 20;

/// Runs a server until a signal ends it.
pub(crate) fn run(arguments: ServerArguments, environment: &Environment) -> Outcome {
    let dev = if arguments.dev.dev { Some(dev::Dev::new(&arguments.dev, environment)?) } else { None };
    let (mut config, reread): (Config, plugins::Reread) = match &dev {
        Some(dev) => {
            let config = dev.config(environment)?;
            (config.clone(), Arc::new(move || Ok(config.clone())))
        }
        None => {
            dev::refuse_flags(&arguments.dev)?;
            let paths = configuration_paths(&arguments.config, environment)?;
            let config =
                config::load(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
            let environment = environment.clone();
            (
                config,
                Arc::new(move || {
                    let config = config::load(&paths, &environment).map_err(|error| error.to_string())?;
                    storage::apart(&config).map(|()| config)
                }),
            )
        }
    };
    config.log.level = arguments.log_level.or(config.log.level);
    config.log.format = arguments.log_format.or(config.log.format);
    config.log.file = arguments.log_file.or(config.log.file);
    let (spans, traces) = config.traces.as_ref().map(traces::Traces::new).transpose()?.unzip();
    logging::start(&config.log, spans)?;
    let state = seal::state(&config, arguments.accept_rollback)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?.block_on(serve(config, reread, state, dev, traces))
}

/// The seals of a configuration, for a command that runs no server.
pub(crate) async fn open_seals(config: &Config) -> Result<SealOptions, Failure> {
    logging::start(&config.log, None)?;
    let runtime = storage::runtime()?;
    let providers = Arc::new(Providers::new(Sources::system()));
    Ok(seal::open(config, None, &runtime, &providers).await?.options)
}

pub(crate) fn configuration_paths(given: &[PathBuf], environment: &Environment) -> Result<Vec<PathBuf>, Failure> {
    match (given, environment.value("CONFIG_PATH")) {
        ([], Some(path)) => Ok(vec![PathBuf::from(path)]),
        ([], None) => Err(Failure::usage("no configuration: give --config FILE; a server to try out is started with --dev")),
        (paths, _) => Ok(paths.to_vec()),
    }
}

async fn serve(
    config: Config,
    reread: plugins::Reread,
    state: Option<StateOptions>,
    dev: Option<dev::Dev>,
    traces: Option<traces::Traces>,
) -> Outcome {
    let mut signals = Signals::listen()?;
    let metrics = Metrics::install().map_err(|error| Failure::failed(format!("cannot record metrics: {error}")))?;
    let runtime = storage::runtime()?;
    let providers = Arc::new(Providers::new(Sources::system()));
    let opening = async {
        let storage = storage::open(&config, &runtime, &providers, Durable::AsConfigured).await?;
        storage::refuse_migration(storage.storage.as_ref()).await?;
        Ok::<_, Failure>((storage, seal::open(&config, state, &runtime, &providers).await?))
    };
    // A store that does not answer must not keep the server from being stopped.
    let (storage, seals) = tokio::select! {
        opened = opening => opened?,
        () = stop(&mut signals.interrupt, &mut signals.terminate) => return Ok(Exit::Success),
    };
    let core = Core::new(storage.entries(), options(&config, &storage, &seals));
    tokio::select! {
        checked = core.check_seal() => checked.map_err(unmatched)?,
        () = stop(&mut signals.interrupt, &mut signals.terminate) => return Ok(Exit::Success),
    }
    let listeners = config.listeners.iter().map(|listener| listener.0.clone()).collect();
    let server = Server::bind(core.clone(), listeners, metrics, ServerOptions::default()).await.map_err(Failure::failed)?;
    let sealed_by = seals.active.iter().chain(&seals.disabled).cloned().collect();
    let plugins = Plugins::new(config.storage.clone(), reread.clone(), storage.storage.clone(), sealed_by);
    server.serve_plugins(Arc::new(plugins.clone()));
    let traces = traces.map(|traces| {
        server.adopt_traces(traces::adopt);
        traces.start()
    });
    let addresses = server.addresses();
    let _pid_file = config.pid_file.as_deref().map(pid::PidFile::write).transpose()?;
    let made = match &dev {
        Some(dev) => Some(dev.initialize(&core).await?),
        None => None,
    };
    core.start();
    banner::print(&config, &storage, &seals, &addresses)?;
    if let (Some(dev), Some(made), Some(address)) = (&dev, &made, addresses.first()) {
        dev.announce(made, *address)?;
    }
    let reload = server.reload_handle();
    server.run(signals.until_stopped(reload, core.clone(), plugins)).await;
    // Where several servers share the store, this gives up the lock: the next leader need not wait for its end.
    core.shutdown().await;
    storage.close().await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(Exit::Success)
}

/// The store is under another seal than the configured one, and nobody said how the one becomes the other.
fn unmatched(error: cofferdam_vault::logical::Error) -> Failure {
    Failure::failed(format!(
        "{error}: configure the seal that the vault is under; or to migrate, keep its stanza with disabled = \"true\" in it beside the new configuration, start, and unseal with \
         -migrate"
    ))
}

fn options(config: &Config, storage: &storage::Opened, seals: &seal::Opened) -> Options {
    Options {
        default_lease_ttl: config.default_lease_ttl,
        max_lease_ttl: config.max_lease_ttl,
        api_addr: config.api_addr.clone().unwrap_or_default(),
        cluster_addr: config.cluster_addr.clone().unwrap_or_default(),
        cluster_name: config.cluster_name.clone(),
        storage_type: config.storage.kind.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_date: String::new(),
        cache: config.cache,
        ha: storage.ha.clone(),
        seal: seals.options.clone(),
        lockout: config.lockout,
        audit: config.audit.clone(),
        sts: Some(Arc::new(sts::Aws::new())),
    }
}

/// Taken over before anything is opened, so that a signal during the start is not lost.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// Takes over a signal.
pub(crate) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed(format!("cannot receive signals: {error}")))
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for one that ends the server; at every SIGHUP meanwhile rereads the certificates, opens the audit devices' files again, takes over
    /// the configuration's audit devices, and reloads the plugins.
    async fn until_stopped(mut self, handle: Reload, core: Arc<Core>, plugins: Plugins) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    reload(&handle);
                    core.reopen_audit();
                    let (core, plugins) = (core.clone(), plugins.clone());
                    // Its end is not waited for: another signal may come meanwhile.
                    tokio::spawn(async move {
                        let again = plugins.read_again().await;
                        reconcile_audit(&core, &again).await;
                        plugins.reload_all(again).await;
                    });
                }
                () = stop(&mut self.interrupt, &mut self.terminate) => return,
            }
        }
    }
}

/// Brings the audit devices in line with the configuration as it is now.
async fn reconcile_audit(core: &Core, again: &plugins::Again<'_>) {
    let done = match &again.config {
        Ok(config) => core.reconcile_audit(config.audit.devices.clone()).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.clone()),
    };
    match done {
        Ok(()) => tracing::info!("audit devices are as configured"),
        Err(error) => tracing::error!(error, "the audit devices are not as configured"),
    }
}

async fn stop(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("==> Cofferdam shutdown triggered");
    tracing::info!("shutdown: no new connections, requests under way are finished");
}

fn reload(handle: &Reload) {
    let errors = handle.certificates();
    for error in &errors {
        tracing::error!(%error, "a certificate was not reloaded; the old one stays");
    }
    if errors.is_empty() {
        tracing::info!("certificates reloaded");
    }
}
