//! What is sent, what is shown of the answer, and what is sent again.

use std::time::Duration;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{Recorded, Reply, Server, json, ok, until};
use super::*;

/// The value that the official signer gives `authorization`, at the time that the request names.
fn oracle(request: &Recorded) -> String {
    let time = std::time::SystemTime::try_from(request.time()).unwrap();
    let identity = aws_credential_types::Credentials::new("AKIDEXAMPLE", SECRET, Some(SESSION.to_owned()), None, "test").into();
    let params =
        SigningParams::builder().identity(&identity).region("eu-west-1").name("dynamodb").time(time).settings(SigningSettings::default());
    let headers = ["content-type", "host", "x-amz-target"].map(|name| (name, request.header(name)));
    let url = format!("http://{}/", request.header("host"));
    let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(&request.body)).unwrap();
    let (instructions, _) = sign(signable, &params.build().unwrap().into()).unwrap().into_parts();
    instructions.headers().find(|(name, _)| *name == "authorization").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_request_is_signed_for_the_endpoint_and_carries_nothing_of_the_guests_but_its_body() {
    let server = Server::start(|_, _| {
        let headers = [
            ("x-amzn-RequestId", "R1"),
            ("x-amz-crc32", "1"),
            ("set-cookie", "no"),
            ("x-amz-other", "no"),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        Reply::Answer(200, headers.map(|(name, value)| (name, value.to_owned())).into(), "{\"a\":1}".into())
    })
    .await;
    let aws = bound(options(&server.url()), None).await;
    let answer = get(&aws).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{\"a\":1}"[..]));
    let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "date", "x-amz-crc32", "x-amzn-requestid"]);

    let request = server.requests().remove(0);
    assert_eq!(request.uri, "/");
    assert_eq!(request.body, GET);
    assert_eq!(request.header("host"), server.address.to_string());
    assert_eq!(request.header("x-amz-target"), "DynamoDB_20120810.GetItem");
    assert_eq!(request.header("content-type"), "application/x-amz-json-1.0");
    assert_eq!(request.header("x-amz-security-token"), SESSION);
    assert_eq!(request.header("authorization"), oracle(&request));
    let mut sent: Vec<_> = request.headers.keys().map(|name| name.as_str()).collect();
    sent.sort_unstable();
    let expected =
        ["authorization", "content-length", "content-type", "host", "user-agent", "x-amz-date", "x-amz-security-token", "x-amz-target"];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn connections_are_kept_and_each_class_has_its_own() {
    let server = Server::start(|_, _| ok()).await;
    let aws = bound(options(&server.url()), Some(held(Fencing::Lease, Duration::from_secs(60)))).await;
    for _ in 0..3 {
        get(&aws).await.unwrap();
        put(&aws).await.unwrap();
        renew(&aws).await.unwrap();
    }
    let of = |operation: &str| {
        let requests = server.requests();
        let found = requests.iter().filter(|request| request.header("x-amz-target").ends_with(operation)).map(|request| request.connection);
        let mut found: Vec<_> = found.collect();
        found.dedup();
        found
    };
    assert_eq!(server.connections(), 3);
    let all = [of("GetItem"), of("PutItem"), of("UpdateItem")];
    assert!(all.iter().all(|connections| connections.len() == 1), "{all:?}");
}

#[tokio::test]
async fn unused_connections_are_closed_after_their_time() {
    let server = Server::start(|_, _| ok()).await;
    let aws = bound(EgressOptions { idle_timeout: Duration::from_millis(50), ..options(&server.url()) }, None).await;
    get(&aws).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    get(&aws).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_read_is_sent_again_when_its_connection_breaks_and_a_mutation_is_not() {
    let server = Server::start(|number, _| if number == 0 { Reply::Cut } else { ok() }).await;
    let aws = bound(options(&server.url()), None).await;
    assert_eq!(get(&aws).await.unwrap().status, 200);
    assert_eq!(server.requests().len(), 2);

    let server = Server::start(|_, _| Reply::Cut).await;
    let aws = bound(options(&server.url()), None).await;
    assert!(matches!(put(&aws).await, Err(AwsSendError::Interrupted(_))));
    assert!(matches!(renew(&aws).await, Err(AwsSendError::Interrupted(_))));
    assert_eq!(server.requests().len(), 2);
    assert!(matches!(get(&aws).await, Err(AwsSendError::Interrupted(_))));
    assert_eq!(server.requests().len(), 2 + 4, "a read is tried four times");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_error_even_for_a_mutation() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        for _ in 0..4 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(PUT.as_bytes()) {
                assert!(socket.read_buf(&mut request).await.unwrap() > 0);
            }
            // Nothing says that the connection will be closed.
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        }
    });
    let aws = bound(options(&format!("http://{address}")), None).await;
    for _ in 0..4 {
        put(&aws).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    serving.await.unwrap();
}

