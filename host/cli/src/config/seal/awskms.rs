//! `seal "awskms" { … }`: Vault's keys with Vault's environment variables, and ours.
//!
//! The rule is Vault's, and differs by key: for the key id and the endpoint a variable comes over the file; for region and credentials
//! the file comes over the environment. Nothing of the environment counts for key id and endpoint where `disallow_env_vars` is on.

use super::super::aws::{self, Access, Aws, IDENTITY, Named, Requests};
use super::super::files::Source;
use super::super::keys::{Scope, Verdict};
use super::super::origin::{Given, Origin};
use super::super::{ConfigError, Environment, Place};
use super::key_id::{former_key_id, in_region, key_id};
use super::{common, reference};
use cofferdam_hcl::{Object, Value};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The name of the component, and the type of the stanza.
pub(crate) const AWSKMS: &str = "awskms";

/// The variables that come over `kms_key_id`, the first that is set.
pub(super) const KEY_ID: &[&str] = &["AWSKMS_WRAPPER_KEY_ID", "BAO_AWSKMS_SEAL_KEY_ID", "VAULT_AWSKMS_SEAL_KEY_ID"];

/// The variables that come over `endpoint`.
pub(super) const ENDPOINT: &[&str] = &["AWSKMS_ENDPOINT", "AWS_KMS_ENDPOINT"];

const OWN: &[(&str, Verdict)] = &[
    ("kms_key_id", Verdict::Supported),
    ("region", Verdict::Supported),
    ("endpoint", Verdict::Supported),
    ("ca_cert", Verdict::Supported),
    ("previous_key_ids", Verdict::Supported),
    ("allow_direct_blob", Verdict::Supported),
    ("disallow_env_vars", Verdict::Supported),
    (
        "key_not_required",
        Verdict::RefusedIfOn("without a key id nobody would check which key wraps and unwraps the root key: set kms_key_id and remove it"),
    ),
];

/// Our names of what Vault calls otherwise in this stanza. Either is taken.
const NAMES: &[(&str, &str)] = &[("shared_credentials_file", "shared_creds_filename"), ("profile", "shared_creds_profile")];

/// The keys whose values may be references.
const SECRETS: &[&str] = &["access_key", "secret_key", "session_token"];

/// What the stanza and the environment say, checked.
#[derive(Debug, Clone)]
pub(crate) struct AwsKms {
    /// The key: its id, an alias, or the ARN of one of them.
    pub key_id: String,
    /// The keys that may unwrap what they wrapped, beside that one. None: those of the same account and region.
    pub previous_key_ids: Option<Vec<String>>,
    /// Whether a root key that KMS encrypted itself may be opened, once.
    pub allow_direct_blob: bool,
    /// How it reaches the service.
    pub access: Access,
}

/// What the stanza alone says.
#[derive(Debug, Default)]
pub(super) struct Draft {
    key_id: Option<Given>,
    region: Option<Given>,
    endpoint: Option<Given>,
    ca_cert: Option<Given>,
    previous_key_ids: Option<(Vec<String>, Place)>,
    allow_direct_blob: Option<(bool, Place)>,
    identity: Option<Named>,
    requests: Requests,
    /// Whether the variables for key id and endpoint count.
    disallow_env_vars: Option<(bool, Place)>,
}

/// Reads the stanza, but for what [`common`] reads.
pub(super) fn read(file: &Source, body: &Object, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let identity_keys: Vec<(&str, Verdict)> = IDENTITY.iter().map(|(name, _)| (*name, Verdict::Supported)).collect();
    let keys = [common::KEYS, OWN, identity_keys.as_slice()].concat();
    Scope { file, name: "in seal \"awskms\"", keys: &keys }.check(body, warnings)?;
    let given = |name: &str| file.value(body, name, Value::string).map(Given::in_file);
    let disallow_env_vars = file.value(body, "disallow_env_vars", Value::boolean)?;
    let variables = !disallow_env_vars.as_ref().is_some_and(|(on, _)| *on);
    Ok(Draft {
        key_id: given("kms_key_id")?,
        region: given("region")?,
        endpoint: given("endpoint")?,
        ca_cert: given("ca_cert")?,
        previous_key_ids: previous_key_ids(file, body)?,
        allow_direct_blob: file.value(body, "allow_direct_blob", Value::boolean)?,
        identity: aws::identity_by(file, body, &identity_keys, |name| identity_text(file, body, name, variables))?,
        requests: aws::requests(file, body)?,
        disallow_env_vars,
    })
}

