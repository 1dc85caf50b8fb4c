//! `storage "NAME" { … }`: the component, the directory it is granted, what it may use, and its settings.
//!
//! The host takes out `path` (it becomes the granted directory), `max_parallel`, and the blocks `pool` and `limits`. All else goes
//! to the component as text, and a component refuses a setting that it does not know.

use super::files::Source;
use super::keys::Scope;
use super::{ConfigError, Place, schema};
use cofferdam_hcl::{Item, Kind, Object, Value};
use cofferdam_runtime::{GuestLimits, PoolOptions, PoolPolicy};
use std::path::PathBuf;

/// What a storage stanza says.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// The type as written, for what clients are told: `file` or `filesystem`.
    pub kind: String,
    /// The name of the component: `filesystem` also for Vault's `file`.
    pub component: String,
    /// Where its type stands, for errors.
    pub place: Place,
    /// The directory to grant.
    pub path: Option<PathBuf>,
    /// What the component is told.
    pub settings: Vec<(String, String)>,
    /// What it may use.
    pub limits: GuestLimits,
    /// How its instances are kept.
    pub pool: PoolOptions,
}

/// The name of the component that stores in a directory.
pub(crate) const FILESYSTEM: &str = "filesystem";

pub(super) fn read(file: &Source, item: &Item) -> Result<Storage, ConfigError> {
    let blocks = file.blocks(item, "a storage's type, as in storage \"filesystem\" { … }")?;
    let [block] = blocks.as_slice() else {
        return Err(file.at(item.pos, "only one storage is allowed: remove all but one"));
    };
    let kind = block.label.text.clone();
    let component = match kind.as_str() {
        "file" | FILESYSTEM => FILESYSTEM,
        "inmem" | "raft" | "consul" | "etcd" => {
            return Err(file.at(
                block.label.pos,
                format!("storage {kind:?} is not supported: use storage \"filesystem\", or a component in plugin_directory"),
            ));
        }
        other if is_name(other) => other,
        other => {
            return Err(file.at(
                block.label.pos,
                format!("storage {other:?}: a type has letters, digits, '-' and '_' only, since it names a file in plugin_directory"),
            ));
        }
    };
    let mut storage = Storage {
        component: component.to_owned(),
        place: file.place(block.label.pos),
        path: None,
        settings: Vec::new(),
        limits: GuestLimits::default(),
        pool: PoolOptions::default(),
        kind,
    };
    storage.settings(file, block.body)?;
    if storage.component == FILESYSTEM && storage.path.is_none() {
        return Err(ConfigError::new(storage.place, "storage: path is missing: set it to the directory for the data"));
    }
    Ok(storage)
}

