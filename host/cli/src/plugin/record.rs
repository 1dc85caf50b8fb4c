//! `coffer plugin test --record` and `--replay`: which way a trial's requests go, and of what no recording is made.
//!
//! The rule: a recording goes into a new file of this user alone, and is written only when it is known to play back. No secret that the configuration names is
//! in it; and the seal of a vault that exists is not recorded at all, since what opens that vault passes there.

use crate::args::TestArguments;
use crate::component;
use crate::config::{Access, Config, DirectoryAccess, Plugin, Role};
use crate::exit::Failure;
use crate::server;
use cofferdam_aws::{Providers, Sources};
use cofferdam_backend::{Key, Storage as _};
use cofferdam_http::Secret;
use cofferdam_runtime::{Fault, ImportCall, Inspection, Probe, Runtime, Step, StorageConfig};
use cofferdam_trial::contract::OPENS;
use cofferdam_trial::record::{Header, Player, Recorder, Tape, Taped};
use cofferdam_trial::{GuestSubject, Options, PlayedBack, Report};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which way requests go.
pub(super) enum Way {
    /// To the service.
    Live,
    /// The same, to be recorded from when the trial begins.
    Record,
    /// The same, and they are recorded.
    Recording(Arc<Recorder>),
    /// To a recording.
    Replay(Arc<Player>),
}

impl Way {
    /// What the arguments say.
    pub(super) fn of(arguments: &TestArguments) -> Result<Way, Failure> {
        match (&arguments.record, &arguments.replay) {
            (Some(path), _) if path.symlink_metadata().is_ok() => {
                Err(Failure::usage(format!("--record {}: it exists, and is not written over: name a new file", path.display())))
            }
            (Some(_), _) => Ok(Way::Record),
            (None, Some(path)) => Player::read(path).map(Way::Replay).map_err(|error| Failure::usage(format!("--replay: {error}"))),
            (None, None) => Ok(Way::Live),
        }
    }

    /// Begins a recording, if one is wanted.
    pub(super) fn begin(self, inspection: &Inspection, options: &Options, secrets: impl FnOnce() -> Vec<Vec<u8>>) -> Way {
        let Way::Record = self else { return self };
        let header = Header {
            sha256: inspection.sha256.clone(),
            world: inspection.world.to_string(),
            contract: inspection.contract.clone(),
            seed: options.seed,
            quick: options.quick,
            only: options.only.clone(),
            time: options.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            ..Header::default()
        };
        Way::Recording(Recorder::new(header, &secrets()))
    }

    /// The options of a trial that goes this way; `file` is the recording that it is played back from.
    pub(super) fn options(&self, options: Options, file: Option<&Path>) -> Options {
        let whole = |time: SystemTime| {
            let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            Header { time: seconds, ..Header::default() }.now()
        };
        match self {
            Way::Live | Way::Record => options,
            Way::Recording(recorder) => Options { now: whole(options.now), tape: Some(Arc::clone(recorder) as Arc<dyn Tape>), ..options },
            Way::Replay(player) => {
                let header = player.header();
                let only = if options.only.is_empty() { header.only.clone() } else { options.only };
                let tape = Some(Arc::clone(player) as Arc<dyn Tape>);
                let played_back =
                    file.map(|file| PlayedBack { file: file.display().to_string(), sha256: header.sha256.clone(), time: header.time });
                Options { only, seed: header.seed, quick: header.quick, now: header.now(), tape, played_back, ..options }
            }
        }
    }

    /// Whether the recording was made in a folder of the store.
    pub(super) fn forces(&self) -> bool {
        matches!(self, Way::Replay(player) if player.header().folder.is_some())
    }

