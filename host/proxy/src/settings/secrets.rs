//! The secrets that are written to files. The rule: each has a path and a file, and no two have one file.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::Secret;
use super::lookup::{Given, Lookup};

/// Where relative files are.
const BELOW: &str = "/tmp/vault";

/// The file of the secret that has no name.
const ANONYMOUS: &str = "secret.json";

/// A path and a file, as far as they are set.
#[derive(Default)]
struct Draft {
    path: Option<Given>,
    file: Option<Given>,
}

/// All secrets, in the order of their names; what is wrong with them goes to the mistakes.
pub(super) fn read(lookup: &mut Lookup<'_>, warnings: &mut Vec<String>) -> Vec<Secret> {
    let mut secrets = Vec::new();
    match (lookup.given("secret_path"), lookup.given("secret_file")) {
        (Some(path), file) => {
            let file = file.map_or_else(|| ANONYMOUS.to_owned(), |file| file.text);
            secrets.extend(secret(lookup, &path, &file));
        }
        (None, Some(file)) => warnings.push(format!("{} has no effect: no path of a secret is set for it", file.name)),
        (None, None) => {}
    }
    let mut drafts = of_file(lookup);
    of_environment(lookup, &mut drafts);
    for (name, draft) in drafts {
        match (&draft.path, &draft.file) {
            (Some(path), Some(file)) => secrets.extend(secret(lookup, path, &file.text)),
            (Some(path), None) => lookup.mistakes.push(format!("{}: no file for it is set: set VAULT_SECRET_FILE_{name}", path.name)),
            (None, Some(file)) => {
                lookup.mistakes.push(format!("{}: no path of a secret is set for it: set VAULT_SECRET_PATH_{name}", file.name))
            }
            (None, None) => {}
        }
    }
    let arguments = lookup.arguments;
    for text in &arguments.secret {
        let given = Given { text: text.clone(), name: "--secret".to_owned(), by: super::lookup::By::Flag };
        let parts = text
            .rsplit_once('=')
            .map(|(path, file)| (path.trim(), file.trim()))
            .filter(|(path, file)| !path.is_empty() && !file.is_empty());
        match parts {
            Some((path, file)) => secrets.extend(secret(lookup, &Given { text: path.to_owned(), ..given }, file)),
            None => lookup.mistakes.push(format!("--secret: expected PATH=FILE, found {text:?}")),
        }
    }
    check_files(&secrets, &mut lookup.mistakes);
    secrets
}

fn of_file(lookup: &mut Lookup<'_>) -> BTreeMap<String, Draft> {
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    let Some(file) = &lookup.file else { return drafts };
    for item in file.root.named("secret") {
        let (Some(name), Ok(body)) = (item.label(0), item.value.object()) else { continue };
        let part = |key: &str| {
            let inner = body.get(key)?;
            let text = inner.value.setting().ok()?.trim().to_owned();
            let name = format!("{}: secret {name:?}: {key}", file.at(inner.pos));
            (!text.is_empty()).then_some(Given { text, name, by: super::lookup::By::File })
        };
        let draft = Draft { path: part("path"), file: part("file") };
        if draft.path.is_none() || draft.file.is_none() {
            lookup.mistakes.push(format!("{}: secret {name:?}: path and file are needed", file.at(item.pos)));
        } else if drafts.insert(name.to_owned(), draft).is_some() {
            lookup.mistakes.push(format!("{}: secret {name:?} is there twice: remove one", file.at(item.pos)));
        }
    }
    drafts
}

fn of_environment(lookup: &mut Lookup<'_>, drafts: &mut BTreeMap<String, Draft>) {
    for start in ["SECRET_PATH_", "SECRET_FILE_"] {
        for name in lookup.environment.endings(start) {
            let Some(given) = lookup.variable(&format!("VAULT_{start}{name}")) else { continue };
            if name.is_empty() {
                lookup.mistakes.push(format!("{}: a name is expected after the last underscore", given.name));
                continue;
            }
            let draft = drafts.entry(name).or_default();
            *(if start == "SECRET_PATH_" { &mut draft.path } else { &mut draft.file }) = Some(given);
        }
    }
}

fn secret(lookup: &mut Lookup<'_>, path: &Given, file: &str) -> Option<Secret> {
    let mut wrong = |what: String| lookup.mistakes.push(format!("{}: {what}", path.name));
    let found = path.text.trim_matches('/');
    if found.is_empty() {
        wrong(format!("expected the path of a secret, such as secret/data/app, found {:?}", path.text));
        return None;
    }
    let whole = cleaned(&Path::new(BELOW).join(file));
    if whole.file_name().is_none() || file.ends_with('/') {
        wrong(format!("its file must be one, found {file:?}"));
        return None;
    }
    Some(Secret { path: found.to_owned(), file: whole, name: path.name.clone() })
}

/// Without `.` and `..`, so that two ways to write a file are one.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

fn check_files(secrets: &[Secret], mistakes: &mut Vec<String>) {
    for (index, secret) in secrets.iter().enumerate() {
        if let Some(earlier) = secrets.iter().take(index).find(|earlier| earlier.file == secret.file) {
            mistakes.push(format!("{} and {}: both go to {}: give one another file", earlier.name, secret.name, secret.file.display()));
        }
    }
}