/// Whether a type can be the name of a file without reaching out of its directory.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl Storage {
    /// The filesystem component on a dev server's directory.
    pub(crate) fn dev(path: PathBuf, settings: Vec<(String, String)>) -> Self {
        Self {
            kind: FILESYSTEM.to_owned(),
            component: FILESYSTEM.to_owned(),
            place: Place { file: PathBuf::from("dev server"), pos: cofferdam_hcl::Pos::START },
            path: Some(path),
            settings,
            limits: GuestLimits::default(),
            pool: PoolOptions::default(),
        }
    }

    fn settings(&mut self, file: &Source, body: &Object) -> Result<(), ConfigError> {
        for (index, item) in body.items.iter().enumerate() {
            let name = item.name();
            if let Some(earlier) = body.items.iter().take(index).find(|earlier| earlier.name() == name) {
                return Err(file.at(item.pos, format!("{name}: set twice in storage, first at {}: remove one", earlier.pos)));
            }
            let read = |read: cofferdam_hcl::Result<String>| read.map_err(|error| file.at(error.pos, format!("{name}: {}", error.message)));
            match (name, &item.value.kind) {
                ("path", _) => {
                    let path = read(item.value.string())?;
                    if path.is_empty() {
                        return Err(file.at(item.value.pos, "path: expected a directory, found an empty string"));
                    }
                    self.path = Some(PathBuf::from(path));
                }
                // Vault's name for how many requests of a storage run at once.
                ("max_parallel", _) => {
                    let size = file.value(body, name, positive)?;
                    self.pool.size = size.map_or(self.pool.size, |(size, _)| size);
                }
                ("pool", Kind::Object(pool)) => self.pool(file, pool)?,
                ("limits", Kind::Object(limits)) => self.limits(file, limits)?,
                ("pool" | "limits", _) => {
                    return Err(file.at(item.value.pos, format!("{name}: expected a block, found {}", item.value.described())));
                }
                _ => self.settings.push((name.to_owned(), read(item.value.setting())?)),
            }
        }
        if let (Some(flat), Some(pool)) = (body.get("max_parallel"), body.get("pool"))
            && pool.value.object().is_ok_and(|pool| pool.get("size").is_some())
        {
            return Err(file.error(flat.error("is the same as size in pool: remove one")));
        }
        Ok(())
    }

    fn pool(&mut self, file: &Source, body: &Object) -> Result<(), ConfigError> {
        Scope { file, name: "in pool of storage", keys: schema::POOL }.check(body, &mut Vec::new())?;
        let policy = |text: &str| match text {
            "warm" => Ok(PoolPolicy::Warm),
            "ephemeral" => Ok(PoolPolicy::Ephemeral),
            other => Err(format!("expected warm or ephemeral, found {other:?}")),
        };
        let pool = &mut self.pool;
        set(&mut pool.policy, file.parsed(body, "policy", policy)?);
        set(&mut pool.size, file.value(body, "size", positive)?.map(|(value, _)| value));
        set(&mut pool.wait, file.value(body, "wait", Value::duration)?.map(|(value, _)| value));
        set(&mut pool.calls, file.value(body, "calls", positive)?.map(|(value, _)| value));
        set(&mut pool.memory_mark, file.value(body, "memory_mark", size)?.map(|(value, _)| value));
        Ok(())
    }

    fn limits(&mut self, file: &Source, body: &Object) -> Result<(), ConfigError> {
        Scope { file, name: "in limits of storage", keys: schema::LIMITS }.check(body, &mut Vec::new())?;
        let limits = &mut self.limits;
        for (name, time) in [("cpu", &mut limits.cpu), ("call", &mut limits.call), ("open", &mut limits.open)] {
            if let Some((value, place)) = file.value(body, name, Value::duration)? {
                if value.is_zero() {
                    return Err(ConfigError::new(place, format!("{name}: expected a duration longer than 0")));
                }
                *time = value;
            }
        }
        set(&mut limits.memory, file.value(body, "memory", size)?.map(|(value, _)| value));
        set(&mut limits.response, file.value(body, "response", size)?.map(|(value, _)| value));
        set(&mut limits.handles, file.value(body, "handles", positive)?.map(|(value, _)| value));
        set(&mut limits.random, file.value(body, "random", Value::size)?.map(|(value, _)| value));
        set(&mut limits.log_lines, file.value(body, "log_lines", positive)?.map(|(value, _)| value));
        Ok(())
    }
}

fn set<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

/// A whole number of at least 1 that fits.
fn positive<T: TryFrom<i64>>(value: &Value) -> cofferdam_hcl::Result<T> {
    let number = value.integer()?;
    let wrong = || cofferdam_hcl::Error::new(value.pos, format!("expected a whole number of at least 1, found {number}"));
    if number < 1 { Err(wrong()) } else { T::try_from(number).map_err(|_| wrong()) }
}

/// A size in bytes of at least 1 that fits.
fn size(value: &Value) -> cofferdam_hcl::Result<usize> {
    let wrong = |size| cofferdam_hcl::Error::new(value.pos, format!("expected a size of at least 1 byte, found {size}"));
    match value.size()? {
        0 => Err(wrong(0)),
        size => usize::try_from(size).map_err(|_| wrong(size)),
    }
}
