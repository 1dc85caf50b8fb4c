//! Why a component is refused. Every text names the file, what was found, what was expected, and what mends it.

use crate::{Kind, LockError, SignatureError};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Who stated a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stated {
    /// `sha256` in the configuration's `plugin` block.
    Config,
    /// This lock file.
    Lock(PathBuf),
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stated::Config => f.write_str("sha256 in the configuration's plugin block"),
            Stated::Lock(path) => write!(f, "the lock file {}", path.display()),
        }
    }
}

/// What is wrong with a file or with a directory on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Others than its owner may write it.
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// It is a directory on the way, so that a sticky bit would do.
        above: bool,
    },
    /// It belongs to somebody who is neither root nor the user of this process.
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// Whom it belongs to.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Writable { path, mode, above } => {
                let who = match (mode & 0o020 != 0, mode & 0o002 != 0) {
                    (true, true) => "group and others",
                    (true, false) => "its group",
                    _ => "others",
                };
                let wanted = if *above { "its owner alone may write it, or it has the sticky bit" } else { "its owner alone may write it" };
                write!(f, "{}: {who} may write it (mode {mode:04o}; expected: {wanted}): run `chmod go-w {}`", path.display(), shell(path))
            }
            Problem::Owner { path, owner, user } => {
                let (wanted, to) = if *user == 0 { ("uid 0".to_owned(), 0) } else { (format!("uid 0 or {user}"), *user) };
                write!(f, "{}: it belongs to uid {owner} (expected: {wanted}): run `chown {to} {}`", path.display(), shell(path))
            }
        }
    }
}

