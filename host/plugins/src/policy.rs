//! What is asked for, what the operator decided about plugins in general, and what was found.

use crate::TrustedKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a plugin is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A storage backend.
    Storage,
    /// A seal.
    Seal,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Storage => "storage",
            Kind::Seal => "seal",
        })
    }
}

/// The component that a stanza asks for, with what its `plugin` block says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is to be used as.
    pub kind: Kind,
    /// Of the backend: letters, digits, `-` and `_`.
    pub name: String,
    /// The file, if it is not `NAME.wasm` in the plugin directory.
    pub path: Option<PathBuf>,
    /// The digest that the configuration pins, in hexadecimal.
    pub sha256: Option<String>,
    /// A file may take the place of the component that is built in under this name.
    pub replaces_builtin: bool,
}

impl Request {
    /// Of that name, with nothing said about the file.
    pub fn named(kind: Kind, name: impl Into<String>) -> Request {
        Request { kind, name: name.into(), path: None, sha256: None, replaces_builtin: false }
    }
}

/// What holds for all plugins.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Where files are looked for by name.
    pub directory: Option<PathBuf>,
    /// Whose signatures vouch for a file.
    pub trusted_keys: Vec<TrustedKey>,
    /// A server for development: a file needs nothing that vouches for it.
    pub dev: bool,
    /// The components of this release by name, and their bytes unless this binary was built without them.
    pub builtin: &'static [(&'static str, Option<&'static [u8]>)],
}

/// The bytes that may run, and why.
#[derive(Clone)]
pub struct Found {
    /// The component.
    pub bytes: Vec<u8>,
    /// Its digest, in hexadecimal.
    pub sha256: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What vouches for it.
    pub trust: Trust,
    /// It takes the place of the component that is built in under this name, and is another.
    pub replaces_builtin: bool,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("size", &self.bytes.len())
            .field("sha256", &self.sha256)
            .field("origin", &self.origin)
            .field("trust", &self.trust)
            .field("replaces_builtin", &self.replaces_builtin)
            .finish()
    }
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This binary.
    Builtin,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Builtin => f.write_str("embedded in coffer"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What vouches for a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is part of this binary.
    Builtin,
    /// A file with the digest of a component of this release, which has this name.
    Release(String),
    /// `sha256` in the configuration.
    PinnedInConfig,
    /// This lock file.
    PinnedInLock(PathBuf),
    /// A signature by a key that the operator trusts.
    Signed {
        /// As minisign writes it: sixteen hexadecimal digits.
        key_id: String,
        /// What the signer says of the file; signed, too.
        trusted_comment: String,
    },
    /// Nothing does, and for development nothing has to.
    Dev,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trust::Builtin => f.write_str("built in"),
            Trust::Release(name) => write!(f, "the {name} component of this release"),
            Trust::PinnedInConfig => f.write_str("pinned in the configuration"),
            Trust::PinnedInLock(path) => write!(f, "pinned in {}", path.display()),
            Trust::Signed { key_id, .. } => write!(f, "signed by {key_id}"),
            Trust::Dev => f.write_str("neither pinned nor signed: development only"),
        }
    }
}
