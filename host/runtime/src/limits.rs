//! What an operator decides for a backend: its grants, its limits and its pool. Every default suits the guests of the release.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::Lease;
use serde::Serialize;

use crate::{Aws, Directory, Http, Probe};

/// What a backend is given beyond its settings, a log, clocks and random bytes. The default is nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Grants {
    /// The one directory that the guest sees, under the name `/data`. Its calls run on threads that may block.
    pub directory: Option<Directory>,
    /// Who answers the guest's `aws.send`.
    pub aws: Option<Arc<dyn Aws>>,
    /// Who answers the guest's requests by `wasi:http`.
    pub http: Option<Arc<dyn Http>>,
}

impl Grants {
    /// What each lets a guest do, in words for the operator.
    pub fn describe(&self) -> BTreeMap<&'static str, String> {
        let directory = self.directory.as_ref().map(|directory| ("directory", directory.describe()));
        let aws = self.aws.as_ref().map(|aws| ("aws", aws.describe()));
        let http = self.http.as_ref().map(|http| ("http", http.describe()));
        [directory, aws, http].into_iter().flatten().collect()
    }

    /// Whether the grant of this name, as an inspection names it, is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        match name {
            "aws" => self.aws.is_some(),
            "directory" => self.directory.is_some(),
            "http" => self.http.is_some(),
            _ => false,
        }
    }
}

/// Caps on what a guest may use. A breach ends the call and the instance, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// The most linear memory of an instance, in bytes, all its memories together.
    pub memory: usize,
    /// The longest time a call may compute. Time spent waiting in the host does not count.
    pub cpu: Duration,
    /// The longest time a call may take in all, from when it has an instance.
    pub call: Duration,
    /// The same for a call of a lock, and the longest that it waits for an instance: leadership hangs on it.
    pub lock: Duration,
    /// The same for `open`, which may have to create what is missing.
    pub open: Duration,
    /// How long a mutation that was given up may still take effect in the store: longer than any call takes.
    pub unknown: Duration,
    /// The most bytes that a guest may hand to the host in one answer or in one call of an import.
    pub response: usize,
    /// The most handles (files, streams, pollables, …) that an instance may hold at once. A handle on a file is a file of this process.
    pub handles: usize,
    /// The most random bytes in one request.
    pub random: u64,
    /// The most log lines in a second, over all instances; twice as many in a burst. What is dropped is counted.
    pub log_lines: u32,
}

impl Default for GuestLimits {
    fn default() -> GuestLimits {
        GuestLimits {
            memory: 128 << 20,
            cpu: Duration::from_secs(5),
            call: Duration::from_secs(30),
            lock: Duration::from_secs(5),
            open: Duration::from_secs(120),
            unknown: Duration::from_secs(120),
            response: 36 << 20,
            handles: 40,
            random: 64 << 10,
            log_lines: 50,
        }
    }
}

/// How instances are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolPolicy {
    /// Instances are used again: a call costs less than a microsecond over the guest's own work.
    #[default]
    Warm,
    /// A fresh instance for every call: nothing of one call can be seen by the next. Costs some tens of microseconds.
    Ephemeral,
}

/// The instances of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Whether instances are used again.
    pub policy: PoolPolicy,
    /// The most instances, which is the most calls in flight. Further calls queue in the order in which they came.
    pub size: usize,
    /// How long a call waits for its turn before it fails as busy.
    pub wait: Duration,
    /// After this many calls an instance is replaced.
    pub calls: u32,
    /// An instance whose memory has grown past this many bytes is replaced after its call: linear memory never shrinks.
    pub memory_mark: usize,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions { policy: PoolPolicy::Warm, size: 16, wait: Duration::from_secs(30), calls: 1_000_000, memory_mark: 16 << 20 }
    }
}

/// All that opening a storage backend needs beside its component.
#[derive(Clone)]
pub struct StorageConfig {
    /// The name in logs and metrics: the operator's, not the guest's.
    pub name: String,
    /// The settings that the guest sees; secret ones are taken out by the caller.
    pub settings: Vec<(String, String)>,
    /// What the guest is given.
    pub grants: Grants,
    /// What it may use.
    pub limits: GuestLimits,
    /// How its instances are kept.
    pub pool: PoolOptions,
    /// Whether this server may write, where several share the store: what a guest is told of fencing comes from it.
    pub lease: Option<Arc<Lease>>,
    /// Looks on, and may step in; none in a server.
    pub probe: Option<Arc<dyn Probe>>,
}

impl StorageConfig {
    /// No settings, no grants, all else as by default.
    pub fn new(name: impl Into<String>) -> StorageConfig {
        StorageConfig {
            name: name.into(),
            settings: Vec::new(),
            grants: Grants::default(),
            limits: GuestLimits::default(),
            pool: PoolOptions::default(),
            lease: None,
            probe: None,
        }
    }
}

/// The same for a seal backend.
pub type SealConfig = StorageConfig;
