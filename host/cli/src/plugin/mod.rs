//! `coffer plugin`: what a component is and what it asks for, before anybody trusts it; what vouches for it; where it comes from. Nothing of a
//! component is run by what only looks at it.

pub(crate) mod block;
mod inspect;
mod list;
mod metadata;
mod new;
mod pin;
mod pull;
mod record;
mod running;
mod stanza;
mod test;
mod words;

use crate::args::PluginCommand;
use crate::component;
use crate::config::{self, Config, Environment, Role};
use crate::exit::{Failure, Outcome};
use cofferdam_plugins::Policy;
use cofferdam_runtime::{ImportKind, Inspection, World};
use std::path::{Component, Path, PathBuf};

/// Runs a command of `plugin`.
pub(crate) fn run(command: &PluginCommand, environment: &Environment) -> Outcome {
    match command {
        PluginCommand::Inspect(arguments) => inspect::run(arguments, environment),
        // Files where some were named, else the server that was.
        PluginCommand::List(arguments) if arguments.asks_server() && running::named(&arguments.client, environment) => {
            crate::client::block_on(running::list(&arguments.client, environment))
        }
        PluginCommand::List(arguments) => list::run(arguments, environment),
        PluginCommand::Reload(arguments) => crate::client::block_on(running::reload(arguments, environment)),
        PluginCommand::Pin(arguments) => pin::run(arguments, environment),
        PluginCommand::Pull(arguments) => crate::client::block_on(pull::run(arguments, environment)),
        PluginCommand::Test(arguments) => test::run(arguments, environment),
        PluginCommand::New(arguments) => new::run(arguments),
    }
}

/// The bytes of a file, if it can be a component.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let limit = cofferdam_plugins::MAX_COMPONENT;
    match cofferdam_plugins::read_regular(path, limit) {
        Ok(Some(bytes)) => return Ok(bytes),
        Ok(None) => {}
        Err(error) => return Err(fail(&format!("cannot be read: {error}"))),
    }
    Err(fail(&format!("it is larger than {limit} bytes, which no component may be")))
}

/// What a component of this world can be used as.
fn role(world: World) -> Role {
    match world {
        World::Storage | World::StorageHa => Role::Storage,
        World::Seal => Role::Seal,
    }
}

/// What a component is to be pinned as.
fn check(name: &str, bytes: &[u8]) -> Result<Role, String> {
    let inspection = cofferdam_runtime::inspect(name, bytes).map_err(|error| error.to_string())?;
    Ok(role(inspection.world))
}

/// The configuration that a command was pointed at, if it was.
fn configuration(paths: &[PathBuf], environment: &Environment) -> Result<Option<Config>, Failure> {
    match paths {
        [] => Ok(None),
        paths => config::look(paths, environment).map(Some).map_err(Failure::usage),
    }
}

/// What vouches for a plugin: by the configuration, else in the directory, if one was given, and no key is trusted.
fn policy(config: Option<&Config>, directory: Option<&PathBuf>) -> Result<Policy, Failure> {
    match config {
        Some(config) => component::policy(config).map_err(Failure::usage),
        None => Ok(Policy { directory: directory.cloned(), ..component::built_in() }),
    }
}

/// The plugin directory that a command was pointed at: itself, or by way of a configuration.
fn directory(given: Option<&PathBuf>, config: Option<&Config>) -> Result<PathBuf, Failure> {
    match (given, config) {
        (Some(directory), _) => Ok(directory.clone()),
        (None, Some(config)) => config
            .plugin_directory
            .clone()
            .ok_or_else(|| Failure::usage("the configuration has no plugin_directory: set it, or give --directory DIR")),
        (None, None) => Err(Failure::usage("which directory? Give --directory DIR, or --config FILE for the one that it names")),
    }
}

/// The whole path of a file, as a configuration is to have it.
fn whole(file: &Path) -> PathBuf {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    let directory = path.parent().and_then(|directory| directory.canonicalize().ok());
    directory.zip(path.file_name()).map_or_else(|| path.clone(), |(directory, name)| directory.join(name))
}

/// Whether both are one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| whole(path));
    real(one) == real(other)
}

/// The names of a component's imports of this kind. They are its author's text.
fn imports_of(inspection: &Inspection, kind: ImportKind) -> Vec<String> {
    inspection.imports.iter().filter(|import| import.kind == kind).map(|import| metadata::shown(&import.name)).collect()
}
