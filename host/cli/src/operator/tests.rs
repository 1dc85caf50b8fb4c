//! The commands against a server of canned answers: which paths they ask, with what.

use super::run;
use crate::args::{Arguments, Command};
use crate::config::Environment;
use crate::exit::{Exit, Failure};
use clap::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Method and path, status, answer.
type Canned = (&'static str, u16, Value);

/// Answers requests with these in order; gives each one's body, if there was one. A request that is not the next is answered with 599.
async fn serve(answers: Vec<Canned>) -> (String, JoinHandle<Vec<Option<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut bodies = Vec::new();
        for (expected, status, answer) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, body) = request(&mut stream).await;
            let fits = head.starts_with(&format!("{} ", expected.replacen(' ', " /v1/", 1)));
            let (status, answer) = if fits { (status, answer.to_string()) } else { (599, json!({"errors": [head]}).to_string()) };
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            bodies.push(serde_json::from_str(&body).ok());
        }
        bodies
    });
    (address, serving)
}

async fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), body.to_owned());
            }
        }
        assert!(read > 0, "{text}");
    }
}

/// Runs a command against these answers, of which it has to use all. Gives the bodies that it sent.
async fn told(line: &str, answers: Vec<Canned>) -> (Result<Exit, Failure>, Vec<Value>) {
    let (address, serving) = serve(answers).await;
    let arguments = ["coffer", "operator"].into_iter().chain(line.split_whitespace()).map(str::to_owned);
    let arguments = Arguments::try_parse_from(arguments.chain([format!("--address={address}")])).unwrap();
    let Command::Operator(command) = arguments.command else { panic!("{line}") };
    let outcome = run(&command, &Environment::default()).await;
    (outcome, serving.await.unwrap().into_iter().flatten().collect())
}

fn closed() -> Value {
    json!({"errors": ["unsupported operation"]})
}

#[tokio::test]
async fn paths_that_are_closed_without_a_token_have_others_with_one() {
    let idle = json!({"data": {"started": false, "t": 0, "n": 0, "required": 3}});
    let begun = json!({"data": {"started": true, "nonce": "x", "t": 3, "n": 5, "progress": 0, "required": 3}});
    let (outcome, bodies) = told(
        "rekey --init --target=recovery --verify",
        vec![
            ("GET sys/rekey-recovery-key/init", 405, closed()),
            ("GET sys/rotate/recovery/init", 200, idle),
            ("GET sys/seal-status", 200, json!({"recovery_seal": true})),
            ("PUT sys/rotate/recovery/init", 200, begun),
        ],
    )
    .await;
    assert_eq!(outcome.unwrap(), Exit::Success);
    assert_eq!(bodies, [json!({"secret_shares": 5, "secret_threshold": 3, "require_verification": true})]);
    let (outcome, bodies) = told(
        "generate-root --nonce=x share",
        vec![
            ("GET sys/generate-root/attempt", 405, closed()),
            ("GET sys/generate-root-token/attempt", 200, json!({"data": {"started": true, "nonce": "x", "progress": 0, "required": 1}})),
            (
                "PUT sys/generate-root-token/update",
                200,
                json!({"data": {"started": true, "nonce": "x", "progress": 1, "required": 1, "complete": true}}),
            ),
        ],
    )
    .await;
    assert_eq!(outcome.unwrap(), Exit::Success);
    assert_eq!(bodies, [json!({"key": "share", "nonce": "x"})]);
    // Without a token it is told how to do without.
    let told_how = json!({"errors": ["unsupported operation", "or set it to false"]});
    let denied = json!({"errors": ["permission denied"]});
    let answers = vec![("GET sys/rekey/init", 405, told_how), ("GET sys/rotate/root/init", 403, denied)];
    assert!(told("rekey --status", answers).await.0.unwrap_err().message.contains("or set it to false"));
    // The first recovery key is made at once, by who has a token.
    let (outcome, bodies) = told(
        "rekey --init --target=recovery -n 1 -t 1",
        vec![
            ("GET sys/rekey-recovery-key/init", 200, json!({"started": false, "required": 0})),
            ("GET sys/seal-status", 200, json!({"recovery_seal": true})),
            ("PUT sys/rotate/recovery/init", 200, json!({"data": {"complete": true, "keys_base64": ["k"], "nonce": "x"}})),
        ],
    )
    .await;
    assert_eq!(outcome.unwrap(), Exit::Success);
    assert_eq!(bodies, [json!({"secret_shares": 1, "secret_threshold": 1, "require_verification": false})]);
    // What is refused for another reason is not asked for elsewhere.
    let (outcome, _) = told("rekey --status", vec![("GET sys/rekey/init", 503, json!({"errors": ["Vault is sealed"]}))]).await;
    assert!(outcome.unwrap_err().message.contains("Vault is sealed"));
}

