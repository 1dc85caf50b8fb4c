//! `grant "http" { … }`: one server that a plugin may send requests to, and what the host adds to them that the plugin must not know.
//!
//! The rule: a secret stands in a file or a variable and never in the configuration, so it is read where and when it is needed. Here the block
//! is read; what names, ranges and headers are fit, whoever sends says (`cofferdam_http`).

use super::whole;
use crate::config::files::Source;
use crate::config::keys::{Scope, Verdict};
use crate::config::{ConfigError, Place, pool};
use cofferdam_hcl::{Item, Object, Value};
use cofferdam_http::{AddedHeader, Basic, Cidr, Rule, Scheme, Secret};
use std::fmt::Display;
use std::path::PathBuf;

/// A server that requests may be sent to.
#[derive(Debug, Clone)]
pub(crate) struct HttpGrant {
    /// Which, and what is added.
    pub rule: Rule,
    /// Where the grant stands.
    pub place: Place,
}

const KEYS: &[(&str, Verdict)] = &[
    ("scheme", Verdict::Supported),
    ("host", Verdict::Supported),
    ("port", Verdict::Supported),
    ("addresses", Verdict::Supported),
    ("methods", Verdict::Supported),
    ("path_prefixes", Verdict::Supported),
    ("header", Verdict::Repeatable),
    ("basic_auth", Verdict::Supported),
    ("client_cert", Verdict::Supported),
    ("ca_cert", Verdict::Supported),
    ("secrets_in_clear", Verdict::Supported),
];

const HEADER: &[(&str, Verdict)] = &[
    ("file", Verdict::Supported),
    ("env", Verdict::Supported),
    ("prefix", Verdict::Supported),
    ("value", Verdict::Refused("a secret does not stand in the configuration: set file, or env")),
];

const BASIC_AUTH: &[(&str, Verdict)] = &[
    ("username", Verdict::Supported),
    ("password_file", Verdict::Supported),
    ("password_env", Verdict::Supported),
    ("password", Verdict::Refused("a secret does not stand in the configuration: set password_file, or password_env")),
];

const CLIENT_CERT: &[(&str, Verdict)] = &[("cert_file", Verdict::Supported), ("key_file", Verdict::Supported)];

/// Reads the block.
pub(super) fn read(file: &Source, body: &Object, place: Place, warnings: &mut Vec<String>) -> Result<HttpGrant, ConfigError> {
    Scope { file, name: "in grant \"http\"", keys: KEYS }.check(body, warnings)?;
    let missing = |key: &str, what: &str| ConfigError::new(place.clone(), format!("grant \"http\": {key} is missing: {what}"));
    let scheme = file.parsed(body, "scheme", |text| match text {
        "https" => Ok(Scheme::Https),
        "http" => Ok(Scheme::Http),
        other => Err(format!("expected https or http, found {other:?}")),
    })?;
    let scheme = scheme.ok_or_else(|| missing("scheme", "set it to https or http"))?;
    let host = file.parsed(body, "host", |text| Ok(text.to_owned()))?;
    let host = host.ok_or_else(|| missing("host", "set it to the name or the address of the server"))?;
    let port = file.value(body, "port", pool::positive)?.map_or(scheme.port(), |(port, _)| port);
    let text = |key: &str| file.value(body, key, Value::string).map(|found| found.map(|(text, place)| (PathBuf::from(text), place)));
    let ca_cert = text("ca_cert")?.map(|(path, place)| whole("ca_cert", path, place)).transpose()?;
    Ok(HttpGrant {
        rule: Rule {
            addresses: list(file, body, "addresses", |text| text.parse::<Cidr>())?.unwrap_or_default(),
            headers: body.named("header").map(|item| header(file, item, warnings)).collect::<Result<_, ConfigError>>()?,
            basic: body.get("basic_auth").map(|item| basic_auth(file, item, warnings)).transpose()?,
            client_cert: body.get("client_cert").map(|item| client_cert(file, item, warnings)).transpose()?,
            ca_cert,
            methods: list(file, body, "methods", |text| text.parse::<::http::Method>())?,
            path_prefixes: list(file, body, "path_prefixes", |text| Ok::<_, String>(text.to_owned()))?.unwrap_or_default(),
            secrets_in_clear: file.switch(body, "secrets_in_clear")?,
            ..Rule::new(scheme, host, port)
        },
        place,
    })
}

/// A list of texts that are something.
fn list<T, E: Display>(
    file: &Source,
    body: &Object,
    key: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some((texts, place)) = file.value(body, key, Value::strings)? else { return Ok(None) };
    let one = |text: &String| parse(text).map_err(|error| ConfigError::new(place.clone(), format!("{key}: {text:?}: {error}")));
    texts.iter().map(one).collect::<Result<_, ConfigError>>().map(Some)
}

fn header(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<AddedHeader, ConfigError> {
    let [_, name] = item.keys.as_slice() else {
        return Err(file.at(item.pos, "header: expected a block with a name, as in header \"authorization\" { … }"));
    };
    let body = pool::block(file, item)?;
    Scope { file, name: &format!("in header {:?}", name.text), keys: HEADER }.check(body, warnings)?;
    let prefix = file.value(body, "prefix", Value::string)?.map_or_else(String::new, |(prefix, _)| prefix);
    Ok(AddedHeader { name: name.text.clone(), prefix, source: secret(file, item, body, "file", "env")? })
}

fn basic_auth(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<Basic, ConfigError> {
    let body = pool::block(file, item)?;
    Scope { file, name: "in basic_auth", keys: BASIC_AUTH }.check(body, warnings)?;
    let username = file.parsed(body, "username", |text| Ok(text.to_owned()))?;
    let username = username.ok_or_else(|| file.at(item.pos, "basic_auth: username is missing: set it"))?;
    Ok(Basic { username, password: secret(file, item, body, "password_file", "password_env")? })
}

fn client_cert(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<(PathBuf, PathBuf), ConfigError> {
    let body = pool::block(file, item)?;
    Scope { file, name: "in client_cert", keys: CLIENT_CERT }.check(body, warnings)?;
    let path = |key: &str| match file.value(body, key, Value::string)? {
        Some((path, place)) => whole(key, path.into(), place),
        None => Err(file.at(item.pos, format!("client_cert: {key} is missing: set cert_file and key_file"))),
    };
    Ok((path("cert_file")?, path("key_file")?))
}

/// Where a secret is: a file or a variable, one of them.
fn secret(file: &Source, item: &Item, body: &Object, of_file: &str, of_variable: &str) -> Result<Secret, ConfigError> {
    let path = file.value(body, of_file, Value::string)?;
    let variable = file.parsed(body, of_variable, |text| Ok(text.to_owned()))?;
    match (path, variable) {
        (Some((path, place)), None) => whole(of_file, path.into(), place).map(Secret::File),
        (None, Some(name)) => Ok(Secret::Env(name)),
        (Some(_), Some(_)) => Err(file.error(item.error(format!("{of_file} and {of_variable} exclude each other: remove one")))),
        (None, None) => Err(file.error(item.error(format!("no value: set {of_file}, or {of_variable}")))),
    }
}
