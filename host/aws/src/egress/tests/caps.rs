//! What a call, an answer and a backend may use.

use std::time::{Duration, Instant};

use super::server::{Reply, Server, ok};
use super::*;

fn refused(result: Result<AwsResponse, AwsSendError>, word: &str) {
    match result {
        Err(AwsSendError::Refused(text)) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_thousand_requests_of_one_call_are_too_many() {
    let server = Server::start(|_, _| ok()).await;
    let aws = bound(options(&server.url()), None).await;
    let mut call = call(Purpose::Read);
    let mut answered = 0;
    for _ in 0..1000 {
        match aws.send(&mut call, "GetItem", GET.into()).await {
            Ok(_) => answered += 1,
            result => refused(result, "512 requests"),
        }
    }
    assert_eq!((answered, server.requests().len()), (512, 512));
    get(&aws).await.unwrap();
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_sent() {
    let server = Server::start(|_, _| ok()).await;
    let aws = bound(EgressOptions { max_request_bytes: GET.len(), ..options(&server.url()) }, None).await;
    get(&aws).await.unwrap();
    refused(send(&aws, Purpose::Read, "GetItem", &format!(" {GET}")).await, "at most");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_bytes_of_a_call_are_counted_both_ways() {
    let server = Server::start(|_, _| Reply::Answer(200, Vec::new(), vec![b' '; 1000].into())).await;
    let aws = bound(EgressOptions { bytes_per_call: 2500, ..options(&server.url()) }, None).await;
    let mut call = call(Purpose::Read);
    aws.send(&mut call, "GetItem", GET.into()).await.unwrap();
    aws.send(&mut call, "GetItem", GET.into()).await.unwrap();
    assert_eq!((call.sends, call.sent, call.received), (2, 2 * GET.len() as u64, 2000));
    let third = aws.send(&mut call, "GetItem", vec![b' '; 500]).await;
    refused(third, "2500 bytes");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_given_up() {
    let server = Server::start(|_, request| Reply::Answer(200, Vec::new(), vec![b'x'; 1000 + request.body.len() - GET.len()].into())).await;
    let aws = bound(EgressOptions { max_response_bytes: 1000, ..options(&server.url()) }, None).await;
    assert_eq!(get(&aws).await.unwrap().body.len(), 1000);
    assert_eq!(send(&aws, Purpose::Read, "GetItem", &format!(" {GET}")).await, Err(AwsSendError::TooLarge(1000)));
}

#[tokio::test]
async fn an_answer_without_a_length_is_cut_at_the_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endless = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(GET.as_bytes()) {
            assert!(tokio::io::AsyncReadExt::read_buf(&mut socket, &mut request).await.unwrap() > 0);
        }
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while tokio::io::AsyncWriteExt::write_all(&mut socket, b"400\r\n").await.is_ok()
            && tokio::io::AsyncWriteExt::write_all(&mut socket, &[b'x'; 0x400]).await.is_ok()
            && tokio::io::AsyncWriteExt::write_all(&mut socket, b"\r\n").await.is_ok()
        {}
    });
    let aws = bound(EgressOptions { max_response_bytes: 1 << 20, ..options(&format!("http://{address}")) }, None).await;
    assert_eq!(get(&aws).await, Err(AwsSendError::TooLarge(1 << 20)));
    tokio::time::timeout(Duration::from_secs(60), endless).await.expect("the connection stayed open").unwrap();
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let body: bytes::Bytes = (0..5_000_000u32).map(|n| n as u8).collect::<Vec<_>>().into();
    let server = Server::start({
        let body = body.clone();
        move |_, _| Reply::Answer(200, Vec::new(), body.clone())
    })
    .await;
    let aws = bound(options(&server.url()), None).await;
    assert!(get(&aws).await.unwrap().body == body);
    assert!(get(&aws).await.unwrap().body == body);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_backend_keeps_to_its_rate_but_for_its_locks() {
    let server = Server::start(|_, _| ok()).await;
    let aws = bound(EgressOptions { rate: 20, burst: 1, ..options(&server.url()) }, None).await;
    let start = Instant::now();
    for _ in 0..5 {
        get(&aws).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
    // One a second: who counted locks as well would take more than a minute for these.
    let aws = bound(EgressOptions { rate: 1, burst: 1, ..options(&server.url()) }, None).await;
    get(&aws).await.unwrap();
    let start = Instant::now();
    for _ in 0..80 {
        renew(&aws).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // Who has no time to wait is told, unless the machine stalled until it was his turn.
    let told = async || {
        for _ in 0..20 {
            let mut short = AwsCall::new(Purpose::Read, Duration::from_millis(10));
            if let Err(AwsSendError::Unreachable(text)) = aws.send(&mut short, "GetItem", GET.into()).await
                && text.contains("more than 1 requests a second")
            {
                return true;
            }
        }
        false
    };
    assert!(told().await, "nothing was refused");
}
