//! Fetching a component from an OCI registry: by digest, into a directory of plugins.
//!
//! The rule: nothing that a registry says is believed. The reference names the digest of the manifest, the manifest that of the component, and both are
//! computed here over what came. Nothing is written before all of it has been checked.

mod credentials;
mod manifest;
mod place;
mod reference;
mod registry;
#[cfg(test)]
mod tests;
mod tls;

pub use credentials::{Credentials, VARIABLES, docker_config};
pub use manifest::{Layer, Layers};
pub use reference::Reference;

use crate::{Check, PinError, SignatureError, sha256};
use registry::Session;
use std::path::PathBuf;
use std::time::Duration;

/// How a component is fetched, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that the file goes to; it has to exist.
    pub directory: PathBuf,
    /// The backend's name, from which the file has its own; the last part of the repository's if none is given.
    pub name: Option<String>,
    /// Another content of that name is overwritten. Its signature goes, too: it does not fit any more.
    pub force: bool,
    /// The file is pinned in the directory's lock file.
    pub pin: bool,
    /// Plain HTTP also to other machines. To this one it is what is used, unless there is a `ca_cert`.
    pub insecure: bool,
    /// A file of authorities (PEM) that are trusted, and no others.
    pub ca_cert: Option<PathBuf>,
    /// For the registry; else those of docker's configuration file are used, if it has any.
    pub credentials: Option<Credentials>,
    /// Docker's configuration file.
    pub docker_config: Option<PathBuf>,
    /// Hosts (`HOST` or `HOST:PORT`) to which a registry may send for a token with the credentials, beside itself.
    pub token_hosts: Vec<String>,
    /// A minisign signature that goes beside the file, in place of one that the registry has.
    pub signature: Option<PathBuf>,
    /// For all of the transfer.
    pub timeout: Duration,
    /// The largest component.
    pub max_size: u64,
}

impl Options {
    /// Into this directory, with nothing else said.
    pub fn new(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            name: None,
            force: false,
            pin: false,
            insecure: false,
            ca_cert: None,
            credentials: None,
            docker_config: None,
            token_hosts: Vec::new(),
            signature: None,
            timeout: Duration::from_secs(300),
            max_size: crate::MAX_COMPONENT,
        }
    }
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The component's file.
    pub file: PathBuf,
    /// The component's digest, in hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// The reference, with the manifest's digest.
    pub reference: String,
    /// The signature's file, if one came or was given.
    pub signature: Option<PathBuf>,
    /// It has been pinned in the lock file.
    pub pinned: bool,
    /// The file had this content before.
    pub unchanged: bool,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No reference of a component in a registry.
    #[error("{0}")]
    Reference(String),
    /// A reference without a digest, and what it would be with one.
    #[error(
        "{reference} names no digest, so that it is another component tomorrow: it is {resolved} now; if that is the one that you want, pull that"
    )]
    NoDigest {
        /// As given.
        reference: String,
        /// The same, with the digest that it has now.
        resolved: String,
    },
    /// No name for the file.
    #[error("{0:?} is no name of a backend (letters, digits, '-' and '_'): give one with --name")]
    Name(String),
    /// The authorities cannot be read.
    #[error("{0}")]
    Authorities(String),
    /// The credentials cannot be read, or would go where they should not.
    #[error("{0}")]
    Credentials(String),
    /// The transfer broke.
    #[error("{at}: {error}")]
    Transfer {
        /// The address.
        at: String,
        /// Why.
        error: String,
    },
    /// The registry answers with an error.
    #[error("{at}: it answers {status} ({text})")]
    Answer {
        /// The address.
        at: String,
        /// Of HTTP.
        status: u16,
        /// What it says, in short.
        text: String,
    },
    /// The registry asks for what is not done.
    #[error("{at}: refused: {why}")]
    Refused {
        /// The address.
        at: String,
        /// What it asked for.
        why: String,
    },
    /// A body is larger than it may be.
    #[error("{at}: it is larger than {limit} bytes")]
    TooLarge {
        /// The address.
        at: String,
        /// In bytes.
        limit: u64,
    },
    /// It took too long.
    #[error("{reference}: not fetched within {} s", .timeout.as_secs())]
    Timeout {
        /// The reference.
        reference: String,
        /// What was allowed.
        timeout: Duration,
    },
    /// What came is not what was asked for.
    #[error("the registry sent another {what}: its digest is sha256:{found}, expected {expected}")]
    Digest {
        /// `manifest`, `component` or `signature`.
        what: &'static str,
        /// Of what came.
        found: String,
        /// As the reference or the manifest has it.
        expected: String,
    },
    /// The manifest is not that of a component.
    #[error("the manifest is not that of a component: {0}")]
    Manifest(String),
    /// The signature is none.
    #[error("{from}: {error}")]
    Signature {
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// A file of the name is there with another content.
    #[error("{path}: it exists with other content (SHA-256 {sha256}): overwrite it with --force, or choose another --name", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// Of what is there.
        sha256: String,
    },
    /// The directory or the lock file is not fit, or the component is not.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A file cannot be read.
    #[error("{path}: cannot be read: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Fetches the component that the reference names by its digest (`HOST/REPOSITORY@sha256:...`), and writes it into the directory. `check` sees the
