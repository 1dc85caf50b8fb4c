//! What is recorded plays back with no service, and what is not in the recording fails.

mod remote;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::Seal;
use cofferdam_runtime::{Aws, AwsCall, Http, HttpCall, HttpError, Purpose, World};
use futures_util::FutureExt as _;
use http::{Request, Response};

use self::remote::{Remote, Service};
use super::{Header, Player, Recorder, Tape, Taped};
use crate::{Options, Outcome, Report, Subject, cases, run};

const SEED: u64 = 5;
const SECRET: &str = "a-token-of-nobody";

fn options(only: &[&str], tape: Arc<dyn Tape>, header: &Header) -> Options {
    let only = only.iter().map(|&only| only.to_owned()).collect();
    Options { only, quick: true, seed: header.seed, now: header.now(), tape: Some(tape), ..Options::default() }
}

fn header() -> Header {
    Header { seed: SEED, quick: true, time: 1_700_000_000, ..Header::default() }
}

async fn recorded(service: &Arc<Service>, world: World, only: &[&str]) -> (Arc<Recorder>, Report) {
    let recorder = Recorder::new(header(), &[SECRET.as_bytes().to_vec()]);
    let remote = Remote { token: Some(SECRET.to_owned()), ..Remote::new(recorder.aws(service.clone()), world) };
    let taped = Taped::new(&remote, recorder.clone());
    let report = run(&taped, &options(only, recorder.clone(), &header())).await;
    (recorder, report)
}

async fn played(player: &Arc<Player>, world: World, only: &[&str]) -> Report {
    let remote = Remote { token: Some(SECRET.to_owned()), ..Remote::new(player.aws(), world) };
    // Whatever the player's side says of its secret: it is not known here.
    let remote = Remote { token: Some("{{secret}}".to_owned()), ..remote };
    let taped = Taped::new(&remote, player.clone());
    run(&taped, &options(only, player.clone(), player.header())).await
}

fn outcomes(report: &Report) -> Vec<(String, &'static str)> {
    report.checks().map(|check| (check.id.clone(), super::word(&check.outcome))).collect()
}

