//! The text of a policy, in HCL 1 or JSON, made into rules.
//!
//! A key that is not known is an error, and so is one that asks for a restriction that this server cannot enforce: ignoring either could
//! grant what the author meant to forbid. Messages are those of Vault where it has one.

use std::time::Duration;

use cofferdam_hcl::{Item, Object, Value};

use super::parameters::{Parameters, Wanted};
use super::{Capabilities, Capability, Pattern, Rules};

/// Why a text is no policy. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl From<cofferdam_hcl::Error> for ParseError {
    fn from(error: cofferdam_hcl::Error) -> ParseError {
        ParseError(format!("At {}: {}", error.pos, error.message))
    }
}

type Result<T> = std::result::Result<T, ParseError>;

const KEYS: [&str; 8] = [
    "comment",
    "policy",
    "capabilities",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
];

/// Keys of Vault and OpenBao that narrow what a path grants, in a way that this server does not implement.
const UNSUPPORTED: [&str; 5] = ["control_group", "mfa_methods", "expiration", "pagination_limit", "list_scan_response_keys_filter_path"];

pub(super) fn parse(text: &str) -> Result<Vec<(Pattern, Rules)>> {
    let top = cofferdam_hcl::parse(text)?;
    check_keys(&top, &["name", "path"])?;
    top.items.iter().filter(|item| item.name() == "path").map(path).collect()
}

/// Names every unknown key, as Vault does.
fn check_keys(object: &Object, known: &[&str]) -> Result<()> {
    let unknown: Vec<String> = object
        .items
        .iter()
        .filter(|item| !known.contains(&item.name()))
        .map(|item| format!("\t* invalid key {:?} on line {}\n", item.name(), item.pos.line))
        .collect();
    match unknown.len() {
        0 => Ok(()),
        1 => Err(ParseError(format!("1 error occurred:\n{}\n", unknown.concat()))),
        more => Err(ParseError(format!("{more} errors occurred:\n{}\n", unknown.concat()))),
    }
}

fn path(item: &Item) -> Result<(Pattern, Rules)> {
    // A block without a label is one for the path `path`, as the reference reads it.
    let path = item.label(0).unwrap_or("path");
    let within = |error: ParseError| ParseError(format!("path {path:?}: {error}"));
    let pattern = pattern(path).map_err(within)?;
    let body = item.value.object().map_err(|_| within(ParseError(format!("expected a block, found {}", item.value.described()))))?;
    if let Some(key) = body.items.iter().find(|item| UNSUPPORTED.contains(&item.name())) {
        return Err(within(ParseError(format!("{:?} on line {} is not supported by this server", key.name(), key.pos.line))));
    }
    check_keys(body, &KEYS).and_then(|()| rules(body, path)).map(|rules| (pattern, rules)).map_err(within)
}

pub(super) fn pattern(path: &str) -> Result<Pattern> {
    if identity(path)? {
        return Ok(Pattern::Identity(path.to_owned()));
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.contains("+*") {
        return Err(ParseError(format!("path {path:?}: invalid use of wildcards ('+*' is forbidden)")));
    }
    if path == "+" || path.contains("/+") || path.starts_with("+/") {
        return Ok(Pattern::Segments(path.to_owned()));
    }
    Ok(match path.strip_suffix('*') {
        Some(prefix) => Pattern::Prefix(prefix.to_owned()),
        None => Pattern::Exact(path.to_owned()),
    })
}

/// Whether a path has `{{…}}` in it; braces that do not pair are an error.
fn identity(path: &str) -> Result<bool> {
    let unbalanced = || ParseError("failed to validate policy templating: unbalanced templating characters".to_owned());
    let mut pieces = path.split("{{");
    if pieces.next().is_some_and(|first| first.contains("}}")) {
        return Err(unbalanced());
    }
    let mut found = false;
    for piece in pieces {
        if piece.matches("}}").count() != 1 {
            return Err(unbalanced());
        }
        found = true;
    }
    Ok(found)
}

/// The values of every attribute of this name: HCL 1 joins repeated ones.
fn all<'a>(body: &'a Object, name: &'a str) -> impl Iterator<Item = &'a Value> {
    body.items.iter().filter(move |item| item.name() == name).map(|item| &item.value)
}

fn rules(body: &Object, path: &str) -> Result<Rules> {
    let mut capabilities = Capabilities::default();
    for value in all(body, "capabilities") {
        for name in value.list()? {
            let name = name.string()?;
            let capability =
                Capability::from_name(&name).ok_or_else(|| ParseError(format!("path {path:?}: invalid capability {name:?}")))?;
            capabilities = capabilities.with(capability);
        }
    }
    if let Some(value) = all(body, "policy").last() {
        let name = value.string()?;
        let old: &[Capability] = match name.as_str() {
            "" => &[],
            "deny" => &[Capability::Deny],
            "read" => &[Capability::Read, Capability::List],
            "write" => &WRITE,
            "sudo" => &SUDO,
            _ => return Err(ParseError(format!("path {path:?}: invalid policy {name:?}"))),
        };
        capabilities = capabilities.union(old.iter().copied().collect());
    }
    let mut required = Vec::new();
    for value in all(body, "required_parameters") {
        for name in value.list()? {
            // Compared with the request's names as they come, as Vault does: a field sent with capitals does not count.
            required.push(name.string()?.to_lowercase());
        }
    }
    let min_wrapping_ttl = ttl(body, "min_wrapping_ttl")?;
    let max_wrapping_ttl = ttl(body, "max_wrapping_ttl")?;
    if !max_wrapping_ttl.is_zero() && max_wrapping_ttl < min_wrapping_ttl {
        return Err(ParseError("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned()));
    }
    Ok(Rules {
        capabilities,
        allowed: parameters(body, "allowed_parameters")?,
        denied: parameters(body, "denied_parameters")?,
        required,
        min_wrapping_ttl,
        max_wrapping_ttl,
    })
}

const WRITE: [Capability; 5] = [Capability::Create, Capability::Read, Capability::Update, Capability::Delete, Capability::List];
const SUDO: [Capability; 6] =
    [Capability::Create, Capability::Read, Capability::Update, Capability::Delete, Capability::List, Capability::Sudo];

fn ttl(body: &Object, name: &str) -> Result<Duration> {
    match all(body, name).last() {
        None => Ok(Duration::ZERO),
        Some(value) => value.duration().map_err(|error| ParseError(format!("error parsing {name}: {}", error.message))),
    }
}

fn parameters(body: &Object, name: &str) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    for value in all(body, name) {
        for item in &value.object()?.items {
            let values = item.value.list()?.iter().map(Wanted::from_hcl);
            parameters.0.entry(item.name().to_lowercase()).or_default().extend(values);
        }
    }
    Ok(parameters)
}
