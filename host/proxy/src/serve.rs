//! Where requests are taken: an address or a unix socket.
//!
//! The rule: it ends by an event, after the requests under way. Connections have no time limit of their own: a process that was frozen must not close, when it
//! goes on, what its client has just begun to use again.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::forward::Forwarder;
use crate::settings::Listen;

/// After this pause another connection is tried when one could not be taken.
const PAUSE: Duration = Duration::from_millis(10);

/// A place where requests arrive.
pub(crate) enum Listener {
    /// An address.
    Tcp(TcpListener),
    /// A socket, with its file.
    Unix(UnixListener, Made),
}

/// The file of a socket, removed at the end.
pub(crate) struct Made {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Drop for Made {
    fn drop(&mut self) {
        // Somebody else may have removed it, and a successor may have made its own there.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Opens it. The error names it.
    pub(crate) async fn bind(listen: &Listen) -> Result<Listener, String> {
        match listen {
            Listen::Tcp(address) => {
                TcpListener::bind(address).await.map(Listener::Tcp).map_err(|error| format!("cannot listen on {address}: {error}"))
            }
            Listen::Unix(path) => {
                let (listener, made) = bind_socket(path).await.map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
                Ok(Listener::Unix(listener, made))
            }
        }
    }

    /// As clients name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or_else(|error| error.to_string(), |address| format!("http://{address}")),
            Listener::Unix(_, made) => format!("unix://{}", made.path.display()),
        }
    }
}

/// A socket that only its owner may use, from its first moment: it gets its name after its mode. One that nobody listens on is replaced.
async fn bind_socket(path: &Path) -> Result<(UnixListener, Made), String> {
    match UnixStream::connect(path).await {
        Ok(_) => return Err("another process listens there".to_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
        // Such as no permission, or too many that wait to be taken.
        Err(error) => return Err(format!("another process may listen there: {error}: end it, or name another path")),
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())) {
        return Err("there is something that is no socket: remove it, or name another path".to_owned());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let begin = tempfile::Builder::new().prefix(".coffer-proxy-").tempdir_in(folder).map_err(|error| error.to_string())?;
    let first = begin.path().join("s");
    let listener = UnixListener::bind(&first).map_err(|error| error.to_string())?;
    std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
    let file = std::fs::symlink_metadata(&first).map_err(|error| error.to_string())?;
    let made = Made { path: path.to_owned(), file: (file.dev(), file.ino()) };
    std::fs::rename(&first, path).map_err(|error| error.to_string())?;
    Ok((listener, made))
}

/// A listener whose requests are answered.
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<GracefulShutdown>,
}

impl Serving {
    /// Takes connections from now on.
    pub(crate) fn start(listener: Listener, forwarder: Arc<Forwarder>) -> Serving {
        let (stop, stopped) = oneshot::channel();
        Serving { stop, accepting: tokio::spawn(accept(listener, forwarder, stopped)) }
    }

    /// Takes no more connections, and waits for the requests under way, so long at most. Whether all of them were answered.
    pub(crate) async fn stop(self, limit: Duration) -> bool {
        // An error is an end that has come already.
        let _ = self.stop.send(());
        let Ok(open) = self.accepting.await else { return false };
        tokio::time::timeout(limit, open.shutdown()).await.is_ok()
    }
}

async fn accept(listener: Listener, forwarder: Arc<Forwarder>, mut stopped: oneshot::Receiver<()>) -> GracefulShutdown {
    let open = GracefulShutdown::new();
    loop {
        let taken = tokio::select! {
            biased;
            _ = &mut stopped => return open,
            taken = take(&listener, &forwarder, &open) => taken,
        };
        if let Err(error) = taken {
            // Out of file descriptors, most likely: those in use come back.
            tracing::warn!("cannot take a connection: {error}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn take(listener: &Listener, forwarder: &Arc<Forwarder>, open: &GracefulShutdown) -> std::io::Result<()> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are written whole.
            let _ = stream.set_nodelay(true);
            tokio::spawn(connection(stream, Arc::clone(forwarder), open.watcher()));
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, Arc::clone(forwarder), open.watcher()));
        }
    }
    Ok(())
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, forwarder: Arc<Forwarder>, open: Watcher) {
    let service = service_fn(|request| {
        let forwarder = Arc::clone(&forwarder);
        async move { Ok::<_, std::convert::Infallible>(forwarder.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = open.watch(connection).await {
        tracing::debug!("a connection ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_owners_and_replaces_only_one_that_nobody_listens_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let first = bind_socket(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind_socket(&path).await.err().unwrap().contains("another process"));
        // Whoever listens without its file leaves a successor's alone.
        std::fs::remove_file(&path).unwrap();
        let successor = bind_socket(&path).await.unwrap();
        drop(first);
        assert!(bind_socket(&path).await.err().unwrap().contains("another process listens"));
        // Of a process that was killed, the file is left.
        let (listener, made) = successor;
        std::mem::forget(made);
        drop(listener);
        assert!(path.exists());
        let second = Listener::bind(&Listen::Unix(path.clone())).await.unwrap();
        assert_eq!((second.name(), std::fs::read_dir(dir.path()).unwrap().count()), (format!("unix://{}", path.display()), 1));
        drop(second);
        assert!(!path.exists());
        // In use, but not for what is tried.
        let other = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let error = bind_socket(&path).await.err().unwrap();
        assert!(error.starts_with("another process may listen there: ") && path.exists(), "{error}");
        drop(other);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "kept").unwrap();
        let error = Listener::bind(&Listen::Unix(path.clone())).await.err().unwrap();
        assert!(error.contains("no socket") && error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listener::bind(&Listen::Tcp(address)).await.err().unwrap();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
