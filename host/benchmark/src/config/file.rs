//! The file: vault-benchmark's, unchanged.
//!
//! Its language is HCL 2, of which such files use what HCL 1 has too: blocks, attributes, lists. A template or an expression is an error.

use super::ConfigError;
use super::fields::{Fields, is_name};
use crate::kinds::{Kind, Test};
use crate::results::TOTAL;
use cofferdam_hcl::{Item, Object};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const KEYS: &[&str] = &[
    "vault_addr",
    "vault_token",
    "vault_namespace",
    "duration",
    "report_mode",
    "workers",
    "rps",
    "random_mounts",
    "cleanup",
    "log_level",
    "audit_path",
    "annotate",
    "cluster_json",
    "ca_pem_file",
    "pprof_interval",
    "input_results",
    "debug",
    "disable_http2",
];

/// What the file says; what it leaves open is none.
#[derive(Default)]
pub(super) struct File {
    pub vault_addr: Option<String>,
    pub vault_token: Option<Zeroizing<String>>,
    pub vault_namespace: Option<String>,
    pub duration: Option<Duration>,
    pub report_mode: Option<String>,
    pub workers: Option<u32>,
    pub rps: Option<u32>,
    pub random_mounts: Option<bool>,
    pub cleanup: Option<bool>,
    pub log_level: Option<String>,
    pub audit_path: Option<String>,
    pub annotate: Option<String>,
    pub cluster_json: Option<PathBuf>,
    pub ca_pem_file: Option<PathBuf>,
    pub pprof_interval: Option<Duration>,
    pub input_results: Option<PathBuf>,
    pub debug: Option<bool>,
    pub disable_http2: Option<bool>,
    pub tests: Vec<Test>,
}

pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
    let whole = |message: String| ConfigError::new(path.display().to_string(), message);
    let text = std::fs::read(path).map(Zeroizing::new).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let object =
        cofferdam_hcl::parse_bytes(&text).map_err(|error| ConfigError::new(format!("{}:{}", path.display(), error.pos), error.message))?;
    parse(path, &object)
}

fn parse(path: &Path, object: &Object) -> Result<File, ConfigError> {
    let fields = Fields::new(path, object, "the top level", KEYS, &["test"])?;
    let text = |name: &str| Ok::<_, ConfigError>(fields.string(name)?.filter(|text| !text.is_empty()));
    let file = |name: &str| Ok::<_, ConfigError>(text(name)?.map(PathBuf::from));
    Ok(File {
        vault_addr: text("vault_addr")?,
        vault_token: text("vault_token")?.map(Zeroizing::new),
        vault_namespace: text("vault_namespace")?,
        duration: fields.duration("duration")?,
        report_mode: text("report_mode")?,
        workers: fields.count("workers", 1)?,
        rps: fields.count("rps", 0)?,
        random_mounts: fields.boolean("random_mounts")?,
        cleanup: fields.boolean("cleanup")?,
        log_level: text("log_level")?,
        audit_path: text("audit_path")?,
        annotate: text("annotate")?,
        cluster_json: file("cluster_json")?,
        ca_pem_file: file("ca_pem_file")?,
        pprof_interval: fields.duration("pprof_interval")?,
        input_results: file("input_results")?,
        debug: fields.boolean("debug")?,
        disable_http2: fields.boolean("disable_http2")?,
        tests: tests(&fields, object)?,
    })
}

fn tests(fields: &Fields<'_>, object: &Object) -> Result<Vec<Test>, ConfigError> {
    let mut tests: Vec<Test> = Vec::new();
    for item in object.named("test") {
        let test = test(fields, item)?;
        if tests.iter().any(|other| other.name == test.name) {
            return Err(fields.error(item.pos, format!("two tests are called {:?}: each needs a name of its own", test.name)));
        }
        tests.push(test);
    }
    let total: u64 = tests.iter().map(|test| u64::from(test.weight)).sum();
    if total != 100 && !tests.is_empty() {
        let place = fields.file().display().to_string();
        return Err(ConfigError::new(
            place,
            format!("test percentage total comes to {total}, should be 100: mend the weights of the tests"),
        ));
    }
    Ok(tests)
}

fn test(fields: &Fields<'_>, item: &Item) -> Result<Test, ConfigError> {
    let (Some(kind), Some(name), None) = (item.label(0), item.label(1), item.label(2)) else {
        return Err(fields.error(item.pos, "expected test \"TYPE\" \"NAME\" { … }"));
    };
    // Such a test's line could not be told from the one of all.
    if name.eq_ignore_ascii_case(TOTAL) || name.is_empty() {
        return Err(fields.error(item.pos, format!("a test cannot be called {name:?}: give it another name")));
    }
    // Where it mounts what it needs, unless it says another name.
    is_name(name).map_err(|message| fields.error(item.pos, format!("test {name:?}: {message}")))?;
    let object = item.value.object().map_err(|error| fields.error(error.pos, error.message))?;
    let what = format!("test {kind:?}");
    let test = Fields::new(fields.file(), object, &what, &["weight", "mount_name", "config"], &[])?;
    let known = Kind::keys(kind).map_err(|message| fields.error(item.pos, message))?;
    let config = test.block("config", known)?;
    Ok(Test {
        name: name.to_owned(),
        weight: test.count("weight", 0)?.unwrap_or(0),
        mount: test.name("mount_name")?,
        kind: Kind::read(kind, config.as_ref())?,
    })
}
