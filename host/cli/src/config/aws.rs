//! What backends on AWS share: the `aws { … }` block at the top level, and the keys that say whose credentials are used.
//!
//! The rule: an identity is taken whole. A stanza with a single key of an identity uses none of the `aws` block's, so that half a
//! key pair is never completed from elsewhere and the keys of one stanza never serve another. All other keys override one by one.

use super::keys::{Scope, Verdict};
use super::origin::{Given, Origin};
use super::{ConfigError, files::Source};
use cofferdam_aws::Identity;
use cofferdam_hcl::{Item, Object, Value};
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
    let text = |name: &str| file.value(body, name, Value::string).map(|found| found.map(|(text, _)| text).filter(|text| !text.is_empty()));
    let secret = |name: &str| text(name).map(|found| found.map(Zeroizing::new));
    let identity = Identity {
        access_key: secret("access_key")?,
        secret_key: secret("secret_key")?,
        session_token: secret("session_token")?,
        profile: text("profile")?,
        shared_credentials_file: text("shared_credentials_file")?,
        shared_config_file: text("shared_config_file")?,
        role_arn: text("role_arn")?,
        role_session_name: text("role_session_name")?,
        external_id: text("external_id")?,
        web_identity_token_file: text("web_identity_token_file")?,
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
    let items = || body.items.iter().filter(|item| IDENTITY.iter().any(|(name, _)| name.eq_ignore_ascii_case(item.name())));
    let keys: Vec<&str> = items().map(Item::name).collect();
    let origin = Origin::File(file.place(items().next().map_or(body.pos, |item| item.pos)));
    Ok(Some(Named { identity, keys: keys.join(", "), origin }))
}
