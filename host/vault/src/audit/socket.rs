//! A device's connection, and the task that alone writes to it.
//!
//! The rule: an entry is taken once the whole line was handed to the network within the device's time. What a failed write left of a line goes with its
//! connection; the line is then sent once more, whole, over a new one. A connection that the other side has closed is not written to.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::sync::mpsc;

use super::settings::{Net, Target};
use super::sink::{Job, Report};

/// Starts the task of a socket device. It ends with the sender.
pub(super) fn start(device: &str, target: &Target) -> Option<mpsc::UnboundedSender<Job>> {
    let Target::Socket { net, address, timeout } = target else { return None };
    let (sender, jobs) = mpsc::unbounded_channel();
    let connection = Connection { net: *net, address: address.clone(), timeout: *timeout, open: None };
    tokio::spawn(run(jobs, connection, Report::new(device)));
    Some(sender)
}

async fn run(mut jobs: mpsc::UnboundedReceiver<Job>, mut connection: Connection, mut report: Report) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Line(line, done) => {
                let written = connection.line(&line).await;
                report.note(written.as_ref().err());
                // Nobody waits if the client went away.
                _ = done.send(written.is_ok());
            }
            // With the next line.
            Job::Reopen => connection.open = None,
        }
    }
}

struct Connection {
    net: Net,
    address: String,
    timeout: Duration,
    open: Option<Stream>,
}

/// With the same connection as the standard library has it, which tells of its end at once, not only when the runtime has heard of it.
enum Stream {
    Tcp(TcpStream, std::net::TcpStream),
    Udp(UdpSocket),
    Unix(UnixStream, std::os::unix::net::UnixStream),
}

impl Connection {
    async fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let fresh = self.ready().await?;
        match self.write(line).await {
            Ok(()) => Ok(()),
            Err(error) if fresh => Err(error),
            Err(_) => {
                self.ready().await?;
                self.write(line).await
            }
        }
    }

    /// Connects, unless that is done; whether it was done just now.
    async fn ready(&mut self) -> io::Result<bool> {
        if self.open.as_ref().is_some_and(|open| !open.ended()) {
            return Ok(false);
        }
        self.open = None;
        self.open = Some(within(self.timeout, Stream::connect(self.net, &self.address)).await?);
        Ok(true)
    }

    /// After an error nothing more is written to this connection.
    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.take().ok_or_else(|| io::Error::other("it is not connected"))?;
        within(self.timeout, open.write(line)).await?;
        self.open = Some(open);
        Ok(())
    }
}

impl Stream {
    async fn connect(net: Net, address: &str) -> io::Result<Stream> {
        Ok(match net {
            Net::Tcp => {
                let stream = TcpStream::connect(address).await?;
                let same = stream.as_fd().try_clone_to_owned()?.into();
                Stream::Tcp(stream, same)
            }
            Net::Unix => {
                let stream = UnixStream::connect(address).await?;
                let same = stream.as_fd().try_clone_to_owned()?.into();
                Stream::Unix(stream, same)
            }
            Net::Udp => {
                let to = tokio::net::lookup_host(address).await?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
                let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(from).await?;
                socket.connect(to).await?;
                Stream::Udp(socket)
            }
        })
    }

    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream, _) => stream.write_all(line).await,
            Stream::Unix(stream, _) => stream.write_all(line).await,
            Stream::Udp(socket) => match socket.send(line).await? {
                sent if sent == line.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            },
        }
    }

    /// Whether the other side has closed it. What it sends is thrown away.
    fn ended(&self) -> bool {
        let mut nothing = [0; 512];
        loop {
            let read = match self {
                Stream::Tcp(_, same) => (&*same).read(&mut nothing),
                Stream::Unix(_, same) => (&*same).read(&mut nothing),
                Stream::Udp(_) => return false,
            };
            match read {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::{TcpListener, UnixListener};
    use tokio::sync::oneshot;
    use zeroize::Zeroizing;

    use super::*;

    fn device(net: Net, address: String, timeout: Duration) -> mpsc::UnboundedSender<Job> {
        start("test/", &Target::Socket { net, address, timeout }).unwrap()
    }

    async fn send(device: &mpsc::UnboundedSender<Job>, line: &[u8]) -> bool {
        let (done, written) = oneshot::channel();
        device.send(Job::Line(Zeroizing::new(line.to_vec()), done)).ok().unwrap();
        written.await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn lines_arrive_and_a_connection_that_was_closed_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = device(Net::Tcp, listener.local_addr().unwrap().to_string(), LONG);
        for round in [b"one\n", b"two\n"] {
            let (taken, accepted) = tokio::join!(send(&device, round), listener.accept());
            assert!(taken);
            let mut text = String::new();
            let mut reader = BufReader::new(accepted.unwrap().0);
            reader.read_line(&mut text).await.unwrap();
            assert_eq!(text.as_bytes(), round);
            // Closed without anything unread: the other side sees its end.
            drop(reader);
        }
    }

    #[tokio::test]
    async fn what_nobody_takes_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(!send(&device(Net::Tcp, address, LONG), b"x\n").await);
        // One that accepts and never reads: its buffers are full some time.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = device(Net::Tcp, listener.local_addr().unwrap().to_string(), Duration::from_millis(200));
        let line = vec![b'x'; 16 << 20];
        assert!(!send(&device, &line).await);
    }

    #[tokio::test]
    async fn unix_sockets_and_datagrams_work_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let unix = device(Net::Unix, path.to_str().unwrap().to_owned(), LONG);
        let (taken, accepted) = tokio::join!(send(&unix, b"line\n"), listener.accept());
        let mut text = String::new();
        BufReader::new(accepted.unwrap().0).read_line(&mut text).await.unwrap();
        assert!(taken && text == "line\n");
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let udp = device(Net::Udp, socket.local_addr().unwrap().to_string(), LONG);
        assert!(send(&udp, b"datagram\n").await);
        let mut found = [0; 64];
        let len = socket.recv(&mut found).await.unwrap();
        assert_eq!(&found[..len], b"datagram\n");
        assert!(!send(&udp, &vec![b'x'; 70_000]).await, "a line that is no datagram");
    }
}
