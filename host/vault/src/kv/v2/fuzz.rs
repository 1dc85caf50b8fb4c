//! The parsers of a version 2 mount, for [`crate::fuzz`].

use serde_json::Value;

use super::names::Names;
use super::policy::Policy;
use super::proto::{self, Configuration, KeyMetadata, Known, Span, Stored, Timestamp, UpgradeInfo, Version, time_text};
use crate::kv::duration;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Fields, Operation, Request};

/// Messages as they are stored, and the policy of the paths.
pub fn kv_messages(bytes: &[u8]) {
    if let Some(metadata) = stored::<KeyMetadata>(bytes) {
        let _ = (time_text(metadata.created_time), time_text(metadata.updated_time));
        let span = metadata.delete_version_after.unwrap_or_default();
        for version in metadata.versions.values() {
            let _ = (time_text(version.created_time), time_text(version.deletion_time), version.deleted(Timestamp::now()));
            let _ = version.created_time.map(|time| time.after(span).text());
        }
    }
    if let Some(configuration) = stored::<Configuration>(bytes) {
        let _ = duration::format(configuration.delete_version_after.map_or(0, Span::nanoseconds));
    }
    let _ = proto::decode::<UpgradeInfo>(bytes, "upgrading").map(|info| time_text(info.started_time));
    let _ = proto::decode::<Version>(bytes, "versions").map(|version| serde_json::from_slice::<Value>(&version.data).is_ok());
    let _ = Policy::parse(bytes);
}

/// What is written is read as the same, with all that was not known.
fn stored<M: Known + PartialEq>(bytes: &[u8]) -> Option<M> {
    let read = Stored::<M>::decode(bytes, "entry").ok()?;
    let written = read.encode();
    let again = Stored::<M>::decode(&written, "entry");
    assert!(
        again.is_ok_and(|again| again.message == read.message && again.encode() == written),
        "a message that was written is read as another"
    );
    Some(read.message)
}

/// Names of a stored folder: a line each, the first the plain folder. The key is always the same.
pub fn kv_names(bytes: &[u8]) {
    let key = r#"{"keys":{"1":{"key":"y5xSy4VJBj7rcNYCgum+9hp4ZoU9mfehUlV/vKzqpW0=","convergent_version":3}},"derived":true,"kdf":1,"convergent_encryption":true,"convergent_version":3,"latest_version":1,"type":0}"#;
    let Ok(policy) = Policy::parse(key.as_bytes()) else { return };
    let names = Names::new(policy, "be13a8e5-cb4e-a41e-3778-e1c43606806d");
    let text = String::from_utf8_lossy(bytes);
    let (folder, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let stored: Vec<String> = rest.split('\n').map(str::to_owned).collect();
    let _ = names.decrypt_all(folder, &stored);
    // A leaf in a folder comes back.
    let folder = format!("{}/", folder.trim_matches('/'));
    for leaf in rest.split('\n').filter(|leaf| !leaf.is_empty() && !leaf.contains('/')).take(4) {
        let Ok(name) = names.encrypt(&format!("{folder}{leaf}")) else { continue };
        let stored = name.rsplit('/').next().unwrap_or_default().to_owned();
        let plain = names.decrypt_all(&folder, &[stored]).unwrap_or_default();
        assert!(plain == [leaf], "{leaf:?} comes back as {plain:?}");
    }
}

const SCHEMA: Schema = &[
    ("text", Kind::Text),
    ("int", Kind::Int),
    ("bool", Kind::Bool),
    ("seconds", Kind::Seconds),
    ("signed", Kind::SignedSeconds),
    ("map", Kind::Map),
    ("ints", Kind::Ints),
];

/// The fields of a request: a JSON object, of which each member is tried as each kind.
pub fn kv_fields(bytes: &[u8]) {
    let Ok(given) = serde_json::from_slice::<Fields>(bytes) else { return };
    for value in given.values() {
        if let Ok(Some(nanoseconds)) = duration::parse(value) {
            let _ = duration::format(nanoseconds);
        }
        let data: Fields = SCHEMA.iter().map(|(name, _)| ((*name).to_owned(), value.clone())).collect();
        read(data);
        for (name, _) in SCHEMA {
            read([((*name).to_owned(), value.clone())].into_iter().collect());
        }
    }
    read(given);
}

fn read(data: Fields) {
    let (id, path) = (String::new(), "data/a".to_owned());
    let request = Request {
        id,
        operation: Operation::Update,
        path,
        data,
        token: None,
        remote: None,
        caller: None,
        wrap_ttl: None,
        wrap_jwt: false,
        headers: Vec::new(),
    };
    if let Ok(input) = Input::new(&request, SCHEMA, true) {
        let _ = (input.text("text"), input.int("int"), input.bool("bool"), input.seconds("seconds"), input.seconds("signed"));
        let _ = (input.map("map"), input.ints("ints"));
    }
}
