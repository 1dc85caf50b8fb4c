//! TEMPORARY: against an emulator at $H3_ENDPOINT (host:port).
use crate::item::VALUE_LIMIT;
use crate::surroundings::Surroundings;
use cofferdam_guest::Setting;
use cofferdam_guest::aws::{Response, SendError};
use cofferdam_guest::fencing::Fence;
use cofferdam_guest::lock::Held;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Live(String, Mutex<Option<Fence>>);
impl Surroundings for Live {
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        let mut s = TcpStream::connect(&self.0).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\nX-Amz-Date: 20261122T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=b\r\nContent-Length: {}\r\n\r\n",
            self.0,
            body.len()
        );
        s.write_all(head.as_bytes()).unwrap();
        s.write_all(body).unwrap();
        let mut all = Vec::new();
        s.read_to_end(&mut all).unwrap();
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&all[..at]).to_lowercase();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = all[at + 4..].to_vec();
        if head.contains("chunked") {
            let mut out = Vec::new();
            let mut rest = &body[..];
            loop {
                let e = rest.windows(2).position(|w| w == b"\r\n").unwrap();
                let n = usize::from_str_radix(std::str::from_utf8(&rest[..e]).unwrap(), 16).unwrap();
                if n == 0 {
                    break;
                }
                out.extend_from_slice(&rest[e + 2..e + 2 + n]);
                rest = &rest[e + 4 + n..];
            }
            body = out;
        }
        if status != 200 {
            eprintln!("{operation} {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(Response { status, headers: vec![], body })
    }
    fn fence(&self) -> Option<Fence> {
        self.1.lock().unwrap().clone()
    }
    fn now(&self) -> Duration {
        static S: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        S.get_or_init(Instant::now).elapsed()
    }
    fn sleep(&self, t: Duration) {
        std::thread::sleep(t)
    }
    fn chance(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        std::hash::RandomState::new().build_hasher().finish()
    }
}
#[test]
fn live() {
    let Ok(endpoint) = std::env::var("H3_ENDPOINT") else { return };
    let moto = std::env::var("H3_MOTO").is_ok();
    let live = Arc::new(Live(endpoint, Mutex::new(None)));
    let settings = [("table", "vault-live"), ("billing_mode", "PAY_PER_REQUEST"), ("tags", r#"{"a":"b"}"#)];
    let settings: Vec<_> =
        settings.iter().filter(|(n, _)| moto || *n != "tags").map(|(n, v)| Setting { name: (*n).into(), value: (*v).into() }).collect();
    let store = crate::store::Store::new(crate::options::Options::read(settings).unwrap(), Arc::clone(&live) as Arc<_>);
    store.begin_open();
    store.open().unwrap();
    store.begin();
    store.put("a/b/c", b"one".to_vec(), 0).unwrap();
    store.put("a/b/_d", vec![], 0).unwrap();
    store.put("a/b", b"two".to_vec(), 0).unwrap();
    store.put("a/b-1", b"two".to_vec(), 1).unwrap();
    assert_eq!(store.get("a/b/c").unwrap().unwrap(), b"one");
    assert_eq!(store.get("a/b/_d").unwrap().unwrap(), b"");
    assert_eq!(store.get("a/nothing").unwrap(), None);
    assert_eq!(store.list_page("a/", "", 10).unwrap().names, ["b", "b-1", "b/"]);
    assert_eq!(store.list_page("a/", "b", 1).unwrap().names, ["b-1"]);
    assert_eq!(store.list_page("", "", 10).unwrap().names, ["a/"]);
    let mut keys = Vec::new();
    for segment in 0..3 {
        let mut cursor = None;
        loop {
            let p = store.scan(segment, 3, cursor, 2).unwrap();
            keys.extend(p.entries.into_iter().map(|e| e.key));
            cursor = p.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    keys.sort();
    assert_eq!(keys, ["a/b", "a/b-1", "a/b/_d", "a/b/c"]);
    if !moto {
        let place = crate::place::Place::of_key("x/big").unwrap();
        let limit = 409600 - 12 - place.path.len() - place.name.len();
        store.put("x/big", vec![1; limit], 0).unwrap();
        assert_eq!(store.get("x/big").unwrap().unwrap().len(), limit);
        assert!(VALUE_LIMIT > limit);
        store.put("b", vec![1; VALUE_LIMIT], 0).unwrap();
        store.delete("x/big").unwrap();
        store.delete("b").unwrap();
        assert!(store.prune("x/").unwrap());
    }
    let held = |identity: &str, expires| Held { value: b"v".to_vec(), identity: identity.into(), expires };
    store.begin_lock();
    assert!(store.try_acquire("core/lock", held("me", 1_700_000_000_000_000_001), None).unwrap());
    assert!(!store.try_acquire("core/lock", held("you", 5), None).unwrap());
    assert!(!store.try_acquire("core/lock", held("you", 5), Some(held("", 0))).unwrap());
    assert!(store.renew("core/lock", "me", 1_700_000_000_000_000_009).unwrap());
    assert!(!store.renew("core/lock", "you", 7).unwrap());
    assert_eq!(store.read_lock("core/lock").unwrap().unwrap().expires, 1_700_000_000_000_000_009);
    assert_eq!(store.list_page("core/", "", 10).unwrap().names, Vec::<String>::new());
    assert_eq!(store.get("core/_lock").unwrap(), None);
    store.begin();
    *live.1.lock().unwrap() = Some(Fence { key: "core/lock".into(), identity: "me".into() });
    let fenced = store.put("f/g/h", b"x".to_vec(), 0);
    if moto {
        fenced.unwrap();
        assert_eq!(store.get("f/g/h").unwrap().unwrap(), b"x");
        *live.1.lock().unwrap() = Some(Fence { key: "core/lock".into(), identity: "you".into() });
        eprintln!("{:?}", store.put("f/g/h", b"y".to_vec(), 2).unwrap_err());
        eprintln!("{:?}", store.delete("f/g/h").unwrap_err());
        assert_eq!(store.get("f/g/h").unwrap().unwrap(), b"x");
        *live.1.lock().unwrap() = Some(Fence { key: "core/lock".into(), identity: "me".into() });
        store.delete("f/g/h").unwrap();
        assert!(store.prune("f/g/").unwrap());
        assert!(store.prune("f/").unwrap());
    } else {
        eprintln!("{:?}", fenced.unwrap_err());
    }
    *live.1.lock().unwrap() = None;
    assert!(!store.prune("a/").unwrap());
    store
        .batch(vec![super::put("n/o/p", b"1"), cofferdam_guest::storage::Operation::Delete("a/b/c".into()), super::put("n/o/q", b"2")])
        .unwrap();
    assert_eq!(store.list_page("n/o/", "", 10).unwrap().names, ["p", "q"]);
    store.begin_lock();
    store.release("core/lock", "you").unwrap();
    store.release("core/lock", "me").unwrap();
    assert!(store.read_lock("core/lock").unwrap().is_none());
    eprintln!("live: all seen");
}
