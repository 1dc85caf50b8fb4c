//! Policies: what a token may do.
//!
//! A [`Policy`] is a parsed text, an [`Acl`] the sum of those that a token holds, the [`Store`] where the texts live. The rule:
//! everything not granted is denied, `deny` wins over every other capability of the same path, and only the most specific path that
//! matches a request counts. The decisions are Vault's and OpenBao's, to the letter; `tables.rs` keeps what a real server answered.

mod acl;
mod builtin;
mod capability;
mod parameters;
mod parse;
mod store;
#[cfg(test)]
mod tables;

use std::time::Duration;

pub use acl::Acl;
pub use capability::{Capabilities, Capability};
pub use parse::ParseError;
pub use store::{Store, Stored};

use parameters::Parameters;

use crate::identity::{Made, Subject};
use crate::logical::{Error, Result};

/// The policy that may do anything. It has no text.
pub const ROOT: &str = "root";
/// The policy that tokens get unless they ask not to.
pub const DEFAULT: &str = "default";
/// The policy of tokens that hold a wrapped response. No other token may have it.
pub const RESPONSE_WRAPPING: &str = "response-wrapping";

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The path itself.
    Exact(String),
    /// Every path that begins with this.
    Prefix(String),
    /// Segment by segment, where `+` stands for any one; a `*` at the end makes it a prefix.
    Segments(String),
    /// A path made from the identity of the token's entity. For a token without one it matches nothing.
    Identity(String),
}

/// What may be done with a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rules {
    pub(crate) capabilities: Capabilities,
    pub(crate) allowed: Parameters,
    pub(crate) denied: Parameters,
    pub(crate) required: Vec<String>,
    pub(crate) min_wrapping_ttl: Duration,
    pub(crate) max_wrapping_ttl: Duration,
}

/// A parsed policy.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    rules: Vec<(Pattern, Rules)>,
}

impl Policy {
    /// The policy `root`.
    pub fn root() -> Policy {
        Policy { name: ROOT.to_owned(), rules: Vec::new() }
    }

    /// Parses HCL 1 or JSON.
    pub fn parse(name: &str, text: &str) -> Result<Policy, ParseError> {
        Ok(Policy { name: name.to_owned(), rules: parse::parse(text)? })
    }

    /// Its name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same with the paths that are made from an identity as they are for this one. [`Error::PermissionDenied`] if it would make a rule one for
    /// other paths than its author can have meant.
    pub(crate) fn of_subject(&self, subject: &Subject) -> Result<Policy> {
        let mut rules = Vec::with_capacity(self.rules.len());
        for (pattern, rule) in &self.rules {
            let pattern = match pattern {
                Pattern::Identity(template) => match subject.fill(template) {
                    Made::Path(path) => parse::pattern(&path).map_err(|_| Error::PermissionDenied)?,
                    Made::Nothing => continue,
                    Made::Wild => return Err(Error::PermissionDenied),
                },
                pattern => pattern.clone(),
            };
            rules.push((pattern, rule.clone()));
        }
        Ok(Policy { name: self.name.clone(), rules })
    }

    /// Paths that are made from an identity.
    pub fn identity_paths(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|(pattern, _)| match pattern {
            Pattern::Identity(path) => Some(path.as_str()),
            _ => None,
        })
    }
}
