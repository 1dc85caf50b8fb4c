//! Audit devices: who asked for what, and what they got, one line of JSON an entry, in the format of OpenBao 2.7.2 and Vault.
//!
//! The rules: a request whose entry no device has taken is refused and not done; an answer whose entry no device has taken does not leave
//! (what the request did stays done). One device is enough. Every text of a request's and an answer's data, every token and, unless the
//! operator says otherwise, every accessor is in the file only as an HMAC, whose key (the device's salt) is behind the barrier. Without a
//! device nothing of this costs anything.
//!
//! Devices come from the configuration, or, where the operator allows it, from the API; those that Vault or OpenBao stored are used as they are.

mod device;
pub(crate) mod fuzz;
mod hash;
mod headers;
mod line;
mod record;
mod settings;
mod shape;
mod sink;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod trail;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use serde_json::Value;

use crate::core::Core;
use crate::logical::{Error, Fields, Result};
use crate::measure;
use crate::mounts::{Entry, options_value};
use crate::view::View;
use device::Device;
pub(crate) use headers::{Headers, Wanted};
use record::{Record, Stage};
use settings::Settings;
use table::{API, CONFIGURED, Tables};
pub(crate) use trail::Trail;

/// What the operator set.
#[derive(Clone, Debug, Default)]
pub struct AuditOptions {
    /// The devices of the configuration.
    pub devices: Vec<Declared>,
    /// Devices may be made through the API too.
    pub api: bool,
    /// Lines may begin with a text of the operator's.
    pub prefixing: bool,
    /// The devices of the configuration as it was read since the start.
    pub reread: Reread,
}

/// The devices of a later reading of the configuration, once there was one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reread(Arc<Mutex<Option<Vec<Declared>>>>);

impl AuditOptions {
    /// The devices of the configuration as it was read last.
    fn declared(&self) -> Vec<Declared> {
        let reread = self.reread.0.lock().unwrap_or_else(PoisonError::into_inner);
        reread.clone().unwrap_or_else(|| self.devices.clone())
    }

    fn declare(&self, devices: Vec<Declared>) {
        *self.reread.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(devices);
    }
}

/// A device of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name, which is its path; with or without a slash at its end.
    pub path: String,
    /// `file` or `socket`.
    pub kind: String,
    /// A text for people.
    pub description: String,
    /// Whether it is this cluster's only. It changes nothing here but the table that it is stored in.
    pub local: bool,
    /// The device's own settings.
    pub options: BTreeMap<String, String>,
}

/// Checks a device of the configuration without opening anything. The error names the setting and says what to do.
pub fn check(declared: &Declared, prefixing: bool) -> Result<(), String> {
    let Some((_, known)) = settings::KINDS.iter().find(|(kind, _)| *kind == declared.kind) else {
        return Err(format!(
            "the type {:?} is not offered: write audit \"file\" \"NAME\" {{ … }} or audit \"socket\" \"NAME\" {{ … }}",
            declared.kind
        ));
    };
    if let Some(unknown) = declared.options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("options: unknown key {unknown:?}; known are {}", known.join(", ")));
    }
    if declared.options.contains_key("prefix") && !prefixing {
        return Err("options.prefix: lines may have one only with allow_audit_log_prefixing = true at the top level".to_owned());
    }
    Settings::parse(&declared.kind, &declared.options).map(drop).map_err(|wrong| format!("options.{}", wrong.advice()))
}

/// The devices of an unsealed vault.
pub(crate) struct Audit {
    root: View,
    headers: Headers,
    options: AuditOptions,
    /// Held through a change.
    tables: tokio::sync::Mutex<Tables>,
    devices: RwLock<Arc<Vec<Arc<Device>>>>,
}

