//! `storage "NAME" { … }`: the component, what it may use, and its settings.
//!
//! The host takes out `max_parallel`, `ha_enabled` and `fencing`, the addresses that Vault takes from a stanza too, and the blocks `pool`,
//! `limits` and `ha`; of `storage "filesystem"` also `path`, which becomes the granted directory. All else goes to the component as text,
//! and a component refuses a setting that it does not know. Of `storage "dynamodb"` the host reads everything: see [`super::dynamodb`].
//!
//! What another component is granted stands in its plugin block: see [`super::plugin`]. Whatever stands in its stanza it reads, so a secret
//! belongs into a grant.

use super::aws::{self, Aws};
use super::dynamodb::{self, DYNAMODB, DynamoDb};
use super::files::Source;
use super::keys::Verdict;
use super::origin::{Given, Origin, switch};
use super::plugin::{Files, Plugin, Role};
use super::{ConfigError, Environment, Place, check_address, ha, pool};
use cofferdam_backend::Fencing;
use cofferdam_hcl::{Item, Object, Value};
use cofferdam_runtime::{GuestLimits, PoolOptions};
use cofferdam_vault::ha::Times;
use std::path::PathBuf;
use std::sync::Arc;

/// What a storage stanza says.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// The type as written, for what clients are told: `file` or `filesystem`.
    pub kind: String,
    /// The name of the component: `filesystem` also for Vault's `file`.
    pub component: String,
    /// Where its type stands, for errors.
    pub place: Place,
    /// The directory to grant to the filesystem component.
    pub path: Option<PathBuf>,
    /// The table to bind, and how to reach it.
    pub dynamodb: Option<DynamoDb>,
    /// Its plugin block.
    pub plugin: Option<Arc<Plugin>>,
    /// Whether several servers share it.
    pub ha: Option<Ha>,
    /// What the component is told.
    pub settings: Vec<(String, String)>,
    /// What it may use.
    pub limits: GuestLimits,
    /// How its instances are kept.
    pub pool: PoolOptions,
}

/// High availability: several servers on one store, one of them active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ha {
    /// How a former leader is kept from writing.
    pub fencing: Fencing,
    /// By which times.
    pub times: Times,
    /// Who turned it on.
    pub origin: Origin,
}

/// The name of the component that stores in a directory.
pub(crate) const FILESYSTEM: &str = "filesystem";

/// Vault's storages that many will ask for. There is no component of the release for them.
const ELSEWHERE: &[&str] = &["inmem", "raft", "consul", "etcd"];

/// The keys that the host reads of every stanza.
const COMMON: &[(&str, Verdict)] = &[
    ("max_parallel", Verdict::Supported),
    ("pool", Verdict::Supported),
    ("limits", Verdict::Supported),
    ("ha_enabled", Verdict::Supported),
    ("fencing", Verdict::Supported),
    ("ha", Verdict::Supported),
    ("redirect_addr", Verdict::Supported),
    ("advertise_addr", Verdict::Supported),
    ("cluster_addr", Verdict::Supported),
    ("disable_clustering", Verdict::Accepted),
];

/// A stanza over which the environment has not come yet.
#[derive(Debug)]
pub(super) struct Draft {
    storage: Storage,
    dynamodb: Option<dynamodb::Draft>,
    ha_enabled: Option<Given>,
    fencing: Option<Given>,
    times: Option<(Times, Origin)>,
    /// What may stand in the plugin block as well.
    shared: Vec<(&'static str, Place)>,
    /// The address that clients are told, where the top level names none.
    pub redirect_addr: Option<String>,
    /// The address that other servers would be told, where the top level names none.
    pub cluster_addr: Option<String>,
}

impl From<Storage> for Draft {
    fn from(storage: Storage) -> Self {
        let (redirect_addr, cluster_addr) = (None, None);
        Self { storage, dynamodb: None, ha_enabled: None, fencing: None, times: None, shared: Vec::new(), redirect_addr, cluster_addr }
    }
}

pub(super) fn read(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let blocks = file.blocks(item, "a storage's type, as in storage \"filesystem\" { … }")?;
    let [block] = blocks.as_slice() else {
        return Err(file.at(item.pos, "only one storage is allowed: remove all but one"));
    };
    let kind = block.label.text.clone();
    let component = match kind.as_str() {
        "file" | FILESYSTEM => FILESYSTEM,
        other if is_name(other) => other,
        other => {
            return Err(file.at(
                block.label.pos,
                format!("storage {other:?}: a type has letters, digits, '-' and '_' only, since it names a file in plugin_directory"),
            ));
        }
    };
    let storage = Storage {
        component: component.to_owned(),
        place: file.place(block.label.pos),
        path: None,
        dynamodb: None,
        plugin: None,
        ha: None,
        settings: Vec::new(),
        limits: GuestLimits::default(),
        pool: PoolOptions::default(),
        kind,
    };
    let mut draft = Draft::from(storage);
    if draft.storage.component == DYNAMODB {
        draft.storage.pool.size = dynamodb::MAX_PARALLEL;
        draft.dynamodb = Some(dynamodb::read(file, block.body, COMMON, warnings)?);
    }
    draft.settings(file, block.body)?;
    if draft.storage.component == FILESYSTEM && draft.storage.path.is_none() {
        return Err(ConfigError::new(draft.storage.place, "storage: path is missing: set it to the directory for the data"));
    }
    Ok(draft)
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
            dynamodb: None,
            plugin: None,
            ha: None,
            settings,
            limits: GuestLimits::default(),
            pool: PoolOptions::default(),
        }
    }
}

