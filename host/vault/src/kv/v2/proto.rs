//! The messages that are stored (protocol buffers, version 3), as the kv plugin and OpenBao define them.
//!
//! The rule: a message that is read and written again keeps what it holds. Fields that this version does not know are kept too,
//! behind the known ones ([`Stored`]); other servers' additions (as OpenBao's own fields 400 and 401) thus survive.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::logical::{Error, Result};

/// A point in time: `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// A span of time: `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Span {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// The mount's settings, stored as `config` once written.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Configuration {
    #[prost(uint32, tag = "1")]
    pub(super) max_versions: u32,
    #[prost(bool, tag = "2")]
    pub(super) cas_required: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) delete_version_after: Option<Span>,
    #[prost(bool, tag = "400")]
    pub(super) metadata_cas_required: bool,
}

/// How far the move of a version 1 mount's data has come, stored as `upgrading`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct UpgradeInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) started_time: Option<Timestamp>,
    #[prost(bool, tag = "2")]
    pub(super) done: bool,
}

/// What is known of a key and all its versions.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyMetadata {
    /// The whole plain path.
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(btree_map = "uint64, message", tag = "2")]
    pub(super) versions: BTreeMap<u64, VersionMetadata>,
    #[prost(uint64, tag = "3")]
    pub(super) current_version: u64,
    /// Zero until versions have been trimmed for the first time.
    #[prost(uint64, tag = "4")]
    pub(super) oldest_version: u64,
    #[prost(message, optional, tag = "5")]
    pub(super) created_time: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub(super) updated_time: Option<Timestamp>,
    #[prost(uint32, tag = "7")]
    pub(super) max_versions: u32,
    #[prost(bool, tag = "8")]
    pub(super) cas_required: bool,
    #[prost(message, optional, tag = "9")]
    pub(super) delete_version_after: Option<Span>,
    #[prost(btree_map = "string, string", tag = "10")]
    pub(super) custom_metadata: BTreeMap<String, String>,
    #[prost(bool, tag = "400")]
    pub(super) metadata_cas_required: bool,
    /// Counts the writes of the metadata themselves.
    #[prost(uint64, tag = "401")]
    pub(super) current_metadata_version: u64,
}

/// What is known of one version.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct VersionMetadata {
    #[prost(message, optional, tag = "1")]
    pub(super) created_time: Option<Timestamp>,
    /// When it was deleted, or will be.
    #[prost(message, optional, tag = "2")]
    pub(super) deletion_time: Option<Timestamp>,
    #[prost(bool, tag = "3")]
    pub(super) destroyed: bool,
}

/// One version of a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct Version {
    /// The secret: a JSON object, or `null`.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) data: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) created_time: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub(super) deletion_time: Option<Timestamp>,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("created_time", &self.created_time)
            .field("deletion_time", &self.deletion_time)
            .finish_non_exhaustive()
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.data);
    }
}

/// The numbers of a message's fields.
pub(super) trait Known: Message + Default {
    fn knows(tag: u32) -> bool;
}

impl Known for KeyMetadata {
    fn knows(tag: u32) -> bool {
        matches!(tag, 1..=10 | 400 | 401)
    }
}

impl Known for Configuration {
    fn knows(tag: u32) -> bool {
        matches!(tag, 1..=3 | 400)
    }
}

/// A message together with the fields that it came with and this version does not know.
#[derive(Clone, Default)]
pub(super) struct Stored<M> {
    pub(super) message: M,
    unknown: Vec<u8>,
}

impl<M: Known> Stored<M> {
    /// A message of our own making.
    pub(super) fn new(message: M) -> Stored<M> {
        Stored { message, unknown: Vec::new() }
    }

    /// Reads what is stored under `name`, which is for the error's text.
    pub(super) fn decode(bytes: &[u8], name: &str) -> Result<Stored<M>> {
        Ok(Stored { message: decode(bytes, name)?, unknown: unknown::<M>(bytes).map_err(|error| damaged(name, &error))? })
    }

    /// As it is to be stored.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.message.encoded_len() + self.unknown.len()));
        // The capacity suffices, so this cannot fail.
        let _ = self.message.encode(&mut *bytes);
        bytes.extend_from_slice(&self.unknown);
        bytes
    }
}

fn unknown<M: Known>(mut bytes: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let mut kept = Vec::new();
    while !bytes.is_empty() {
        let start = bytes;
        let (tag, wire): (u32, WireType) = decode_key(&mut bytes)?;
        skip_field(wire, tag, &mut bytes, DecodeContext::default())?;
        if !M::knows(tag) {
            kept.extend(start.get(..start.len() - bytes.len()).unwrap_or_default());
        }
    }
    Ok(kept)
}

fn damaged(name: &str, error: &prost::DecodeError) -> Error {
    Error::Damaged(format!("{name}: {error}"))
}

/// Reads what is stored under `name`, which is for the error's text.
pub(super) fn decode<M: Message + Default>(bytes: &[u8], name: &str) -> Result<M> {
    M::decode(bytes).map_err(|error| damaged(name, &error))
}

/// As it is to be stored, in one piece of memory that is wiped.
pub(super) fn encode(message: &impl Message) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(message.encoded_len()));
    let _ = message.encode(&mut *bytes);
    bytes
}

impl Timestamp {
    /// This moment.
    pub(super) fn now() -> Timestamp {
        // A clock before 1970 is as wrong as one at 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos().cast_signed() }
    }

    /// This much later.
    pub(super) fn after(self, span: Span) -> Timestamp {
        let nanos = self.nanos.saturating_add(span.nanos);
        let seconds = self.seconds.saturating_add(span.seconds).saturating_add((nanos / 1_000_000_000).into());
        Timestamp { seconds, nanos: nanos % 1_000_000_000 }
    }

    /// As RFC 3339 with the digits that are needed.
    pub(super) fn text(self) -> String {
        let Ok(time) = OffsetDateTime::from_unix_timestamp(self.seconds) else { return String::new() };
        let (date, hour, minute, second) = (time.date(), time.hour(), time.minute(), time.second());
        let mut text = format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", date.year(), u8::from(date.month()), date.day());
        if self.nanos != 0 {
            text.push_str(format!(".{:09}", self.nanos).trim_end_matches('0'));
        }
        text.push('Z');
        text
    }
}

/// The text of a point in time that may be missing.
pub(super) fn time_text(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, Timestamp::text)
}

impl Span {
    /// A span of whole seconds.
    pub(super) fn of_seconds(seconds: i64) -> Span {
        Span { seconds, nanos: 0 }
    }

    /// In nanoseconds.
    pub(super) fn nanoseconds(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(self.nanos.into())
    }
}

#[cfg(test)]
mod tests;
