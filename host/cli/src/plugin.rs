//! `coffer plugin`: what a component is and what it asks for, before anybody trusts it. Nothing of a component is run.

use crate::args::{InspectArguments, ListArguments, OutputFormat};
use crate::component;
use crate::config::{self, Environment};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use cofferdam_runtime::{Import, ImportKind, Inspection};
use serde::Serialize;
use serde_json::json;
use std::path::Path;

fn read(path: &Path) -> Result<Inspection, String> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    cofferdam_runtime::inspect(&name, &bytes).map_err(|error| error.to_string())
}

/// `plugin inspect`.
pub(crate) fn inspect(arguments: &InspectArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let inspection = read(&arguments.file).map_err(Failure::usage)?;
    match format {
        OutputFormat::Json => {
            let mut value = serde_json::to_value(&inspection).map_err(Failure::failed)?;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("can_reach".to_owned(), json!(reach(&inspection.imports)));
                fields.insert("grants_needed".to_owned(), json!(inspection.grants_needed()));
                fields.insert("grants_usable".to_owned(), json!(inspection.grants_usable()));
            }
            print_json(&value)?;
        }
        OutputFormat::Table => print(&describe(&arguments.file, &inspection))?,
    }
    Ok(Exit::Success)
}

fn describe(file: &Path, inspection: &Inspection) -> String {
    let none_or = |grants: Vec<&str>| if grants.is_empty() { "none".to_owned() } else { grants.join(", ") };
    let facts = [
        ["File", &file.display().to_string()],
        ["World", &inspection.world.to_string()],
        ["Contract", &format!("cofferdam:backend {}", inspection.contract)],
        ["Size", &format!("{} bytes", inspection.size)],
        ["SHA-256", &inspection.sha256],
        ["Can reach", &reach(&inspection.imports)],
        ["Needs grants", &none_or(inspection.grants_needed())],
        ["Can use grants", &none_or(inspection.grants_usable())],
    ];
    let imports: Vec<[String; 3]> =
        inspection.imports.iter().map(|import| [import.name.clone(), treatment(import), import.meaning.to_owned()]).collect();
    let exports: Vec<[String; 1]> = inspection.exports.iter().map(|export| [export.clone()]).collect();
    format!(
        "{}\n{}\n{}",
        table(["Key", "Value"], &facts.map(|row| row.map(str::to_owned))),
        table(["Import", "Host", "Meaning"], &imports),
        table(["Export"], &exports)
    )
}

/// What imports come to; of some not even that: they are names for types, or ways to wait.
const REACHES: &[(&str, &str)] = &[
    ("cofferdam:backend/types@", ""),
    ("wasi:io/", ""),
    ("cofferdam:backend/log@", "log"),
    ("wasi:cli/stdout@", "log"),
    ("wasi:cli/stderr@", "log"),
    ("wasi:clocks/", "clocks"),
    ("wasi:random/", "random bytes"),
];

/// All that a component can reach, in a line. What is not in it is inert, or refused.
fn reach(imports: &[Import]) -> String {
    let mut reached: Vec<String> = Vec::new();
    for import in imports {
        let what = match import.kind {
            ImportKind::Always => {
                REACHES.iter().find(|(prefix, _)| import.name.starts_with(prefix)).map_or(import.name.as_str(), |(_, what)| what).to_owned()
            }
            ImportKind::NeedsGrant(grant) | ImportKind::InertWithout(grant) => format!("{grant} (if granted)"),
            ImportKind::Inert | ImportKind::Unknown => continue,
        };
        if !what.is_empty() && !reached.contains(&what) {
            reached.push(what);
        }
    }
    if reached.is_empty() { "nothing".to_owned() } else { reached.join(", ") }
}

fn treatment(import: &Import) -> String {
    match import.kind {
        ImportKind::Always => "given".to_owned(),
        ImportKind::Inert => "inert".to_owned(),
        ImportKind::InertWithout(grant) => format!("inert without grant {grant}"),
        ImportKind::NeedsGrant(grant) => format!("refused without grant {grant}"),
        ImportKind::Unknown => "refused: unknown".to_owned(),
    }
}

