//! What the host puts right itself: clocks and credentials.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::server::{Recorded, Reply, Server, json, ok};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// The service's `date` when it is so far ahead of this machine.
fn date(ahead: Duration) -> (&'static str, String) {
    let now = DateTime::from(SystemTime::now() + ahead);
    ("date", DateTime::from_secs(now.secs()).fmt(Format::HttpDate).unwrap())
}

fn signed_at(request: &Recorded) -> i64 {
    request.time().secs()
}

/// A service that takes only what was signed within five minutes of its own time.
fn strict(ahead: Duration, error: &'static str) -> impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static {
    move |_, request| {
        let now = DateTime::from(SystemTime::now() + ahead).secs();
        let (status, body) = if (signed_at(request) - now).abs() < 300 { (200, "{}") } else { (400, error) };
        Reply::Answer(status, vec![date(ahead)], body.into())
    }
}

#[tokio::test]
async fn a_skewed_clock_is_corrected_once_and_stays_so() {
    let errors = [
        r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired: 20261122T000000Z is now earlier than"}"#,
        r#"{"__type":"com.amazon.coral.service#RequestTimeTooSkewed"}"#,
    ];
    for error in errors {
        let server = Server::start(strict(HOUR, error)).await;
        let aws = bound(options(&server.url()), None).await;
        // Mutations too: what the service rejects it has not done.
        assert_eq!(put(&aws).await.unwrap().status, 200);
        assert_eq!(server.requests().len(), 2);
        let ahead = aws.now().duration_since(SystemTime::now()).unwrap();
        assert!(ahead > HOUR - Duration::from_secs(60) && ahead < HOUR + Duration::from_secs(60), "{ahead:?}");
        assert_eq!(get(&aws).await.unwrap().status, 200);
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn the_machines_clock_is_injected_and_corrected_as_well() {
    let server = Server::start(strict(Duration::ZERO, r#"{"__type":"x#RequestTimeTooSkewed"}"#)).await;
    let clock: super::super::WallClock = Arc::new(|| SystemTime::now() - HOUR);
    let aws = bound(EgressOptions { clock, ..options(&server.url()) }, None).await;
    assert_eq!(get(&aws).await.unwrap().status, 200);
    assert_eq!(server.requests().len(), 2);
    let off = aws.now().duration_since(SystemTime::now()).unwrap_or_else(|error| error.duration());
    assert!(off < Duration::from_secs(60), "{off:?}");
}

#[tokio::test]
async fn a_signature_that_is_wrong_for_another_reason_is_not_repeated() {
    let server = Server::start(|_, _| {
        Reply::Answer(400, vec![date(Duration::ZERO)], r#"{"__type":"x#InvalidSignatureException","message":"Signature expired"}"#.into())
    })
    .await;
    let aws = bound(options(&server.url()), None).await;
    assert_eq!(get(&aws).await.unwrap().status, 400);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn refused_credentials_are_replaced_once() {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    let source = Server::start(|_, _| {
        let number = GIVEN.fetch_add(1, Ordering::SeqCst);
        let expiry = DateTime::from_secs(DateTime::from(SystemTime::now() + HOUR).secs()).fmt(Format::DateTime).unwrap();
        let keys = format!(r#"{{"AccessKeyId":"AKID{number}","SecretAccessKey":"secret","Token":"token","Expiration":"{expiry}"}}"#);
        Reply::Answer(200, vec![("content-type", "application/json".to_owned())], keys.into())
    })
    .await;
    let service = Server::start(|_, request| {
        if request.header("authorization").contains("Credential=AKID0/") {
            json(400, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#)
        } else {
            ok()
        }
    })
    .await;
    let sources = Sources::of([("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/keys", source.url()))]);
    let credentials = Credentials::open(Identity::default(), "eu-west-1", &sources).await.unwrap();
    let aws = DynamoDb::new(table(), Egress::new("test", options(&service.url()), credentials).unwrap(), None);
    assert_eq!(put(&aws).await.unwrap().status, 200);
    assert_eq!((service.requests().len(), GIVEN.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(get(&aws).await.unwrap().status, 200);
    assert_eq!((service.requests().len(), GIVEN.load(Ordering::SeqCst)), (3, 2));
}

#[tokio::test]
async fn keys_that_cannot_be_replaced_are_refused_once() {
    let service = Server::start(|_, _| json(400, r#"{"__type":"x#UnrecognizedClientException"}"#)).await;
    let aws = bound(options(&service.url()), None).await;
    assert_eq!(get(&aws).await.unwrap().status, 400);
    assert_eq!(service.requests().len(), 1);
}
