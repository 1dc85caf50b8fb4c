//! TEMPORARY measurement.
use super::fake::Upset;
use crate::surroundings::Surroundings;
use cofferdam_guest::aws::{Response, SendError};
use cofferdam_guest::fencing::Fence;
use std::sync::Arc;
use std::time::{Duration, Instant};
#[derive(Debug)]
struct Canned(Vec<u8>);
impl Surroundings for Canned {
    fn send(&self, _: &str, _: &[u8]) -> Result<Response, SendError> {
        Ok(Response {
            status: 200,
            headers: vec![
                ("content-type".into(), "application/x-amz-json-1.0".into()),
                ("x-amzn-requestid".into(), "ABCDEFGHIJ".into()),
                ("date".into(), "Sun, 22 Nov 2026 02:40:51 GMT".into()),
            ],
            body: self.0.clone(),
        })
    }
    fn fence(&self) -> Option<Fence> {
        None
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) {}
    fn chance(&self) -> u64 {
        7
    }
}
#[test]
fn speed() {
    let _ = Upset::Lost;
    let body = format!(r#"{{"Item":{{"Path":{{"S":"a/b"}},"Key":{{"S":"c"}},"Value":{{"B":"{}"}}}}}}"#, "QUJD".repeat(341));
    let store = crate::store::Store::new(crate::options::Options::read(vec![]).unwrap(), Arc::new(Canned(body.into_bytes())));
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..20_000 {
            store.begin();
            std::hint::black_box(store.get("a/b/c").unwrap());
        }
        eprintln!("get {:?}", start.elapsed() / 20_000);
        let start = Instant::now();
        for _ in 0..20_000 {
            store.begin();
            store.put("a/b/c", vec![7; 1024], 2).unwrap();
        }
        eprintln!("put {:?}", start.elapsed() / 20_000);
    }
}