/// A list, since an empty one says something: that no other key may be used.
pub(crate) fn previous_key_ids(file: &Source, body: &Object) -> Result<Option<(Vec<String>, Place)>, ConfigError> {
    let Some(item) = body.get("previous_key_ids") else { return Ok(None) };
    let wrong = |pos, message: String| file.at(pos, format!("previous_key_ids: {message}"));
    let list = item.value.list().map_err(|error| wrong(error.pos, error.message))?;
    let ids: Result<Vec<String>, ConfigError> = list
        .iter()
        .map(|value| {
            let text = value.string().map_err(|error| wrong(error.pos, error.message))?;
            former_key_id(&text).map_err(|message| wrong(value.pos, message))
        })
        .collect();
    Ok(Some((ids?, file.place(item.value.pos))))
}

/// A setting of the identity, by Vault's name or by ours.
fn identity_text(file: &Source, body: &Object, name: &str, variables: bool) -> Result<Option<Zeroizing<String>>, ConfigError> {
    let other = NAMES.iter().find(|(ours, _)| *ours == name).map(|(_, vaults)| *vaults);
    if let (Some(other), Some(item)) = (other, body.get(name))
        && body.get(other).is_some()
    {
        return Err(file.at(item.pos, format!("{name}: is the same as {other}: remove one")));
    }
    let name = other.filter(|other| body.get(other).is_some()).unwrap_or(name);
    let Some((text, place)) = file.value(body, name, Value::string)?.filter(|(text, _)| !text.is_empty()) else { return Ok(None) };
    let text = Zeroizing::new(text);
    if !SECRETS.contains(&name) {
        return Ok(Some(text));
    }
    reference::resolve(&text, variables).map(Some).map_err(|message| ConfigError::new(place, format!("{name}: {message}")))
}

impl Draft {
    /// Whether the variables for key id and endpoint are this stanza's.
    pub(super) fn listens(&self) -> bool {
        !self.disallow_env_vars.as_ref().is_some_and(|(on, _)| *on)
    }

    /// Puts the environment over the stanza where it counts, and the stanza over the `aws` block. `at` is where the stanza stands.
    pub(super) fn finish(self, at: &Origin, shared: &Aws, environment: &Environment) -> Result<AwsKms, ConfigError> {
        let set = |variables: &[&str]| if self.listens() { Given::in_environment(variables, environment) } else { None };
        let named = set(KEY_ID).or(self.key_id.clone());
        let endpoint = set(ENDPOINT).or(self.endpoint.clone());
        let Some(named) = named else {
            let message = "key id not found in env or config for aws kms wrapper configuration: set kms_key_id, or VAULT_AWSKMS_SEAL_KEY_ID, \
                           to the id, the ARN or an alias of the KMS key";
            return Err(at.error("seal \"awskms\"", message));
        };
        let key = named.parse("kms_key_id", key_id)?;
        let region = self.region.or_else(|| shared.region.clone());
        if let Some(region) = &region {
            named.parse("kms_key_id", |text| in_region(text, &region.text))?;
        }
        let ca_cert = self.ca_cert.or_else(|| shared.ca_cert.clone());
        let mut values = vec![("kms_key_id", named.text, named.origin)];
        let mut say = |key, given: &Option<Given>| values.extend(given.clone().map(|given| (key, given.text, given.origin)));
        say("region", &region);
        say("endpoint", &endpoint);
        say("ca_cert", &ca_cert);
        if let Some((ids, place)) = &self.previous_key_ids {
            values.push(("previous_key_ids", format!("[{}]", ids.join(", ")), Origin::File(place.clone())));
        }
        for (key, switch) in [("allow_direct_blob", &self.allow_direct_blob), ("disallow_env_vars", &self.disallow_env_vars)] {
            values.extend(switch.as_ref().map(|(on, place)| (key, on.to_string(), Origin::File(place.clone()))));
        }
        let identity = shared.identity_of(self.identity, &mut values);
        Ok(AwsKms {
            key_id: key,
            previous_key_ids: self.previous_key_ids.map(|(ids, _)| ids),
            allow_direct_blob: self.allow_direct_blob.is_some_and(|(on, _)| on),
            access: Access {
                region: region.map(|given| given.text),
                endpoint: endpoint.map(|given| aws::with_scheme(&given.text)),
                ca_cert: ca_cert.map(|given| PathBuf::from(given.text)),
                identity,
                requests: self.requests,
                values,
            },
        })
    }
}

impl AwsKms {
    /// Refuses a key that is not one of the region in force.
    pub(crate) fn check_region(&self, region: &str) -> Result<(), ConfigError> {
        in_region(&self.key_id, region).map_err(|message| self.access.error("kms_key_id", message))
    }

    /// What the component is told. Address and credentials stay here.
    pub(crate) fn settings(&self, region: &str) -> Vec<(String, String)> {
        [("kms_key_id", self.key_id.as_str()), ("region", region)].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}