impl Audit {
    /// Opens the stored devices, and makes those of the configuration that are not stored yet. [`Error::Refused`] if a device of the
    /// configuration cannot be used, or none of all that there are.
    pub(crate) async fn open(root: View, options: AuditOptions) -> Result<Audit> {
        let tables = Tables::load(&root).await?;
        let headers = Headers::load(root.sub(headers::VIEW), headers::KEY).await?;
        let audit = Audit { root, headers, options, tables: tokio::sync::Mutex::new(tables), devices: RwLock::default() };
        let mut tables = audit.tables.lock().await;
        let mut devices = Vec::new();
        for entry in tables.entries() {
            let (path, kind) = (entry.path.as_str(), entry.kind.as_str());
            match Device::open(&audit.root, entry, false).await {
                Ok(device) => devices.push(Arc::new(device)),
                Err(Error::BadRequest(reason)) => tracing::error!(path, kind, reason, "an audit device cannot be used"),
                Err(other) => return Err(other),
            }
        }
        audit.set(devices);
        audit.reconcile(&mut tables, &audit.options.declared()).await?;
        if tables.entries().next().is_some() && audit.devices().is_empty() {
            return Err(unusable("none of the stored audit devices can be used"));
        }
        drop(tables);
        Ok(audit)
    }

    /// Brings the stored devices in line with the configuration: new ones are made, those that it names no more are disabled, changed ones are
    /// an error.
    async fn reconcile(&self, tables: &mut Tables, devices: &[Declared]) -> Result<()> {
        for declared in devices {
            let path = with_slash(&declared.path);
            let Some(stored) = tables.get(&path) else {
                tracing::info!(path, "adding a new audit device");
                let entry = table::entry(CONFIGURED, &path, declared)?;
                self.add(tables, entry).await.map_err(|error| match error {
                    Error::BadRequest(reason) => {
                        unusable(&format!("the audit device {path:?} of the configuration cannot be used: {reason}"))
                    }
                    other => other,
                })?;
                continue;
            };
            if stored.table != CONFIGURED {
                return Err(unusable(&format!(
                    "the audit device {path:?} of the configuration was made through the API: disable that one first"
                )));
            }
            if let Some(what) = table::difference(stored, declared) {
                return Err(unusable(&format!(
                    "the audit device {path:?} is stored with another {what} than the configuration has: a device cannot be changed; give the new one another name"
                )));
            }
        }
        let named: Vec<String> = devices.iter().map(|declared| with_slash(&declared.path)).collect();
        let gone: Vec<String> = tables
            .entries()
            .filter(|entry| entry.table == CONFIGURED && !named.contains(&entry.path))
            .map(|entry| entry.path.clone())
            .collect();
        for path in gone {
            tracing::warn!(path, "disabling an audit device that the configuration names no more");
            self.remove(tables, &path).await?;
        }
        Ok(())
    }

    /// Which headers of a request are recorded.
    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The same, for a configuration that was read again. After an error the devices that were done stay so.
    async fn reconcile_again(&self, devices: Vec<Declared>) -> Result<()> {
        let mut tables = self.tables.lock().await;
        self.reconcile(&mut tables, &devices).await?;
        self.options.declare(devices);
        Ok(())
    }

