//! `coffer plugin list`: the components of this binary and of a plugin directory, and what vouches for each.

use crate::args::{ListArguments, OutputFormat};
use crate::component;
use crate::config::{Config, Environment, Plugin};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{or_dash, print, print_json, table};
use cofferdam_plugins::{FindError, Found, Listed, Origin, Policy};
use cofferdam_runtime::Inspection;
use serde::Serialize;
use std::path::Path;

/// A line of `plugin list`.
#[derive(Serialize)]
struct Entry {
    name: String,
    origin: String,
    /// Another component of the same name is taken in its place.
    shadowed: bool,
    /// Whether it would load.
    loads: bool,
    /// What vouches for it, or why it is refused.
    trust: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    world: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Entry {
    fn new(name: String, origin: &Origin, found: Result<Found, FindError>, inspected: Result<Inspection, String>) -> Self {
        let (inspection, error) = match inspected {
            Ok(inspection) => (Some(inspection), None),
            Err(error) => (None, Some(error)),
        };
        let (vouched, trust) = match found {
            Ok(found) => (true, found.trust.to_string()),
            Err(error) => (false, error.to_string()),
        };
        Self {
            name,
            origin: origin.to_string(),
            shadowed: false,
            loads: vouched && inspection.is_some(),
            trust,
            world: inspection.as_ref().map(|inspection| inspection.world.to_string()),
            contract: inspection.as_ref().map(|inspection| inspection.contract.clone()),
            size: inspection.as_ref().map(|inspection| inspection.size),
            sha256: inspection.map(|inspection| inspection.sha256),
            error,
        }
    }
}

/// What it is, also where nothing vouches for it.
fn inspect(name: &str, origin: &Origin, found: &Result<Found, FindError>) -> Result<Inspection, String> {
    let inspect = |name: &str, bytes: &[u8]| cofferdam_runtime::inspect(name, bytes).map_err(|error| error.to_string());
    match (found, origin) {
        (Ok(found), _) => inspect(name, &found.bytes),
        (Err(_), Origin::File(path)) => inspect(&path.display().to_string(), &super::read(path).map_err(|failure| failure.message)?),
        (Err(error), Origin::Builtin) => Err(error.to_string()),
    }
}

/// `plugin list`: one that cannot be used is listed with the reason.
pub(super) fn run(arguments: &ListArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let config = super::configuration(&arguments.config, environment)?;
    let policy = super::policy(config.as_ref(), arguments.directory.as_ref())?;
    let entries = entries(config.as_ref(), &policy)?;
    match format {
        OutputFormat::Json => print_json(&entries)?,
        OutputFormat::Table if entries.is_empty() => {
            print("No components: this binary embeds none, and no plugin directory was given or it holds none.")?
        }
        OutputFormat::Table => {
            let rows: Vec<[String; 6]> = entries
                .into_iter()
                .map(|entry| {
                    let origin = if entry.shadowed { format!("{} (not used: see the file)", entry.origin) } else { entry.origin };
                    let trust =
                        if entry.loads { entry.trust } else { format!("DOES NOT LOAD: {}", entry.error.as_ref().unwrap_or(&entry.trust)) };
                    [entry.name, or_dash(entry.world), or_dash(entry.contract), or_dash(entry.sha256), origin, trust]
                })
                .collect();
            print(&table(["Name", "World", "Contract", "SHA-256", "Origin", "Trust"], &rows))?;
        }
    }
    Ok(Exit::Success)
}

fn entries(config: Option<&Config>, policy: &Policy) -> Result<Vec<Entry>, Failure> {
    let blocks = || config.iter().flat_map(|config| &config.plugins).map(|plugin| &**plugin);
    // As a stanza of that name would find it.
    let by_block = |plugin: &Plugin, origin: &Origin| {
        let found = cofferdam_plugins::find(&component::request(plugin.role, &plugin.name, Some(plugin)), policy);
        let inspected = inspect(&plugin.name, origin, &found);
        Entry::new(plugin.name.clone(), origin, found, inspected)
    };
    let mut entries: Vec<Entry> = Vec::new();
    for Listed { name, origin, found, shadows_builtin } in cofferdam_plugins::list(policy).map_err(Failure::usage)? {
        // A storage's block is none of a seal's, also where both have one name.
        let inspected = inspect(&name, &origin, &found);
        let role = inspected.as_ref().ok().map(|inspection| super::role(inspection.world));
        let mine = |plugin: &&Plugin| plugin.name == name && plugin.path.is_none() && role.is_none_or(|role| plugin.role == role);
        let block = blocks().find(mine);
        let shadowed = entries.iter().any(|entry| entry.name == name && entry.loads);
        let entry = match (&origin, block) {
            (Origin::File(_), Some(plugin)) => by_block(plugin, &origin),
            (Origin::File(path), None) if shadows_builtin => {
                let entry = Entry::new(name, &origin, found, inspected);
                let trust = format!(
                    "{}: it has the name of a component of this release, and no plugin block says replaces_builtin",
                    path.display()
                );
                Entry { loads: false, trust, ..entry }
            }
            _ => Entry::new(name, &origin, found, inspected),
        };
        entries.push(Entry { shadowed: matches!(origin, Origin::Builtin) && shadowed, ..entry });
    }
    for plugin in blocks() {
        let Some(path) = &plugin.path else { continue };
        let origin = Origin::File(path.clone());
        let shown = entries.iter().position(|entry| Path::new(&entry.origin) == path);
        let entry = by_block(plugin, &origin);
        match shown.and_then(|at| entries.get_mut(at)) {
            Some(shown) => *shown = entry,
            None => entries.push(entry),
        }
    }
    Ok(entries)
}
