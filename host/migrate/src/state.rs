//! What a migration leaves at both ends while it runs: the entry `core/migration`, which is Vault's lock of `operator migrate`.
//!
//! Vault and OpenBao read its member `start` and do not start on a store that has it, whatever else is in it. Ours is in the member `cofferdam`: at the source, whose
//! lock it is; at the destination, how far the copy is. It is plain text, as theirs is: names of entries and sums, no values.

use cofferdam_backend::Key;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::sums::Sums;

/// The key of the lock.
pub const LOCK: &str = "core/migration";

/// Keys that are never copied, as with Vault: the lock of a migration, and that of servers, which is worth nothing elsewhere.
pub(crate) const SKIPPED: &[&str] = &[LOCK, "core/lock"];

/// How many entries that do not fit are named, and with how many characters: what is kept of them has to fit into one entry anywhere.
const NAMED: usize = 100;
const NAME: usize = 500;

/// The key of the lock, as a key.
pub(crate) fn lock_key() -> cofferdam_backend::Result<Key> {
    Ok(Key::new(LOCK)?)
}

/// The entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// When it was taken.
    #[serde(default)]
    pub(crate) start: String,
    /// What is ours in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cofferdam: Option<Mark>,
}

/// At which end it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mark {
    Source(SourceMark),
    Destination(Box<State>),
}

/// Whose migration holds a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceMark {
    pub(crate) id: String,
    pub(crate) destination: String,
}

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of this migration, until it has ended.
    pub(crate) id: String,
    /// Of the process that works at it.
    pub(crate) run: String,
    /// Where it copies from.
    pub(crate) source: String,
    /// Keys that sort before it are left alone.
    pub(crate) start: Option<String>,
    pub(crate) step: Step,
    /// How many entries were counted.
    pub(crate) total: Option<u64>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) copied: Sums,
    /// What the destination has no key for.
    pub(crate) left_out: Unfits,
    /// What is too large for it.
    pub(crate) too_large: Unfits,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    Empty,
    Copy,
    /// It is whole: only the locks are left to be removed.
    Release,
}

/// How far a part of the source was read and what was read is at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// In hexadecimal.
    pub(crate) cursor: Option<String>,
    pub(crate) done: bool,
}

/// An entry that the destination cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// Its key; of a very long one, the beginning.
    pub key: String,
    /// Why not.
    pub reason: String,
}

/// Entries that the destination cannot hold: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfits {
    /// How many.
    pub count: u64,
    /// The first hundred.
    pub first: Vec<Unfit>,
}

impl Unfits {
    pub(crate) fn push(&mut self, key: &str, reason: impl ToString) {
        self.count += 1;
        if self.first.len() < NAMED {
            let cut = |text: &str| text.chars().take(NAME).collect();
            self.first.push(Unfit { key: cut(key), reason: cut(&reason.to_string()) });
        }
    }

    pub(crate) fn merge(&mut self, other: Unfits) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}

impl Lock {
    pub(crate) fn now(mark: Mark) -> Lock {
        Lock { start: now(), cofferdam: Some(mark) }
    }

    /// What is stored; something that is no lock of any kind holds the store all the same.
    pub(crate) fn read(bytes: &[u8]) -> Lock {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Lock { start: "at an unknown time".to_owned(), cofferdam: None })
    }

    pub(crate) fn write(&self) -> cofferdam_backend::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| cofferdam_backend::Error::InvalidKey(format!("{LOCK}: {error}")))
    }
}

/// The time, as it is written into a lock.
pub(crate) fn now() -> String {
    // This format knows no time that it could not write.
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}
