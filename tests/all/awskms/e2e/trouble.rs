//! KMS has a bad day: the server stays up and sealed, tells the operator what is wrong and the client no more than its case, tries again with growing pauses and
//! no storm, and is open soon after the day is over.

use std::time::{Duration, Instant};

use cofferdam_emulator::{Keys, Kms, KmsAction, NewKey, Rule};
use serde_json::{Value, json};

use super::process::{REGION, Setup, awskms, initialise, reads, status, write};
use crate::e2e::process::{Server, until};

/// A store that a KMS in memory seals, whose server is not running.
struct Ground {
    kms: Kms,
    key: String,
    setup: Setup,
    token: String,
}

async fn ground() -> Ground {
    let kms = Kms::start().await.unwrap();
    let key = kms.create(NewKey::new(REGION));
    let setup = Setup::files(&Keys::any()).sealed_by(&[awskms(&key, kms.endpoint(), "")]);
    let mut server = setup.start();
    initialise(&mut server, 1, 1);
    write(&server, "kept");
    server.stop();
    kms.take();
    Ground { kms, key, setup, token: server.token.clone() }
}

/// The log's lines about a failed unseal.
fn failures(server: &Server) -> Vec<String> {
    server.log().lines().filter(|line| line.contains("failed to unseal core")).map(str::to_owned).collect()
}

impl Ground {
    /// Begins a bad day, starts the server, looks at it, ends the day, and waits until the server is open.
    fn bad_day(&self, what: &str, begin: impl FnOnce(&Ground), case: &str, told: &[&str], end: impl FnOnce(&Ground)) {
        begin(self);
        self.kms.take();
        let mut server = self.setup.start();
        until(what, &server, || !failures(&server).is_empty());
        let failure = failures(&server)[0].clone();
        for part in told.iter().copied().chain(["again_in_ms"]) {
            assert!(failure.contains(part), "{what}: {part:?} is not in\n{failure}");
        }
        let found = status(&server);
        assert_eq!(
            (&found["sealed"], &found["initialized"], &found["type"]),
            (&json!(true), &json!(true), &json!("awskms")),
            "{what}: {found}"
        );
        let warnings = found["warnings"].to_string();
        assert!(warnings.contains(case), "{what}: {case:?} is not in {warnings}");
        for text in ["Exception", "arn:", "script", &self.key] {
            assert!(!found.to_string().contains(text), "{what}: the status tells {text:?}: {found}");
        }
        assert_eq!(server.call("GET", "kv/entry", None).0, 503);
        // Whoever asks how it is does not ask KMS. Between two looks there is at most one try.
        let (before, tries) = (self.kms.calls().len(), failures(&server).len());
        for _ in 0..100 {
            status(&server);
        }
        let (after, later) = (self.kms.calls().len(), failures(&server).len());
        assert!(after - before <= (later - tries + 1) * 12, "{what}: {} calls in {} tries", after - before, later - tries);
        end(self);
        server.token.clone_from(&self.token);
        until(&format!("the end of: {what}"), &server, || server.call("GET", "sys/health", None).0 == 200);
        reads(&server, "kept");
        until(&format!("a status without a warning after: {what}"), &server, || status(&server).get("warnings").is_none());
        server.stop();
    }

