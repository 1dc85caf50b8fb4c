use super::wire::Wire;
use super::{Api, ApiError, Line, Plan};
use crate::load::Stop;
use crate::testing::{Server, remote};
use proptest::prelude::*;
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use zeroize::Zeroizing;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What a client makes of these bytes, that come in pieces of this size: status, body, and whether the connection stays open.
async fn received(bytes: &[u8], piece: usize) -> Result<(u16, String, u64, bool), ErrorKind> {
    let (ours, mut theirs) = duplex(64);
    let mut wire = Wire::new(ours);
    let mut body = Zeroizing::new(Vec::new());
    let answer = async {
        theirs.read_exact(&mut [0; 3]).await.unwrap();
        for part in bytes.chunks(piece) {
            // A client that has enough goes away.
            if theirs.write_all(part).await.is_err() {
                break;
            }
        }
        drop(theirs);
    };
    let (received, ()) = tokio::join!(
        async {
            let received = wire.exchange(b"ask", Some(&mut body)).await;
            drop(wire);
            received
        },
        answer
    );
    let received = received.map_err(|error| error.kind())?;
    Ok((received.status, String::from_utf8(body.to_vec()).unwrap(), received.bytes, received.open))
}

#[test]
fn answers_of_every_form_are_read_whatever_the_pieces() {
    let cases: &[(&str, (u16, &str, bool))] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", (200, "hello", true)),
        ("HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5\r\nConnection: Close\r\n\r\nhello", (200, "hello", false)),
        ("HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n", (204, "", true)),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", (404, "", true)),
        ("HTTP/1.0 200 OK\r\n\r\nto the end", (200, "to the end", false)),
        (
            "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\n\r\n",
            (503, "abc0123456789abcdef", true),
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x\r\n\r\n", (200, "a", true)),
    ];
    for (bytes, (status, body, open)) in cases {
        for piece in [1, 2, 7, 1000] {
            let expected = (*status, (*body).to_owned(), u64::try_from(body.len()).unwrap(), *open);
            assert_eq!(block_on(received(bytes.as_bytes(), piece)), Ok(expected), "{bytes:?} in pieces of {piece}");
        }
    }
}

#[test]
fn what_is_no_whole_answer_is_an_error() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    for (bytes, kind) in [
        ("", ErrorKind::UnexpectedEof),
        ("HTTP/1.1 200 OK\r\nContent-Le", ErrorKind::UnexpectedEof),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", ErrorKind::UnexpectedEof),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ErrorKind::UnexpectedEof),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n", ErrorKind::InvalidData),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ErrorKind::InvalidData),
        ("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", ErrorKind::InvalidData),
        ("SSH-2.0-x\r\n\r\n", ErrorKind::InvalidData),
        (&long, ErrorKind::InvalidData),
    ] {
        assert_eq!(block_on(received(bytes.as_bytes(), 1000)), Err(kind), "{:?}", bytes.get(..60).unwrap_or(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_of_any_size_are_put_together(parts in prop::collection::vec("[a-z]{1,300}", 0..12), piece in 1_usize..400) {
        let mut bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for part in &parts {
            bytes.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
        }
        bytes.push_str("0\r\n\r\n");
        let whole = parts.concat();
        let length = u64::try_from(whole.len()).unwrap();
        prop_assert_eq!(block_on(received(bytes.as_bytes(), piece)), Ok((200, whole, length, true)));
    }

    #[test]
    fn no_answer_makes_the_client_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend_from_slice(&bytes);
        // Only that it ends.
        let _whatever = (block_on(received_bytes(&bytes)), block_on(received_bytes(&answer)));
    }
}

async fn received_bytes(bytes: &[u8]) -> bool {
    let (ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(bytes).await.unwrap();
    theirs.shutdown().await.unwrap();
    Wire::new(ours).exchange(b"ask", None).await.is_ok()
}

#[test]
fn a_connection_that_the_server_ended_is_not_used_again() {
    block_on(async {
        let (ours, theirs) = duplex(64);
        let mut wire = Wire::new(ours);
        assert!(!wire.is_stale());
        drop(theirs);
        assert!(wire.is_stale());
    });
    // The first connection ends after one answer, without a word.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _length = std::io::Read::read(&mut stream, &mut request).unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
    });
    block_on(async {
        let remote = remote(address);
        let mut line = Line::new(&remote);
        let mut bytes = Vec::new();
        Plan::new("GET", "sys/health", Zeroizing::default()).prepare(&remote).write(1, &mut bytes);
        assert_eq!(line.exchange(&bytes, None).await.unwrap().bytes, 2);
        // The end is on its way; whether it is here already decides which of two good ways is taken: both lead to an answer in the end.
        while line.exchange(&bytes, None).await.is_err() {}
    });
    connections.join().unwrap();
}

