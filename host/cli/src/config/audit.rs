//! `audit "file" "NAME" { description = … options { … } }`: where requests are recorded.
//!
//! The blocks have OpenBao's form: type and name as labels, or as the attributes `type` and `path`; options are texts. Unlike OpenBao this
//! refuses an option that it does not know, since a misspelt one could leave secrets in the file.

use super::files::Source;
use super::keys::{Scope, Verdict};
use super::{ConfigError, Place};
use cofferdam_hcl::{Item, Kind, Object, Pos, Value};
use cofferdam_vault::audit::{AuditOptions, Declared, check};

const KEYS: &[(&str, Verdict)] = &[
    ("type", Verdict::Supported),
    ("path", Verdict::Supported),
    ("description", Verdict::Supported),
    ("local", Verdict::Supported),
    ("options", Verdict::Supported),
];

const WANTED: &str =
    "audit: expected a type and a name, as in audit \"file\" \"to-file\" { options { file_path = \"/var/log/coffer-audit.log\" } }";

/// What the files say, until all are read.
#[derive(Default)]
pub(super) struct Draft {
    devices: Vec<(Declared, Place)>,
    /// Whether devices may be made through the API; none if nothing is said.
    api: Option<bool>,
    prefixing: bool,
}

impl Draft {
    /// Reads what a file has of it.
    pub(super) fn read(&mut self, file: &Source, root: &Object, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        if let Some((api, _)) = file.value(root, "unsafe_allow_api_audit_creation", Value::boolean)? {
            self.api = Some(api);
        }
        self.prefixing |= file.switch(root, "allow_audit_log_prefixing")?;
        for item in root.named("audit") {
            let labels: Vec<&str> = item.keys.iter().skip(1).map(|key| key.text.as_str()).collect();
            self.blocks(file, item.pos, &labels, &item.value, warnings)?;
        }
        Ok(())
    }

    /// A block with two labels, or without; with one, or nested as in JSON, what it holds has the others.
    fn blocks(&mut self, file: &Source, pos: Pos, labels: &[&str], value: &Value, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        if let Kind::List(values) = &value.kind {
            return values.iter().try_for_each(|value| self.blocks(file, value.pos, labels, value, warnings));
        }
        let body = value.object().map_err(|error| file.at(error.pos, format!("audit: {}", error.message)))?;
        let in_attributes = body.get("type").is_some_and(|item| !matches!(item.value.kind, Kind::Object(_) | Kind::List(_)));
        if labels.len() == 2 || (labels.is_empty() && in_attributes) {
            let device = device(file, pos, labels, body, warnings)?;
            self.devices.push((device, file.place(pos)));
            return Ok(());
        }
        if labels.len() > 2 || body.items.is_empty() {
            return Err(file.at(pos, WANTED));
        }
        for Item { keys, value, pos } in &body.items {
            if !matches!(value.kind, Kind::Object(_) | Kind::List(_)) {
                return Err(file.at(*pos, WANTED));
            }
            let all: Vec<&str> = labels.iter().copied().chain(keys.iter().map(|key| key.text.as_str())).collect();
            self.blocks(file, *pos, &all, value, warnings)?;
        }
        Ok(())
    }

    /// Checks every device, and that none has the place of another.
    pub(super) fn finish(self) -> Result<AuditOptions, ConfigError> {
        let mut devices: Vec<Declared> = Vec::new();
        for (device, place) in self.devices {
            let fail = |message: String| ConfigError::new(place.clone(), format!("audit {:?}: {message}", device.path));
            check(&device, self.prefixing).map_err(fail)?;
            let path = |device: &Declared| format!("{}/", device.path.trim_end_matches('/'));
            if path(&device) == "/" {
                return Err(ConfigError::new(place, WANTED));
            }
            if let Some(other) =
                devices.iter().find(|other| path(other).starts_with(&path(&device)) || path(&device).starts_with(&path(other)))
            {
                return Err(fail(format!("the name is in use by audit {:?}: give one of them another", other.path)));
            }
            devices.push(device);
        }
        // As in Vault, unless the operator says otherwise.
        Ok(AuditOptions { devices, api: self.api.unwrap_or(true), prefixing: self.prefixing, ..AuditOptions::default() })
    }
}

fn device(file: &Source, pos: Pos, labels: &[&str], body: &Object, warnings: &mut Vec<String>) -> Result<Declared, ConfigError> {
    Scope { file, name: "in an audit block", keys: KEYS }.check(body, warnings)?;
    let text = |name: &str| file.value(body, name, Value::string).map(|found| found.map(|(text, _)| text));
    let (kind, path) = match labels {
        [kind, path] => {
            for name in ["type", "path"] {
                if let Some(item) = body.get(name) {
                    return Err(file.at(item.pos, format!("{name}: stands in the block's labels already: remove it")));
                }
            }
            ((*kind).to_owned(), (*path).to_owned())
        }
        _ => (text("type")?.unwrap_or_default(), text("path")?.ok_or_else(|| file.at(pos, WANTED))?),
    };
    let mut options = std::collections::BTreeMap::new();
    if let Some(item) = body.get("options") {
        let set = item.value.object().map_err(|error| file.at(error.pos, format!("options: {}", error.message)))?;
        for item in &set.items {
            let value = item.value.setting().map_err(|error| file.at(error.pos, format!("options.{}: {}", item.name(), error.message)))?;
            if options.insert(item.name().to_owned(), value).is_some() {
                return Err(file.at(item.pos, format!("options.{}: set twice: remove one", item.name())));
            }
        }
    }
    Ok(Declared { path, kind, description: text("description")?.unwrap_or_default(), local: file.switch(body, "local")?, options })
}
