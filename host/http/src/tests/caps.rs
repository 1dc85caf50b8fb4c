//! Sizes, rates, time, and connections that are used again.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::tests::server::ok;

fn limited(server: &Server, options: Options) -> Arc<HttpGrant> {
    HttpGrant::new("tested", vec![rule(server)], options).unwrap()
}

fn post(server: &Server, size: usize) -> Request<Bytes> {
    Request::post(server.url()).body(Bytes::from(vec![7; size])).unwrap()
}

#[tokio::test]
async fn bodies_are_held_to_their_size() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Answer(200, Vec::new(), Bytes::from(vec![1; 1000])),
        1 => Reply::Answer(200, Vec::new(), Bytes::from(vec![1; 1001])),
        2 => Reply::Pieces(10, Bytes::from(vec![1; 100])),
        // Without end, were it not cut.
        _ => Reply::Pieces(usize::MAX, Bytes::from(vec![1; 100])),
    })
    .await;
    let grant = limited(&server, Options { max_request: 500, max_response: 1000, ..options() });
    assert_eq!(send(&grant, post(&server, 501)).await.unwrap_err(), HttpError::TooLarge(500));
    assert!(server.requests().is_empty());
    assert_eq!(send(&grant, post(&server, 500)).await.unwrap().body().len(), 1000);
    assert_eq!(send(&grant, post(&server, 0)).await.unwrap_err(), HttpError::TooLarge(1000));
    assert_eq!(send(&grant, post(&server, 0)).await.unwrap().body().len(), 1000);
    assert_eq!(send(&grant, post(&server, 0)).await.unwrap_err(), HttpError::TooLarge(1000));
}

