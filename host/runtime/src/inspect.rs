//! What a component is and what it asks for, read from its bytes without compiling or running any of it.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::{Encoding, Parser, Payload};

use crate::load::LoadError;
use crate::since_v0_1::CONTRACT_VERSIONS;

/// The package of the contract.
const PACKAGE: &str = "cofferdam:backend/";

/// What cannot be promised of a seal that is granted `http`.
pub(crate) const SEAL_BY_HTTP: &str = "a seal reached by http: the host cannot check what it does with a key; this plugin together with read access to the \
    storage gives the root key";

/// Which world of the contract a component has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Entries by key.
    #[serde(rename = "storage-backend")]
    Storage,
    /// Entries by key, and locks that several servers share.
    #[serde(rename = "storage-backend-ha")]
    StorageHa,
    /// Wrapping of keys.
    #[serde(rename = "seal-backend")]
    Seal,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            World::Storage => "storage-backend",
            World::StorageHa => "storage-backend-ha",
            World::Seal => "seal-backend",
        })
    }
}

/// What the host does about an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "grant", rename_all = "kebab-case")]
pub enum ImportKind {
    /// Every backend has it.
    Always,
    /// It is there and does nothing.
    Inert,
    /// Inert unless the operator grants what is named.
    InertWithout(&'static str),
    /// The component is refused unless the operator grants what is named.
    NeedsGrant(&'static str),
    /// No host of this version offers it; the component is refused.
    Unknown,
}

/// An import and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name in the component.
    pub name: String,
    /// What the host does about it.
    #[serde(flatten)]
    pub kind: ImportKind,
    /// What it lets a guest do.
    pub meaning: &'static str,
}

/// What is to be known of a component before it is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its world.
    pub world: World,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// What it asks for.
    pub imports: Vec<Import>,
    /// What it offers.
    pub exports: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Inspection {
    /// The grants without which the component is refused.
    pub fn grants_needed(&self) -> Vec<&'static str> {
        let needed = self.imports.iter().filter_map(|import| match import.kind {
            ImportKind::NeedsGrant(grant) => Some(grant),
            _ => None,
        });
        sorted(needed)
    }

    /// What an operator must know before granting what it asks for.
    pub fn warnings(&self) -> Vec<&'static str> {
        let by_http = self.world == World::Seal && self.grants_needed().contains(&"http");
        by_http.then_some(SEAL_BY_HTTP).into_iter().collect()
    }

    /// The grants that it could use and runs without.
    pub fn grants_usable(&self) -> Vec<&'static str> {
        let usable = self.imports.iter().filter_map(|import| match import.kind {
            ImportKind::InertWithout(grant) => Some(grant),
            _ => None,
        });
        sorted(usable)
    }
}

fn sorted(grants: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut grants: Vec<_> = grants.collect();
    grants.sort_unstable();
    grants.dedup();
    grants
}

/// Reads what a component says of itself; `name` is for messages. Nothing of it is compiled or run.
pub fn inspect(name: &str, bytes: &[u8]) -> Result<Inspection, LoadError> {
    let Names { imports, exports } = names(name, bytes)?;
    let contract = contract_version(name, imports.iter().chain(&exports))?;
    let offers = |interface: &str| exports.iter().any(|export| of_contract(export).is_some_and(|(found, _)| found == interface));
    let world = match (offers("storage"), offers("lock"), offers("seal")) {
        (true, false, false) => World::Storage,
        (true, true, false) => World::StorageHa,
        (false, false, true) => World::Seal,
        _ => return Err(LoadError::World { name: name.to_owned(), found: found(&exports) }),
    };
    let imports = imports.into_iter().map(import).collect();
    Ok(Inspection { world, contract, imports, exports, size: bytes.len() as u64, sha256: hex::encode(Sha256::digest(bytes)) })
}

fn found(exports: &[String]) -> String {
    if exports.is_empty() {
        return "it exports nothing".to_owned();
    }
    let mut found = format!("it exports {}", exports.join(", "));
    if exports.iter().any(|export| export.starts_with("wasi:cli/run")) {
        found.push_str(" (a program, not a plugin)");
    }
    crate::log::bounded(&found)
}

struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// The names at the outermost level.
fn names(name: &str, bytes: &[u8]) -> Result<Names, LoadError> {
    let damaged =
        |reason: &dyn fmt::Display| LoadError::Damaged { name: name.to_owned(), reason: crate::log::bounded(&reason.to_string()) };
    if !bytes.starts_with(b"\0asm") {
        let found = match bytes {
            [] => "the file is empty".to_owned(),
            [b'(', ..] => "it looks like WebAssembly text (.wat)".to_owned(),
            _ => format!("it begins with {}", hex::encode(bytes.get(..4).unwrap_or(bytes))),
        };
        return Err(LoadError::NotWasm { name: name.to_owned(), found, supported: CONTRACT_VERSIONS.join(", ") });
    }
    let mut names = Names { imports: Vec::new(), exports: Vec::new() };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| damaged(&error))?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(LoadError::CoreModule { name: name.to_owned() });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| damaged(&error))?;
                    names.imports.push(plain(import.name.name).map_err(|reason| damaged(&reason))?);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| damaged(&error))?;
                    names.exports.push(plain(export.name.name).map_err(|reason| damaged(&reason))?);
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The longest name that is taken, in bytes.
const LONGEST_NAME: usize = 256;

/// A name as it stands in texts for terminals and logs: visible characters of ASCII only. All names of interfaces are such.
fn plain(name: &str) -> Result<String, String> {
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
    Err(format!("the name \"{shown}\" of an import or export is no name: at most {LONGEST_NAME} visible characters of ASCII are expected"))
}

/// Interface and version of a name of the contract's package.
fn of_contract(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// The one version of the contract that all names agree on. A component without any is no backend, which is for the caller to say.
fn contract_version<'a>(name: &str, names: impl Iterator<Item = &'a String>) -> Result<String, LoadError> {
    let mut found = String::new();
    for (_, version) in names.filter_map(|name| of_contract(name)) {
        let known = CONTRACT_VERSIONS.iter().any(|known| version.strip_prefix(known).is_some_and(|patch| patch.starts_with('.')));
        if !known {
            let found = if version.is_empty() { "(none)" } else { version };
            return Err(LoadError::Version {
                name: name.to_owned(),
                found: crate::log::bounded(found),
                supported: CONTRACT_VERSIONS.join(", "),
            });
        }
        version.clone_into(&mut found);
    }
    Ok(found)
}

/// An import in the terms of the host. `(prefix, kind, meaning)`, the first that fits.
const MEANINGS: &[(&str, ImportKind, &str)] = &[
    ("cofferdam:backend/log@", ImportKind::Always, "write lines to the log, bounded in rate and length"),
    ("cofferdam:backend/types@", ImportKind::Always, "names for types"),
    (
        "cofferdam:backend/aws@",
        ImportKind::NeedsGrant("aws"),
        "send requests to the one AWS service that the operator bound; the host checks and signs them",
    ),
    ("cofferdam:backend/fencing@", ImportKind::Always, "learn which lock a mutation must be bound to, where the operator wants that"),
    ("wasi:io/", ImportKind::Always, "wait, and use the streams of other interfaces"),
    ("wasi:clocks/wall-clock@0.2", ImportKind::Always, "read the time of day"),
    ("wasi:clocks/monotonic-clock@0.2", ImportKind::Always, "measure time and sleep"),
    ("wasi:random/", ImportKind::Always, "random bytes"),
    ("wasi:filesystem/", ImportKind::InertWithout("directory"), "files of the granted directory; without a grant there is none"),
    ("wasi:sockets/", ImportKind::Inert, "the network: every call is refused and counted"),
    ("wasi:cli/environment@", ImportKind::Inert, "arguments and environment: both are empty"),
    ("wasi:cli/exit@", ImportKind::Inert, "ending the program: ends the instance, as a trap does"),
    ("wasi:cli/stdin@", ImportKind::Inert, "standard input: closed"),
    ("wasi:cli/stdout@", ImportKind::Always, "standard output: goes to the log, bounded"),
    ("wasi:cli/stderr@", ImportKind::Always, "standard error: goes to the log, bounded"),
    ("wasi:cli/terminal-", ImportKind::Inert, "the terminal: there is none"),
    ("wasi:http/types@", ImportKind::NeedsGrant("http"), "names for the parts of HTTP requests"),
    (
        "wasi:http/outgoing-handler@",
        ImportKind::NeedsGrant("http"),
        "send HTTP requests to the servers that the operator names; the host checks them, and adds what it keeps from the guest",
    ),
];

