//! Which mount answers a path: the one whose path is the longest prefix of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::Entry;
use crate::engine::Engine;
use crate::measure::Meters;

/// Who answers below a mount.
#[derive(Clone)]
pub(crate) enum Handler {
    /// An engine.
    Engine(Arc<dyn Engine>),
    /// The system backend, which is not one among many: it works on the core itself.
    System,
    /// Nobody, for this reason: the server does not offer the engine, or the mount is being deleted or moved.
    Refused(String),
}

/// A mount in service.
#[derive(Clone)]
pub(crate) struct Mount {
    /// As the table has it.
    pub(crate) entry: Entry,
    /// Who answers.
    pub(crate) handler: Handler,
    /// The label for metrics: the engine's type, never the mount's path. A type that is not one of ours is `other`.
    pub(crate) label: &'static str,
    /// Held shared by the requests within the mount, exclusively by a change that must not overlap with them.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
    /// What it does is counted with these.
    pub(crate) meters: Arc<Meters>,
}

/// The mounts by their paths, with `auth/` before those of the auth tables.
#[derive(Clone, Default)]
pub(crate) struct Routes(HashMap<String, Arc<Mount>>);

impl Routes {
    /// Adds a mount, in place of any other at its path.
    pub(crate) fn insert(&mut self, mount: Mount) {
        self.0.insert(mount.entry.api_path(), Arc::new(mount));
    }

    /// Takes a mount out.
    pub(crate) fn remove(&mut self, api_path: &str) {
        self.0.remove(api_path);
    }

    /// The mount at exactly this path, which ends with a slash.
    pub(crate) fn get(&self, api_path: &str) -> Option<&Arc<Mount>> {
        self.0.get(api_path)
    }

    /// The mount that answers a path, and the part of the path below it. A mount's path without its slash is the mount's root.
    pub(crate) fn find<'a>(&self, path: &'a str) -> Option<(&Arc<Mount>, &'a str)> {
        if !path.ends_with('/')
            && let Some(mount) = self.0.get(&format!("{path}/"))
        {
            return Some((mount, ""));
        }
        path.rmatch_indices('/').find_map(|(at, _)| {
            let (prefix, rest) = path.split_at_checked(at + 1)?;
            Some((self.0.get(prefix)?, rest))
        })
    }

    /// All mounts, in the order of their paths.
    pub(crate) fn all(&self) -> Vec<&Arc<Mount>> {
        let mut mounts: Vec<_> = self.0.iter().collect();
        mounts.sort_by_key(|(path, _)| path.as_str());
        mounts.into_iter().map(|(_, mount)| mount).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str]) -> Routes {
        let mut routes = Routes::default();
        for path in paths {
            let entry = Entry { path: (*path).to_owned(), table: "mounts".to_owned(), ..Entry::default() };
            routes.insert(Mount { entry, handler: Handler::System, label: "system", gate: Arc::default(), meters: Arc::default() });
        }
        routes
    }

    fn found<'a>(routes: &'a Routes, path: &'a str) -> Option<(&'a str, &'a str)> {
        routes.find(path).map(|(mount, rest)| (mount.entry.path.as_str(), rest))
    }

    #[test]
    fn the_longest_mount_path_answers() {
        let routes = routes(&["a/", "a/b/", "ab/"]);
        assert_eq!(found(&routes, "a/b/c"), Some(("a/b/", "c")));
        assert_eq!(found(&routes, "a/c/b/"), Some(("a/", "c/b/")));
        assert_eq!(found(&routes, "ab/c"), Some(("ab/", "c")));
        assert_eq!(found(&routes, "a/bc"), Some(("a/", "bc")));
        assert_eq!(found(&routes, "b/a/"), None);
        assert_eq!(found(&routes, ""), None);
    }

    #[test]
    fn a_mount_path_without_its_slash_is_the_mounts_root() {
        let routes = routes(&["a/", "a/b/"]);
        assert_eq!(found(&routes, "a/b"), Some(("a/b/", "")));
        assert_eq!(found(&routes, "a"), Some(("a/", "")));
        assert_eq!(found(&routes, "a/"), Some(("a/", "")));
    }
}
