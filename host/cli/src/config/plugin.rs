//! `plugin "storage"|"seal" "NAME" { … }`: which file a backend's component is, what vouches for it, what it may use, and what it is granted.
//!
//! The rule: a block says all of a plugin's rights, and there is one for each plugin. What a component of the release is granted follows from
//! its own stanza and from nothing else, so that no block can widen it; another component is granted what its block names and nothing more.

mod aws;
mod grant;
mod http;

use super::aws::{Aws, LIMITS, Requests};
use super::files::Source;
use super::keys::{Scope, Verdict};
use super::storage::is_name;
use super::{ConfigError, Place, Seals, Storage, pool};
pub(crate) use aws::{AwsGrant, Resource};
use cofferdam_hcl::{Item, Object, Pos, Value};
/// What a plugin is for.
pub(crate) use cofferdam_plugins::Kind as Role;
use cofferdam_runtime::{GuestLimits, PoolOptions};
pub(crate) use grant::{Access as DirectoryAccess, Grants};
pub(crate) use http::HttpGrant;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The components of the release: what a stanza of each says decides what it is granted.
const BUILTIN: &[(Role, &str)] = &[(Role::Storage, "filesystem"), (Role::Storage, "dynamodb"), (Role::Seal, "awskms")];

/// Whether a component of the release has this role and name.
pub(crate) fn is_builtin(role: Role, name: &str) -> bool {
    BUILTIN.contains(&(role, name))
}

/// A plugin block, checked.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    /// What it is for.
    pub role: Role,
    /// Whose it is: the type of a storage's or a seal's stanza.
    pub name: String,
    /// Where its name stands, for errors.
    pub place: Place,
    /// The file, if it is not `NAME.wasm` in the plugin directory.
    pub path: Option<PathBuf>,
    /// The digest that the file must have, in lower case.
    pub sha256: Option<String>,
    /// The operator knows that a component of the release has this name, and wants the file in its place.
    pub replaces_builtin: bool,
    /// What it is granted.
    pub grants: Grants,
    /// How much it may send.
    pub requests: Option<Requests>,
    pool: Option<Overlay>,
    limits: Option<Overlay>,
}

/// A block that is put over what would be so without it.
#[derive(Debug, Clone)]
struct Overlay {
    source: Source,
    item: Item,
}

impl Plugin {
    /// The plugin's name in a configuration: `plugin "storage" "etcd"`.
    pub(crate) fn said(&self) -> String {
        said(self.role, &self.name)
    }

    /// Puts the blocks `pool` and `limits` over those of the stanza, which has none of them where this has.
    pub(super) fn overlay(&self, pool: &mut PoolOptions, limits: &mut GuestLimits) -> Result<(), ConfigError> {
        if let Some(Overlay { source, item }) = &self.pool {
            pool::pool(pool, source, item, &self.said())?;
        }
        if let Some(Overlay { source, item }) = &self.limits {
            pool::limits(limits, source, item, &self.said(), LIMITS)?;
        }
        Ok(())
    }

    /// Refuses what stands here and in the stanza.
    pub(super) fn refuse_twice(&self, keys: &[(&str, Place)]) -> Result<(), ConfigError> {
        for (key, place) in keys {
            let mine = if *key == "limits" { &self.limits } else { &self.pool };
            if let Some(Overlay { source, item }) = mine {
                let message = format!("{key}: {} has a block {} at {}: remove one", self.said(), item.name(), source.place(item.pos));
                return Err(ConfigError::new(place.clone(), message));
            }
        }
        Ok(())
    }
}

fn said(role: Role, name: &str) -> String {
    format!("plugin \"{role}\" \"{name}\"")
}

/// Where plugins come from: the blocks of the configuration, and the directory.
pub(super) struct Files<'a> {
    /// The blocks.
    pub plugins: &'a [Arc<Plugin>],
    /// The directory.
    pub directory: Option<&'a Path>,
}

impl Files<'_> {
    /// The block of this role and name.
    pub(super) fn block(&self, role: Role, name: &str) -> Option<Arc<Plugin>> {
        self.plugins.iter().find(|plugin| plugin.role == role && plugin.name == name).cloned()
    }

    /// Whether anything says that there is such a plugin.
    pub(super) fn know(&self, role: Role, name: &str) -> bool {
        let file = self.directory.map(|directory| directory.join(format!("{name}.wasm")));
        self.block(role, name).is_some() || file.is_some_and(|file| file.symlink_metadata().is_ok())
    }
}

