//! `coffer server`: from the command line to a running server, and down again.
//!
//! The order is the rule: configuration, log, storage (directory locked, component checked), then sockets; whatever fails stops the
//! start with an error that says what to change. Nothing is served from a store that somebody is migrating.

mod aws;
mod banner;
mod dev;
mod logging;
mod pid;
mod storage;

use crate::args::ServerArguments;
use crate::config::{self, Config, Environment};
use crate::exit::{Exit, Failure, Outcome};
use cofferdam_server::{Metrics, Reload, Server, ServerOptions};
use cofferdam_vault::core::{Core, Options};
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a server until a signal ends it.
pub(crate) fn run(arguments: ServerArguments, environment: &Environment) -> Outcome {
    let dev = if arguments.dev.dev { Some(dev::Dev::new(&arguments.dev, environment)?) } else { None };
    let mut config = match &dev {
        Some(dev) => dev.config(environment)?,
        None => {
            dev::refuse_flags(&arguments.dev)?;
            let paths = configuration_paths(&arguments, environment)?;
            config::load(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?
        }
    };
    config.log.level = arguments.log_level.or(config.log.level);
    config.log.format = arguments.log_format.or(config.log.format);
    config.log.file = arguments.log_file.or(config.log.file);
    logging::start(&config.log)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?.block_on(serve(config, dev))
}

fn configuration_paths(arguments: &ServerArguments, environment: &Environment) -> Result<Vec<PathBuf>, Failure> {
    match (arguments.config.as_slice(), environment.value("CONFIG_PATH")) {
        ([], Some(path)) => Ok(vec![PathBuf::from(path)]),
        ([], None) => Err(Failure::usage("no configuration: give --config FILE, or --dev for a server to try out")),
        (paths, _) => Ok(paths.to_vec()),
    }
}

async fn serve(config: Config, dev: Option<dev::Dev>) -> Outcome {
    let mut signals = Signals::listen()?;
    let metrics = Metrics::install().map_err(|error| Failure::failed(format!("cannot record metrics: {error}")))?;
    let opening = async {
        let storage = storage::open(&config).await?;
        storage::refuse_migration(storage.storage.as_ref()).await?;
        Ok::<_, Failure>(storage)
    };
    // A store that does not answer must not keep the server from being stopped.
    let storage = tokio::select! {
        opened = opening => opened?,
        () = stop(&mut signals.interrupt, &mut signals.terminate) => return Ok(Exit::Success),
    };
    let core = Core::new(storage.storage.clone(), options(&config, &storage));
    let listeners = config.listeners.iter().map(|listener| listener.0.clone()).collect();
    let server = Server::bind(core.clone(), listeners, metrics, ServerOptions::default()).await.map_err(Failure::failed)?;
    let addresses = server.addresses();
    let _pid_file = config.pid_file.as_deref().map(pid::PidFile::write).transpose()?;
    let made = match &dev {
        Some(dev) => Some(dev.initialize(&core).await?),
        None => None,
    };
    banner::print(&config, &storage, &addresses)?;
    if let (Some(dev), Some(made), Some(address)) = (&dev, &made, addresses.first()) {
        dev.announce(made, *address)?;
    }
    let reload = server.reload_handle();
    server.run(signals.until_stopped(reload)).await;
    // Where several servers share the store, this gives up the lock: the next leader need not wait for its end.
    core.shutdown().await;
    Ok(Exit::Success)
}

fn options(config: &Config, storage: &storage::Opened) -> Options {
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
    }
}

/// Taken over before anything is opened, so that a signal during the start is not lost.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot receive signals: {error}")));
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for one that ends the server, and rereads the certificates at every SIGHUP meanwhile.
    async fn until_stopped(mut self, handle: Reload) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => reload(&handle),
                () = stop(&mut self.interrupt, &mut self.terminate) => return,
            }
        }
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