/// A line of `plugin list`.
#[derive(Serialize)]
struct Entry {
    name: String,
    origin: String,
    /// Another component of the same name is taken in its place.
    shadowed: bool,
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
    fn new(name: String, origin: String, inspection: Result<Inspection, String>) -> Self {
        let (inspection, error) = match inspection {
            Ok(inspection) => (Some(inspection), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            name,
            origin,
            shadowed: false,
            world: inspection.as_ref().map(|inspection| inspection.world.to_string()),
            contract: inspection.as_ref().map(|inspection| inspection.contract.clone()),
            size: inspection.as_ref().map(|inspection| inspection.size),
            sha256: inspection.map(|inspection| inspection.sha256),
            error,
        }
    }
}

/// `plugin list`: one that cannot be used is listed with the reason.
pub(crate) fn list(arguments: &ListArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let directory = match (&arguments.directory, arguments.config.as_slice()) {
        (Some(directory), _) => Some(directory.clone()),
        (None, []) => None,
        (None, paths) => config::load(paths, environment).map_err(Failure::usage)?.plugin_directory,
    };
    let mut entries = Vec::new();
    if let Some(directory) = &directory {
        let fail = |error: std::io::Error| Failure::usage(format!("{}: cannot be listed: {error}", directory.display()));
        for entry in std::fs::read_dir(directory).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if let (Some("wasm"), Some(name)) = (path.extension().and_then(|extension| extension.to_str()), path.file_stem()) {
                entries.push(Entry::new(name.to_string_lossy().into_owned(), path.display().to_string(), read(&path)));
            }
        }
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    for (name, bytes) in component::embedded() {
        let inspection = cofferdam_runtime::inspect(name, bytes).map_err(|error| error.to_string());
        let shadowed = entries.iter().any(|entry| entry.name == name);
        entries.push(Entry { shadowed, ..Entry::new(name.to_owned(), "embedded in coffer".to_owned(), inspection) });
    }
    match format {
        OutputFormat::Json => print_json(&entries)?,
        OutputFormat::Table if entries.is_empty() => {
            print("No components: this binary embeds none, and no plugin directory was given or it holds none.")?
        }
        OutputFormat::Table => {
            let rows: Vec<[String; 5]> = entries
                .into_iter()
                .map(|entry| {
                    let origin = if entry.shadowed { format!("{} (not used: see the file)", entry.origin) } else { entry.origin };
                    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                    let world = entry.error.or(entry.world);
                    [entry.name, or_dash(world), or_dash(entry.contract), or_dash(entry.sha256), origin]
                })
                .collect();
            print(&table(["Name", "World", "Contract", "SHA-256", "Origin"], &rows))?;
        }
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::{describe, reach};
    use crate::component;
    use std::path::Path;

    #[test]
    fn a_seal_reaches_its_key_and_nothing_else() {
        let (_, bytes) = component::embedded().find(|(name, _)| *name == "awskms").expect("the guests are not built");
        let inspection = cofferdam_runtime::inspect("awskms", bytes).unwrap();
        let mut reached: Vec<String> = reach(&inspection.imports).split(", ").map(str::to_owned).collect();
        reached.sort();
        assert_eq!(reached, ["aws (if granted)", "clocks", "log", "random bytes"]);
        assert_eq!(inspection.grants_needed(), ["aws"]);
        assert!(inspection.grants_usable().iter().all(|grant| *grant == "aws"), "{:?}", inspection.grants_usable());
        let shown = describe(Path::new("awskms.wasm"), &inspection);
        assert!(shown.contains("\nCan reach ") && shown.contains("refused without grant aws"), "{shown}");
        // What can reach more says so.
        let (_, bytes) = component::embedded().find(|(name, _)| *name == "filesystem").expect("the guests are not built");
        let inspection = cofferdam_runtime::inspect("filesystem", bytes).unwrap();
        assert!(reach(&inspection.imports).contains("directory (if granted)"), "{}", reach(&inspection.imports));
    }
}