/// What is said of blocks that no stanza uses.
pub(super) fn idle(plugins: &[Arc<Plugin>], storage: &Storage, seals: &Seals) -> Vec<String> {
    let used = |plugin: &Plugin| match plugin.role {
        Role::Storage => plugin.name == storage.component,
        Role::Seal => seals.all().any(|seal| seal.kind == plugin.name),
    };
    let say =
        |plugin: &Arc<Plugin>| format!("{}: {} is not used: there is no {} {:?}", plugin.place, plugin.said(), plugin.role, plugin.name);
    plugins.iter().filter(|plugin| !used(plugin)).map(say).collect()
}

/// The keys that the operator trusts. What a key is, whoever checks signatures says.
pub(super) fn trusted_keys(file: &Source, root: &Object) -> Result<Option<Vec<(String, Place)>>, ConfigError> {
    const NAME: &str = "plugin_trusted_keys";
    let Some(item) = root.get(NAME) else { return Ok(None) };
    let wrong = |error: cofferdam_hcl::Error| file.at(error.pos, format!("{NAME}: {}", error.message));
    let key = |value: &Value| match value.string().map_err(wrong)? {
        text if text.trim().is_empty() => {
            Err(file.at(value.pos, format!("{NAME}: expected a minisign public key, or a file that holds one, found an empty string")))
        }
        text => Ok((text, file.place(value.pos))),
    };
    item.value.list().map_err(wrong)?.iter().map(key).collect::<Result<_, _>>().map(Some)
}

/// A block over which the `aws` block has not come yet.
#[derive(Debug)]
pub(super) struct Draft {
    plugin: Plugin,
    aws: Option<aws::Draft>,
}

const KEYS: &[(&str, Verdict)] = &[
    ("path", Verdict::Supported),
    ("sha256", Verdict::Supported),
    ("replaces_builtin", Verdict::Supported),
    ("pool", Verdict::Supported),
    ("limits", Verdict::Supported),
    ("grant", Verdict::Repeatable),
    ("command", Verdict::Refused("a plugin is a WebAssembly component: set path to its .wasm file")),
    ("args", Verdict::Refused("a component has no arguments: what it is told stands in its stanza")),
    ("env", Verdict::Refused("a component has no environment: what it is told stands in its stanza")),
    ("sha256sum", Verdict::Refused("here it is called sha256")),
];

/// Reads the blocks of a file.
pub(super) fn read(file: &Source, root: &Object, before: &[Draft], warnings: &mut Vec<String>) -> Result<Vec<Draft>, ConfigError> {
    let mut drafts: Vec<Draft> = Vec::new();
    for block in blocks(file, root)? {
        let (role, name) = (block.role, block.name.as_str());
        let twice = before.iter().chain(&drafts).find(|draft| draft.plugin.role == role && draft.plugin.name == name);
        if let Some(Draft { plugin, .. }) = twice {
            return Err(file.at(block.pos, format!("{}: there is one at {} already: remove one", plugin.said(), plugin.place)));
        }
        drafts.push(one(file, &block, warnings)?);
    }
    Ok(drafts)
}

struct Block {
    role: Role,
    name: String,
    pos: Pos,
    body: Object,
    /// Put together from a JSON object of nothing but objects.
    spread: bool,
}

/// The blocks by role and name. A JSON object that holds nothing but objects has become labels of what it holds.
fn blocks(file: &Source, root: &Object) -> Result<Vec<Block>, ConfigError> {
    let mut blocks: Vec<Block> = Vec::new();
    for item in root.named("plugin") {
        let body = item.value.object().map_err(|error| file.at(error.pos, format!("plugin: {}", error.message)))?;
        let [_, role, name, rest @ ..] = item.keys.as_slice() else {
            return Err(file.at(item.pos, "plugin: expected a kind and a name, as in plugin \"storage\" \"etcd\" { … }"));
        };
        let pos = name.pos;
        let role = match role.text.to_ascii_lowercase().as_str() {
            "storage" => Role::Storage,
            "seal" => Role::Seal,
            _ => {
                let message = format!(
                    "plugin {:?}: expected storage or seal: backends are WebAssembly components, and no other plugins are run",
                    role.text
                );
                return Err(file.at(role.pos, message));
            }
        };
        let name = match (role, name.text.as_str()) {
            (Role::Storage, "file") => "filesystem".to_owned(),
            (Role::Seal, name) => name.to_ascii_lowercase(),
            (Role::Storage, name) => name.to_owned(),
        };
        if !is_name(&name) || (role == Role::Seal && name == "shamir") {
            let message = format!("{}: a {role}'s type is expected: letters, digits, '-' and '_' only", said(role, &name));
            return Err(file.at(pos, message));
        }
        if let Some((other, _)) = BUILTIN.iter().find(|(other, builtin)| *other != role && *builtin == name) {
            let message = format!("{}: {name} is a {other} of the release: give this plugin another name", said(role, &name));
            return Err(file.at(pos, message));
        }
        if rest.is_empty() {
            blocks.push(Block { role, name, pos, body: body.clone(), spread: false });
            continue;
        }
        let inner = Item { keys: rest.to_vec(), value: item.value.clone(), pos: item.pos };
        match blocks.iter_mut().find(|block| block.spread && block.role == role && block.name == name) {
            Some(block) => block.body.items.push(inner),
            None => blocks.push(Block { role, name, pos, body: Object { items: vec![inner], pos: item.pos }, spread: true }),
        }
    }
    Ok(blocks)
}

