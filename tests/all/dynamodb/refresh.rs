//! Credentials that live for seconds, under load: no request fails, and none goes out with keys that have expired.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cofferdam_aws::{Credentials, Identity, Sources, TableSpec};
use cofferdam_backend::Storage;
use cofferdam_emulator::{Action, Rule};
use futures_util::future::join_all;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Emulator, REGION, ground};
use crate::conformance::{get, key, put};
use crate::late::Lateness;

/// What a container's agent is: keys that live for so long, for whoever brings the token. The session token tells when they end.
fn agent(life: Duration) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let given = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&given);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: Vec<String> = lines.collect();
            let allowed = head.iter().any(|line| line.to_lowercase().starts_with("authorization:") && line.ends_with("let me in"));
            let (status, body) = if allowed && head[0].starts_with("GET /keys") {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let end = OffsetDateTime::now_utc() + life;
                let keys = json!({
                    "AccessKeyId": format!("ASIA{number:016}"),
                    "SecretAccessKey": format!("secret-{number}"),
                    "Token": format!("token-{}", end.unix_timestamp_nanos()),
                    "Expiration": end.format(&Rfc3339).unwrap(),
                });
                ("200 OK", keys.to_string())
            } else {
                ("403 Forbidden", json!({"code": "denied"}).to_string())
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (format!("http://{address}/keys"), given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_across_a_refresh() {
    let (agent, given) = agent(Duration::from_secs(6));
    let late = Lateness::measure();
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")];
    let credentials = Credentials::open(Identity::default(), REGION, &Sources::of(variables)).await.unwrap();
    let ground = ground(Emulator::Mini).await;
    let binding = ground.binding(credentials, TableSpec::new(""), None);
    // No retries: what a refresh would break is seen.
    let guest = ground.open_through(binding, &[("dynamodb_max_retries", "0")], None, 8).await.unwrap();
    let begun = Instant::now();
    let puts = join_all((0..8).map(async |worker| {
        let mut count = 0_u32;
        // A while over the second refresh, however late that comes.
        while given.load(Ordering::SeqCst) < 3 || count == 0 {
            assert!(begun.elapsed() < Duration::from_secs(120), "nothing was refreshed");
            put(&*guest, &format!("w/{worker}"), count.to_string()).await;
            assert_eq!(get(&*guest, &format!("w/{worker}")).await.unwrap(), count.to_string().as_bytes());
            count += 1;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        count
    }))
    .await;
    let mut tokens: Vec<String> = Vec::new();
    // What was signed in time may be under way while the machine stands still.
    let late = late.so_far().as_nanos();
    for request in ground.proxy.take() {
        let token = request.header("x-amz-security-token").to_owned();
        let ends: u128 = token.strip_prefix("token-").unwrap().parse().unwrap();
        let at = request.at.duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!(at < ends + late, "a request went out with keys that had expired {} ms before", (at - ends) / 1_000_000);
        tokens.push(token);
    }
    tokens.sort();
    tokens.dedup();
    assert!(tokens.len() >= 2 && puts.iter().sum::<u32>() > 100, "{} sets of keys, {puts:?} puts", tokens.len());
    // Each set was asked for once, however many were waiting for it; the last may have been used by nobody.
    assert!(given.load(Ordering::SeqCst) as usize <= tokens.len() + 2, "{given:?} for {}", tokens.len());
    assert!(SystemTime::now() > UNIX_EPOCH);
}

/// The service says that the token has expired, before its time: new keys are got, and the request is sent with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_replaced_and_the_request_repeated() {
    // They do not end by themselves here.
    let (agent, given) = agent(Duration::from_secs(3_600));
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")];
    let credentials = Credentials::open(Identity::default(), REGION, &Sources::of(variables)).await.unwrap();
    let ground = ground(Emulator::Mini).await;
    let guest = ground
        .open_through(ground.binding(credentials, TableSpec::new(""), None), &[("dynamodb_max_retries", "0")], None, 8)
        .await
        .unwrap();
    let before = given.load(Ordering::SeqCst);
    ground.proxy.take();
    ground.proxy.rule(Rule::new(Action::Refuse("ExpiredTokenException")).times(1));
    guest.put(&key("k"), "v".into()).await.unwrap();
    let tokens: Vec<String> = ground.proxy.take().iter().map(|request| request.header("x-amz-security-token").to_owned()).collect();
    assert!(tokens.len() == 2 && tokens[0] != tokens[1], "{tokens:?}");
    assert_eq!(given.load(Ordering::SeqCst), before + 1);
    assert_eq!(get(&*guest, "k").await.unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_clock_is_off_is_answered_by_its_clock() {
    for seconds in [-3_600, 3_600] {
        let ground = ground(Emulator::Mini).await;
        ground.proxy.clock(seconds);
        let guest = ground.open_impatient().await;
        ground.proxy.take();
        for number in 0..5 {
            put(&*guest, &format!("k{number}"), "v").await;
        }
        let requests = ground.proxy.take();
        assert!(requests.len() == 5 && requests.iter().all(|request| request.status == Some(200)), "the correction is kept: {requests:?}");
        // The host's clock for locks goes by it, too.
        let service = SystemTime::now().checked_add(Duration::from_secs(7_200)).unwrap() - Duration::from_secs((7_200 - seconds) as u64);
        let lock = guest.lock().unwrap();
        let off = lock.now().duration_since(service).unwrap_or_else(|error| error.duration());
        assert!(off < Duration::from_secs(30), "{off:?} off with {seconds} s");
    }
}
