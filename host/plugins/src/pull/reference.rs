//! Names of components in registries: `HOST/REPOSITORY:TAG` and `HOST/REPOSITORY@sha256:DIGEST`.

use super::PullError;
use crate::is_sha256;
use std::fmt;

/// A component in a registry. The host is always named: none is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    inner: oci_client::Reference,
}

impl Reference {
    /// Takes a reference apart. A tag is needed where there is no digest; where there is one, the tag is for the reader only.
    pub fn parse(text: &str) -> Result<Reference, PullError> {
        let refuse = |why: &str| {
            let wanted = "expected HOST/REPOSITORY@sha256:DIGEST, such as registry.example.org/plugins/etcd@sha256:…";
            PullError::Reference(format!("{text:?} is no reference of a component in a registry ({why}): {wanted}"))
        };
        let bare = text.strip_prefix("oci://").unwrap_or(text);
        let (host, rest) = bare.split_once('/').ok_or_else(|| refuse("it has no host"))?;
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(refuse("its first part is no host: it has neither a dot nor a port"));
        }
        let inner: oci_client::Reference = bare.parse().map_err(|error: oci_client::ParseError| refuse(&error.to_string()))?;
        let tagged = rest.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        if !tagged {
            return Err(refuse("it has neither a tag nor a digest"));
        }
        if inner.digest().is_some_and(|digest| digest.strip_prefix("sha256:").is_none_or(|hex| !is_sha256(hex))) {
            return Err(refuse("its digest is not sha256: and 64 lower-case hexadecimal digits"));
        }
        Ok(Reference { inner })
    }

    /// Of the manifest: `sha256:` and hexadecimal digits.
    pub fn digest(&self) -> Option<&str> {
        self.inner.digest()
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.inner.tag()
    }

    /// The host, with its port if it has one.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// Where the host's API is: Docker Hub's is elsewhere.
    pub(super) fn api_host(&self) -> &str {
        self.inner.resolve_registry()
    }

    /// The repository's path.
    pub fn repository(&self) -> &str {
        self.inner.repository()
    }

    /// The last part of the repository's path.
    pub(super) fn last(&self) -> &str {
        self.repository().rsplit('/').next().unwrap_or_default()
    }

    /// The same with that digest, and no tag.
    pub(super) fn with_digest(&self, digest: String) -> Reference {
        Reference { inner: self.inner.clone_with_digest(digest) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}
