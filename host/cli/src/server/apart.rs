//! What a guest is granted lies apart from what this host trusts, and from what another guest is granted.
//!
//! The rule: a granted directory neither holds nor lies in the compiled code, the plugins, the configuration, the files that the server writes, or those
//! that hold its keys and secrets: whoever writes there would be the host. And no two backends have files in common: a seal that saw the storage
//! would have both halves of the root key.

use crate::config::{Access, Config, DirectoryAccess, Place};
use cofferdam_http::Secret;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// A directory that a backend is granted.
struct Granted<'a> {
    backend: String,
    path: &'a Path,
    place: &'a Place,
    reads_only: bool,
}

/// What no guest may reach: what it is, where, and what else to do than to move the granted directory.
struct Guarded {
    what: &'static str,
    path: PathBuf,
    cure: &'static str,
}

/// Refuses a configuration by which a guest could reach what is not its own. `cache`: where compiled code is kept.
pub(super) fn check(config: &Config, cache: Option<&Path>) -> Result<(), String> {
    let granted = granted(config);
    if granted.is_empty() {
        return Ok(());
    }
    let guarded = guarded(config, cache);
    for one in &granted {
        if let Some(Guarded { what, path, cure }) = guarded.iter().find(|guarded| overlap(one.path, &guarded.path)) {
            return Err(format!(
                "{}: the directory {}, which is granted to {}, and {what} ({}) must not hold one another: a guest could replace or read what the \
                 host trusts: choose another directory{cure}",
                one.place,
                one.path.display(),
                one.backend,
                path.display()
            ));
        }
    }
    for (at, one) in granted.iter().enumerate() {
        let shared = |other: &&Granted<'_>| !(one.reads_only && other.reads_only) && overlap(one.path, other.path);
        // The storage is the first: what only reads there reads the vault.
        if let Some(other) = granted.iter().take(at).find(shared) {
            return Err(format!(
                "{}: the directory {}, which is granted to {}, and the directory {} of {} ({}) must not hold one another: no backend may see \
                 what another keeps: choose another directory",
                one.place,
                one.path.display(),
                one.backend,
                other.path.display(),
                other.backend,
                other.place
            ));
        }
    }
    Ok(())
}

/// All directories that are granted, the storage's first.
fn granted(config: &Config) -> Vec<Granted<'_>> {
    let storage = &config.storage;
    let backend = || format!("storage {:?}", storage.kind);
    let own = storage.path.as_deref().map(|path| Granted { backend: backend(), path, place: &storage.place, reads_only: false });
    let of_storage = storage.plugin.as_deref().map(|plugin| (backend(), plugin));
    let of_seals = config.seals.all().filter_map(|seal| Some((format!("seal {:?}", seal.name), seal.plugin.as_deref()?)));
    let of_blocks = of_storage.into_iter().chain(of_seals).filter_map(|(backend, plugin)| {
        let grant = plugin.grants.directory.as_ref()?;
        Some(Granted { backend, path: &grant.path, place: &grant.place, reads_only: grant.access == DirectoryAccess::ReadOnly })
    });
    own.into_iter().chain(of_blocks).collect()
}

