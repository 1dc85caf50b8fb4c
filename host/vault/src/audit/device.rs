//! One device: its settings, its salt, where it writes to.

use tokio::sync::oneshot;

use super::hash::Salt;
use super::record::{Record, Stage};
use super::settings::Settings;
use super::sink::Sink;
use super::{line, settings};
use crate::logical::{Error, Result};
use crate::mounts::Entry;
use crate::view::View;

/// A device in service.
pub(crate) struct Device {
    path: String,
    settings: Settings,
    salt: Salt,
    /// None writes nowhere.
    sink: Option<Sink>,
}

/// A line on its way.
pub(super) enum Written {
    /// There is nothing to wait for: taken or not.
    Now(bool),
    /// The thread will say.
    Later(oneshot::Receiver<bool>),
}

impl Written {
    /// Whether it was written. Why not is logged where it failed.
    pub(super) async fn wait(self) -> bool {
        match self {
            Written::Now(taken) => taken,
            Written::Later(written) => written.await.unwrap_or(false),
        }
    }
}

impl Device {
    /// Opens a device; a new one has to take a trial entry. [`Error::BadRequest`] says why it cannot be used.
    pub(super) async fn open(root: &View, entry: &Entry, new: bool) -> Result<Device> {
        if !settings::KINDS.iter().any(|(kind, _)| *kind == entry.kind) {
            return Err(Error::BadRequest(format!("unknown backend type: {:?}", entry.kind)));
        }
        let settings = Settings::parse(&entry.kind, &entry.options.clone().unwrap_or_default())
            .map_err(|wrong| Error::BadRequest(wrong.to_string()))?;
        let opened = {
            let (path, settings) = (entry.path.clone(), settings.clone());
            tokio::task::spawn_blocking(move || Sink::open(&path, &settings)).await
        };
        let sink = opened
            .map_err(|error| Error::Internal(format!("an audit device's task ended: {error}")))?
            .map_err(|error| Error::BadRequest(format!("sanity check failed; unable to open the file for writing: {error}")))?;
        let salt = Salt::of(&root.sub(&format!("audit/{}/", entry.uuid))).await?;
        let device = Device { path: entry.path.clone(), settings, salt, sink };
        if new && !device.settings.untried && !device.send(&Record::trial(), Stage::Request(None)).wait().await {
            return Err(Error::bad_request("audit backend failed test message"));
        }
        Ok(device)
    }

    /// Its name, with a slash at its end.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What stands for a text in its file.
    pub(super) fn hash(&self, text: &str) -> String {
        self.salt.hash(text)
    }

    /// Has an entry written.
    pub(super) fn send(&self, record: &Record, stage: Stage<'_>) -> Written {
        let Some(sink) = &self.sink else { return Written::Now(true) };
        match line::of(record, stage, &self.settings, &self.salt) {
            Ok(line) => Written::Later(sink.send(line)),
            Err(error) => {
                tracing::error!(device = self.path, %error, "an audit entry could not be formed");
                Written::Now(false)
            }
        }
    }

    /// Has its file opened again.
    pub(super) fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.reopen();
        }
    }
}