    /// The devices in service.
    pub(crate) fn devices(&self) -> Arc<Vec<Arc<Device>>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, devices: Vec<Arc<Device>>) {
        *self.devices.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(devices);
    }

    /// Makes a device through the API.
    pub(crate) async fn enable(&self, path: &str, declared: &Declared) -> Result<()> {
        if !self.options.api {
            return Err(Error::bad_request(
                "cannot enable audit device via API; use declarative, config-based audit device management instead",
            ));
        }
        if declared.options.contains_key("prefix") && !self.options.prefixing {
            return Err(Error::bad_request("audit log prefixing is not allowed"));
        }
        let mut tables = self.tables.lock().await;
        let entry = table::entry(API, &with_slash(path), declared)?;
        self.add(&mut tables, entry).await
    }

    /// Puts a new device in service: it is tried, stored, and then used.
    async fn add(&self, tables: &mut Tables, entry: Entry) -> Result<()> {
        if tables.entries().any(|other| other.path.starts_with(&entry.path) || entry.path.starts_with(&other.path)) {
            return Err(Error::bad_request("path already in use"));
        }
        let device = Device::open(&self.root, &entry, true).await?;
        tables.add(&self.root, entry).await?;
        let mut devices = self.devices().to_vec();
        devices.push(Arc::new(device));
        self.set(devices);
        Ok(())
    }

    /// Takes a device that was made through the API out of service. One that is not there is a success.
    pub(crate) async fn disable(&self, path: &str) -> Result<()> {
        let path = with_slash(path);
        let mut tables = self.tables.lock().await;
        match tables.get(&path) {
            None => Ok(()),
            Some(entry) if entry.table == CONFIGURED => Err(Error::bad_request("cannot disable configuration-managed audit device")),
            Some(_) => self.remove(&mut tables, &path).await,
        }
    }

    async fn remove(&self, tables: &mut Tables, path: &str) -> Result<()> {
        tables.remove(&self.root, path).await?;
        self.set(self.devices().iter().filter(|device| device.path() != path).cloned().collect());
        Ok(())
    }

    /// What `GET sys/audit` shows.
    pub(crate) async fn list(&self) -> Fields {
        let tables = self.tables.lock().await;
        tables.entries().map(|entry| (entry.path.clone(), shown(entry))).collect()
    }

    /// What stands for a text in the file of a device.
    pub(crate) fn hash(&self, path: &str, text: &str) -> Result<String> {
        let path = with_slash(path);
        match self.devices().iter().find(|device| device.path() == path) {
            Some(device) => Ok(device.hash(text)),
            None => Err(Error::BadRequest(format!("unknown audit backend {path:?}"))),
        }
    }

    /// Has every device open its file again, so that one that was renamed is let go.
    pub(crate) fn reopen(&self) {
        for device in self.devices().iter() {
            device.reopen();
        }
    }

    /// Writes an entry: to all devices, one of which has to take it.
    async fn write(&self, record: &Record, stage: Stage<'_>) -> Result<()> {
        let devices = self.devices();
        if devices.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut pending = Vec::with_capacity(devices.len());
        for device in devices.iter() {
            pending.push(device.send(record, stage));
        }
        let mut taken = false;
        for written in pending {
            taken |= written.wait().await;
        }
        measure::since(stage.metric(), begun);
        // Counted from the first entry on, so that an alert has something to look at.
        metrics::counter!(stage.failures()).increment(u64::from(!taken));
        if taken {
            return Ok(());
        }
        Err(Error::Internal(format!("no audit device took the entry of a {}", stage.kind())))
    }
}

fn shown(entry: &Entry) -> Value {
    let mut shown = Fields::new();
    shown.insert("description".to_owned(), entry.description.as_str().into());
    shown.insert("local".to_owned(), entry.local.into());
    shown.insert("options".to_owned(), options_value(entry.options.as_ref()));
    shown.insert("path".to_owned(), entry.path.as_str().into());
    shown.insert("type".to_owned(), entry.kind.as_str().into());
    shown.into()
}

fn with_slash(path: &str) -> String {
    if path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// The reason goes to the log: whoever unseals may know neither paths nor devices.
fn unusable(reason: &str) -> Error {
    tracing::error!(reason, "the audit devices could not be set up");
    Error::Refused("the audit devices could not be set up; the server's log says why".to_owned())
}

impl Core {
    /// Takes over the devices of a configuration that was read again: new ones are made, those that it names no more are disabled. While this server
    /// answers no requests, at the next unseal. [`Error::Refused`] if one cannot be used, or was changed; the log says which.
    pub async fn reconcile_audit(&self, devices: Vec<Declared>) -> Result<()> {
        match self.active() {
            Ok(active) => active.audit.reconcile_again(devices).await,
            Err(_) => {
                self.options().audit.declare(devices);
                Ok(())
            }
        }
    }
}
