//! `coffer plugin test`: tries a component in the sandbox, before anybody trusts it with data, and reports.
//!
//! The rule: no pin is needed, and nothing that the operator keeps is touched. A directory is always a temporary one; a store behind another
//! grant is an empty one, or a folder of a random name in it, and only what the trial wrote is removed from it.

use super::block;
use super::record::{self, Way, refuse_initialised, secrets_of};
use crate::args::{TestArguments, TrialFormat};
use crate::component;
use crate::config::{self, Config, Environment, Role, Seal, Storage, is_builtin};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::print;
use crate::server;
use crate::server::trial::Prepared;
use cofferdam_aws::{Providers, Sources};
use cofferdam_runtime::{Component, Inspection, Runtime, Source, StorageConfig};
use cofferdam_trial::contract::OPENS;
use cofferdam_trial::{GuestSubject, Options, Place, Progress, Report, Subject};
use std::hash::{BuildHasher, Hasher};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind};

/// What a configuration need not have to be tried with. What it has comes over this.
const DEFAULTS: &str = r#"storage "filesystem" { path = "/nonexistent" }
listener "tcp" { address = "127.0.0.1:8200" tls_disable = true }
api_addr = "http://127.0.0.1:8200"
"#;

/// `plugin test`.
pub(super) fn run(arguments: &TestArguments, environment: &Environment) -> Outcome {
    if let Some(level) = arguments.log_level {
        server::trial::log(level)?;
    }
    check_files(arguments)?;
    let file = &arguments.file;
    let name = file.display().to_string();
    let bytes = super::read(file)?;
    let inspection = cofferdam_runtime::inspect(&name, &bytes).map_err(Failure::usage)?;
    let way = Way::of(arguments)?;
    let stanza = match arguments.config.as_slice() {
        [] => None,
        paths => Some(stanza(file, &inspection, paths, environment)?),
    };
    if stanza.is_none() && !inspection.grants_needed().is_empty() {
        return Err(Failure::usage(wanting(file, &inspection)));
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let tokio = tokio.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let runtime = server::component_runtime()?;
    let component = runtime.component(Source::Bytes { name, bytes }).map_err(Failure::failed)?;
    let beside = beside(arguments, &runtime, &component)?;
    tokio.block_on(async {
        if let (Way::Record, Some(Stanza::Seal(_, Some(config)))) = (&way, &stanza) {
            refuse_initialised(config, &runtime).await?;
        }
        let tried = Tried { stanza: stanza.as_ref(), runtime, component };
        try_out(arguments, &tried, way, beside).await
    })
}

/// The stanza by which a component is opened.
enum Stanza {
    Storage(Box<Storage>),
    /// With the whole configuration, if that has a storage.
    Seal(Box<Seal>, Option<Box<Config>>),
}

/// The stanza of the configuration that is for this file.
fn stanza(file: &Path, inspection: &Inspection, paths: &[PathBuf], environment: &Environment) -> Result<Stanza, Failure> {
    let defaults = tempfile::Builder::new().suffix(".hcl").tempfile();
    let defaults = defaults.map_err(|error| Failure::failed(format!("no temporary file: {error}")))?;
    std::fs::write(defaults.path(), DEFAULTS).map_err(|error| Failure::failed(format!("no temporary file: {error}")))?;
    let paths: Vec<PathBuf> = std::iter::once(defaults.path().to_owned()).chain(paths.iter().cloned()).collect();
    let config = config::load(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    let role = super::role(inspection.world);
    match role {
        Role::Storage if config.storage.place.file == defaults.path() => Err(Failure::usage(format!(
            "{}: this is a storage, and the configuration has no storage stanza: add storage \"NAME\" {{ … }} with its settings",
            file.display()
        ))),
        Role::Storage => {
            granted(file, role, &config.storage.component, inspection, config.storage.plugin.as_deref())?;
            Ok(Stanza::Storage(Box::new(config.storage)))
        }
        Role::Seal => {
            let seal = seal_for(file, &config)?;
            granted(file, role, &seal.kind, inspection, seal.plugin.as_deref())?;
            let seal = Box::new(seal.clone());
            Ok(Stanza::Seal(seal, (config.storage.place.file != defaults.path()).then(|| Box::new(config))))
        }
    }
}

/// Of several seals the one that the file is of: by its plugin block, else by its name.
fn seal_for<'a>(file: &Path, config: &'a Config) -> Result<&'a Seal, Failure> {
    let all: Vec<&Seal> = config.seals.all().collect();
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let of_block = |seal: &&&Seal| seal.plugin.as_ref().is_some_and(|plugin| plugin.path.as_ref() == Some(&whole));
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

/// Fails if the configuration grants less than the component cannot start without. A name of the release has its grant by its stanza.
fn granted(file: &Path, role: Role, name: &str, inspection: &Inspection, plugin: Option<&config::Plugin>) -> Result<(), Failure> {
    let has = |grant: &str| plugin.is_some_and(|plugin| plugin.grants.has(grant)) || is_builtin(role, name) && grant == "aws";
    match inspection.grants_needed().into_iter().find(|grant| !has(grant)) {
        None => Ok(()),
        Some(grant) => Err(Failure::usage(component::lacks(role, name, &file.display().to_string(), inspection, grant))),
    }
}

/// What a component that cannot start without a grant needs to be tried.
fn wanting(file: &Path, inspection: &Inspection) -> String {
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

/// The component, and what it is opened by.
struct Tried<'a> {
    stanza: Option<&'a Stanza>,
    runtime: Arc<Runtime>,
    component: Component,
}

impl Tried<'_> {
    /// The component as the stanza or nothing says, with its requests on this way.
    async fn subject(&self, force: bool, way: &Way) -> Result<GuestSubject, Failure> {
        let component = self.component.clone();
        let providers = Providers::new(Sources::system());
        let is_seal = super::role(component.inspect().world) == Role::Seal;
        let prepared = match (self.stanza, way) {
            (Some(Stanza::Storage(storage)), Way::Replay(player)) => server::trial::played_storage(storage, &providers, player).await?,
            (Some(Stanza::Storage(storage)), _) => server::trial::storage(storage, &providers).await?,
            (Some(Stanza::Seal(seal, _)), Way::Replay(player)) => server::trial::played_seal(seal, &providers, player).await?,
            (Some(Stanza::Seal(seal, _)), _) => server::trial::seal(seal, &providers).await?,
            (None, _) => Prepared {
                config: StorageConfig::new("trial"),
                granted: Vec::new(),
                directory: !is_seal && GuestSubject::wants_directory(&component),
            },
        };
        let Prepared { mut config, mut granted, directory } = prepared;
        way.check(component.inspect(), &config)?;
        let elsewhere = config.grants.aws.is_some() || config.grants.http.is_some();
        let place = match (directory, elsewhere) {
            (true, false) if !is_seal => Place::Directory,
            _ if force => Place::Folder,
            _ => Place::Root,
        };
        if directory {
            granted.push("a fresh temporary directory, seen as /data".to_owned());
        }
        way.listen(&mut config);
        let subject = GuestSubject::new(Arc::clone(&self.runtime), component, config, granted, place);
        Ok(way.placed(if directory { subject.with_temporary_directory() } else { subject }))
    }

    /// What must not come into a recording.
    fn secrets(&self) -> Vec<Vec<u8>> {
        let (access, plugin) = match self.stanza {
            Some(Stanza::Storage(storage)) => (storage.dynamodb.as_ref().map(|dynamodb| &dynamodb.access), &storage.plugin),
            Some(Stanza::Seal(seal, _)) => (seal.awskms.as_ref().map(|awskms| &awskms.access), &seal.plugin),
            None => return Vec::new(),
        };
        secrets_of(access, plugin.as_deref())
    }
}

