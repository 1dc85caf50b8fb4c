use std::time::{Duration, Instant};

use http::Method;

use super::server::Server;
use super::services::{imds, imds_answer, on_instance, refuse};
use super::*;
use crate::imds::LIMIT;
use crate::{RegionRule, region};

#[tokio::test]
async fn gives_the_roles_credentials_by_version_two_alone() {
    let server = imds(3600.0).await;
    let credentials = open(Identity::default(), &on_instance(&server)).await;
    let keys = credentials.get().await.unwrap();
    assert_eq!(shown(&keys), ("ASIA1", "temporary-secret-1", Some("temporary-token-1")));
    assert!(keys.expiry().is_some());
    assert_eq!(credentials.source(), format!("the instance metadata at {}", server.url));
    let asked = server.asked();
    assert_eq!(asked.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["PUT", "GET", "GET"]);
    assert!(asked.iter().skip(1).all(|asked| !asked.header("x-aws-ec2-metadata-token").is_empty()));
}

#[tokio::test]
async fn silence_is_an_error_within_its_limit_and_is_waited_for_once() {
    // A machine that stands still meanwhile may let other limits end the first wait.
    for _ in 0..5 {
        let server = Server::start(|_| None).await;
        let sources = on_instance(&server);
        let begun = Instant::now();
        let no_region = region(RegionRule::Kms, None, &Identity::default(), &sources).await.unwrap_err().to_string();
        let credentials = open(Identity::default(), &sources).await;
        let no_keys = failure(&credentials).await;
        let took = begun.elapsed();
        if took < 2 * LIMIT - Duration::from_secs(1) {
            assert!(took >= LIMIT - Duration::from_millis(100), "{took:?}");
            assert!(no_region.contains("hop limit") && no_region.contains("set `region`"), "{no_region}");
            assert!(no_keys.contains("hop limit") && no_keys.contains("http-put-response-hop-limit 2"), "{no_keys}");
            return;
        }
    }
    panic!("it waits for more than its limit");
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once() {
    // A port that is taken, and at which nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let credentials = open(Identity::default(), &sources(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)])).await;
    let cause = failure(&credentials).await;
    assert!(cause.starts_with(&format!("no AWS credentials from the instance metadata at {url}: ")), "{cause}");
}

#[tokio::test]
async fn version_one_is_never_fallen_back_to() {
    // An instance of old: it knows no token, and gives to whoever asks without one.
    let server = Server::start(|asked| match asked.method {
        Method::PUT => refuse(405, "no such method"),
        _ => imds_answer(asked, || services::document(1, 3600.0)),
    })
    .await;
    let credentials = open(Identity::default(), &on_instance(&server)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("token"), "{cause}");
    assert_eq!(server.count(|asked| asked.method == Method::GET), 0);
}

#[tokio::test]
async fn a_refused_token_is_an_error_and_the_next_attempt_gets_a_new_one() {
    let refusing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let refuses = refusing.clone();
    let server = Server::start(move |asked| {
        let refused = asked.method == Method::GET && refuses.load(std::sync::atomic::Ordering::SeqCst);
        if refused { refuse(401, "a wrong token") } else { imds_answer(asked, || services::document(7, 3600.0)) }
    })
    .await;
    let credentials = open(Identity::default(), &on_instance(&server)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("401"), "{cause}");
    let tokens = server.count(|asked| asked.method == Method::PUT);
    refusing.store(false, std::sync::atomic::Ordering::SeqCst);
    becomes(&credentials, "ASIA7").await;
    assert!(server.count(|asked| asked.method == Method::PUT) > tokens);
}

#[tokio::test]
async fn an_instance_without_a_role_is_told() {
    let server = Server::start(|asked| {
        let roles = asked.path.starts_with(services::ROLES);
        if roles { refuse(404, "not found") } else { imds_answer(asked, String::new) }
    })
    .await;
    let credentials = open(Identity::default(), &on_instance(&server)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("404"), "{cause}");
}

#[tokio::test]
async fn turned_off_it_is_not_asked() {
    let server = imds(3600.0).await;
    let off = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url.as_str()), ("AWS_EC2_METADATA_DISABLED", "TRUE")];
    let what = refusal(Identity::default(), &off).await;
    assert!(what.contains("no AWS credentials are configured") && what.contains("AWS_EC2_METADATA_DISABLED"), "{what}");
    assert!(server.asked().is_empty());
}
