//! The entries of one request, from its arrival to its answer.

use std::sync::Arc;

use super::Audit;
use super::record::{Record, Stage};
use crate::core::Active;
use crate::logical::{Operation, Request, Response, Result};
use crate::system::wrapping;
use crate::token::Caller;

/// The path below which a request may be the one that brings the first device.
const DEVICES: &str = "sys/audit/";

/// A request that is being recorded. Does nothing, and costs nothing, if there is no device.
pub(crate) struct Trail(Option<Box<Recording>>);

struct Recording {
    audit: Arc<Audit>,
    record: Record,
    /// The request's entry was written, or could not be.
    begun: bool,
}

impl Trail {
    /// A request that has arrived, before anything is known of it.
    pub(crate) fn of(active: &Active, request: &Request) -> Trail {
        if active.audit.devices().is_empty() && !request.path.starts_with(DEVICES) {
            return Trail(None);
        }
        let routes = active.mounts.routes();
        let mount = routes.find(&request.path).map(|(mount, _)| mount.clone());
        let record = Record::of(request, mount, active.mounts.running_version(), active.audit.headers().now());
        Trail(Some(Box::new(Recording { audit: active.audit.clone(), record, begun: false })))
    }

    /// Whether it is recorded.
    pub(crate) fn on(&self) -> bool {
        self.0.is_some()
    }

    /// Whose token it is.
    pub(crate) fn caller(&mut self, caller: &Arc<Caller>) {
        self.with(|record| record.request.caller = Some(caller.clone()));
    }

    /// What it turned out to be: a write may be one of something new.
    pub(crate) fn operation(&mut self, operation: Operation) {
        self.with(|record| record.request.operation = operation);
    }

    /// The policies do not allow it.
    pub(crate) fn denied(&mut self) {
        self.verdict(false, Vec::new);
    }

    /// The policies allow it, or it needs none: its entry is written. An error means that it must not be done.
    pub(crate) async fn allowed(&mut self, granting: impl FnOnce() -> Vec<String>) -> Result<()> {
        self.verdict(true, granting);
        let Some(recording) = &mut self.0 else { return Ok(()) };
        recording.begun = true;
        recording.audit.write(&recording.record, Stage::Request(None)).await?;
        recording.record.reached = true;
        Ok(())
    }

    fn verdict(&mut self, allowed: bool, granting: impl FnOnce() -> Vec<String>) {
        self.with(|record| record.verdict = (!record.last).then(|| (allowed, granting())));
    }

    fn with(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(recording) = &mut self.0 {
            change(&mut recording.record);
        }
    }

    /// What became of it: the entries that are missing are written. The error of an entry that no device took is the answer then.
    pub(crate) async fn end(self, outcome: Result<Response>) -> Result<Response> {
        let Some(recording) = self.0 else { return outcome };
        if !recording.begun {
            recording.audit.write(&recording.record, Stage::Request(outcome.as_ref().err())).await?;
        }
        if !recording.record.last {
            let opened = match &outcome {
                Ok(Response { raw: Some(raw), wrap_info: None, .. }) => Some(Ok(wrapping::opened(raw))),
                _ => None,
            };
            recording.audit.write(&recording.record, Stage::Response(opened.as_ref().unwrap_or(&outcome))).await?;
        }
        outcome
    }
}