/// component before anything is written.
pub async fn pull(reference: &str, options: &Options, check: Check<'_>) -> Result<Pulled, PullError> {
    let reference = Reference::parse(reference)?;
    let Some(expected) = reference.digest() else {
        let resolved = resolved(&reference, options).await?.to_string();
        return Err(PullError::NoDigest { reference: reference.to_string(), resolved });
    };
    let file = place::file_name(options.name.as_deref().unwrap_or(reference.last()))?;
    let fetched = timed(&reference, options, fetch(&reference, expected, options)).await?;
    place::place(&file, fetched, &reference, options, check)
}

/// Asks which digest a reference without one has now, and returns the reference with it.
async fn resolved(reference: &Reference, options: &Options) -> Result<Reference, PullError> {
    let asked = reference.tag().unwrap_or("latest");
    let manifest = timed(reference, options, async { session(reference, options)?.manifest(asked).await }).await?;
    // So that what is offered is a component.
    Layers::parse(&manifest)?;
    Ok(reference.with_digest(format!("sha256:{}", sha256(&manifest))))
}

/// What came over the network, checked against its digests.
struct Fetched {
    component: Vec<u8>,
    signature: Option<Vec<u8>>,
}

async fn fetch(reference: &Reference, expected: &str, options: &Options) -> Result<Fetched, PullError> {
    let mut session = session(reference, options)?;
    let manifest = session.manifest(expected).await?;
    verify("manifest", &manifest, expected)?;
    let layers = Layers::parse(&manifest)?;
    let component = layer(&mut session, "component", &layers.component, options.max_size).await?;
    let signature = match &layers.signature {
        Some(signature) if options.signature.is_none() => {
            Some(layer(&mut session, "signature", signature, crate::signature::MAX_FILE).await?)
        }
        _ => None,
    };
    Ok(Fetched { component, signature })
}

async fn layer(session: &mut Session<'_>, what: &'static str, layer: &Layer, limit: u64) -> Result<Vec<u8>, PullError> {
    if layer.size > limit {
        return Err(PullError::TooLarge { at: format!("the {what} {}", layer.digest), limit });
    }
    let bytes = session.blob(&layer.digest, layer.size).await?;
    verify(what, &bytes, &layer.digest)?;
    Ok(bytes)
}

fn verify(what: &'static str, bytes: &[u8], expected: &str) -> Result<(), PullError> {
    let found = sha256(bytes);
    if expected.strip_prefix("sha256:") == Some(found.as_str()) {
        return Ok(());
    }
    Err(PullError::Digest { what, found, expected: expected.to_owned() })
}

fn session<'a>(reference: &'a Reference, options: &'a Options) -> Result<Session<'a>, PullError> {
    let credentials = match (&options.credentials, &options.docker_config) {
        (Some(credentials), _) => Some(credentials.clone()),
        (None, Some(path)) => credentials::from_docker(path, reference.registry())?,
        (None, None) => None,
    };
    Session::new(reference, options, credentials)
}

async fn timed<T>(reference: &Reference, options: &Options, work: impl Future<Output = Result<T, PullError>>) -> Result<T, PullError> {
    let late = |_| PullError::Timeout { reference: reference.to_string(), timeout: options.timeout };
    tokio::time::timeout(options.timeout, work).await.map_err(late)?
}