    /// Fails if the component and its grants are not what this way is for.
    pub(super) fn check(&self, inspection: &Inspection, config: &StorageConfig) -> Result<(), Failure> {
        let granted = [("aws", config.grants.aws.is_some()), ("http", config.grants.http.is_some())];
        let granted: Vec<&str> = granted.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
        match self {
            Way::Live => Ok(()),
            Way::Record | Way::Recording(_) if granted.is_empty() => Err(Failure::usage(
                "--record: this component is granted neither aws nor http, so there is no traffic to record: leave --record out",
            )),
            Way::Record | Way::Recording(_) => Ok(()),
            Way::Replay(player) => {
                let header = player.header();
                if !player.has(OPENS.id) {
                    return Err(Failure::usage(format!(
                        "--replay: the recording has nothing of {}, without which nothing is tried",
                        OPENS.id
                    )));
                }
                let world = inspection.world.to_string();
                if header.world != world {
                    return Err(Failure::usage(format!(
                        "--replay: the recording is of a {}, and this component is a {world}",
                        header.world
                    )));
                }
                if header.grants != granted {
                    return Err(Failure::usage(format!(
                        "--replay: the recording has the traffic of the grants {}, and the configuration grants {}: name the same in --config, \
                         with any values",
                        listed(&header.grants),
                        listed(&granted)
                    )));
                }
                let given: Vec<&str> = config.settings.iter().map(|(name, _)| name.as_str()).collect();
                if header.settings != given {
                    eprintln!(
                        "note: recorded with the settings {}, tried with {}: requests may differ",
                        listed(&header.settings),
                        listed(&given)
                    );
                }
                if header.sha256 != inspection.sha256 {
                    eprintln!("note: recorded with another component (sha256 {})", header.sha256);
                }
                Ok(())
            }
        }
    }

    /// Has the grants listened to.
    pub(super) fn listen(&self, config: &mut StorageConfig) {
        let Way::Recording(recorder) = self else { return };
        let region = config.settings.iter().find(|(name, _)| name == "region").map(|(_, region)| region.clone());
        recorder.settings(config.settings.iter().map(|(name, _)| name.clone()).collect(), region);
        config.grants.aws = config.grants.aws.take().map(|aws| recorder.aws(aws));
        config.grants.http = config.grants.http.take().map(|http| recorder.http(http));
    }

    /// The subject, in the folder of the recording.
    pub(super) fn placed(&self, subject: GuestSubject) -> GuestSubject {
        match self {
            Way::Recording(recorder) => {
                recorder.folder(subject.folder());
                subject
            }
            Way::Replay(player) => match &player.header().folder {
                Some(folder) => subject.with_folder(folder),
                None => subject,
            },
            Way::Live | Way::Record => subject,
        }
    }

    /// The trial.
    pub(super) async fn run(&self, subject: &GuestSubject, options: &Options) -> Report {
        match &options.tape {
            Some(tape) => cofferdam_trial::run(&Taped::new(subject, Arc::clone(tape)), options).await,
            None => cofferdam_trial::run(subject, options).await,
        }
    }
}

fn listed<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

/// Writes the recording, and says what is in it.
pub(super) fn write(recorder: &Recorder, path: &Path) -> Result<(), Failure> {
    let (kept, without) = recorder.checks();
    if let Some((id, why)) = without.iter().find(|(id, _)| id == OPENS.id) {
        return Err(Failure::failed(format!("--record: nothing is written, since without {id} nothing can be played back: {why}")));
    }
    recorder.write(path).map_err(|error| Failure::failed(format!("--record: {error}")))?;
    eprintln!("recorded: {} checks, in {}", kept.len(), path.display());
    for (id, why) in without {
        eprintln!("  {id}: {why}");
    }
    Ok(())
}

/// The secrets that requests are made with: they are looked for in what is recorded.
pub(super) fn secrets_of(access: Option<&Access>, plugin: Option<&Plugin>) -> Vec<Vec<u8>> {
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        secrets.extend(std::env::var(variable).ok().map(String::into_bytes));
    }
    let granted = plugin.and_then(|plugin| plugin.grants.aws.as_ref()).map(|grant| &grant.access);
    for identity in access.into_iter().chain(granted).map(|access| &access.identity) {
        let keys = [&identity.access_key, &identity.secret_key, &identity.session_token].into_iter().flatten();
        secrets.extend(keys.map(|key| key.as_bytes().to_vec()));
        secrets.extend(identity.external_id.iter().map(|id| id.clone().into_bytes()));
    }
    for rule in plugin.iter().flat_map(|plugin| &plugin.grants.http).map(|grant| &grant.rule) {
        let sources = rule.headers.iter().map(|header| &header.source).chain(rule.basic.as_ref().map(|basic| &basic.password));
        secrets.extend(sources.filter_map(|source| match source {
            Secret::File(path) => std::fs::read(path).ok(),
            Secret::Env(name) => std::env::var(name).ok().map(String::into_bytes),
        }));
    }
    for secret in &mut secrets {
        let length = secret.trim_ascii_end().len();
        secret.truncate(length);
    }
    secrets
}

