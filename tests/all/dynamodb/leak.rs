//! Where the secrets are: nowhere that a guest could see. After a long mixed run with temporary credentials, the secret key and the session token are looked for in
//! the linear memory of every guest of this process, in its settings, in all that passed between guest and host, in the log at its most talkative, and in
//! what is stored; raw, in hexadecimal, in base64. The same search finds what was planted.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cofferdam_aws::{DynamoDb, LOG_FILTER_DENY, TableSpec};
use cofferdam_backend::{Error, Held, Operation, Storage};
use cofferdam_emulator::{Action, Keys, Rule};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, StorageBackend};
use futures_util::future::join_all;
use tracing_subscriber::EnvFilter;

use super::{Emulator, Ground, credentials, ground};
use crate::conformance::{delete, get, key, list, put, scan};
use crate::hostile::{Lines, OTHERS};

/// A secret in the forms in which it could lie about. Base64 is looked for at each of the three offsets that a longer text could give it.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let inner = |offset: usize| {
        let padded = [&b"xx"[..offset], bytes].concat();
        let text = STANDARD_NO_PAD.encode(&padded);
        // The first and last characters hold bits of what is around.
        let (from, to) = (if offset == 0 { 0 } else { offset + 1 }, padded.len() / 3 * 4);
        text.as_bytes()[from..to].to_vec()
    };
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let wide: Vec<u8> = bytes.iter().flat_map(|byte| [*byte, 0]).collect();
    vec![
        ("raw", bytes.to_vec()),
        ("reversed", reversed),
        ("UTF-16", wide),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
        ("base64", inner(0)),
        ("base64 + 1", inner(1)),
        ("base64 + 2", inner(2)),
        ("base64url", URL_SAFE_NO_PAD.encode(bytes).into_bytes()),
    ]
}

fn holds(place: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut at = 0;
    while let Some(found) = place[at..].iter().position(|byte| byte == first) {
        at += found;
        if place[at..].starts_with(needle) {
            return true;
        }
        at += 1;
    }
    false
}

/// In which forms the secret is in the place.
pub(crate) fn found(place: &[u8], secret: impl AsRef<[u8]>) -> Vec<&'static str> {
    forms(secret.as_ref()).into_iter().filter(|(_, form)| holds(place, form)).map(|(name, _)| name).collect()
}

/// The linear memories of all guests: what is mapped and writable right before an address space that is reserved for one, which is of gigabytes and which nothing else
/// in a process has.
fn linear_memories() -> Vec<Vec<u8>> {
    struct Mapping {
        start: u64,
        end: u64,
        writable: bool,
        reserved: bool,
    }
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let maps: Vec<Mapping> = text
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next().unwrap().split_once('-').unwrap();
            let access = words.next().unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            Mapping { start: address(start), end: address(end), writable: access.starts_with("rw"), reserved: access.starts_with("---") }
        })
        .collect();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    for (index, reserve) in maps.iter().enumerate() {
        if !reserve.reserved || reserve.end - reserve.start < 1 << 30 {
            continue;
        }
        let (mut parts, mut end) = (Vec::new(), reserve.start);
        for part in maps[..index].iter().rev().take_while(|part| part.writable) {
            if part.end != end {
                break;
            }
            end = part.start;
            let mut bytes = vec![0; usize::try_from(part.end - part.start).unwrap()];
            // A guest of another test may have ended meanwhile.
            if memory.read_exact_at(&mut bytes, part.start).is_ok() {
                parts.push(bytes);
            }
        }
        parts.reverse();
        found.push(parts.concat());
    }
    found
}

/// Everything that passes between guest and host.
#[derive(Debug)]
struct Tap {
    inner: Arc<DynamoDb>,
    traffic: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn note(&self, bytes: &[u8]) {
        self.traffic.lock().unwrap().extend_from_slice(bytes);
    }
}

#[async_trait]
impl Aws for Tap {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        self.note(operation.as_bytes());
        self.note(&body);
        let answer = self.inner.send(call, operation, body).await;
        match &answer {
            Ok(answer) => {
                self.note(format!("{:?}", answer.headers).as_bytes());
                self.note(&answer.body);
            }
            Err(error) => self.note(format!("{error:?}").as_bytes()),
        }
        answer
    }

    fn now(&self) -> SystemTime {
        self.inner.now()
    }
}

