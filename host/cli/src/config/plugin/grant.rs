//! `grant "KIND" { … }` in a plugin block: what a plugin is given beyond its settings, a log, clocks and random bytes.

use super::aws;
use super::http::{self, HttpGrant};
use super::{AwsGrant, Role, whole};
use crate::config::files::{Block, Source};
use crate::config::keys::{Scope, Verdict};
use crate::config::nearest::nearest;
use crate::config::{ConfigError, Place};
use cofferdam_hcl::{Object, Value};
use std::path::PathBuf;

/// The kinds of grants.
const KINDS: &[&str] = &["directory", "http", "aws"];

/// What a plugin is granted. The default is nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants {
    /// A directory.
    pub directory: Option<DirectoryGrant>,
    /// Servers that it may send requests to.
    pub http: Vec<HttpGrant>,
    /// A resource of AWS.
    pub aws: Option<AwsGrant>,
}

impl Grants {
    /// Whether the grant of this name, as an inspection names it, is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        match name {
            "directory" => self.directory.is_some(),
            "http" => !self.http.is_empty(),
            "aws" => self.aws.is_some(),
            _ => false,
        }
    }
}

/// `grant "directory"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryGrant {
    /// The host's path.
    pub path: PathBuf,
    /// What may be done there.
    pub access: Access,
    /// Where the grant stands.
    pub place: Place,
}

/// What may be done in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

const DIRECTORY: &[(&str, Verdict)] = &[("path", Verdict::Supported), ("access", Verdict::Supported)];

/// Reads the grants of a block; what `aws` says is not whole without the `aws` block.
pub(super) fn read(
    file: &Source,
    role: Role,
    body: &Object,
    warnings: &mut Vec<String>,
) -> Result<(Grants, Option<aws::Draft>), ConfigError> {
    let mut grants = Grants::default();
    let mut bound: Option<aws::Draft> = None;
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for item in body.named("grant") {
        blocks.extend(file.blocks(item, "a block of one kind, as in grant \"directory\" { … }")?);
    }
    for Block { label: kind, body: inner } in blocks {
        let place = file.place(kind.pos);
        let once = |set: Option<&Place>| match set {
            Some(first) => {
                Err(ConfigError::new(place.clone(), format!("grant {:?}: there is one at {first} already: remove one", kind.text)))
            }
            None => Ok(()),
        };
        match kind.text.as_str() {
            "directory" => {
                once(grants.directory.as_ref().map(|grant| &grant.place))?;
                grants.directory = Some(directory(file, inner, place, warnings)?);
            }
            "http" => grants.http.push(http::read(file, inner, place, warnings)?),
            "aws" => {
                once(bound.as_ref().map(aws::Draft::place))?;
                bound = Some(aws::read(file, role, inner, place, warnings)?);
            }
            other => {
                let near = nearest(other, KINDS.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
                let message = format!("grant {other:?}: expected one of {}{}", KINDS.join(", "), near.unwrap_or_default());
                return Err(ConfigError::new(place, message));
            }
        }
    }
    Ok((grants, bound))
}

fn directory(file: &Source, body: &Object, place: Place, warnings: &mut Vec<String>) -> Result<DirectoryGrant, ConfigError> {
    Scope { file, name: "in grant \"directory\"", keys: DIRECTORY }.check(body, warnings)?;
    let missing = |key: &str, what: &str| ConfigError::new(place.clone(), format!("grant \"directory\": {key} is missing: {what}"));
    let Some((path, at)) = file.value(body, "path", Value::string)? else {
        return Err(missing("path", "set it to the directory"));
    };
    let access = file.parsed(body, "access", |text| match text {
        "read-only" => Ok(Access::ReadOnly),
        "read-write" => Ok(Access::ReadWrite),
        other => Err(format!("expected read-only or read-write, found {other:?}")),
    })?;
    let access = access.ok_or_else(|| missing("access", "set it to read-only or read-write"))?;
    Ok(DirectoryGrant { path: whole("path", path.into(), at)?, access, place })
}