fn guarded(config: &Config, cache: Option<&Path>) -> Vec<Guarded> {
    let mut all: Vec<Guarded> = Vec::new();
    let mut guard = |what, path: &Path| all.push(Guarded { what, path: path.to_owned(), cure: "" });
    config.files.iter().for_each(|path| guard("the configuration", path));
    config.plugin_directory.iter().for_each(|path| guard("plugin_directory", path));
    config.plugins.iter().filter_map(|plugin| plugin.path.as_ref()).for_each(|path| guard("a plugin's file", path));
    let keys = config.plugin_trusted_keys.iter().map(|(key, _)| Path::new(key));
    keys.filter(|key| key.is_absolute()).for_each(|path| guard("a key of plugin_trusted_keys", path));
    config.state_path.iter().for_each(|(path, _)| guard("state_path", path));
    config.log.file.iter().for_each(|path| guard("log_file", path));
    config.pid_file.iter().for_each(|path| guard("pid_file", path));
    config.traces.iter().filter_map(|traces| traces.ca_cert.as_deref()).for_each(|path| guard("otlp_ca_cert", path));
    for device in &config.audit.devices {
        let path = device.options.get("file_path").or_else(|| device.options.get("path"));
        let is_file = |path: &&String| !["", "stdout", "discard"].contains(&path.to_ascii_lowercase().as_str());
        path.filter(is_file).into_iter().for_each(|path| guard("the file of an audit device", Path::new(path)));
    }
    for tls in config.listeners.iter().filter_map(|listener| listener.0.tls.as_ref()) {
        [&tls.cert_file, &tls.key_file].into_iter().chain(&tls.client_ca_file).for_each(|path| guard("a listener's TLS file", path));
    }
    let plugins = || config.storage.plugin.iter().chain(config.seals.all().filter_map(|seal| seal.plugin.as_ref()));
    for rule in plugins().flat_map(|plugin| &plugin.grants.http).map(|grant| &grant.rule) {
        let secrets = rule.headers.iter().map(|header| &header.source).chain(rule.basic.iter().map(|basic| &basic.password));
        for secret in secrets {
            if let Secret::File(path) = secret {
                guard("the secret of a grant", path);
            }
        }
        let pair = rule.client_cert.iter().flat_map(|(cert, key)| [cert, key]);
        pair.chain(&rule.ca_cert).for_each(|path| guard("a TLS file of a grant", path));
    }
    let of_stanzas = config.storage.dynamodb.iter().map(|dynamodb| &dynamodb.access);
    let of_seals = config.seals.all().filter_map(|seal| Some(&seal.awskms.as_ref()?.access));
    let of_grants = plugins().filter_map(|plugin| Some(&plugin.grants.aws.as_ref()?.access));
    for path in of_stanzas.chain(of_seals).chain(of_grants).flat_map(files_of_aws) {
        guard("a file of the credentials for AWS", &path);
    }
    // A file that is run: whoever could exchange it is this server at its next start.
    std::env::current_exe().iter().for_each(|path| guard("this program", path));
    all.extend(cache.map(|path| Guarded {
        what: "the directory for compiled code",
        path: path.to_owned(),
        cure: ", or set COFFER_CACHE_DIR to a directory elsewhere",
    }));
    all
}

