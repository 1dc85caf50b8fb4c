//! Where the component of a storage or a seal comes from: a file, or, for those of the release, this binary; and what vouches for it.
//!
//! The rule is that of `cofferdam_plugins`: nothing runs that nobody vouched for, and the log says at every load and every refusal which bytes
//! are meant, by their digest.

use crate::config::{Config, ConfigError, Plugin, Role, is_builtin};
use crate::plugin::block;
use cofferdam_plugins::{Policy, Request, TrustedKey};
use cofferdam_runtime::{Grants, ImportKind, Inspection, OpenError, Source};
use std::sync::LazyLock;

/// The bytes of a component, and their SHA-256 in hexadecimal.
type Built = (&'static [u8], &'static str);

/// The components of the release, by name; those that had been built when this binary was, with their bytes and the SHA-256 of these in hexadecimal.
const RELEASE: &[(&str, Option<Built>)] = &include!(concat!(env!("OUT_DIR"), "/release.rs"));

/// The same without digests.
type Builtin = (&'static str, Option<&'static [u8]>);
static BUILTIN: LazyLock<Vec<Builtin>> =
    LazyLock::new(|| RELEASE.iter().map(|(name, built)| (*name, built.as_ref().map(|(bytes, _)| *bytes))).collect());

/// The embedded components by name.
#[cfg(test)]
pub(crate) fn embedded() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    RELEASE.iter().filter_map(|(name, built)| Some((*name, built.as_ref()?.0)))
}

/// The digests of the embedded components.
pub(crate) fn digests() -> impl Iterator<Item = &'static str> {
    RELEASE.iter().filter_map(|(_, built)| Some(built.as_ref()?.1))
}

/// The embedded component that has this digest.
pub(crate) fn released(sha256: &str) -> Option<&'static str> {
    RELEASE.iter().find(|(_, built)| built.as_ref().is_some_and(|(_, digest)| *digest == sha256)).map(|(name, _)| *name)
}

/// What the operator decided about plugins in general.
pub(crate) fn policy(config: &Config) -> Result<Policy, ConfigError> {
    let key = |(setting, place): &(String, crate::config::Place)| {
        TrustedKey::from_setting(setting).map_err(|error| ConfigError::new(place.clone(), format!("plugin_trusted_keys: {error}")))
    };
    let trusted_keys = config.plugin_trusted_keys.iter().map(key).collect::<Result<_, _>>()?;
    Ok(Policy { directory: config.plugin_directory.clone(), trusted_keys, dev: config.dev, ..built_in() })
}

/// The policy of nobody: the components of the release, and nothing else is vouched for.
pub(crate) fn built_in() -> Policy {
    Policy { builtin: BUILTIN.as_slice(), ..Policy::default() }
}

/// What is asked for of this role and name, with what its plugin block says of the file.
pub(crate) fn request(role: Role, name: &str, plugin: Option<&Plugin>) -> Request {
    let named = Request::named(role, name);
    match plugin {
        Some(plugin) => {
            Request { path: plugin.path.clone(), sha256: plugin.sha256.clone(), replaces_builtin: plugin.replaces_builtin, ..named }
        }
        None => named,
    }
}

/// A component that may run, and where it was found, in words.
pub(crate) struct Found {
    /// For the runtime.
    pub source: Source,
    /// `embedded in coffer`, or the file's path.
    pub origin: String,
    /// Its digest, in hexadecimal.
    pub sha256: String,
}

/// Finds the component of this role and name, and says in the log what vouches for it. The error says what to do, and not whose component is refused.
pub(crate) fn find(role: Role, name: &str, plugin: Option<&Plugin>, policy: &Policy) -> Result<Found, String> {
    let found = cofferdam_plugins::find(&request(role, name, plugin), policy).map_err(|error| {
        tracing::error!(kind = %role, plugin = name, %error, "plugin refused");
        error.to_string()
    })?;
    let origin = found.origin.to_string();
    tracing::info!(kind = %role, plugin = name, %origin, sha256 = %found.sha256, trust = %found.trust, "plugin found");
    if found.replaces_builtin {
        tracing::warn!(kind = %role, plugin = name, file = %origin, "a file is used in place of the component of this release");
    }
    let source = Source::Bytes {
        name: match &found.origin {
            cofferdam_plugins::Origin::Builtin => format!("{name} (embedded)"),
            cofferdam_plugins::Origin::File(_) => origin.clone(),
        },
        bytes: found.bytes,
    };
    Ok(Found { source, origin, sha256: found.sha256 })
}

/// Why a component was not opened. If it lacks a grant, or could use one and has it not, the text shows the block to paste.
pub(crate) fn unopened(role: Role, name: &str, inspection: &Inspection, grants: &Grants, error: &OpenError) -> String {
    match error {
        &OpenError::MissingGrant { name: ref component, grant, .. } => lacks(role, name, component, inspection, grant),
        OpenError::Guest { .. } if grants.directory.is_none() && inspection.grants_usable().contains(&"directory") => {
            format!(
                "{error}\nIt could use a directory, and none is granted. If that is what it lacks, add to the configuration, with your own values:\n\n{}",
                block::text(role, name, &[], &["directory"])
            )
        }
        error => error.to_string(),
    }
}

/// That a component lacks a grant, with the block to paste.
pub(crate) fn lacks(role: Role, name: &str, component: &str, inspection: &Inspection, grant: &'static str) -> String {
    let needs = |import: &&cofferdam_runtime::Import| import.kind == ImportKind::NeedsGrant(grant);
    let import = inspection.imports.iter().find(needs).map_or("what", |import| import.name.as_str());
    let lacks = format!("{component}: it imports {import}, which needs the grant {grant}, and it has none");
    if is_builtin(role, name) {
        return format!("{lacks}: what {name} is granted is derived from its stanza, so run this component under a name of its own");
    }
    let block = block::text(role, name, &[], &inspection.grants_needed());
    format!("{lacks}. If you want to grant it, add to the configuration, with your own values:\n\n{block}")
}

#[cfg(test)]
mod tests {
    use super::{built_in, find};
    use crate::config::Role;
    use cofferdam_plugins::Policy;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_a_dev_server_takes_a_file_for_a_component_of_the_release_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("filesystem.wasm");
        std::fs::write(&file, "other").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let policy = |dev| Policy { directory: Some(directory.path().to_owned()), dev, ..built_in() };
        let find = |dev| find(Role::Storage, "filesystem", None, &policy(dev)).map(|found| found.origin);
        assert_eq!(find(true), Ok(file.display().to_string()));
        assert!(find(false).unwrap_err().contains("replaces_builtin = true"));
    }
}
