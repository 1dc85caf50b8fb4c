//! The server as a whole: all listeners over one vault, until it is told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_vault::core::Core;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::listener::{BindError, Listener, ListenerConfig};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::tls::{Tls, TlsError};
use crate::trace::Adopt;

/// What holds for all listeners.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// How long connections may go on with their requests after the server was told to stop.
    pub grace: Duration,
    /// How long a client has for the head of its next request; a connection idle for longer is closed.
    pub idle: Duration,
    /// The most connections at once, over all listeners. Each is a file of this process. Further clients wait to be accepted.
    pub connections: usize,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { grace: Duration::from_secs(10), idle: Duration::from_secs(60), connections: 4096 }
    }
}

/// Bound listeners.
pub struct Server {
    listeners: Vec<Listener>,
    api: Arc<Api>,
    metrics: Metrics,
    options: ServerOptions,
}

/// Rereads certificates. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reload(Vec<Arc<Tls>>);

impl Server {
    /// Binds all listeners, or none.
    pub async fn bind(
        core: Arc<Core>,
        listeners: Vec<ListenerConfig>,
        metrics: Metrics,
        options: ServerOptions,
    ) -> Result<Server, BindError> {
        let mut bound = Vec::with_capacity(listeners.len());
        for config in listeners {
            bound.push(Listener::bind(config).await?);
        }
        Ok(Server { listeners: bound, api: Arc::new(Api::new(core, metrics.clone())), metrics, options })
    }

    /// Where the listeners are bound, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Answers `sys/plugins` through these, from now on; only the first count.
    pub fn serve_plugins(&self, plugins: Arc<dyn Plugins>) {
        drop(self.api.plugins.set(plugins));
    }

    /// Has every request's span made a part of the trace that its headers name, from now on; only the first counts.
    pub fn adopt_traces(&self, adopt: Adopt) {
        self.api.adopt.get_or_init(|| adopt);
    }

    /// A handle for rereading the certificates of all listeners while they run.
    pub fn reload_handle(&self) -> Reload {
        Reload(self.listeners.iter().filter_map(Listener::tls).collect())
    }

    /// Serves until `stop` is ready, then finishes what was begun.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.options.connections));
        for listener in self.listeners {
            running.spawn(listener.run(self.api.clone(), places.clone(), self.options.clone(), stopped.clone()));
        }
        let upkeep = tokio::spawn(self.metrics.upkeep());
        stop.await;
        stopping.send_replace(true);
        while running.join_next().await.is_some() {}
        upkeep.abort();
    }
}

impl Reload {
    /// Rereads every listener's certificates. One that cannot be read keeps what it had; all errors are returned.
    pub fn certificates(&self) -> Vec<TlsError> {
        self.0.iter().filter_map(|tls| tls.reload().err()).collect()
    }
}
