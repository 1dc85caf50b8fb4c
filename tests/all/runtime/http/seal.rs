//! A seal that is reached by `http`: the host cannot check what it does, says so, and keeps nothing that it says while it handles a key.

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Seal};
use cofferdam_runtime::{
    Aws, AwsCall, AwsResponse, AwsSendError, BreachKind, Component, Http, HttpCall, HttpError, OpenError, Purpose, SealBackend, SealConfig,
    Source,
};

use crate::hostile::logged;
use crate::runtime::{RUNTIME, path};

static SEALING: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("sealing_http"))).unwrap());

/// A key service that turns bits over; or gives back what it gets, or refuses with a text that holds it.
#[derive(Debug)]
struct Keys {
    mode: &'static str,
    asked: Mutex<Vec<(Purpose, String)>>,
}

#[async_trait]
impl Http for Keys {
    fn describe(&self) -> String {
        "the key service of the tests".to_owned()
    }

    fn max_request(&self) -> u64 {
        4096
    }

    async fn send(&self, call: &HttpCall, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        self.asked.lock().unwrap().push((call.purpose, request.uri().path().to_owned()));
        match self.mode {
            "refusing" => Err(HttpError::Refused(format!("{} is not granted", request.uri()))),
            "mirror" => Ok(http::Response::new(request.into_body())),
            _ => Ok(http::Response::new(request.body().iter().zip(1..).map(|(byte, at): (&u8, u8)| byte ^ at).collect())),
        }
    }
}

#[async_trait]
impl Aws for Keys {
    fn describe(&self) -> String {
        "no service".to_owned()
    }

    async fn send(&self, _: &mut AwsCall, operation: &str, _: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        panic!("{operation} was sent")
    }
}

async fn open(mode: &'static str, change: impl FnOnce(&mut SealConfig)) -> (Arc<Keys>, Result<Arc<SealBackend>, OpenError>) {
    let keys = Arc::new(Keys { mode, asked: Mutex::default() });
    let mut config = SealConfig::new("seal");
    config.grants.http = Some(Arc::clone(&keys) as Arc<dyn Http>);
    change(&mut config);
    (keys, RUNTIME.seal(&SEALING, config).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_may_be_reached_by_http() {
    let (keys, seal) = open("", |_| {}).await;
    let seal = seal.unwrap();
    let wrapped = seal.wrap(&[7; 32]).await.unwrap();
    assert_ne!(wrapped.blob, [7; 32].as_slice());
    let mut dek = [0; 32];
    seal.unwrap(&wrapped, &mut dek).await.unwrap();
    assert_eq!(dek, [7; 32]);
    seal.health().await.unwrap();
    let asked = [(Purpose::Wrap, "/wrap"), (Purpose::Unwrap, "/unwrap"), (Purpose::Read, "/health")];
    assert_eq!(*keys.asked.lock().unwrap(), asked.map(|(purpose, path)| (purpose, path.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plainest_frauds_are_still_seen() {
    let error = open("mirror", |_| {}).await.1.unwrap().wrap(&[7; 32]).await.unwrap_err();
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Key), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_with_a_service_gets_no_way_around_it() {
    let (_, seal) = open("", |config| config.grants.aws = Some(Arc::new(Keys { mode: "", asked: Mutex::default() }))).await;
    let error = seal.err().unwrap();
    assert!(matches!(error, OpenError::Options { .. }) && error.to_string().contains("not both"), "{error}");
}

#[test]
fn the_operator_is_told_what_cannot_be_promised() {
    let [warning] = SEALING.inspect().warnings()[..] else { panic!("one warning was expected") };
    assert!(warning.contains("root key"), "{warning}");
    let text = logged(async {
        open("", |_| {}).await.1.unwrap();
    });
    assert!(text.contains("root key") && text.contains(&SEALING.inspect().sha256), "{text}");
}

#[test]
fn nothing_of_a_key_is_kept_when_its_request_is_refused() {
    let text = logged(async {
        let (_, seal) = open("refusing", |_| {}).await;
        let seal = seal.unwrap();
        seal.health().await.unwrap_err();
        // What it sends has the key in its address, and so has the refusal.
        let error = seal.wrap(&[0xab; 32]).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(text) if !text.contains("abab") && !text.contains("171, 171")), "{error}");
    });
    assert!(text.contains("/health") && text.contains("is not granted"), "the log works: {text}");
    assert!(!text.contains("abababab") && !text.contains("171, 171"), "{text}");
}