fn import(name: String) -> Import {
    let of_wasi_0_2 = !name.starts_with("wasi:") || name.contains("@0.2.");
    let known = MEANINGS.iter().find(|(prefix, ..)| name.starts_with(prefix)).filter(|_| of_wasi_0_2);
    let (kind, meaning) = known.map_or((ImportKind::Unknown, "unknown to this host"), |(_, kind, meaning)| (*kind, *meaning));
    Import { name, kind, meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_has_a_meaning_or_is_refused() {
        let kind = |name: &str| import(name.to_owned()).kind;
        assert_eq!(kind("cofferdam:backend/log@0.1.0"), ImportKind::Always);
        assert_eq!(kind("cofferdam:backend/aws@0.1.3"), ImportKind::NeedsGrant("aws"));
        assert_eq!(kind("cofferdam:backend/other@0.1.0"), ImportKind::Unknown);
        assert_eq!(kind("wasi:filesystem/types@0.2.6"), ImportKind::InertWithout("directory"));
        assert_eq!(kind("wasi:sockets/tcp@0.2.0"), ImportKind::Inert);
        assert_eq!(kind("wasi:sockets/types@0.3.0"), ImportKind::Unknown);
        assert_eq!(kind("wasi:http/outgoing-handler@0.2.4"), ImportKind::NeedsGrant("http"));
        assert_eq!(kind("wasi:http/incoming-handler@0.2.4"), ImportKind::Unknown);
        assert_eq!(kind("wasi:keyvalue/store@0.2.0"), ImportKind::Unknown);
        assert_eq!(kind("env"), ImportKind::Unknown);
    }

    #[test]
    fn versions_of_the_contract_are_told_apart() {
        let version = |name: &str| contract_version("x", [name.to_owned()].iter());
        assert_eq!(version("cofferdam:backend/storage@0.1.7").unwrap(), "0.1.7");
        assert_eq!(version("wasi:io/poll@0.2.0").unwrap(), "");
        for newer in ["0.2.0", "0.10.0", "1.0.0", "0.1"] {
            let error = version(&format!("cofferdam:backend/storage@{newer}")).unwrap_err().to_string();
            assert!(error.contains(newer) && error.contains("runs 0.1"), "{error}");
        }
    }

    #[test]
    fn what_is_no_component_is_named() {
        let text = |bytes: &[u8]| inspect("x.wasm", bytes).unwrap_err().to_string();
        assert!(text(b"").contains("x.wasm: this is no WebAssembly: the file is empty"));
        assert!(text(b"\x7fELF....").contains("7f454c46"));
        assert!(text(b"(component)").contains("text"));
        assert!(text(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(text(b"\0asm\x0d\0\x01\0").contains("exports nothing"));
        assert!(text(b"\0asm\x0d\0\x01\0\xff").contains("damaged"));
    }

    #[test]
    fn a_name_that_could_steer_a_terminal_is_damage() {
        for name in ["a\u{1b}[2Jb", "a\u{202e}b", "a b", "ä", "a\nb", "", &"x".repeat(LONGEST_NAME + 1)] {
            // A component that imports a function under this name.
            let mut section = vec![1, 0];
            section.extend(leb(name.len()));
            section.extend(name.as_bytes());
            section.extend([1, 0]);
            let mut bytes = b"\0asm\x0d\0\x01\0\x0a".to_vec();
            bytes.extend(leb(section.len()));
            bytes.extend(section);
            let text = inspect("x.wasm", &bytes).unwrap_err().to_string();
            let quiet = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            assert!(quiet && text.len() < 700 && text.contains("visible characters"), "{text}");
        }
    }

    fn leb(number: usize) -> Vec<u8> {
        let (low, high) = (u8::try_from(number & 0x7f).unwrap(), u8::try_from(number >> 7).unwrap());
        if high == 0 { vec![low] } else { vec![low | 0x80, high] }
    }
}
