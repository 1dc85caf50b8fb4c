//! `coffer plugin test`: tries a component in the sandbox, before anybody trusts it with data, and reports.
//!
//! The rule: no pin is needed, and nothing that the operator keeps is touched. A directory is always a temporary one; a store behind another
//! grant is an empty one, or a folder of a random name in it, and only what the trial wrote is removed from it.

use super::record::{self, Way, refuse_initialised, secrets_of};
use super::stanza::{Stanza, stanza, wanting};
use crate::args::{TestArguments, TrialFormat};
use crate::component;
use crate::config::{self, Environment, Role};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::print;
use crate::server;
use crate::server::trial::Prepared;
use cofferdam_aws::{Providers, Sources};
use cofferdam_runtime::{Component, Runtime, Source, StorageConfig};
use cofferdam_trial::contract::OPENS;
use cofferdam_trial::{GuestSubject, Options, Place, Progress, Report, Subject};
use std::hash::{BuildHasher, Hasher};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind};

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
    let options = way.options(options, arguments.replay.as_deref());
    let subject = tried.subject(arguments.force || way.forces(), &way).await?;
    let ids = cofferdam_trial::ids(subject.info());
    if let Some(unknown) = options.unknown(&ids).first() {
        return Err(Failure::usage(misspelt(unknown, &ids)));
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
        let options = again.options(options.clone(), None);
        let played = tokio::select! {
            played = again.run(&subject, &options) => played,
            () = interrupts.any() => return Err(Failure::failed("interrupted; the recording is not written")),
        };
        recorder.prove(&played);
        record::write(recorder, path)?;
    }
    if let Some(why) = report.nothing_tried() {
        let advice = |path: &PathBuf| {
            format!(". Only what was recorded can be played back: {} has a recording of no check that was wanted", path.display())
        };
        let advice = arguments.replay.as_ref().map(advice).unwrap_or_default();
        return Err(Failure::failed(format!("not passed: {why}; the report has the reasons{advice}")));
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

/// What is said of a name in `--only` that fits no check.
fn misspelt(name: &str, ids: &[&str]) -> String {
    let wrong = format!("--only {name}: no section and no check of that name");
    let whole = cofferdam_trial::SECTIONS.iter().chain(ids).map(|known| (*known, *known));
    // Whoever leaves out the section means the check.
    let short = ids.iter().filter_map(|id| Some((id.split_once('/')?.1, *id)));
    let known: Vec<(&str, &str)> = whole.chain(short).collect();
    let near = config::nearest(name.trim_end_matches('*'), known.iter().map(|(said, _)| *said));
    match known.iter().find(|(said, _)| Some(*said) == near) {
        Some((_, id)) => format!("{wrong}: did you mean {id}?"),
        None => format!("{wrong}; there are:\n  {}", ids.join("\n  ")),
    }
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

#[cfg(test)]
mod tests {
    use super::misspelt;

    #[test]
    fn a_misspelt_check_is_named() {
        let ids = ["contract/restart", "contract/scan-complete", "fault/recovers"];
        for (name, near) in [
            ("contract/restrat", "contract/restart"),
            ("scan-complete", "contract/scan-complete"),
            ("scan-completes", "contract/scan-complete"),
            ("faults", "fault"),
            ("contract/scan_complete*", "contract/scan-complete"),
        ] {
            assert!(misspelt(name, &ids).ends_with(&format!("did you mean {near}?")), "{}", misspelt(name, &ids));
        }
        assert!(misspelt("speed", &ids).ends_with("  contract/scan-complete\n  fault/recovers"), "{}", misspelt("speed", &ids));
    }
}
