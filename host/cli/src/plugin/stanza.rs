//! What a component is tried with: the stanza and the plugin block of a configuration, of which nothing else is needed.
//!
//! The rule: what is tried is what the configuration is of. A block that is another file's or another stanza's is refused, and so is one that grants less than the
//! component cannot start without.

use super::block;
use crate::component;
use crate::config::{self, Config, Environment, Role, Seal, Storage, is_builtin};
use crate::exit::Failure;
use cofferdam_runtime::Inspection;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a configuration need not have to be tried with. What it has comes over this.
const DEFAULTS: &str = r#"storage "filesystem" { path = "/nonexistent" }
listener "tcp" { address = "127.0.0.1:8200" tls_disable = true }
api_addr = "http://127.0.0.1:8200"
"#;

/// The stanza by which a component is opened.
pub(super) enum Stanza {
    Storage(Box<Storage>),
    /// With the whole configuration, if that has a storage.
    Seal(Box<Seal>, Option<Box<Config>>),
}

/// The stanza of the configuration that is for this file.
pub(super) fn stanza(file: &Path, inspection: &Inspection, paths: &[PathBuf], environment: &Environment) -> Result<Stanza, Failure> {
    let defaults = tempfile::Builder::new().suffix(".hcl").tempfile();
    let defaults = defaults.map_err(|error| Failure::failed(format!("no temporary file: {error}")))?;
    std::fs::write(defaults.path(), DEFAULTS).map_err(|error| Failure::failed(format!("no temporary file: {error}")))?;
    let paths: Vec<PathBuf> = std::iter::once(defaults.path().to_owned()).chain(paths.iter().cloned()).collect();
    let config = config::look(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    let role = super::role(inspection.world);
    match role {
        Role::Storage if config.storage.place.file == defaults.path() => Err(Failure::usage(format!(
            "{}: this is a storage, and the configuration has no storage stanza: add storage \"NAME\" {{ … }} with its settings",
            file.display()
        ))),
        Role::Storage => {
            fits(file, role, &config.storage.component, inspection, config.storage.plugin.as_deref(), &config.plugins)?;
            granted(file, role, &config.storage.component, inspection, config.storage.plugin.as_deref())?;
            Ok(Stanza::Storage(Box::new(config.storage)))
        }
        Role::Seal => {
            let seal = seal_for(file, &config)?;
            fits(file, role, &seal.kind, inspection, seal.plugin.as_deref(), &config.plugins)?;
            granted(file, role, &seal.kind, inspection, seal.plugin.as_deref())?;
            let seal = Box::new(seal.clone());
            Ok(Stanza::Seal(seal, (config.storage.place.file != defaults.path()).then(|| Box::new(config))))
        }
    }
}

/// Of several seals the one that the file is of: by its plugin block, else by its name.
fn seal_for<'a>(file: &Path, config: &'a Config) -> Result<&'a Seal, Failure> {
    let all: Vec<&Seal> = config.seals.all().collect();
    let of_block = |seal: &&&Seal| {
        let path = seal.plugin.as_ref().and_then(|plugin| plugin.path.as_ref());
        path.is_some_and(|path| super::is_same(path, file))
    };
    let of_name = |seal: &&&Seal| file.file_stem().is_some_and(|stem| stem == seal.kind.as_str());
    match (all.iter().find(of_block).or_else(|| all.iter().find(of_name)), all.as_slice()) {
        (Some(seal), _) | (None, [seal]) => Ok(*seal),
        (None, []) => Err(Failure::usage(format!(
            "{}: this is a seal, and the configuration has no seal stanza of a component: add seal \"NAME\" {{ … }} with its settings",
            file.display()
        ))),
        (None, several) => {
            let kinds: Vec<&str> = several.iter().map(|seal| seal.kind.as_str()).collect();
            Err(Failure::usage(format!(
                "{}: which of the seals {} is it? Name the file in that one's plugin block (path = …)",
                file.display(),
                kinds.join(", ")
            )))
        }
    }
}