#[test]
fn the_checks_that_race_are_named_rightly() {
    let info = Remote::new(Arc::new(Service::default()), World::StorageHa);
    let ids: Vec<&str> = cases(info.info()).iter().map(|case| case.id).collect();
    for racing in super::RACING {
        assert!(ids.contains(racing), "{racing}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_is_tried_again_with_no_service() {
    let service = Arc::new(Service::default());
    let (recorder, report) = recorded(&service, World::Storage, &["contract"]).await;
    assert!(report.passed(), "{}", report.table());
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("recording");
    recorder.prove(&played(&recorder.player(), World::Storage, &["contract"]).await);
    recorder.write(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let asked = std::mem::take(&mut *service.asked.lock().unwrap()).len();
    assert!(asked > 1_000, "{asked}");

    let player = Player::read(&file).unwrap();
    assert_eq!(player.header().seed, SEED);
    let again = played(&player, World::Storage, &["contract"]).await;
    assert!(again.passed(), "{}", again.table());
    assert!(service.asked.lock().unwrap().is_empty(), "nothing was asked but the recording");
    let left_out = |check: &&crate::Check| matches!(&check.outcome, Outcome::Skipped { why } if why.starts_with("not recorded"));
    let without: Vec<&str> = again.checks().filter(left_out).map(|check| check.id.as_str()).collect();
    assert!(without.len() == 6 && without.iter().all(|id| super::RACING.contains(id)), "{without:?}");
    // The same in parts, and twice.
    let part = played(&player, World::Storage, &["contract/restart", "contract/random-operations"]).await;
    assert_eq!(outcomes(&part).iter().map(|(_, word)| *word).collect::<Vec<_>>(), ["passed"; 2]);
    // Over a file nothing is written.
    assert!(recorder.write(&file).unwrap_err().contains("exists"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_is_tried_again_and_no_key_is_on_the_tape() {
    let (recorder, report) = recorded(&Arc::default(), World::Seal, &["contract"]).await;
    assert!(report.passed(), "{}", report.table());
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("recording");
    recorder.write(&file).unwrap();
    let again = played(&Player::read(&file).unwrap(), World::Seal, &["contract"]).await;
    assert_eq!(outcomes(&again), outcomes(&report), "{}", again.table());

    let text = fs::read_to_string(&file).unwrap();
    let mut rng = Options { seed: SEED, ..Options::default() }.rng();
    let mut key = [0; 32];
    proptest::prelude::Rng::fill_bytes(&mut rng, &mut key);
    for known in [key, [255; 32], [9; 32], [3; 32]] {
        let base64 = STANDARD.encode(known);
        assert!(!text.contains(base64.trim_end_matches('=')), "{base64}");
    }
    assert!(text.contains("{{key 2 base64}}") && !text.contains(SECRET) && text.contains("{{secret}}"));
    assert!(!text.contains("111122223333") && text.contains("arn:aws:kms:eu-west-1:000000000001:key/1"));
    // The same search finds what is there.
    assert!(text.contains(&STANDARD.encode("the wrapped key number 000000001.")));
}

/// A seal may be handed a wrapped key of another check: its key is not on the tape either, and what cannot be played back is known.
#[tokio::test]
async fn a_key_from_elsewhere_is_not_on_the_tape() {
    let recorder = Recorder::new(header(), &[]);
    let remote = Remote::new(recorder.aws(Arc::new(Service::default())), World::Seal);
    let dek = *b"0123456789abcdef0123456789ABCDEF";
    let wrapped = Seal::wrap(&remote, &dek).await.unwrap();
    recorder.begin("contract/a");
    Seal::unwrap(&remote, &wrapped, &mut [0; 32]).await.unwrap();
    recorder.end(Outcome::Passed);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    recorder.write(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(STANDARD.encode(dek).trim_end_matches('=')) && text.contains("{{key 0 base64}}"), "{text}");

    let player = Player::read(&file).unwrap();
    let remote = Remote::new(player.aws(), World::Seal);
    player.begin("contract/a");
    assert!(Seal::unwrap(&remote, &wrapped, &mut [0; 32]).await.is_err());
    let Outcome::Failed { what, .. } = player.end(Outcome::Passed) else { panic!("it passed") };
    assert!(what.contains("no answer that can be read"), "{what}");
}

/// The text of a recording of one check.
async fn one(file: &Path, only: &str) -> String {
    let (recorder, report) = recorded(&Arc::default(), World::Storage, &[only]).await;
    assert!(report.passed(), "{}", report.table());
    recorder.write(file).unwrap();
    fs::read_to_string(file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_changed_fails_its_check() {
    let directory = tempfile::tempdir().unwrap();
    let only = "contract/restart";
    let text = one(&directory.path().join("a"), only).await;
    let doctored = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let file = directory.path().join(name);
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        Player::read(&file)
    };
    let failed = async |player: Arc<Player>| {
        let report = played(&player, World::Storage, &[only]).await;
        let Some(Outcome::Failed { what, .. }) = report.checks().map(|check| &check.outcome).last().cloned() else {
            panic!("{}", report.table())
        };
        what
    };
    // Another value for an entry: what the check expects is not what it finds.
    let value = STANDARD.encode("overwritten");
    let answer = format!("{{\\\"value\\\":\\\"{value}\\\"}}");
    let what = failed(doctored("b", &answer, &answer.replace(&value, "b3RoZXI=")).unwrap()).await;
    assert!(what.contains("expected") && !what.contains("not in the recording"), "{what}");
    // A request that is another: what is asked, and what was expected, is said.
    let what = failed(doctored("c", "\\\"key\\\":\\\"p/1/q1\\\"", "\\\"key\\\":\\\"p/1/qq\\\"").unwrap()).await;
    assert!(what.contains("not in the recording; next in it is") && what.contains("p/1/qq") && what.contains("p/1/q1"), "{what}");
    // A file that was cut, or is none.
    let whole = text.lines().count();
    for lines in [0, 3, whole - 1] {
        let file = directory.path().join(format!("cut-{lines}"));
        fs::write(&file, text.lines().take(lines).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        assert!(Player::read(&file).is_err(), "{lines}");
    }
    for (name, from, to, line, said) in [
        ("e", "\"version\":1", "\"version\":9", 1, "a recording of version 9; this coffer reads version 1"),
        ("f", "\"version\":1", "\"version\":2,\"more\":[]", 1, "version 2"),
        ("g", "\"seed\":", "\"sede\":", 1, "unknown field `sede`"),
        ("h", "\"outcome\":\"passed\"", "\"outcome\":\"fine\"", 2, "what is said of contract/opens is no check's"),
        ("i", "{\"check\":", "\n{\"check\":", 2, "it is empty"),
        ("j", "{\"exchange\":{", "{\"exchange\":{\"asked\"", 4, "not a line of a recording"),
        ("k", "\"status\":200", "\"status\":7", 4, "its status is none of HTTP"),
        ("l", "\"id\":\"contract/restart\"", "\"id\":\"contract/opens\"", 3, "contract/opens is in it a second time"),
        ("m", "{\"exchange\":", "{\"recording\":{}}\n{\"exchange\":", 4, "not a line of a recording: missing field"),
    ] {
        let error = doctored(name, from, to).err().unwrap();
        assert!(error.contains(said) && error.contains(&format!(", line {line}: ")), "{name}: {error}");
    }
}

/// A request once more than it was recorded, and one that was given up.
#[tokio::test]
async fn what_is_asked_too_often_fails_and_what_is_given_up_is_left_out() {
    let service: Arc<Service> = Arc::default();
    let recorder = Recorder::new(header(), &[]);
    let aws = recorder.aws(service);
    let call = || AwsCall::new(Purpose::Read, Duration::from_secs(60));
    let ask = b"{\"key\":\"a\"}".to_vec();
    assert_eq!(recorder.begin("contract/a"), None);
    aws.send(&mut call(), "Get", ask.clone()).await.unwrap();
    recorder.end(Outcome::Passed);
    recorder.begin("contract/b");
    assert!(aws.send(&mut call(), "Get", ask.clone()).now_or_never().is_none());
    recorder.end(Outcome::Passed);
    let (kept, without) = recorder.checks();
    assert_eq!(kept, ["contract/a"]);
    assert!(without[0].0 == "contract/b" && without[0].1.contains("given up"), "{without:?}");

    let player = recorder.player();
    let aws = player.aws();
    assert!(player.is_silent() && aws.send(&mut call(), "Get", ask.clone()).await.is_err());
    assert!(player.begin("contract/b").is_some() && player.begin("contract/z").unwrap().contains("nothing of this check"));
    assert_eq!(player.begin("contract/a"), None);
    // Members in another order are the same request.
    aws.send(&mut call(), "Get", b" { \"key\" : \"a\" } ".to_vec()).await.unwrap();
    assert!(aws.send(&mut call(), "Get", ask).await.is_err());
    let Outcome::Failed { what, .. } = player.end(Outcome::Passed) else { panic!("it passed") };
    assert!(what.contains("once more for Get") && what.contains("everything of it was asked for"), "{what}");
}

/// How often the same is asked is not the same each time where calls run side by side.
#[tokio::test]
async fn one_answer_to_calls_that_ran_together_is_the_answer_to_more_of_them() {
    let recorder = Recorder::new(header(), &[]);
    let aws = recorder.aws(Arc::new(Service::default()));
    let call = || AwsCall::new(Purpose::Mutation, Duration::from_secs(60));
    let put = |value: &str| format!("{{\"key\":\"a\",\"value\":\"{value}\"}}").into_bytes();
    let ask = async |aws: &Arc<dyn Aws>, operation: &str, body: Vec<u8>| aws.send(&mut call(), operation, body).await;
    recorder.begin("contract/a");
    // Both are under way: the service makes each wait for a turn.
    let both = async { tokio::join!(ask(&aws, "Get", put("1")), ask(&aws, "Get", put("1"))) };
    let (one, other) = both.await;
    assert!(one.is_ok() && other.is_ok());
    // The answers to this differ.
    ask(&aws, "Put", put("2")).await.unwrap();
    ask(&aws, "Put", put("2")).await.unwrap();
    recorder.end(Outcome::Passed);

    let player = recorder.player();
    let aws = player.aws();
    player.begin("contract/a");
    for _ in 0..5 {
        ask(&aws, "Get", put("1")).await.unwrap();
    }
    for _ in 0..2 {
        ask(&aws, "Put", put("2")).await.unwrap();
    }
    assert_eq!(player.end(Outcome::Passed), Outcome::Passed);
    player.begin("contract/a");
    for expected in [true, true, false] {
        assert_eq!(ask(&aws, "Put", put("2")).await.is_ok(), expected);
    }
    assert!(matches!(player.end(Outcome::Passed), Outcome::Failed { .. }));
}

/// A server that answers with what it was sent, and with a header that is nobody's business.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Http for Echo {
    fn describe(&self) -> String {
        "an echo".to_owned()
    }

    fn max_request(&self) -> u64 {
        77
    }

    async fn send(&self, _: &HttpCall, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if request.uri().path() == "/gone" {
            return Err(HttpError::Unreachable("gone".to_owned()));
        }
        Ok(Response::builder().status(201).header("set-cookie", "c=1").header("etag", "7").body(request.into_body()).unwrap())
    }
}

#[tokio::test]
async fn requests_by_http_play_back_without_what_is_private() {
    let recorder = Recorder::new(header(), &[SECRET.as_bytes().to_vec()]);
    let http = recorder.http(Arc::new(Echo));
    let call = HttpCall::new(Purpose::Mutation, Duration::from_secs(60));
    let request = |server: &str, path: &str, body: &[u8]| {
        let uri = format!("http://{server}{path}");
        Request::post(uri).header("authorization", "Bearer nobody").body(Bytes::copy_from_slice(body)).unwrap()
    };
    recorder.begin("contract/a");
    let binary = [0xff, 0, 7];
    assert_eq!(http.send(&call, request("one:1", "/x?token=abc", &binary)).await.unwrap().body()[..], binary);
    http.send(&call, request("one:1", "/y", SECRET.as_bytes())).await.unwrap();
    http.send(&call, request("two:2", "/gone", b"")).await.unwrap_err();
    recorder.end(Outcome::Passed);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording");
    recorder.write(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    for private in ["abc", SECRET, "Bearer", "c=1", "one:1", "two:2"] {
        assert!(!text.contains(private), "{private}: {text}");
    }

    // The servers may be others.
    let player = Player::read(&file).unwrap();
    let http = player.http();
    assert_eq!(http.max_request(), 77);
    player.begin("contract/a");
    let answer = http.send(&call, request("three:3", "/x?token=other", &binary)).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..], answer.headers()["etag"].as_bytes()), (201, &binary[..], b"7".as_slice()));
    assert_eq!(http.send(&call, request("four:4", "/gone", b"")).await.unwrap_err(), HttpError::Unreachable("gone".to_owned()));
    assert_eq!(player.end(Outcome::Passed), Outcome::Passed);
}