impl Draft {
    fn settings(&mut self, file: &Source, body: &Object) -> Result<(), ConfigError> {
        for (index, item) in body.items.iter().enumerate() {
            let name = item.name();
            if let Some(earlier) = body.items.iter().take(index).find(|earlier| earlier.name().eq_ignore_ascii_case(name)) {
                return Err(file.at(item.pos, format!("{name}: set twice in storage, first at {}: remove one", earlier.pos)));
            }
            let text = |read: cofferdam_hcl::Result<String>| read.map_err(|error| file.at(error.pos, format!("{name}: {}", error.message)));
            match name.to_ascii_lowercase().as_str() {
                "path" if self.storage.component == FILESYSTEM => {
                    let path = text(item.value.string())?;
                    if path.is_empty() {
                        return Err(file.at(item.value.pos, "path: expected a directory, found an empty string"));
                    }
                    self.storage.path = Some(PathBuf::from(path));
                }
                // Vault's name for how many requests of a storage run at once.
                "max_parallel" => {
                    self.shared.push(("max_parallel", file.place(item.pos)));
                    self.max_parallel(file, body)?;
                }
                "pool" => {
                    self.shared.push(("pool", file.place(item.pos)));
                    pool::pool(&mut self.storage.pool, file, item, "storage")?;
                }
                "limits" => {
                    self.shared.push(("limits", file.place(item.pos)));
                    let others = if self.dynamodb.is_some() { aws::LIMITS } else { &[] };
                    pool::limits(&mut self.storage.limits, file, item, "storage", others)?;
                }
                "ha" => {
                    let times = ha::read(file, item, pool::block(file, item)?)?;
                    self.times = Some((times, Origin::File(file.place(item.pos))));
                }
                "ha_enabled" => self.ha_enabled = Given::in_file(file.value(body, name, Value::setting)?),
                "fencing" => self.fencing = Given::in_file(file.value(body, name, Value::string)?),
                known @ ("redirect_addr" | "advertise_addr" | "cluster_addr") => {
                    let Some(address) = Some(text(item.value.string())?).filter(|address| !address.is_empty()) else { continue };
                    check_address(&address).map_err(|message| file.error(item.error(message)))?;
                    match known {
                        "cluster_addr" => self.cluster_addr = Some(address),
                        // Vault's newer name of the two counts.
                        "advertise_addr" if self.redirect_addr.is_some() => {}
                        _ => self.redirect_addr = Some(address),
                    }
                }
                "disable_clustering" => {}
                _ if self.dynamodb.is_some() => {}
                _ => self.storage.settings.push((name.to_owned(), text(item.value.setting())?)),
            }
        }
        if let (Some(flat), Some(pool)) = (body.get("max_parallel"), body.get("pool"))
            && pool.value.object().is_ok_and(|pool| pool.get("size").is_some())
        {
            return Err(file.error(flat.error("is the same as size in pool: remove one")));
        }
        Ok(())
    }

    fn max_parallel(&mut self, file: &Source, body: &Object) -> Result<(), ConfigError> {
        let name = "max_parallel";
        let size = if self.dynamodb.is_some() {
            // Vault takes what is below 1 for no number at all.
            file.parsed(body, name, dynamodb::max_parallel)?
        } else {
            file.value(body, name, pool::positive)?.map(|(size, _)| size)
        };
        self.storage.pool.size = size.unwrap_or(self.storage.pool.size);
        Ok(())
    }

    /// Puts the environment over the stanza, and the stanza over the `aws` block; and the plugin block beside it.
    pub(super) fn finish(self, shared: &Aws, environment: &Environment, files: &Files<'_>) -> Result<Storage, ConfigError> {
        let mut storage = self.storage;
        if ELSEWHERE.contains(&storage.kind.as_str()) && !files.know(Role::Storage, &storage.component) {
            let message = format!(
                "storage {:?} is not supported: use storage \"filesystem\" or \"dynamodb\", or a component in plugin_directory",
                storage.kind
            );
            return Err(ConfigError::new(storage.place, message));
        }
        storage.plugin = files.block(Role::Storage, &storage.component);
        if let Some(plugin) = &storage.plugin {
            plugin.refuse_twice(&self.shared)?;
            plugin.overlay(&mut storage.pool, &mut storage.limits)?;
        }
        let variables: &[&str] = if self.dynamodb.is_some() { &[dynamodb::HA_ENABLED] } else { &[] };
        let ha = Given::in_environment(variables, environment).or(self.ha_enabled);
        let fencing = self.fencing.as_ref().map(|given| given.parse("fencing", fencing)).transpose()?;
        storage.ha = match ha {
            Some(given) if given.parse("ha_enabled", switch)? => {
                let times = self.times.as_ref().map(|(times, _)| *times).unwrap_or_default();
                Some(Ha { fencing: fencing.unwrap_or_default(), times, origin: given.origin })
            }
            _ => None,
        };
        if let Some(given) = self.fencing.filter(|_| storage.ha.is_none()) {
            return Err(given
                .origin
                .error("fencing", "only a leader is fenced, and without ha_enabled = true there is none: set that, or remove it"));
        }
        if let Some((_, origin)) = self.times.filter(|_| storage.ha.is_none()) {
            return Err(origin.error("ha", "without ha_enabled = true no server contends for the lead: set that, or remove it"));
        }
        if let Some(draft) = self.dynamodb {
            let mut dynamodb = draft.finish(shared, environment)?;
            if let Some(requests) = storage.plugin.as_ref().and_then(|plugin| plugin.requests) {
                dynamodb.access.requests = requests;
            }
            storage.settings = dynamodb.settings();
            storage.dynamodb = Some(dynamodb);
        }
        Ok(storage)
    }
}

fn fencing(text: &str) -> Result<Fencing, String> {
    match text {
        "lease" => Ok(Fencing::Lease),
        "strict" => Ok(Fencing::Strict),
        other => Err(format!("expected lease or strict, found {other:?}")),
    }
}