/// The files that say who a backend is to AWS. In those where none is named, a program can stand that is run.
fn files_of_aws(access: &Access) -> Vec<PathBuf> {
    let of = |set: &Option<String>, variable: &str, usual: Option<&str>| {
        let set = set.as_deref().map(PathBuf::from).or_else(|| std::env::var_os(variable).map(PathBuf::from));
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(usual?))).filter(|path| !path.as_os_str().is_empty())
    };
    let identity = &access.identity;
    [
        of(&identity.shared_credentials_file, "AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
        of(&identity.shared_config_file, "AWS_CONFIG_FILE", Some(".aws/config")),
        of(&identity.web_identity_token_file, "AWS_WEB_IDENTITY_TOKEN_FILE", None),
        access.ca_cert.clone(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether one lies in the other, or both are the same.
fn overlap(granted: &Path, other: &Path) -> bool {
    let (granted, real) = (real(granted), real(other));
    // A link that is followed on the way could be turned elsewhere by whoever writes where it lies.
    let led_through = whole(other).ancestors().any(|path| entry(path).is_some_and(|entry| entry.starts_with(&granted)));
    led_through || real.starts_with(&granted) || granted.starts_with(&real) || holds(&granted, &real) || holds(&real, &granted)
}

/// Whether the one is above the other under another name, as where a directory is mounted twice.
fn holds(above: &Path, below: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().filter(|meta| meta.is_dir()).map(|meta| (meta.dev(), meta.ino()));
    id(above).is_some_and(|above| below.ancestors().any(|path| id(path) == Some(above)))
}

/// Where an entry itself lies, without following it if it is a link.
fn entry(path: &Path) -> Option<PathBuf> {
    Some(real(path.parent()?).join(path.file_name()?))
}

fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = whole(path);
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, mut real)) = found else { return path.clone() };
    for missing in path.strip_prefix(above).into_iter().flat_map(Path::components) {
        match missing {
            Component::ParentDir => {
                real.pop();
            }
            missing => real.push(missing),
        }
    }
    real
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::config::{self, Config, Environment};
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    /// A directory of directories, with a link to one of them.
    fn ground() -> TempDir {
        let ground = tempfile::tempdir().unwrap();
        for name in ["etc", "data/deep", "plugins/deep", "cache/deep", "elsewhere"] {
            fs::create_dir_all(ground.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(ground.path().join("cache"), ground.path().join("link")).unwrap();
        ground
    }

    fn load(ground: &Path, text: &str) -> Config {
        let path = ground.join("etc/coffer.hcl");
        let text = text.replace("GROUND", &ground.display().to_string());
        fs::write(&path, format!("{text}\nlistener \"tcp\" {{ tls_disable = true }}")).unwrap();
        config::load(&[path], &Environment::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// What is said of a storage in this directory.
    fn said(directory: &str, more: &str) -> Result<(), String> {
        let ground = ground();
        let config = load(ground.path(), &format!("storage \"filesystem\" {{ path = \"GROUND/{directory}\" }}\n{more}"));
        check(&config, Some(&ground.path().join("cache")))
    }

    #[test]
    fn what_lies_apart_is_granted() {
        for directory in ["data", "data/deep", "new/deeper", "elsewhere", "cache2"] {
            said(directory, "plugin_directory = \"GROUND/plugins\"\nstate_path = \"GROUND/state.json\"").unwrap();
        }
        // As of a server whose HOME holds data and cache side by side.
        let ground = ground();
        let config = load(ground.path(), "storage \"file\" { path = \"GROUND/data\" }");
        check(&config, Some(&ground.path().join(".cache/coffer"))).unwrap();
    }

    #[test]
    fn compiled_code_is_out_of_reach() {
        for directory in ["cache", "cache/deep", "link", "link/deep/new", "elsewhere/../cache", "new/../cache"] {
            let error = said(directory, "").unwrap_err();
            assert!(error.contains("compiled code") && error.contains("COFFER_CACHE_DIR") && error.contains("coffer.hcl:1:"), "{error}");
            assert!(error.contains(directory) && error.contains("/cache"), "{error}");
        }
    }

    #[test]
    fn nothing_that_the_host_trusts_is_within_reach() {
        let cases = [
            ("etc", "", "the configuration"),
            ("plugins/deep", "plugin_directory = \"GROUND/plugins\"", "plugin_directory"),
            ("data", "plugin_directory = \"GROUND/data/deep\"", "plugin_directory"),
            ("data", "plugin \"seal\" \"x\" { path = \"GROUND/data/x.wasm\" }", "a plugin's file"),
            ("data", "plugin_trusted_keys = [\"GROUND/data/minisign.pub\"]", "plugin_trusted_keys"),
            ("data", "state_path = \"GROUND/data/deep/state.json\"", "state_path"),
            ("data", "log_file = \"GROUND/data/log\"", "log_file"),
            ("data", "pid_file = \"GROUND/data/deep/pid\"", "pid_file"),
            ("data", "audit \"file\" \"f\" { options { file_path = \"GROUND/data/audit.log\" } }", "audit"),
            ("data", "listener \"tcp\" { tls_cert_file = \"GROUND/c\" tls_key_file = \"GROUND/data/k\" }", "TLS file"),
            (
                "data",
                "seal \"x\" { }\nplugin \"seal\" \"x\" { grant \"http\" { scheme = \"https\" host = \"a.example\"\n header \"authorization\" { file = \
                 \"GROUND/data/token\" } } }",
                "the secret of a grant",
            ),
            (
                "data",
                "seal \"awskms\" { kms_key_id = \"k\" web_identity_token_file = \"GROUND/data/token\" role_arn = \"arn:aws:iam::111122223333:role/r\" }",
                "AWS",
            ),
        ];
        for (directory, more, what) in cases {
            let error = said(directory, more).unwrap_err();
            assert!(error.contains(what) && error.contains(&format!("/{directory},")), "{what}: {error}");
        }
    }

    #[test]
    fn a_link_within_reach_is_as_good_as_its_target() {
        let ground = ground();
        std::os::unix::fs::symlink(ground.path().join("elsewhere/log"), ground.path().join("data/log")).unwrap();
        let config = load(ground.path(), "storage \"filesystem\" { path = \"GROUND/data\" }\nlog_file = \"GROUND/data/log\"");
        assert!(check(&config, None).unwrap_err().contains("log_file"));
    }

    #[test]
    fn a_seal_sees_nothing_of_the_storage_and_no_two_backends_share() {
        let seal = |name: &str, path: &str, access: &str| {
            let grant = format!("grant \"directory\" {{ path = \"GROUND/{path}\" access = \"{access}\" }}");
            format!("seal \"{name}\" {{ name = \"{name}\" priority = {} }}\nplugin \"seal\" \"{name}\" {{ {grant} }}\n", name.len())
        };
        for path in ["data", "data/deep", "elsewhere/../data"] {
            for access in ["read-only", "read-write"] {
                let error = said("data", &seal("x", path, access)).unwrap_err();
                assert!(
                    error.contains("seal \"x\"") && error.contains("storage \"filesystem\"") && error.contains("coffer.hcl:3:"),
                    "{error}"
                );
            }
        }
        assert!(said("data/deep", &seal("x", "data", "read-only")).is_err());
        said("data", &seal("x", "elsewhere", "read-write")).unwrap();
        // What nobody writes may be read by both.
        let two = |one: &str, other: &str| said("data", &(seal("x", "elsewhere", one) + &seal("xy", "elsewhere", other)));
        two("read-only", "read-only").unwrap();
        assert!(two("read-only", "read-write").unwrap_err().contains("seal \"x\""));
    }
}
