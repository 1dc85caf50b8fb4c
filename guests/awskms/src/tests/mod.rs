//! The whole logic, SDK included, over a KMS in memory.

mod fake;
mod keys;
mod opening;
mod patience;

use std::sync::Arc;

use cofferdam_guest::{Error, Setting};

use self::fake::Fake;
use crate::key::Key;
use crate::options::Options;

const REGION: &str = "eu-west-1";
const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The key of that id, over a KMS that knows [`ARN`].
fn named(key_id: &str) -> (Key, Arc<Fake>) {
    let fake = Arc::new(Fake::new());
    let settings = [("kms_key_id", key_id), ("region", REGION)].map(|(name, value)| Setting { name: name.into(), value: value.into() });
    let key = Key::new(Options::read(settings.into()).unwrap(), Arc::clone(&fake) as Arc<_>);
    key.begin();
    (key, fake)
}

fn key() -> (Key, Arc<Fake>) {
    named("alias/vault")
}

/// The text of an error, and its case.
fn told(error: Error) -> (&'static str, String) {
    match error {
        Error::Configuration(text) => ("configuration", text),
        Error::Denied(text) => ("denied", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Corrupt(text) => ("corrupt", text),
        Error::Unsupported(text) => ("unsupported", text),
        Error::Exhausted(text) => ("exhausted", text),
        Error::Throttled(delay) => ("throttled", delay.to_string()),
        other => panic!("{other:?}"),
    }
}
