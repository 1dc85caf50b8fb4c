//! Key pairs that are given as such: in the stanza or in the environment.
//!
//! The rule: half a pair is an error that names the other half. Somebody meant these keys, so nothing else is used in their place.

use aws_credential_types::Credentials;

use crate::sources::variable;
use crate::{CredentialsError, Identity, Sources};

/// The stanza's keys.
pub(crate) fn of_stanza(identity: &Identity) -> Result<Option<Credentials>, CredentialsError> {
    let (id, secret, token) = (&identity.access_key, &identity.secret_key, &identity.session_token);
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(pair(id, secret, token.as_ref().map(|token| token.as_str()), "stanza"))),
        (Some(_), None) => Err(half("`access_key` is set and `secret_key` is not")),
        (None, Some(_)) => Err(half("`secret_key` is set and `access_key` is not")),
        (None, None) if token.is_some() => Err(half("`session_token` is set, and `access_key` and `secret_key` are not")),
        (None, None) => Ok(None),
    }
}

/// The environment's keys.
pub(crate) fn of_environment(sources: &Sources) -> Result<Option<Credentials>, CredentialsError> {
    let [id_name, _] = variable::ACCESS_KEY;
    let [secret_name, _] = variable::SECRET_KEY;
    match (sources.first(&variable::ACCESS_KEY), sources.first(&variable::SECRET_KEY)) {
        (Some((_, id)), Some((_, secret))) => Ok(Some(pair(&id, &secret, sources.get(variable::SESSION_TOKEN).as_deref(), "environment"))),
        (Some((name, _)), None) => Err(half(&format!("the environment has {name} and no {secret_name}"))),
        (None, Some((name, _))) => Err(half(&format!("the environment has {name} and no {id_name}"))),
        (None, None) => Ok(None),
    }
}

fn pair(id: &str, secret: &str, token: Option<&str>, from: &'static str) -> Credentials {
    Credentials::new(id.trim(), secret.trim(), token.map(|token| token.trim().to_owned()), None, from)
}

fn half(what: &str) -> CredentialsError {
    CredentialsError::Configuration(format!("half a pair of AWS keys: {what}; set both or neither"))
}
