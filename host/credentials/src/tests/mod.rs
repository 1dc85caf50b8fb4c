//! Each source against a server on loopback that enforces the source's rules. Surroundings are given, never the process's own.

mod choosing;
mod container;
mod files;
mod instance;
mod logs;
mod refresh;
mod regions;
mod roles;
mod server;
mod services;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Keys;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Credentials, CredentialsError, Identity, Sources};

/// The STS region of these tests.
const REGION: &str = "eu-west-1";

/// Surroundings with these variables and no home directory.
fn sources(variables: &[(&str, &str)]) -> Sources {
    Sources::of(variables.iter().copied())
}

async fn open(identity: Identity, sources: &Sources) -> Arc<Credentials> {
    Credentials::open(identity, REGION, sources).await.unwrap()
}

/// What `open` refuses, in words.
async fn refusal(identity: Identity, variables: &[(&str, &str)]) -> String {
    match Credentials::open(identity, REGION, &sources(variables)).await {
        Err(CredentialsError::Configuration(what)) => what,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// What `get` fails with, in words.
async fn failure(credentials: &Arc<Credentials>) -> String {
    match credentials.get().await {
        Err(error @ CredentialsError::Failed { .. }) => error.to_string(),
        other => panic!("not a failure: {other:?}"),
    }
}

/// Waits until the credentials in use have this id. Until then there may be others, or none.
async fn becomes(credentials: &Arc<Credentials>, id: &str) {
    let there = async {
        while !credentials.get().await.is_ok_and(|keys| keys.access_key_id() == id) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("they were not replaced");
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn secret(text: &str) -> Option<zeroize::Zeroizing<String>> {
    Some(text.to_owned().into())
}

fn stanza_keys() -> Identity {
    Identity { access_key: secret("AKIASTANZA"), secret_key: secret("stanza-secret"), ..Identity::default() }
}

fn shown(keys: &Keys) -> (&str, &str, Option<&str>) {
    (keys.access_key_id(), keys.secret_access_key(), keys.session_token())
}

/// So many seconds from now (or ago), as the services write it.
fn in_seconds(seconds: f64) -> String {
    (OffsetDateTime::now_utc() + time::Duration::seconds_f64(seconds)).format(&Rfc3339).unwrap()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
