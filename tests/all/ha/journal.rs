//! What the table's journal must say: nobody changes anything while the lock is another's, and nobody takes a lock that is still being renewed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::Fencing;
use cofferdam_emulator::{Applied, Mini};
use serde_json::{Value, json};

/// The lock as the journal has it.
struct Lock {
    who: String,
    identity: String,
    /// When its holder last changed it.
    at: Instant,
}

/// What a journal tells.
pub(crate) struct Story {
    /// Who got the lock, one after the other.
    pub(crate) leaders: Vec<String>,
    /// Changes of entries.
    pub(crate) changes: usize,
    /// Those that were made while the lock was not their maker's.
    pub(crate) foreign: Vec<Applied>,
}

fn identity(values: &Value, name: &str) -> String {
    let bytes = STANDARD.decode(values[name]["B"].as_str().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn is_lock(key: &Value) -> bool {
    *key == json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}})
}

/// Under which identity a change was bound to the lock.
fn bound(change: &Applied) -> Option<String> {
    let check = change.body["TransactItems"][0].get("ConditionCheck")?;
    let values = &check["ExpressionAttributeValues"];
    let name = values.as_object()?.keys().next()?;
    is_lock(&check["Key"]).then(|| identity(values, name))
}

/// Reads the journal, and fails at what may never be: a lock taken over before its time, or with strict fencing a change that is not bound to it.
pub(crate) fn story(mini: &Mini, fencing: Fencing, silence: Duration) -> Story {
    let mut story = Story { leaders: Vec::new(), changes: 0, foreign: Vec::new() };
    let mut lock: Option<Lock> = None;
    for change in mini.journal() {
        if is_lock(&change.body["Key"]) {
            if change.operation == "DeleteItem" {
                assert!(lock.take().is_some_and(|lock| lock.who == change.who), "{} removed another's lock", change.who);
                continue;
            }
            let identity = identity(&change.body["ExpressionAttributeValues"], ":i");
            if lock.as_ref().is_none_or(|lock| lock.identity != identity) {
                if let Some(old) = lock.filter(|old| old.who != change.who) {
                    let silent = change.at - old.at;
                    assert!(silent >= silence, "{} took {}'s lock {silent:?} after its last renewal", change.who, old.who);
                }
                story.leaders.push(change.who.clone());
            }
            lock = Some(Lock { who: change.who, identity, at: change.at });
            continue;
        }
        story.changes += 1;
        if fencing == Fencing::Strict {
            let bound = bound(&change).unwrap_or_else(|| panic!("not bound to the lock: {change:?}"));
            assert_eq!(lock.as_ref().map(|lock| &lock.identity), Some(&bound), "{change:?}");
        }
        if lock.as_ref().is_none_or(|lock| lock.who != change.who) {
            story.foreign.push(change);
        }
    }
    story
}