/// Every operation, many faults; `look` after each round. `planted` is stored as a value in several forms, each many times over, since what is freed is
/// soon written over.
async fn mixed_run(ground: &Ground, storage: &StorageBackend, planted: &str, look: impl Fn()) {
    for round in 0..6 {
        ground.proxy.clear();
        match round {
            1 => ground.proxy.rule(Rule::new(Action::Refuse("ThrottlingException")).percent(20)),
            2 => ground.proxy.rule(Rule::new(Action::CutAfter).percent(10)),
            3 => ground.proxy.rule(Rule::new(Action::Refuse("ExpiredTokenException")).percent(10)),
            4 => ground.proxy.rule(Rule::new(Action::Refuse("InvalidSignatureException")).percent(10)),
            5 => ground.proxy.rule(Rule::new(Action::Status(500)).percent(10)),
            _ => {}
        }
        let _ = join_all((0..16).map(async |number| {
            let at = key(&format!("r/{}/k{number}", number % 4));
            let _ = storage.put(&at, vec![number; 500].into()).await;
            let _ = storage.get(&at).await;
            let _ = storage.batch(vec![Operation::Put(key(&format!("r/b{number}")), "x".into())]).await;
            if number % 2 == 0 { storage.delete(&at).await } else { Ok(()) }
        }))
        .await;
        let lock = storage.lock().unwrap();
        let _ = lock.try_acquire(&key("core/lock"), Held { value: "v".into(), identity: "me".to_owned(), expires: round }, None).await;
        let _ = lock.renew(&key("core/lock"), "me", round + 1).await;
        let _ = lock.release(&key("core/lock"), "me").await;
        look();
    }
    ground.proxy.clear();
    let forms = [planted.to_owned(), hex::encode(planted), STANDARD.encode(planted)].map(|form| form.repeat(500));
    for (number, form) in forms.iter().enumerate() {
        put(storage, &format!("planted/{number}"), form.clone()).await;
        assert_eq!(get(storage, &format!("planted/{number}")).await.unwrap(), form.as_bytes());
    }
    assert_eq!(list(storage, "planted/").await.len(), 3);
    assert!(scan(storage, 2, 10).await.len() > 3);
    delete(storage, "r/none").await;
    // A refusal names what was wrong with a request, and a key that is too long is named to the operator.
    assert!(matches!(storage.put(&key(&"s".repeat(1_025)), "x".into()).await, Err(Error::TooLarge { .. })));
}

#[test]
fn no_secret_is_where_a_guest_or_a_reader_of_the_log_could_see_it() {
    // Not in the program's own constants, which a search of memory could find for another reason.
    let unique = || hex::encode(sha2_of(&format!("{:?} {:p}", SystemTime::now(), &0)));
    let secrets = [("secret key", format!("sk-{}", unique())), ("session token", format!("token-{}", unique()))];
    let keys = Keys { access: "ASIAIOSFODNN7EXAMPLE".to_owned(), secret: secrets[0].1.clone(), token: Some(secrets[1].1.clone()) };
    let planted = format!("planted-{}", unique());

    let clean = |memories: &[Vec<u8>]| {
        for (what, secret) in &secrets {
            for memory in memories {
                assert_eq!(found(memory, secret), [""; 0], "the {what} is in a guest's memory");
            }
        }
    };
    let lines = Lines::default();
    let writer = lines.clone();
    // As the server's own filter, at its most talkative.
    let filter = LOG_FILTER_DENY
        .iter()
        .fold(EnvFilter::new("trace"), |filter, target| filter.add_directive(format!("{target}=warn").parse().unwrap()));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(move || writer.clone()).finish();
    LazyLock::force(&OTHERS);
    tracing::subscriber::with_default(subscriber, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let ground = ground(Emulator::Dynalite).await;
            let traffic = Arc::new(Mutex::new(Vec::new()));
            let inner = ground.binding(credentials(&keys).await, TableSpec::new(""), None);
            let tap = Arc::new(Tap { inner, traffic: Arc::clone(&traffic) });
            let shown = format!("{tap:?} {}", tap.describe());
            let settings = [("dynamodb_max_retries", "3"), ("read_capacity", "5")];
            let guest = ground.open_through(tap, &settings, None, 4).await.unwrap();
            mixed_run(&ground, &guest, &planted, || clean(&linear_memories())).await;

            // The secrets were in use: the token went with every request.
            let requests = ground.proxy.take();
            assert!(requests.len() > 300 && requests.iter().all(|request| request.header("x-amz-security-token") == secrets[1].1));

            let memories = linear_memories();
            let traffic = traffic.lock().unwrap().clone();
            let stored = format!("{:?}", ground.table.items().await.unwrap()).into_bytes();
            let sent: Vec<u8> = requests.iter().flat_map(|request| request.body.to_vec()).collect();
            // What was planted is found in the guests' memory, in all its forms, and in the traffic.
            let mut seen: Vec<&str> = memories.iter().flat_map(|memory| found(memory, &planted)).collect();
            seen.sort_unstable();
            seen.dedup();
            for form in ["base64", "hex", "raw"] {
                assert!(
                    seen.contains(&form),
                    "the search of {} memories of {} bytes found the planted secret as {seen:?} only",
                    memories.len(),
                    memories.iter().map(Vec::len).sum::<usize>()
                );
            }
            assert!(found(&traffic, &planted).iter().any(|form| form.starts_with("base64")), "the planted secret is not in the traffic");

            clean(&memories);
            for (what, secret) in &secrets {
                let settings = format!("{settings:?}").into_bytes();
                for (place, bytes) in [
                    ("traffic", &traffic),
                    ("settings", &settings),
                    ("table", &stored),
                    ("bodies", &sent),
                    ("Debug", &shown.clone().into_bytes()),
                ] {
                    assert_eq!(found(bytes, secret), [""; 0], "the {what} is in the {place}");
                }
            }
        });
    });
    let log = lines.0.lock().unwrap().clone();
    assert!(log.len() > 1_000, "something was logged");
    for (what, secret) in &secrets {
        assert_eq!(found(&log, secret), [""; 0], "the {what} is in the log");
    }
    // No value is logged either.
    assert_eq!(found(&log, &planted), [""; 0]);
}

fn sha2_of(text: &str) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).to_vec()
}