#[tokio::test]
async fn without_a_connection_nothing_was_taken_up() {
    // Nobody listens at the port of this socket, and as long as it is there nobody else can.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    let aws = bound(options(&format!("http://{nobody}")), None).await;
    for result in [get(&aws).await, put(&aws).await] {
        match result {
            Err(AwsSendError::Unreachable(text)) => assert!(!text.contains("127.0.0.1") && text.contains("no connection"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_until_the_deadline() {
    let server = Server::start(|_, _| Reply::Hold).await;
    // A machine that stalls may let a short time pass before anything is sent.
    let times = [100, 3_000, 20_000].map(Duration::from_millis);
    let late =
        |result: &Result<AwsResponse, AwsSendError>| matches!(result, Err(AwsSendError::Unreachable(text)) if text.contains("in time"));
    let mut told = None;
    for request_timeout in times {
        let aws = bound(EgressOptions { request_timeout, ..options(&server.url()) }, None).await;
        told = Some(aws.send(&mut AwsCall::new(Purpose::Read, Duration::from_secs(60)), "GetItem", GET.into()).await);
        if !told.as_ref().is_some_and(late) {
            break;
        }
    }
    assert!(matches!(told, Some(Err(AwsSendError::Interrupted(_)))), "{told:?}");
    for time in times {
        let aws = bound(EgressOptions { request_timeout: Duration::from_secs(60), ..options(&server.url()) }, None).await;
        told = Some(aws.send(&mut AwsCall::new(Purpose::Mutation, time), "PutItem", PUT.into()).await);
        if !told.as_ref().is_some_and(late) {
            break;
        }
    }
    assert!(matches!(told, Some(Err(AwsSendError::Interrupted(_)))), "{told:?}");
}

#[tokio::test]
async fn a_call_that_is_given_up_closes_its_connection() {
    let server = Server::start(|number, _| if number == 0 { Reply::Hold } else { ok() }).await;
    let aws = bound(options(&server.url()), None).await;
    let given_up = tokio::spawn({
        let aws = Arc::clone(&aws);
        async move { put(&aws).await }
    });
    server.wait_for(1).await;
    given_up.abort();
    until(|| server.broken() == 1).await;
    put(&aws).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_shown_and_not_followed() {
    let other = Server::start(|_, _| ok()).await;
    let to = other.url();
    let server = Server::start(move |_, _| Reply::Answer(307, vec![("location", to.clone())], "".into())).await;
    let aws = bound(options(&server.url()), None).await;
    let answer = get(&aws).await.unwrap();
    assert_eq!(answer.status, 307);
    assert!(answer.headers.iter().all(|(name, _)| name != "location"));
    assert_eq!((server.requests().len(), other.connections()), (1, 0));
}

#[tokio::test]
async fn errors_of_the_service_are_the_guests_to_see() {
    let server = Server::start(|number, _| match number {
        0 => json(400, r#"{"__type":"x#ThrottlingException"}"#),
        1 => json(500, r#"{"__type":"x#InternalServerError"}"#),
        _ => json(400, r#"{"__type":"x#AccessDeniedException","Message":"not you"}"#),
    })
    .await;
    let aws = bound(options(&server.url()), None).await;
    for status in [400, 500, 400] {
        assert_eq!(get(&aws).await.unwrap().status, status);
    }
    assert_eq!(server.requests().len(), 3);
}