#[tokio::test]
async fn the_root_key_of_a_vault_that_unseals_itself_has_no_shares() {
    for (service, shares, threshold) in [(true, 1, 1), (false, 5, 3)] {
        let (outcome, bodies) = told(
            "rekey --init",
            vec![
                ("GET sys/rekey/init", 200, json!({"started": false})),
                ("GET sys/seal-status", 200, json!({"recovery_seal": service})),
                ("PUT sys/rekey/init", 200, json!({"started": true, "nonce": "x"})),
            ],
        )
        .await;
        assert_eq!(outcome.unwrap(), Exit::Success);
        assert_eq!(bodies, [json!({"secret_shares": shares, "secret_threshold": threshold, "require_verification": false})]);
    }
}

#[tokio::test]
async fn a_verification_takes_the_new_shares() {
    let (outcome, bodies) = told(
        "rekey --verify --nonce=v new",
        vec![
            ("GET sys/rekey/init", 200, json!({"started": true, "nonce": "x"})),
            ("GET sys/rekey/verify", 200, json!({"started": true, "nonce": "v", "t": 1, "n": 1, "progress": 0})),
            ("PUT sys/rekey/verify", 200, json!({"nonce": "v", "complete": true})),
        ],
    )
    .await;
    assert_eq!(outcome.unwrap(), Exit::Success);
    assert_eq!(bodies, [json!({"key": "new", "nonce": "v"})]);
}

#[tokio::test]
async fn nothing_is_given_to_what_was_not_begun() {
    for (line, path) in [("rekey share", "GET sys/rekey/init"), ("generate-root share", "GET sys/generate-root/attempt")] {
        let (outcome, _) = told(line, vec![(path, 200, json!({"started": false}))]).await;
        let failure = outcome.unwrap_err();
        assert!(failure.code == Exit::Usage && failure.message.contains("--init"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_share_says_whether_the_seal_is_to_be_migrated() {
    let status = json!({"type": "awskms", "initialized": true, "sealed": true, "t": 1, "n": 1});
    for (line, body) in [("unseal share", json!({"key": "share"})), ("unseal --migrate share", json!({"key": "share", "migrate": true}))] {
        let answers = vec![("PUT sys/unseal", 200, status.clone()), ("GET sys/leader", 200, json!({"ha_enabled": false}))];
        let (outcome, bodies) = told(line, answers).await;
        assert_eq!(outcome.unwrap(), Exit::Success);
        assert_eq!(bodies, [body]);
    }
}

#[tokio::test]
async fn a_vault_without_a_recovery_key_is_made_without_shares() {
    let answers = vec![
        ("GET sys/seal-status", 200, json!({"type": "awskms", "recovery_seal": true})),
        ("PUT sys/init", 200, json!({"keys": [], "keys_base64": [], "recovery_keys": [], "recovery_keys_base64": [], "root_token": "t"})),
    ];
    let (outcome, bodies) = told("init --recovery-shares=0", answers).await;
    assert_eq!(outcome.unwrap(), Exit::Success);
    assert_eq!(bodies, [json!({"recovery_shares": 0, "recovery_threshold": 0})]);
    // Shares that were asked for and did not come are no success.
    let answers = vec![
        ("GET sys/seal-status", 200, json!({"type": "awskms", "recovery_seal": true})),
        ("PUT sys/init", 200, json!({"keys": [], "keys_base64": [], "root_token": "t"})),
    ];
    assert!(told("init", answers).await.0.unwrap_err().message.contains("no keys"));
}
