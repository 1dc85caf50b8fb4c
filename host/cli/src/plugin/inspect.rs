//! `coffer plugin inspect`: what a component is, what it asks for, and what each grant would let it do; with a block to paste.

use super::words::{self, Asked};
use super::{block, metadata};
use crate::args::{InspectArguments, OutputFormat};
use crate::component;
use crate::config::{Environment, is_builtin};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use cofferdam_runtime::{Import, ImportKind, Inspection};
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// All that is said of a component.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    inspection: Inspection,
    /// Its author's word.
    metadata: metadata::Metadata,
    /// The component of this release that it is.
    release: Option<&'static str>,
    /// Whether it would run with the configuration or directory that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<Trust>,
    can_reach: String,
    grants_needed: Vec<&'static str>,
    grants_usable: Vec<&'static str>,
    /// What it asks for, a sentence each.
    asks: Vec<String>,
    /// What each grant would let it do.
    grants: Vec<Asked>,
    /// What of its imports does nothing here.
    inert: Vec<String>,
    /// The block to paste, if one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
}

/// Whether something vouches for a file.
#[derive(Serialize)]
struct Trust {
    loads: bool,
    why: String,
}

/// `plugin inspect`.
pub(super) fn run(arguments: &InspectArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let file = &arguments.file;
    let bytes = super::read(file)?;
    let inspection = cofferdam_runtime::inspect(&file.display().to_string(), &bytes).map_err(Failure::usage)?;
    let trust = trust(arguments, &inspection, environment)?;
    let report = Report::new(file, &bytes, inspection, trust);
    match format {
        OutputFormat::Json => print_json(&json!(report))?,
        OutputFormat::Table => print(&report.describe(file))?,
    }
    Ok(Exit::Success)
}

