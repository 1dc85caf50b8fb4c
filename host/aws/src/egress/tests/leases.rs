//! Mutations and the lease: none without it, none that outlives it.

use std::time::Duration;

use cofferdam_backend::BootInstant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Reply, Server, ok, until};
use super::*;

fn refused(result: &Result<AwsResponse, AwsSendError>) -> bool {
    matches!(result, Err(AwsSendError::Refused(text)) if text.contains("does not hold the lease"))
}

#[tokio::test]
async fn without_the_lease_no_mutation_is_sent_but_reads_and_locks_are() {
    let server = Server::start(|_, _| ok()).await;
    let lease = Lease::new(Fencing::Lease);
    let aws = bound(options(&server.url()), Some(Arc::clone(&lease))).await;
    assert!(refused(&put(&aws).await));
    assert_eq!(server.connections(), 0);
    get(&aws).await.unwrap();
    renew(&aws).await.unwrap();
    begin(&lease, Duration::from_secs(60));
    put(&aws).await.unwrap();
    lease.end();
    assert!(refused(&put(&aws).await));
    begin(&lease, Duration::from_millis(20));
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(refused(&put(&aws).await));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn what_is_under_way_when_the_lease_ends_is_dropped_and_the_rest_goes_on() {
    let server = Server::start(|_, request| if request.header("x-amz-target").ends_with("PutItem") { Reply::Hold } else { ok() }).await;
    let lease = held(Fencing::Lease, Duration::from_secs(60));
    let aws = bound(options(&server.url()), Some(Arc::clone(&lease))).await;
    let under_way: Vec<_> = (0..4)
        .map(|_| {
            let aws = Arc::clone(&aws);
            tokio::spawn(async move { put(&aws).await })
        })
        .collect();
    server.wait_for(4).await;
    // It ends by itself, and soon.
    begin(&lease, Duration::from_millis(100));
    for result in under_way {
        match result.await.unwrap() {
            Err(AwsSendError::Interrupted(text)) => assert!(text.contains("lease"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    until(|| server.broken() == 4).await;
    get(&aws).await.unwrap();
    renew(&aws).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_is_extended_lets_a_slow_mutation_finish() {
    // A machine that stalls may let a short lease end before it is extended.
    for life in [200, 2_000, 20_000].map(Duration::from_millis) {
        let server = Server::start(move |_, _| Reply::Late(life + Duration::from_millis(100), 200, "{}".into())).await;
        let lease = held(Fencing::Lease, Duration::from_secs(60));
        let aws = bound(EgressOptions { request_timeout: 3 * life, ..options(&server.url()) }, Some(Arc::clone(&lease))).await;
        let under_way = tokio::spawn(async move { aws.send(&mut AwsCall::new(Purpose::Mutation, 3 * life), "PutItem", PUT.into()).await });
        server.wait_for(1).await;
        begin(&lease, life);
        // It is seen to end soon by who waits for its end.
        tokio::task::yield_now().await;
        if lease.extend(BootInstant::now().after(Duration::from_secs(60)))
            && let Ok(answer) = under_way.await.unwrap()
        {
            assert_eq!(answer.status, 200);
            return;
        }
    }
    panic!("no mutation outlived the first end of its lease");
}

#[tokio::test]
async fn waiting_connections_of_mutations_go_with_the_lease() {
    let server = Server::start(|_, _| ok()).await;
    let lease = held(Fencing::Lease, Duration::from_secs(60));
    let aws = bound(options(&server.url()), Some(Arc::clone(&lease))).await;
    put(&aws).await.unwrap();
    lease.end();
    assert!(refused(&put(&aws).await));
    begin(&lease, Duration::from_secs(60));
    put(&aws).await.unwrap();
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[tokio::test]
async fn the_lease_is_asked_again_after_a_connection_was_dialled() {
    // Whoever connects here waits for the tunnel until the lease is over.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let lease = held(Fencing::Lease, Duration::from_secs(60));
    let held = Arc::clone(&lease);
    let proxying = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        assert!(socket.read(&mut head).await.unwrap() > 0);
        held.end();
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        socket.read(&mut head).await.unwrap_or_default()
    });
    let proxies = super::super::Proxies::from_variables(|name| (name == "HTTP_PROXY").then(|| format!("http://{proxy}")));
    let aws = bound(EgressOptions { proxies, ..options("http://dynamodb.test:8000") }, Some(lease)).await;
    assert!(refused(&put(&aws).await));
    assert_eq!(proxying.await.unwrap(), 0, "something was written");
}

#[tokio::test]
async fn what_the_service_has_not_taken_when_the_lease_ends_never_reaches_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lease = held(Fencing::Lease, Duration::from_secs(60));
    let aws = bound(options(&format!("http://{address}")), Some(Arc::clone(&lease))).await;
    let value = "A".repeat(16 << 20);
    let body = PUT.replace("AAEC", &value);
    let under_way = tokio::spawn(async move { send(&aws, Purpose::Mutation, "PutItem", &body).await });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut taken = socket.read(&mut [0; 1024]).await.unwrap();
    lease.end();
    assert!(matches!(under_way.await.unwrap(), Err(AwsSendError::Interrupted(_))));
    let mut buffer = vec![0; 1 << 20];
    let end = loop {
        match socket.read(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(read) => taken += read,
            Err(error) => break Err(error.kind()),
        }
    };
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    assert!(taken < 16 << 20, "all {taken} bytes arrived");
}