#[test]
fn requests_are_what_they_were_built_as() {
    let server = Server::start(|_| (200, json!({"data": {"answer": "42"}}).to_string()));
    block_on(async {
        let remote = server.remote();
        let mut api = Api::new(&remote);
        assert_eq!(api.text("GET", "secret/x", None, "answer").await.unwrap().as_str(), "42");
        api.call("PUT", "secret/y", Some(&json!({"a": 1}))).await.unwrap();
        let missing = api.text("GET", "secret/x", None, "question").await.unwrap_err();
        assert!(missing.to_string().ends_with("/v1/secret/x: the answer has no question"), "{missing}");
        let mut line = Line::new(&remote);
        let request = Plan::new("POST", "m/secret-", Zeroizing::new("{}".to_owned())).numbered(7).prepare(&remote);
        assert_eq!((request.variants(), request.sent()), (7, 2));
        let mut bytes = Vec::new();
        request.write(5, &mut bytes);
        line.exchange(&bytes, None).await.unwrap();
    });
    let asked = server.asked();
    assert_eq!(server.lines(), ["GET /v1/secret/x", "PUT /v1/secret/y", "GET /v1/secret/x", "POST /v1/m/secret-5"]);
    assert_eq!((asked[1].body.as_str(), asked[3].body.as_str()), ("{\"a\":1}", "{}"));
    for request in &asked {
        assert_eq!(request.headers["x-vault-token"], "the-token");
        assert_eq!(request.headers["host"], server.address.to_string());
    }
}

#[test]
fn refusals_say_what_the_server_said_and_a_new_mount_is_waited_for() {
    let upgrading = AtomicU32::new(3);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v1/slow" if upgrading.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() => {
            (400, json!({"errors": ["Upgrading from non-versioned to versioned data. x"]}).to_string())
        }
        "/v1/slow" => (204, String::new()),
        "/v1/standby" => (307, String::new()),
        _ => (403, json!({"errors": ["permission denied", "\u{1b}[31m"]}).to_string()),
    });
    block_on(async {
        let mut api = Api::new(&server.remote());
        let refused = api.call("GET", "no", None).await.unwrap_err().to_string();
        assert_eq!(refused, format!("GET http://{}/v1/no: 403; permission denied; \u{fffd}[31m", server.address));
        let standby = api.call("PUT", "standby", None).await.unwrap_err().to_string();
        assert!(standby.contains("307; a redirect: this server is a standby"), "{standby}");
        api.call_when_ready("PUT", "slow", &json!({})).await.unwrap();
        assert_eq!(server.lines().len(), 6);
        let stop = Stop::default();
        let mut api = api.until(&stop);
        stop.wish();
        assert!(matches!(api.call("GET", "no", None).await, Err(ApiError::Stopped)));
    });
    let nobody = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        Api::new(&remote(address)).call("GET", "x", None).await.unwrap_err().to_string()
    });
    assert!(nobody.contains("cannot connect: "), "{nobody}");
}
