//! Secrets in files, for programs that cannot ask for them.
//!
//! The rule: a file holds one whole answer at any time, the old or the new, and nobody but its owner reads it unless the operator said so; what fails is
//! told for all files together. Kept fresh, a file is written again only when more than the request's id is new.

mod indent;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::settings::{Secret, Settings};
use crate::token::{Clock, Keeper};
use crate::upstream::{Call, Upstream};

/// A secret without a lease is read so often, unless told otherwise.
const STATIC: Duration = Duration::from_secs(300);

/// How long after a failure the first time, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// The wall clock is looked at so often: it may have leapt while the process was frozen.
const TICK: Duration = Duration::from_secs(5);

/// Why not all secrets are in their files.
#[derive(Debug)]
pub struct FilesError {
    failures: Vec<String>,
}

impl FilesError {
    /// What failed, one by one.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failures.join("\n"))
    }
}

impl std::error::Error for FilesError {}

/// A secret, and what of it was written when.
struct Entry {
    secret: Secret,
    /// Of what was written, without the request's id.
    digest: Option<[u8; 32]>,
    /// Of the token whose end is that of what was written, a lease: another one reads it anew.
    leased_to: Option<[u8; 32]>,
    due: Option<SystemTime>,
    failures: u32,
}

/// The secret files.
pub struct Files {
    upstream: Arc<Upstream>,
    keeper: Arc<Keeper>,
    clock: Clock,
    mode: u32,
    watch: Option<Duration>,
    entries: Mutex<Vec<Entry>>,
}

/// Of an answer, what tells when to ask again.
#[derive(Deserialize)]
struct Lease {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default, rename = "data")]
    _data: Option<IgnoredAny>,
}

impl Files {
    /// Of these settings. Nothing is read yet.
    pub fn new(settings: &Settings, upstream: Arc<Upstream>, keeper: Arc<Keeper>, clock: Clock) -> Files {
        let entry = |secret: &Secret| Entry { secret: secret.clone(), digest: None, leased_to: None, due: None, failures: 0 };
        let entries = settings.secrets.iter().map(entry).collect();
        let (mode, watch) = (settings.secret_file_mode, settings.watch);
        Files { upstream, keeper, clock, mode, watch, entries: Mutex::new(entries) }
    }

    /// Reads every secret and writes its file; what failed is told together.
    pub async fn write(&self) -> Result<(), FilesError> {
        let mut failures = Vec::new();
        for entry in self.entries.lock().await.iter_mut() {
            failures.extend(self.refresh(entry).await.err());
        }
        if failures.is_empty() { Ok(()) } else { Err(FilesError { failures }) }
    }

    /// Keeps the files fresh. Failures are logged and tried again; it never ends.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(self.pass().await).await;
        }
    }

    /// Refreshes what is due, and tells how long to wait.
    async fn pass(&self) -> Duration {
        let mut entries = self.entries.lock().await;
        // Also when nothing is due: it renews the token, with which the leases of what was read would end.
        let token = self.keeper.token().await.ok().map(|token| token.digest());
        for entry in entries.iter_mut() {
            let ended = entry.leased_to.is_some() && token.is_some() && entry.leased_to != token;
            if !ended && entry.due.is_none_or(|due| due > (self.clock)()) {
                continue;
            }
            if let Err(failure) = self.refresh(entry).await {
                let (first, longest) = RETRY;
                let wait = first.saturating_mul(1 << entry.failures.min(8)).min(longest);
                entry.failures = entry.failures.saturating_add(1);
                entry.due = Some((self.clock)() + wait);
                tracing::warn!("{failure}: the file stays as it is, and is tried again in {wait:?}");
            }
        }
        let now = (self.clock)();
        let next = entries.iter().filter_map(|entry| entry.due).min();
        next.map_or(TICK, |due| due.duration_since(now).unwrap_or_default()).min(TICK)
    }

    async fn refresh(&self, entry: &mut Entry) -> Result<(), String> {
        let secret = &entry.secret;
        let failed = |cause: String| format!("{}: {} for {}: {cause}", secret.name, secret.path, secret.file.display());
        let now = (self.clock)();
        let token = self.keeper.token().await.map_err(|error| failed(error.to_string()))?;
        let index = self.keeper.index();
        let call = Call { path: &secret.path, token: Some(&token), index: &index, ..Call::default() };
        let answer = self.upstream.call(&call).await.map_err(|error| failed(error.to_string()))?;
        let lease: Lease = serde_json::from_slice(&answer.body).map_err(|_| failed("the server's answer is no secret".to_owned()))?;
        let text = indent::indented(&answer.body);
        let digest = digest(&text);
        if entry.digest != Some(digest) || !secret.file.exists() {
            write::whole(&secret.file, self.mode, &text).map_err(failed)?;
            tracing::info!(secret = %secret.path, file = %secret.file.display(), "wrote a secret to its file");
        }
        (entry.digest, entry.failures) = (Some(digest), 0);
        entry.leased_to = (!lease.lease_id.is_empty()).then(|| token.digest());
        entry.due = self.watch.map(|interval| now + until(interval, &lease));
        Ok(())
    }
}

/// No clock goes further than this many seconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 24 * 3_600;

/// When a secret is read again: after two thirds of its lease, and no later than the interval. A duration without a lease is the writer's hint (kv v1).
fn until(interval: Duration, lease: &Lease) -> Duration {
    let part = Duration::from_secs((lease.lease_duration / 3).saturating_mul(2).clamp(1, LONGEST));
    let longest = if interval.is_zero() { STATIC } else { interval };
    match (lease.lease_duration, lease.lease_id.is_empty()) {
        (0, _) => longest,
        (_, false) if interval.is_zero() => part,
        _ => part.min(longest),
    }
}

/// Of all but the line that every answer has anew.
fn digest(text: &Zeroizing<Vec<u8>>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(indent::REQUEST_ID)) {
        digest.update(line);
        digest.update(b"\n");
    }
    digest.finalize().into()
}