fn one(file: &Source, block: &Block, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let Block { role, name, body, .. } = block;
    let scope = format!("in {}", said(*role, name));
    Scope { file, name: &scope, keys: KEYS }.check(body, warnings)?;
    let builtin = is_builtin(*role, name);
    let path = file.value(body, "path", Value::string)?;
    let replaces = file.value(body, "replaces_builtin", Value::boolean)?;
    match (&replaces, &path) {
        (Some((_, place)), _) if !builtin => {
            let message = format!("replaces_builtin: {name} is no component of the release: remove it");
            return Err(ConfigError::new(place.clone(), message));
        }
        (None | Some((false, _)), Some((_, place))) if builtin => {
            let message = format!(
                "path: {name} is a component of the release, and this file would run in its place: set replaces_builtin = true if that is meant"
            );
            return Err(ConfigError::new(place.clone(), message));
        }
        _ => {}
    }
    let (grants, aws) = match body.get("grant") {
        Some(item) if builtin => {
            let message = format!("the grants of {name} are derived from its stanza: remove it");
            return Err(file.error(item.error(message)));
        }
        _ => grant::read(file, *role, body, warnings)?,
    };
    let overlay = |key: &str| body.get(key).map(|item| Overlay { source: file.clone(), item: item.clone() });
    let plugin = Plugin {
        role: *role,
        name: name.clone(),
        place: file.place(block.pos),
        path: path.map(|(path, place)| whole("path", path.into(), place)).transpose()?,
        sha256: sha256(file, body)?,
        replaces_builtin: replaces.is_some_and(|(on, _)| on),
        grants,
        requests: body.get("limits").map(|_| super::aws::requests(file, body)).transpose()?,
        pool: overlay("pool"),
        limits: overlay("limits"),
    };
    // What is wrong in them is said now, also where no stanza is of this plugin.
    plugin.overlay(&mut PoolOptions::default(), &mut GuestLimits::default())?;
    Ok(Draft { plugin, aws })
}

/// A path that means the same whatever the server's working directory is.
fn whole(key: &str, path: PathBuf, place: Place) -> Result<PathBuf, ConfigError> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(ConfigError::new(place, format!("{key}: expected a whole path, such as /var/lib/coffer, found {:?}", path.display().to_string())))
}

fn sha256(file: &Source, body: &Object) -> Result<Option<String>, ConfigError> {
    let Some((text, place)) = file.value(body, "sha256", Value::string)? else { return Ok(None) };
    match text.strip_prefix("sha256:").unwrap_or(&text).to_ascii_lowercase() {
        digest if cofferdam_plugins::is_sha256(&digest) => Ok(Some(digest)),
        _ => {
            let message = format!("sha256: expected the 64 hexadecimal digits that coffer plugin inspect shows, found {text:?}");
            Err(ConfigError::new(place, message))
        }
    }
}

/// Puts the blocks over the `aws` block.
pub(super) fn finish(drafts: Vec<Draft>, shared: &Aws) -> Result<Vec<Arc<Plugin>>, ConfigError> {
    let finish = |Draft { mut plugin, aws }: Draft| {
        let requests = plugin.requests.unwrap_or_default();
        plugin.grants.aws = aws.map(|draft| draft.finish(shared, requests)).transpose()?;
        Ok(Arc::new(plugin))
    };
    drafts.into_iter().map(finish).collect()
}