#[tokio::test]
async fn a_call_sends_so_often_and_so_much() {
    let server = Server::start(|_, _| ok()).await;
    let grant = limited(&server, Options { per_call: 3, bytes_per_call: 100, ..options() });
    let calls = call();
    for _ in 0..3 {
        grant.send(&calls, post(&server, 10)).await.unwrap();
    }
    assert!(refused(grant.send(&calls, post(&server, 10)).await).contains("3 requests"));
    assert_eq!((calls.sends.load(Ordering::SeqCst), calls.sent.load(Ordering::SeqCst), calls.received.load(Ordering::SeqCst)), (3, 30, 12));
    let bytes = call();
    grant.send(&bytes, post(&server, 50)).await.unwrap();
    assert!(refused(grant.send(&bytes, post(&server, 47)).await).contains("100 bytes"));
    grant.send(&bytes, post(&server, 46)).await.unwrap();
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn nothing_is_sent_during_attach() {
    let server = Server::start(|_, _| ok()).await;
    let attach = HttpCall::new(Purpose::Attach, LONG);
    assert!(refused(grant(rule(&server)).send(&attach, get(&server.url())).await).contains("attach"));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_rate_holds_all_but_locks_back() {
    let server = Server::start(|_, _| ok()).await;
    let grant = limited(&server, Options { per_second: 1, ..options() });
    let quick = |purpose| HttpCall::new(purpose, Duration::ZERO);
    send(&grant, get(&server.url())).await.unwrap();
    // Unless the machine stood still until the next turn had come.
    let mut told = Vec::new();
    while !told.last().is_some_and(|text: &String| text.contains("more than 1 requests a second")) {
        assert!(told.len() < 20, "{told:?}");
        told.push(format!("{:?}", grant.send(&quick(Purpose::Mutation), get(&server.url())).await));
    }
    for _ in 0..5 {
        grant.send(&HttpCall::new(Purpose::Lock, LONG), get(&server.url())).await.unwrap();
    }
    // Who has time waits.
    send(&grant, get(&server.url())).await.unwrap();
    assert!((7..7 + told.len()).contains(&server.requests().len()), "{told:?}");
}

#[tokio::test]
async fn answers_that_come_at_once_share_the_memory_of_the_instance() {
    // The first of them never ends.
    let server = Server::start(|number, _| match number {
        0 => Reply::Pieces(usize::MAX, Bytes::from(vec![1; 100])),
        _ => Reply::Answer(200, Vec::new(), Bytes::from(vec![1; 1000])),
    })
    .await;
    let (grant, room) = (limited(&server, options()), Room::new(1500));
    let within = || call().within(room.clone());
    assert_eq!(grant.send(&within(), post(&server, 0)).await.unwrap_err(), HttpError::TooLarge(1500));
    // What the one holds the other has not.
    let mut other = room.taken();
    assert!(other.grow(501));
    assert_eq!(grant.send(&within(), post(&server, 0)).await.unwrap_err(), HttpError::TooLarge(1500));
    drop(other);
    assert_eq!(grant.send(&within(), post(&server, 0)).await.unwrap().body().len(), 1000);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(|_, _| ok()).await;
    let grant = grant(rule(&server));
    for _ in 0..50 {
        send(&grant, post(&server, 100)).await.unwrap();
        // The connection is kept by a task of its own.
        tokio::task::yield_now().await;
    }
    assert!(server.connections() <= 3, "{} connections for 50 requests in a row", server.connections());
    assert!(server.requests().iter().all(|request| request.connection < server.connections()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_get_their_own_answers() {
    let server = Server::start(|_, request| Reply::Answer(200, Vec::new(), request.body.clone())).await;
    let grant = grant(rule(&server));
    let tasks: Vec<_> = (0..200_u32)
        .map(|number| {
            let (grant, url) = (Arc::clone(&grant), server.url());
            tokio::spawn(async move {
                let body = Bytes::from(number.to_string());
                let answer = send(&grant, Request::post(url).body(body.clone()).unwrap()).await.unwrap();
                assert_eq!(answer.body(), &body);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.requests().len(), 200);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(|_, _| Reply::Hold).await;
    let grant = grant(rule(&server));
    let short = HttpCall::new(Purpose::Read, Duration::from_millis(300));
    // Slow machines may not get as far as the connection.
    match grant.send(&short, get(&server.url())).await.unwrap_err() {
        HttpError::Interrupted(text) => assert_eq!(text, "no answer in time"),
        HttpError::Unreachable(text) => assert!(text.contains("in time"), "{text}"),
        other => panic!("{other:?}"),
    }
    let capped = limited(&server, Options { time: Duration::from_millis(300), ..options() });
    assert!(matches!(send(&capped, get(&server.url())).await, Err(HttpError::Interrupted(_) | HttpError::Unreachable(_))));
}

#[tokio::test]
async fn a_server_that_does_not_take_the_connection_is_unreachable() {
    // Nobody speaks TLS here.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let authority = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.cert.pem()).unwrap();
    let rule = Rule { ca_cert: Some(folder.path().join("ca.pem")), ..Rule::new(Scheme::Https, "127.0.0.1", port) };
    let grant = HttpGrant::new("tested", vec![rule], Options { connect: Duration::from_millis(200), ..options() }).unwrap();
    let error = send(&grant, get(&format!("https://127.0.0.1:{port}/"))).await.unwrap_err();
    assert_eq!(error, HttpError::Unreachable("no connection in time".to_owned()));
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_open_what_happened() {
    let server = Server::start(|_, _| Reply::Cut).await;
    let grant = grant(rule(&server));
    let error = send(&grant, post(&server, 10)).await.unwrap_err();
    assert_eq!(error, HttpError::Interrupted("the connection broke before the answer was whole".to_owned()));
    // It is not sent again.
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_closes_its_connection() {
    let held = Arc::new(AtomicBool::new(true));
    let hold = Arc::clone(&held);
    let server = Server::start(move |_, _| if hold.load(Ordering::SeqCst) { Reply::Hold } else { ok() }).await;
    let grant = grant(rule(&server));
    let task = tokio::spawn({
        let (grant, request) = (Arc::clone(&grant), get(&server.url()));
        async move { send(&grant, request).await }
    });
    server.wait_for_requests(1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    server.wait_for_ends(1).await;
    held.store(false, Ordering::SeqCst);
    assert_eq!(send(&grant, get(&server.url())).await.unwrap().body().as_ref(), b"fine");
}