    fn refused(&self, what: &str, code: &'static str, operation: &'static str, case: &str, told: &[&str]) {
        let begin = |ground: &Ground| ground.kms.rule(Rule::new(KmsAction::Refuse(code)).of(&[operation]));
        self.bad_day(what, begin, case, told, |ground| ground.kms.clear());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_used_keeps_the_server_sealed_until_it_can() {
    let ground = ground().await;
    for (state, told) in [("Disabled", "disabled"), ("PendingDeletion", "pending deletion"), ("Unavailable", "Unavailable")] {
        let begin = |ground: &Ground| ground.kms.set_state(&ground.key, state);
        ground.bad_day(state, begin, "denied", &[told, &ground.key], |ground| ground.kms.set_state(&ground.key, "Enabled"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_is_named() {
    let ground = ground().await;
    for operation in ["DescribeKey", "Decrypt"] {
        let permission = format!("kms:{operation}");
        ground.refused(&permission, "AccessDeniedException", operation, "denied", &[&permission, &ground.key]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_overloaded_or_fails_is_waited_for() {
    let ground = ground().await;
    ground.refused("throttling", "ThrottlingException", "Decrypt", "throttled", &["throttled"]);
    let begin = |ground: &Ground| ground.kms.rule(Rule::new(KmsAction::Status(500)));
    ground.bad_day("status 500", begin, "unavailable", &["500"], |ground| ground.kms.clear());
    let begin = |ground: &Ground| ground.kms.rule(Rule::new(KmsAction::CutBefore));
    ground.bad_day("connections cut", begin, "unavailable", &[], |ground| ground.kms.clear());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_key_that_kms_does_not_know_is_told_and_no_answer_of_another_key_is_taken() {
    let ground = ground().await;
    ground.refused("another key", "IncorrectKeyException", "Decrypt", "corrupt", &["IncorrectKeyException"]);
    ground.refused("a changed blob", "InvalidCiphertextException", "Decrypt", "corrupt", &["InvalidCiphertextException"]);
    let other = ground.kms.create(NewKey::new(REGION));
    let begin = |ground: &Ground| ground.kms.rule(Rule::new(KmsAction::Answer("KeyId", Value::from(other.as_str()))).of(&["Decrypt"]));
    ground
        .bad_day("an answer of another key", begin, "denied", &["answered with the key", &other, &ground.key], |ground| ground.kms.clear());
}

/// For as long as the fault lasts, calls become fewer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_lasts_is_no_storm() {
    let ground = ground().await;
    ground.kms.rule(Rule::new(KmsAction::Status(503)));
    let begun = Instant::now();
    let server = ground.setup.start();
    until("the first try", &server, || !failures(&server).is_empty());
    std::thread::sleep(Duration::from_secs(3));
    until("the third try", &server, || failures(&server).len() >= 3);
    let (calls, tries) = (ground.kms.calls().len(), failures(&server).len());
    // Pauses of at least 0.5, 1, 2 and 4 s lie between them, and so on.
    let most = 2 + (0..16).take_while(|number| Duration::from_millis((1000 << number) - 500) <= begun.elapsed()).count();
    assert!(tries <= most, "{tries} tries in {:?}", begun.elapsed());
    // One more may be under way.
    assert!(calls <= (tries + 1) * 6, "{calls} calls in {tries} tries: {:?}", ground.kms.counts());
    let pauses: Vec<u64> = failures(&server)
        .iter()
        .map(|line| {
            line.split("again_in_ms")
                .nth(1)
                .unwrap()
                .chars()
                .skip_while(|one| !one.is_ascii_digit())
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .map(|text| text.parse().unwrap())
        .collect();
    for (number, pause) in pauses.iter().enumerate() {
        assert!((500 << number..=1000 << number).contains(pause), "pause {number} of {pauses:?}");
    }
}

/// What is wrong with the configuration and no pause mends ends the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_none_ends_the_start() {
    let mut ground = ground().await;
    let signing = ground.kms.create(NewKey::new(REGION).for_use("SIGN_VERIFY", "RSA_2048"));
    let elsewhere = ground.kms.create(NewKey::new("us-west-2"));
    let unknown = ground.key.replace(|one: char| one.is_ascii_digit(), "0");
    for (key, told) in [(signing.as_str(), "SIGN_VERIFY"), (&elsewhere, "us-west-2"), (&unknown, ""), ("alias/none", "")] {
        ground.setup.seals = awskms(key, ground.kms.endpoint(), "");
        let (_, said) = ground.setup.refused();
        assert!(said.contains(told) && said.contains(key), "{key}: {said}");
    }
    for (more, told) in [("  key_not_required = true\n", "key_not_required"), ("  regoin = \"us-east-1\"\n", "regoin")] {
        ground.setup.seals = awskms(&ground.key, ground.kms.endpoint(), more);
        let (_, said) = ground.setup.refused();
        assert!(said.contains(told), "{more}: {said}");
    }
    // The control: with its own key it starts.
    ground.setup.seals = awskms(&ground.key, ground.kms.endpoint(), "");
    reads(&ground.setup.serve(&ground.token), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_instance_metadata_takes_two_seconds_more_at_most() {
    let ground = ground().await;
    let timed = |setup: &Setup| {
        let begun = Instant::now();
        (setup.start(), begun.elapsed())
    };
    let (server, usual) = timed(&ground.setup);
    drop(server);
    // Connections are taken and never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = ground.setup.without_keys();
    setup.environment.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), format!("http://{}", silent.local_addr().unwrap())));
    // The best of some: the machine may have something else to do.
    let (mut server, mut taken) = timed(&setup);
    for _ in 0..7 {
        if taken >= usual + Duration::from_secs(3) {
            drop(server);
            (server, taken) = timed(&setup);
        }
    }
    assert!(taken < usual + Duration::from_secs(3), "{taken:?} instead of {usual:?}");
    until("the missing credentials", &server, || failures(&server).iter().any(|line| line.contains("credentials")));
    assert_eq!(status(&server)["sealed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_nobody_listens_at_is_tried_again() {
    let ground = ground().await;
    let endpoint = ground.kms.listen(0).await.unwrap();
    let (url, port) = (endpoint.url().to_owned(), endpoint.url().rsplit(':').next().unwrap().parse().unwrap());
    let mut setup = ground.setup;
    setup.seals = awskms(&ground.key, &url, "");
    drop(endpoint);
    let mut server = setup.start();
    until("the refused connection", &server, || {
        server.log().lines().any(|line| line.contains("connection refused") && line.contains(&format!("endpoint={url}")))
    });
    let _again = ground.kms.listen(port).await.unwrap();
    until("the end", &server, || server.call("GET", "sys/health", None).0 == 200);
    server.token.clone_from(&ground.token);
    reads(&server, "kept");
}
