//! Seals at the start of a server: a key service that does not answer, one that does later, and settings that cannot be.

use super::{Opened, open, state};
use crate::config::{self, Config, Environment};
use crate::exit::{Exit, Failure};
use cofferdam_aws::{Providers, Sources};
use cofferdam_backend::Error;
use cofferdam_runtime::{Runtime, RuntimeOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";

fn config(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.hcl");
    let text = format!("{text}\nstorage \"file\" {{ path = \"/tmp/data\" }}\nlistener \"tcp\" {{ tls_disable = true }}");
    std::fs::write(&path, text).unwrap();
    config::load(&[path], &Environment::default()).unwrap()
}

fn stanza(endpoint: &str, more: &str) -> String {
    format!("seal \"awskms\" {{ kms_key_id = \"{KEY}\" endpoint = \"{endpoint}\" access_key = \"AKIA\" secret_key = \"SECRET\" {more} }}\n")
}

/// Opens the seals of this text; the environment says no more than the region.
async fn opened(text: &str, region: &str) -> Result<Opened, Failure> {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    let providers = Arc::new(Providers::new(Sources::of([("AWS_REGION", region)])));
    open(&config(text), None, &runtime, &providers).await
}

/// A KMS with one key, which hangs up until it is told to answer.
async fn kms(answers: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if answers.load(Ordering::SeqCst) {
                tokio::spawn(describe(stream));
            }
        }
    });
    endpoint
}

async fn describe(mut stream: TcpStream) {
    let described = format!(
        r#"{{"KeyMetadata":{{"AWSAccountId":"111122223333","Arn":"{KEY}","KeyId":"1234","Enabled":true,"KeyState":"Enabled","KeyUsage":"ENCRYPT_DECRYPT","KeySpec":"SYMMETRIC_DEFAULT"}}}}"#
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{described}",
        described.len()
    );
    let mut request = Vec::new();
    // The body ends where the key's name does.
    while !String::from_utf8_lossy(&request).contains("1234\"}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let asked = String::from_utf8_lossy(&request).into_owned();
    assert!(asked.to_ascii_lowercase().contains("x-amz-target: trentservice.describekey"), "{asked}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_that_does_not_answer_is_asked_again_and_again() {
    let answers = Arc::new(AtomicBool::new(false));
    let endpoint = kms(answers.clone()).await;
    let seals = opened(&stanza(&endpoint, ""), "eu-west-1").await.unwrap();
    let ([seal], [for_vault]) = (seals.active.as_slice(), seals.options.seals.as_slice()) else { panic!() };
    assert_eq!((for_vault.kind.as_str(), for_vault.name.as_str(), for_vault.allow_direct_blob), ("awskms", "awskms", false));
    assert_eq!(seal.current().name(), None);
    assert!(matches!(for_vault.backend.key_id().await, Err(Error::Unavailable(_))));
    answers.store(true, Ordering::SeqCst);
    assert_eq!(for_vault.backend.key_id().await.unwrap(), KEY);
    for_vault.backend.health().await.unwrap();
    let seal = seal.current();
    assert!(seal.name().unwrap().starts_with("awskms ") && seal.granted().unwrap().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_operator_can_put_right_ends_the_start_unless_another_seal_may_do() {
    let nowhere = "http://127.0.0.1:1";
    // The region is the environment's, and the key another's.
    let failure = opened(&stanza(nowhere, ""), "us-west-2").await.err().unwrap();
    assert_eq!(failure.code, Exit::Failed);
    assert!(failure.message.contains("is one of region eu-west-1, and the region is us-west-2"), "{}", failure.message);
    let two = stanza(nowhere, "name = \"a\" priority = 1") + &stanza(nowhere, "name = \"b\" priority = 2 region = \"eu-west-1\"");
    let seals = opened(&two, "us-west-2").await.unwrap();
    assert!(matches!(seals.options.seals[0].backend.health().await, Err(Error::Configuration(_))));
    // What is given up may be gone already.
    let seals = opened(&stanza(nowhere, "disabled = true"), "us-west-2").await.unwrap();
    assert!(seals.options.seals.is_empty() && seals.options.disabled.is_some());
}

#[test]
fn the_state_file_is_outside_of_what_it_watches() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    let told = config(&format!("state_path = \"{}\"", path.display()));
    for accept in [false, true] {
        let found = state(&told, accept).unwrap().unwrap();
        assert_eq!((found.path, found.accept_rollback), (path.clone(), accept));
    }
    for (wrong, message) in [
        ("state.json", "state_path: state.json: expected a whole path, such as /var/lib/coffer/state.json"),
        ("/tmp/data/state.json", "it is in the storage's own directory, and would go back in time with it: choose another"),
        ("/no/such/state.json", "the directory /no/such does not exist: make it, for the server's user only"),
    ] {
        let found = state(&config(&format!("state_path = \"{wrong}\"")), false).unwrap_err().message;
        assert!(found.contains("c.hcl:1:14: state_path: ") && found.ends_with(message), "{found}");
    }
}

#[test]
fn without_a_state_file_there_is_nothing_to_accept() {
    assert!(state(&config(""), false).unwrap().is_none());
    assert!(state(&config(""), true).unwrap_err().message.contains("--accept-rollback"));
}