/// Fails if the plugin block is of another file, or of another stanza: what would be tried is not what the configuration is of. Its path may name another file, as before an
/// upgrade; that is said.
fn fits(
    file: &Path,
    role: Role,
    name: &str,
    inspection: &Inspection,
    plugin: Option<&config::Plugin>,
    all: &[Arc<config::Plugin>],
) -> Result<(), Failure> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().replace('_', "-");
    let alike = |name: &str| stem == name.replace('_', "-");
    let Some(plugin) = plugin else {
        return match all.iter().find(|plugin| plugin.role == role && (alike(&plugin.name) || !is_builtin(role, name))) {
            Some(other) => Err(Failure::usage(format!(
                "{}: {} is for another stanza: this one is {role} {name:?}, to which nothing is granted. Call both by one name",
                other.place,
                other.said()
            ))),
            None => Ok(()),
        };
    };
    if let Some(pin) = plugin.sha256.as_ref().filter(|pin| **pin != inspection.sha256) {
        return Err(Failure::usage(format!(
            "{}: {} is of another file: its sha256 is {pin}, and that of {} is {}. A trial needs no pin: leave it out, or set this one",
            plugin.place,
            plugin.said(),
            file.display(),
            inspection.sha256
        )));
    }
    let named = plugin.path.as_ref().map_or_else(|| alike(&plugin.name), |path| super::is_same(path, file));
    if !named {
        eprintln!("note: {} is tried with what {} grants, which names another file", file.display(), plugin.said());
    }
    Ok(())
}

/// Fails if the configuration grants less than the component cannot start without. A name of the release has its grant by its stanza.
fn granted(file: &Path, role: Role, name: &str, inspection: &Inspection, plugin: Option<&config::Plugin>) -> Result<(), Failure> {
    let has = |grant: &str| plugin.is_some_and(|plugin| plugin.grants.has(grant)) || is_builtin(role, name) && grant == "aws";
    match inspection.grants_needed().into_iter().find(|grant| !has(grant)) {
        None => Ok(()),
        Some(grant) => Err(Failure::usage(component::lacks(role, name, &file.display().to_string(), inspection, grant))),
    }
}

/// What a component that cannot start without a grant needs to be tried.
pub(super) fn wanting(file: &Path, inspection: &Inspection) -> String {
    let needed = inspection.grants_needed();
    let role = super::role(inspection.world);
    let stem = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| !stem.is_empty()).unwrap_or("NAME");
    let needs = format!("{}: it does not start without the grant {}", file.display(), needed.join(", "));
    if is_builtin(role, stem) {
        return format!(
            "{needs}, which is derived from its stanza. Write that into a file, as in examples/, and name it by --config:\n\n{role} {} {{\n  …\n}}",
            block::quoted(stem)
        );
    }
    format!(
        "{needs}. Write its stanza and what you grant it into a file, with your own values, and name it by --config:\n\n{role} {} {{\n}}\n\n{}",
        block::quoted(stem),
        block::text(role, stem, &[], &needed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_another_file_or_stanza_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("trial.hcl");
        let (name, bytes) = component::embedded().find(|(name, _)| *name == "filesystem").expect("the guests are not built");
        let inspection = Inspection { sha256: "b".repeat(64), ..cofferdam_runtime::inspect(name, bytes).unwrap() };
        let tried = |file: &str, text: &str| {
            std::fs::write(&path, text).unwrap();
            let stanza = stanza(Path::new(file), &inspection, std::slice::from_ref(&path), &Environment::default());
            stanza.map(drop).map_err(|failure| failure.message)
        };
        let pinned =
            |digit: &str| format!("storage \"etcd\" {{}}\nplugin \"storage\" \"etcd\" {{\n  sha256 = \"{}\"\n}}\n", digit.repeat(64));
        tried("etcd.wasm", &pinned("b")).unwrap();
        // The next version, and whatever cargo calls it.
        tried("etcd-0.4.wasm", "storage \"etcd\" {}\nplugin \"storage\" \"etcd\" {\n  path = \"/p/etcd-0.3.wasm\"\n}\n").unwrap();
        let error = tried("etcd.wasm", &pinned("a")).unwrap_err();
        assert!(error.contains(&"a".repeat(64)) && error.contains(&"b".repeat(64)) && error.contains("trial.hcl:2:"), "{error}");
        let error = tried("etcd.wasm", "storage \"filesystem\" {\n  path = \"/x\"\n}\nplugin \"storage\" \"etcd\" {}\n").unwrap_err();
        assert!(error.contains("plugin \"storage\" \"etcd\"") && error.contains("another stanza"), "{error}");
        // A listener's name need not be known where it is tried.
        tried(
            "etcd.wasm",
            &format!("{}listener \"tcp\" {{\n  address = \"no.such.invalid:8200\"\n  tls_disable = true\n}}\n", pinned("b")),
        )
        .unwrap();
    }
}