/// A path as a shell takes it.
pub(crate) fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Why no component is handed on.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing of that name, and no directory to look in.
    #[error(
        "no component: plugin_directory is not set, and no component of the name {name:?} is built in{remedy}",
        remedy = remedy(*.released, .name)
    )]
    NoDirectory {
        /// Of the backend.
        name: String,
        /// It is a component of this release that this binary was built without.
        released: bool,
    },
    /// No such file.
    #[error("no component: {path} does not exist{remedy}", path = .path.display(), remedy = remedy(*.released, .name))]
    NoFile {
        /// Of the backend.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
        /// It is a component of this release that this binary was built without.
        released: bool,
    },
    /// A directory of plugins does not exist or is no directory.
    #[error("{setting} {path}: {error}: create it (owned by root, mode 0755), or correct {setting}", path = .path.display())]
    Directory {
        /// What names it.
        setting: &'static str,
        /// As named.
        path: PathBuf,
        /// Why it cannot be used.
        error: io::Error,
    },
    /// A file or a directory cannot be read.
    #[error("{path}: cannot be read: {error}", path = .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not a regular file: for a symbolic link, its target could be exchanged where nobody looks.
    #[error("{path}: it is {what}, expected a regular file{mend}", path = .path.display(), mend = mend(.what))]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// In words, such as `a symbolic link`.
        what: &'static str,
    },
    /// Not a file of the form `NAME.wasm`.
    #[error("{path}: the file of a plugin ends in .wasm: rename it, or correct `path`", path = .path.display())]
    Extension {
        /// As configured.
        path: PathBuf,
    },
    /// Larger than a file of its kind may be: for a component, [`crate::MAX_COMPONENT`].
    #[error("{path}: it is larger than {limit} bytes, the most that is read of such a file", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// Somebody else may change the file, or put another in its place.
    #[error("{}", problems(.0))]
    Permissions(Vec<Problem>),
    /// A file with the name of a component of this release, and nobody said that it replaces it.
    #[error(
        "{path}: a component of the name {name:?} is built in, and this file (SHA-256 {sha256}) is another: \
         say `replaces_builtin = true` in the configuration's `plugin {kind:?} {name:?}` block to use the file, or move it away",
        path = .path.display(),
        kind = .kind.to_string()
    )]
    Shadows {
        /// What it was asked for as.
        kind: Kind,
        /// Of the backend.
        name: String,
        /// The file.
        path: PathBuf,
        /// Of the file.
        sha256: String,
    },
    /// The configuration says that a file replaces the component that is built in, and there is no such file.
    #[error(
        "{path} does not exist, and {said}: put the file there, or take that back to use the component that is built in",
        path = .path.display()
    )]
    NothingReplaces {
        /// Where it was looked for.
        path: PathBuf,
        /// Who says that there should be one.
        said: String,
    },
    /// Several files could be meant.
    #[error(
        "plugin {name:?}: {directory} has more than one file that could be meant ({files}): \
         keep one, or name one by `path` in the configuration's plugin block",
        directory = .directory.display(),
        files = .files.join(", ")
    )]
    Ambiguous {
        /// Of the backend.
        name: String,
        /// The plugin directory.
        directory: PathBuf,
        /// Their names.
        files: Vec<String>,
    },
    /// No file has the name, but one looks like it.
    #[error(
        "no component: {path} does not exist, but {files} does: name it by `path` in the configuration's plugin block, or rename it",
        path = .path.display(),
        files = .files.join(", ")
    )]
    Similar {
        /// Where it was looked for.
        path: PathBuf,
        /// The names of the others.
        files: Vec<String>,
    },
    /// `sha256` in the configuration is no digest.
    #[error("plugin {name:?}: sha256 {text:?} is no SHA-256 digest: expected 64 hexadecimal digits")]
    NoDigest {
        /// Of the backend.
        name: String,
        /// As configured.
        text: String,
    },
    /// Not the bytes that were pinned.
    #[error(
        "{of}: its SHA-256 is {found}, but {stated} pins {pinned}: if the new content is wanted, {mend}; else restore the file",
        mend = repin(.stated, .of, .found)
    )]
    Pin {
        /// The file, or the component that is built in.
        of: String,
        /// The digest of what is there.
        found: String,
        /// The digest that was expected.
        pinned: String,
        /// By whom.
        stated: Stated,
    },
    /// Pinned as another kind.
    #[error("{path}: {lock} pins it as a {pinned} plugin, and it is asked for as {asked}", path = .path.display(), lock = .lock.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// As pinned.
        pinned: Kind,
        /// As asked for.
        asked: Kind,
    },
    /// The bytes are pinned, but as another file.
    #[error(
        "{path}: {lock} pins these bytes (SHA-256 {sha256}) under the name {other}, not under this one: \
         rename the file, or run `coffer plugin pin {command}`",
        path = .path.display(),
        lock = .lock.display(),
        command = shell(.path)
    )]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The name in it.
        other: String,
        /// Of the bytes.
        sha256: String,
    },
    /// Nothing vouches for it.
    #[error(
        "{path}: it is neither pinned nor signed by a trusted key (SHA-256 {sha256}): \
         run `coffer plugin pin {command}`, or write `sha256 = \"{sha256}\"` into the configuration's plugin block{signature}",
        path = .path.display(),
        command = shell(.path),
        signature = if *.unused_signature { "; its .minisig counts once plugin_trusted_keys is set" } else { "" }
    )]
    Unvouched {
        /// The file.
        path: PathBuf,
        /// Its digest.
        sha256: String,
        /// There is a signature, but no trusted key to check it with.
        unused_signature: bool,
    },
    /// The signature beside it does not hold.
    #[error("{path}: {error}", path = .path.display())]
    Signature {
        /// The signature's file.
        path: PathBuf,
        /// Why not.
        error: SignatureError,
    },
    /// The lock file cannot be used.
    #[error("{path}: {error}", path = .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        error: LockError,
    },
}

fn remedy(released: bool, name: &str) -> String {
    if released {
        format!(": this binary was built without it; build the guests first (cargo xtask build), or put {name}.wasm into plugin_directory")
    } else {
        ": put the component there, or correct the type".to_owned()
    }
}

fn mend(what: &str) -> &'static str {
    if what == "a symbolic link" {
        ": copy the target there (`cp --remove-destination`), or name the target itself by `path` in the configuration's plugin block"
    } else {
        ""
    }
}

fn repin(stated: &Stated, of: &str, found: &str) -> String {
    match stated {
        Stated::Config => format!("write `sha256 = \"{found}\"` there"),
        Stated::Lock(_) => format!("run `coffer plugin pin {}`", shell(Path::new(of))),
    }
}

fn problems(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    texts.join("; ")
}
