//! What backends on AWS share: the `aws { … }` block at the top level, and the keys that say whose credentials are used.
//!
//! The rule: an identity is taken whole. A stanza with a single key of an identity uses none of the `aws` block's, so that half a
//! key pair is never completed from elsewhere and the keys of one stanza never serve another. All other keys override one by one.

use super::keys::{Scope, Verdict};
use super::origin::{Given, Origin};
use super::{ConfigError, files::Source, pool};
use cofferdam_aws::Identity;
use cofferdam_hcl::{Item, Kind, Object, Value};
use std::fmt::Display;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The keys of an identity.
pub(super) const IDENTITY: &[(&str, Verdict)] = &[
    ("access_key", Verdict::Supported),
    ("secret_key", Verdict::Supported),
    ("session_token", Verdict::Supported),
    ("profile", Verdict::Supported),
    ("shared_credentials_file", Verdict::Supported),
    ("shared_config_file", Verdict::Supported),
    ("role_arn", Verdict::Supported),
    ("role_session_name", Verdict::Supported),
    ("external_id", Verdict::Supported),
    ("web_identity_token_file", Verdict::Supported),
    ("shared_creds_profile", Verdict::Refused("here it is called profile")),
    ("shared_creds_filename", Verdict::Refused("here it is called shared_credentials_file")),
];

const OWN: &[(&str, Verdict)] = &[("region", Verdict::Supported), ("ca_cert", Verdict::Supported)];

/// What the `aws` block says.
#[derive(Debug, Default)]
pub(super) struct Aws {
    /// Where the services are, for stanzas that do not say it.
    pub region: Option<Given>,
    /// The authorities to trust in place of the system's.
    pub ca_cert: Option<Given>,
    /// Whose credentials are used by stanzas that name nobody.
    pub identity: Option<Named>,
}

/// How a stanza's backend reaches its service, checked.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Where the service is, as far as a file says it.
    pub region: Option<String>,
    /// The service's address, if it is not the region's.
    pub endpoint: Option<String>,
    /// The authorities to trust in place of the system's.
    pub ca_cert: Option<PathBuf>,
    /// Whose credentials are used.
    pub identity: Identity,
    /// How much may be sent.
    pub requests: Requests,
    /// Key, value and origin of all of the stanza that is not secret, for the log.
    pub values: Vec<(&'static str, String, Origin)>,
}

impl Access {
    /// An error about the value of a key, wherever that came from.
    pub(crate) fn error(&self, key: &str, message: impl Display) -> ConfigError {
        let origin = self.values.iter().find(|(name, _, _)| *name == key).map_or(&Origin::Default, |(_, _, origin)| origin);
        origin.error(key, message)
    }
}

impl Aws {
    /// Whose credentials a stanza uses: those that it names itself, else those of the block, else whoever the machine is.
    pub(super) fn identity_of(&self, own: Option<Named>, values: &mut Vec<(&'static str, String, Origin)>) -> Identity {
        let Some(Named { identity, keys, origin }) = own.or_else(|| self.identity.clone()) else { return Identity::default() };
        values.push(("identity", keys, origin));
        identity
    }
}

/// An identity that a file names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// Who.
    pub identity: Identity,
    /// The keys that name it, for the log.
    pub keys: String,
    /// Where the first of them stands.
    pub origin: Origin,
}

/// The bounds on requests that the operator set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// In a second, and at once after a pause.
    pub per_second: Option<u32>,
    /// In one call of the component, its repetitions included.
    pub per_call: Option<u32>,
}

/// What the block `limits` has for requests.
pub(super) const LIMITS: &[(&str, Verdict)] = &[("requests_per_second", Verdict::Supported), ("requests_per_call", Verdict::Supported)];

/// The bounds on requests in the block `limits` of a stanza.
pub(super) fn requests(file: &Source, body: &Object) -> Result<Requests, ConfigError> {
    let Some(Kind::Object(limits)) = body.get("limits").map(|item| &item.value.kind) else { return Ok(Requests::default()) };
    let number = |name: &str| file.value(limits, name, pool::positive).map(|found| found.map(|(number, _)| number));
    Ok(Requests { per_second: number("requests_per_second")?, per_call: number("requests_per_call")? })
}

/// An address without a scheme is https, as in the SDKs. What an address may be, the egress says.
pub(super) fn with_scheme(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

/// Reads the block.
pub(super) fn read(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<Aws, ConfigError> {
    let body = item.value.object().map_err(|error| file.at(error.pos, format!("aws: {}", error.message)))?;
    if let [_, label, ..] = item.keys.as_slice() {
        return Err(file.at(label.pos, format!("aws: the block has no type: remove {:?}", label.text)));
    }
    let keys = [OWN, IDENTITY].concat();
    Scope { file, name: "in aws", keys: &keys }.check(body, warnings)?;
    let given = |name: &str| file.value(body, name, Value::string).map(Given::in_file);
    Ok(Aws { region: given("region")?, ca_cert: given("ca_cert")?, identity: identity(file, body)? })
}

/// The identity that an object names, if it names one.
pub(super) fn identity(file: &Source, body: &Object) -> Result<Option<Named>, ConfigError> {
    identity_by(file, body, IDENTITY, |name| {
        let found = file.value(body, name, Value::string)?.map(|(text, _)| Zeroizing::new(text));
        Ok(found.filter(|text| !text.is_empty()))
    })
}

/// The same where `keys` are the keys of an identity, and `text` reads the setting of one of our names.
pub(super) fn identity_by(
    file: &Source,
    body: &Object,
    keys: &[(&str, Verdict)],
    text: impl Fn(&str) -> Result<Option<Zeroizing<String>>, ConfigError>,
) -> Result<Option<Named>, ConfigError> {
    let plain = |name: &str| text(name).map(|found| found.map(|text| text.to_string()));
    let identity = Identity {
        access_key: text("access_key")?,
        secret_key: text("secret_key")?,
        session_token: text("session_token")?,
        profile: plain("profile")?,
        shared_credentials_file: plain("shared_credentials_file")?,
        shared_config_file: plain("shared_config_file")?,
        role_arn: plain("role_arn")?,
        role_session_name: plain("role_session_name")?,
        external_id: plain("external_id")?,
        web_identity_token_file: plain("web_identity_token_file")?,
    };
    let incomplete = |given: &str, missing: &str| {
        let pos = body.get(given).map_or(body.pos, |item| item.pos);
        Err(file.at(pos, format!("{given}: {missing} is missing: set both, or remove both and let the credentials come from elsewhere")))
    };
    match (&identity.access_key, &identity.secret_key, &identity.session_token) {
        (Some(_), None, _) => return incomplete("access_key", "secret_key"),
        (None, Some(_), _) => return incomplete("secret_key", "access_key"),
        (None, None, Some(_)) => {
            let pos = body.get("session_token").map_or(body.pos, |item| item.pos);
            return Err(file.at(pos, "session_token: it belongs to a key pair: set access_key and secret_key beside it, or remove it"));
        }
        _ => {}
    }
    if identity == Identity::default() {
        return Ok(None);
    }
    let items = || body.items.iter().filter(|item| keys.iter().any(|(name, _)| name.eq_ignore_ascii_case(item.name())));
    let names: Vec<&str> = items().map(Item::name).collect();
    let origin = Origin::File(file.place(items().next().map_or(body.pos, |item| item.pos)));
    Ok(Some(Named { identity, keys: names.join(", "), origin }))
}