/// What a vault has that was initialised: any of these.
const INITIALISED: [&str; 2] = ["core/keyring", "core/seal-config"];
/// The same as files of the filesystem component.
const FILES: [&str; 2] = ["core/_keyring", "core/_seal-config"];

/// Refuses to record the seal of a store in which a vault is, and of one of which that cannot be told.
pub(super) async fn refuse_initialised(config: &Config, runtime: &Arc<Runtime>) -> Result<(), Failure> {
    let advice = "record with a configuration that has no storage stanza, and with a key that no vault is sealed with";
    let at = format!("{}: storage {:?}", config.storage.place, config.storage.kind);
    match initialised(config, runtime).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::usage(format!("--record: the seal of an initialised store is not recorded ({at}): {advice}"))),
        Err(error) => Err(Failure::usage(format!(
            "--record: the seal of an initialised store is not recorded, and whether this one is cannot be told ({at}: {error}): {advice}"
        ))),
    }
}

async fn initialised(config: &Config, runtime: &Arc<Runtime>) -> Result<bool, String> {
    let stanza = &config.storage;
    if let Some(path) = &stanza.path {
        return in_directory(path).map_err(|error| error.to_string());
    }
    let granted = stanza.plugin.as_deref().and_then(|plugin| plugin.grants.directory.as_ref());
    if granted.is_some_and(|grant| grant.access == DirectoryAccess::ReadWrite) {
        return Err("it keeps its entries in a directory, in a form of its own".to_owned());
    }
    let policy = component::policy(config).map_err(|error| error.to_string())?;
    let found = component::find(Role::Storage, &stanza.component, stanza.plugin.as_deref(), &policy)?;
    let component = runtime.component(found.source).map_err(|error| error.to_string())?;
    let prepared = server::trial::storage(stanza, &Providers::new(Sources::system())).await.map_err(|failure| failure.message)?;
    let request = StorageConfig { probe: Some(Arc::new(OnlyReads)), ..prepared.config };
    let storage = runtime.storage(&component, request).await.map_err(|error| error.to_string())?;
    for key in INITIALISED {
        let key = Key::new(key).map_err(|error| error.to_string())?;
        if storage.get(&key).await.map_err(|error| error.to_string())?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there are a vault's files in the directory.
fn in_directory(path: &Path) -> std::io::Result<bool> {
    for file in FILES {
        match path.join(file).symlink_metadata() {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Keeps a storage on AWS from making what is missing: it is only to be looked at. What a foreign one does by another grant when it is opened is its own.
struct OnlyReads;

/// What of AWS may be sent then begins with one of these.
const READS: &[&str] = &["Get", "BatchGet", "Query", "Scan", "Describe", "List"];

impl Probe for OnlyReads {
    fn import(&self, call: ImportCall<'_>) -> Step {
        let reads = call.name != "cofferdam:backend/aws.send" || READS.iter().any(|read| call.detail.starts_with(read));
        if reads { Step::Go } else { Step::Fail(Fault::Denied) }
    }
}

#[cfg(test)]
mod tests {
    use super::in_directory;

    #[test]
    fn a_directory_with_a_keyring_is_a_vaults() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!in_directory(&directory.path().join("none")).unwrap());
        std::fs::create_dir(directory.path().join("core")).unwrap();
        assert!(!in_directory(directory.path()).unwrap());
        std::fs::write(directory.path().join("core/_seal-config"), "x").unwrap();
        assert!(in_directory(directory.path()).unwrap());
        // A file where a folder should be tells nothing.
        std::fs::write(directory.path().join("file"), "x").unwrap();
        assert!(in_directory(&directory.path().join("file")).is_err());
    }
}
