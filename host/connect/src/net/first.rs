//! A connection to one of several addresses. The rule: exactly the addresses given are dialled; of several, the next is tried when one fails or is slow.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection to the first of these addresses that answers.
pub async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = alternating(addresses).into_iter();
    let mut trying = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match left.next() {
            Some(address) => drop(trying.spawn(TcpStream::connect(address))),
            None if trying.is_empty() => return Err(last),
            None => {}
        }
        let joined =
            if left.len() == 0 { trying.join_next().await } else { tokio::time::timeout(STAGGER, trying.join_next()).await.ok().flatten() };
        match joined {
            Some(Ok(Ok(socket))) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Some(Ok(Err(error))) => last = error,
            Some(Err(_)) | None => {}
        }
    }
}

/// Addresses of both families in turn, so that a family without a route costs one wait and not many.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (ours.next(), others.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0);
        all.extend(pair.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_no_address_is_lost() {
        let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = of(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        assert_eq!(alternating(given), of(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]));
        assert_eq!(alternating(of(&["1.1.1.1:1"])), of(&["1.1.1.1:1"]));
        assert_eq!(alternating(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn the_next_address_is_tried_and_the_last_error_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
            listener.local_addr().unwrap()
        };
        assert_eq!(first(vec![closed, open]).await.unwrap().peer_addr().unwrap(), open);
        assert_eq!(first(vec![closed]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