/// The storage that costs are shown beside: the release's own on files, in a temporary directory of its own.
fn beside(arguments: &TestArguments, runtime: &Arc<Runtime>, tried: &Component) -> Result<Option<Arc<dyn Subject>>, Failure> {
    let wanted = Options { only: arguments.only.clone(), ..Options::default() }.wants("cost/operations");
    if !wanted || super::role(tried.inspect().world) == Role::Seal {
        return Ok(None);
    }
    let found = match component::find(Role::Storage, "filesystem", None, &component::built_in()) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("costs are shown beside no other storage: {error}");
            return Ok(None);
        }
    };
    // What is tried may be this very component: it is compared all the same, and shows how much times differ by themselves.
    let component =
        if found.sha256 == tried.inspect().sha256 { tried.clone() } else { runtime.component(found.source).map_err(Failure::failed)? };
    let config = StorageConfig::new("beside");
    Ok(Some(Arc::new(GuestSubject::new(Arc::clone(runtime), component, config, Vec::new(), Place::Directory))))
}

/// Runs the trial, and hands out the report.
async fn try_out(arguments: &TestArguments, tried: &Tried<'_>, way: Way, beside: Option<Arc<dyn Subject>>) -> Outcome {
    let mut interrupts = Interrupts::listen()?;
    let talks = std::io::stderr().is_terminal();
    let options = Options {
        only: arguments.only.clone(),
        seed: arguments.seed.unwrap_or_else(seed),
        quick: arguments.quick,
        progress: talks.then(|| Arc::new(|id: &str| eprintln!("{id} …")) as Progress),
        beside,
        ..Options::default()
    };
    let way = way.begin(tried.component.inspect(), &options, || tried.secrets());
    let options = way.options(options);
    let subject = tried.subject(arguments.force || way.forces(), &way).await?;
    let ids = cofferdam_trial::ids(subject.info());
    if let Some(unknown) = options.unknown(&ids).first() {
        return Err(Failure::usage(format!("--only {unknown}: no section and no check of that name; there are:\n  {}", ids.join("\n  "))));
    }
    // What does not open is in the report. Behind a recording there is no store.
    if !matches!(way, Way::Replay(_))
        && let Err(error) = subject.check_place().await
        && subject.storage(cofferdam_trial::OpenWith::again()).await.is_ok()
    {
        return Err(Failure::usage(format!("{}: {error}", subject.info().file)));
    }
    // A scan asks for what is beside the folder, too.
    if matches!(way, Way::Recording(_)) && subject.folder().is_some() && subject.is_empty().await.is_ok_and(|empty| !empty) {
        return Err(Failure::usage(
            "--record: the store is not empty, and the recording would hold what others keep in it: record in an empty one",
        ));
    }
    let report = tokio::select! {
        report = way.run(&subject, &options) => report,
        () = interrupts.any() => {
            // Behind a recording nothing was written.
            if !matches!(way, Way::Replay(_)) {
                subject.wipe().await.map_err(|error| Failure::failed(format!("what was written could not be removed: {error}")))?;
            }
            return Err(Failure::failed("interrupted; nothing that was written is left"));
        }
    };
    hand_out(arguments, &report)?;
    if let (Way::Recording(recorder), Some(path)) = (&way, &arguments.record) {
        let opened =
            report.checks().find(|check| check.id == OPENS.id).is_none_or(|check| check.outcome == cofferdam_trial::Outcome::Passed);
        if !opened {
            return Err(Failure::failed("--record: nothing is written, since the component did not open"));
        }
        // Once without the service: what the file holds is known to play back.
        let again = Way::Replay(recorder.player());
        let subject = tried.subject(again.forces(), &again).await?;
        let options = again.options(options.clone());
        let played = tokio::select! {
            played = again.run(&subject, &options) => played,
            () = interrupts.any() => return Err(Failure::failed("interrupted; the recording is not written")),
        };
        recorder.prove(&played);
        record::write(recorder, path)?;
    }
    Ok(if report.passed() { Exit::Success } else { Exit::Failed })
}

fn hand_out(arguments: &TestArguments, report: &Report) -> Result<(), Failure> {
    let text = match arguments.format {
        TrialFormat::Table => report.table(),
        TrialFormat::Json => report.json().map_err(Failure::failed)?,
        TrialFormat::Junit => report.junit().map_err(Failure::failed)?,
    };
    let Some(path) = &arguments.output else { return print(&text) };
    let written = std::fs::write(path, text);
    // Whoever runs it sees what came of it all the same.
    print(&report.table())?;
    written.map_err(|error| Failure::failed(format!("--output {}: cannot be written: {error}", path.display())))
}

/// Fails before anything is tried if a file cannot be written for want of its directory.
fn check_files(arguments: &TestArguments) -> Result<(), Failure> {
    for (flag, path) in [("--output", &arguments.output), ("--record", &arguments.record)] {
        let Some(path) = path else { continue };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Failure::usage(format!("{flag} {}: there is no directory {}: make it first", path.display(), folder.display())));
        }
    }
    Ok(())
}

/// The signals that end a trial. What it wrote is removed all the same.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn listen() -> Result<Interrupts, Failure> {
        let listen = server::listen;
        Ok(Interrupts([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A seed that is short enough to be typed.
fn seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000_000
}