/// The backend that a file is for by its name.
fn name_of(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn trust(arguments: &InspectArguments, inspection: &Inspection, environment: &Environment) -> Result<Option<Trust>, Failure> {
    let config = super::configuration(&arguments.config, environment)?;
    if config.is_none() && arguments.directory.is_none() {
        return Ok(None);
    }
    let policy = super::policy(config.as_ref(), arguments.directory.as_ref())?;
    let file = std::path::absolute(&arguments.file).map_err(Failure::usage)?;
    if let Some(directory) = &arguments.directory {
        let whole = |path: &Path| path.canonicalize().map_err(|error| Failure::usage(format!("{}: {error}", path.display())));
        if file.parent().map(whole).transpose()? != Some(whole(directory)?) {
            return Err(Failure::usage(format!(
                "--directory {}: {} is not in it, and would not be loaded from there: name the copy that is",
                directory.display(),
                arguments.file.display()
            )));
        }
    }
    let (role, name) = (super::role(inspection.world), name_of(&file));
    let plugins = config.iter().flat_map(|config| &config.plugins);
    // A block may call the file otherwise than it is named.
    let mine = |plugin: &&std::sync::Arc<crate::config::Plugin>| {
        plugin.role == role && plugin.path.as_ref().map_or(plugin.name == name, |path| *path == file)
    };
    let plugin = plugins.into_iter().find(mine);
    let name = plugin.map_or(name, |plugin| plugin.name.clone());
    let mut request = component::request(role, &name, plugin.map(|plugin| &**plugin));
    request.path = Some(file);
    Ok(Some(match cofferdam_plugins::find(&request, &policy) {
        Ok(found) => Trust { loads: true, why: found.trust.to_string() },
        Err(error) => Trust { loads: false, why: error.to_string() },
    }))
}

impl Report {
    fn new(file: &Path, bytes: &[u8], inspection: Inspection, trust: Option<Trust>) -> Self {
        let release = component::released(&inspection.sha256);
        Self {
            metadata: metadata::read(bytes),
            release,
            trust,
            can_reach: reach(&inspection.imports),
            grants_needed: inspection.grants_needed(),
            grants_usable: inspection.grants_usable(),
            asks: words::asks(&inspection),
            grants: words::asked(&inspection),
            inert: super::imports_of(&inspection, ImportKind::Inert),
            block: if release.is_some() { None } else { Some(to_paste(file, &inspection)) },
            inspection,
        }
    }

    fn describe(&self, file: &Path) -> String {
        let inspection = &self.inspection;
        let none_or = |grants: &[&str]| if grants.is_empty() { "none".to_owned() } else { grants.join(", ") };
        let mut facts = vec![["File".to_owned(), file.display().to_string()]];
        let mut fact = |key: &str, value: String| facts.push([key.to_owned(), value]);
        let said = &self.metadata;
        for (key, text) in [
            ("Name", &said.name),
            ("Version", &said.version),
            ("Description", &said.description),
            ("Authors", &said.authors),
            ("Licence", &said.licenses),
            ("Source", &said.source),
        ] {
            if let Some(text) = text {
                fact(key, format!("{text} (as it says)"));
            }
        }
        if !said.made_with.is_empty() {
            fact("Made With", format!("{} (as it says)", said.made_with.join(", ")));
        }
        fact("World", inspection.world.to_string());
        fact("Contract", format!("cofferdam:backend {}", inspection.contract));
        fact("Size", format!("{} bytes", inspection.size));
        fact("SHA-256", inspection.sha256.clone());
        fact(
            "Release",
            self.release.map_or("no component of this release".to_owned(), |name| format!("it is the component {name} of this release")),
        );
        if let Some(Trust { loads, why }) = &self.trust {
            fact("Loads", format!("{}: {why}", if *loads { "yes" } else { "no" }));
        }
        fact("Can reach", self.can_reach.clone());
        fact("Needs grants", none_or(&self.grants_needed));
        fact("Can use grants", none_or(&self.grants_usable));
        let imports: Vec<[String; 3]> =
            inspection.imports.iter().map(|import| [metadata::shown(&import.name), treatment(import), import.meaning.to_owned()]).collect();
        let exports: Vec<[String; 1]> = inspection.exports.iter().map(|export| [metadata::shown(export)]).collect();
        let mut text = format!("{}\nWhat it asks for\n----------------\n", table(["Key", "Value"], &facts));
        text.extend(self.asks.iter().map(|sentence| format!("{sentence}\n")));
        for Asked { grant, needed, lets } in &self.grants {
            let needed = if *needed { "it does not start without" } else { "it starts without" };
            text.push_str(&format!("\nGrant {grant} ({needed}) would let it:\n  {lets}\n"));
        }
        text.push_str(&format!("\n{}\n{}", table(["Import", "Host", "Meaning"], &imports), table(["Export"], &exports)));
        if let Some(block) = &self.block {
            text.push_str(&format!("\nTo run it, put into the configuration, with your own values:\n\n{block}"));
        }
        text
    }
}

/// The block by which this file runs. What it could use and starts without is there as a comment.
fn to_paste(file: &Path, inspection: &Inspection) -> String {
    let (role, name) = (super::role(inspection.world), paste_name(file));
    let path = super::whole(file).display().to_string();
    let (path, sha256) = (block::quoted(&path), block::quoted(&inspection.sha256));
    let mut own = vec![("path", path.as_str()), ("sha256", sha256.as_str())];
    if is_builtin(role, &name) {
        own.push(("replaces_builtin", "true"));
    }
    let needed = inspection.grants_needed();
    let text = block::text(role, &name, &own, &needed);
    if is_builtin(role, &name) {
        return text;
    }
    let usable = inspection.grants_usable().into_iter().filter(|grant| !needed.contains(grant));
    let comments: String = usable
        .map(|grant| block::grant(role, &name, grant))
        .flat_map(|grant| grant.lines().map(|line| format!("  # {}\n", line.strip_prefix("  ").unwrap_or(line))).collect::<Vec<_>>())
        .collect();
    match text.strip_suffix("}\n") {
        Some(open) if !comments.is_empty() => format!("{open}{comments}}}\n"),
        _ => text,
    }
}

/// A type of a stanza that can stand for this file.
fn paste_name(file: &Path) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = name_of(file).chars().map(fit).take(64).collect();
    if name.is_empty() { "NAME".to_owned() } else { name }
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
                let known = REACHES.iter().find(|(prefix, _)| import.name.starts_with(prefix));
                known.map_or_else(|| metadata::shown(&import.name), |(_, what)| (*what).to_owned())
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

#[cfg(test)]
mod tests {
    use super::{Report, reach, to_paste};
    use crate::component;
    use crate::config::{self, Environment};
    use cofferdam_runtime::{Import, ImportKind, Inspection, World};
    use std::path::Path;

    fn embedded(wanted: &str) -> (&'static [u8], Inspection) {
        let (name, bytes) = component::embedded().find(|(name, _)| *name == wanted).expect("the guests are not built");
        (bytes, cofferdam_runtime::inspect(name, bytes).unwrap())
    }

    fn foreign(world: World, grants: &[ImportKind]) -> Inspection {
        let import = |kind: &ImportKind| Import { name: "x".to_owned(), kind: *kind, meaning: "" };
        Inspection { world, imports: grants.iter().map(import).collect(), sha256: "ab".repeat(32), ..embedded("filesystem").1 }
    }

    #[test]
    fn a_seal_reaches_its_key_and_nothing_else() {
        let (bytes, inspection) = embedded("awskms");
        let mut reached: Vec<String> = reach(&inspection.imports).split(", ").map(str::to_owned).collect();
        reached.sort();
        assert_eq!(reached, ["aws (if granted)", "clocks", "log", "random bytes"]);
        assert_eq!(inspection.grants_needed(), ["aws"]);
        assert!(inspection.grants_usable().iter().all(|grant| *grant == "aws"), "{:?}", inspection.grants_usable());
        let file = Path::new("awskms.wasm");
        let shown = Report::new(file, bytes, inspection, None).describe(file);
        assert!(shown.contains("\nCan reach ") && shown.contains("refused without grant aws"), "{shown}");
        assert!(shown.contains("it is the component awskms of this release") && !shown.contains("To run it"), "{shown}");
        // What can reach more says so.
        let (_, inspection) = embedded("filesystem");
        assert!(reach(&inspection.imports).contains("directory (if granted)"), "{}", reach(&inspection.imports));
    }

    #[test]
    fn nothing_that_a_component_names_moves_the_cursor() {
        let mut inspection = foreign(World::Storage, &[ImportKind::Unknown, ImportKind::Inert, ImportKind::Always]);
        for import in &mut inspection.imports {
            import.name = "a\u{1b}[2Jb".to_owned();
        }
        inspection.exports = vec!["c\u{1b}[2Jd".to_owned()];
        let file = Path::new("x.wasm");
        let report = Report::new(file, b"", inspection, None);
        assert!(report.inert.iter().chain(&report.asks).all(|text| !text.contains('\u{1b}')));
        assert!(!report.describe(file).contains('\u{1b}') && report.describe(file).contains("does not offer"));
    }

    #[test]
    fn a_seal_by_http_is_named_for_what_it_is() {
        let inspection = foreign(World::Seal, &[ImportKind::NeedsGrant("http")]);
        let file = Path::new("vaulty.wasm");
        let shown = Report::new(file, b"", inspection, None).describe(file);
        assert!(shown.contains("Grant http (it does not start without)") && shown.contains("could learn the root key"), "{shown}");
        let aws = foreign(World::Seal, &[ImportKind::NeedsGrant("aws")]);
        assert!(!Report::new(file, b"", aws, None).describe(file).contains("could learn the root key"));
    }

    #[test]
    fn the_block_to_paste_is_a_configuration() {
        use ImportKind::{InertWithout, NeedsGrant};
        let all = [NeedsGrant("http"), NeedsGrant("aws"), InertWithout("directory")];
        for (world, file, grants, builtin) in [
            (World::Storage, "/p/etcd.wasm", &all[..], false),
            (World::StorageHa, "/p/odd name \"${x}.wasm", &all[1..], false),
            (World::Seal, "/p/transit.wasm", &all[..], false),
            (World::Storage, "/p/none.wasm", &[], false),
            (World::Storage, "/p/filesystem.wasm", &all[2..], true),
        ] {
            let inspection = foreign(world, grants);
            let block = to_paste(Path::new(file), &inspection);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("c.hcl");
            let stanza = "storage \"file\" { path = \"/d\" }\nlistener \"tcp\" { tls_disable = true }\n";
            // What is there as a comment is a configuration, too.
            for text in [block.clone(), block.replace("  # ", "  ")] {
                std::fs::write(&path, format!("{stanza}{text}")).unwrap();
                let config =
                    config::load(std::slice::from_ref(&path), &Environment::default()).unwrap_or_else(|error| panic!("{error}\n{text}"));
                let [plugin] = config.plugins.as_slice() else { panic!("{text}") };
                assert_eq!((plugin.path.as_deref(), plugin.sha256.as_deref()), (Some(Path::new(file)), Some(inspection.sha256.as_str())));
                assert_eq!(plugin.replaces_builtin, builtin);
                let needed = inspection.grants_needed();
                assert!(builtin || needed.iter().all(|grant| plugin.grants.has(grant)), "{text}");
                let usable = grants.contains(&InertWithout("directory")) && !builtin;
                assert_eq!(plugin.grants.has("directory"), usable && text != block, "{text}");
            }
        }
    }
}
