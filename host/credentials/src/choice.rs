//! Which source an identity's credentials come from.
//!
//! The rule: it is decided by what is configured, once, and never by trying. In this order:
//!
//! 1. the stanza's keys;
//! 2. the environment's keys;
//! 3. a profile that is named, or whose file is: by `AWS_PROFILE`, `AWS_SHARED_CREDENTIALS_FILE` or the stanza;
//! 4. a web identity token file, of the stanza or of `AWS_WEB_IDENTITY_TOKEN_FILE`;
//! 5. the profile `default` of the home directory, if it gives credentials;
//! 6. the container endpoint that the environment names;
//! 7. the instance metadata.
//!
//! This is Vault's and the SDK's order, but for one thing: the token file that EKS gives a pod comes before a profile that merely lies in
//! the home directory. What is configured and has lower rank is said in the log.
//!
//! A `role_arn` is the role that the token file is exchanged for, or else is assumed with what the source gives. An `external_id` only
//! exists for the latter; with it, and with a pod's own token and role, the stanza's role is assumed with the pod's.

use std::path::PathBuf;

use aws_credential_types::Credentials;

use crate::container::Container;
use crate::profile::{self, Profile};
use crate::sources::variable;
use crate::sts::{Role, WebIdentity};
use crate::{CredentialsError, Identity, Sources, imds, keys};

/// Where credentials come from.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    Stanza(Credentials),
    Environment(Credentials),
    Profile(Profile),
    WebIdentity(WebIdentity),
    Container(Container),
    Instance,
}

/// A source, and the role that is assumed with it.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) base: Base,
    pub(crate) role: Option<Role>,
    /// What is configured and not used, for the log.
    pub(crate) unused: Vec<String>,
}

impl Choice {
    /// What kind of source it is: a label of metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.role, &self.base) {
            (Some(_), _) => "assumed-role",
            (None, Base::Stanza(_)) => "stanza",
            (None, Base::Environment(_)) => "environment",
            (None, Base::Profile(_)) => "profile",
            (None, Base::WebIdentity(_)) => "web-identity",
            (None, Base::Container(_)) => "container",
            (None, Base::Instance) => "instance",
        }
    }

    /// Which of its kind, as far as it has a name: the role's or the profile's.
    pub(crate) fn name(&self) -> String {
        match (&self.role, &self.base) {
            (Some(role), _) => role.arn.clone(),
            (None, Base::WebIdentity(identity)) => identity.arn.clone(),
            (None, Base::Profile(profile)) => profile.name.clone(),
            (None, _) => String::new(),
        }
    }

    /// Whether asking again can give anything else.
    pub(crate) fn is_fixed(&self) -> bool {
        self.role.is_none() && matches!(self.base, Base::Stanza(_) | Base::Environment(_))
    }

    /// In words.
    pub(crate) fn describe(&self, sources: &Sources) -> String {
        let base = match &self.base {
            Base::Stanza(_) => "the stanza (`access_key`)".to_owned(),
            Base::Environment(_) => format!("the environment ({})", variable::ACCESS_KEY.first().unwrap_or(&"")),
            Base::Profile(profile) => profile.describe(),
            Base::WebIdentity(identity) => format!("the web identity token {} for role {}", identity.token_file.display(), identity.arn),
            Base::Container(container) => format!("the container endpoint {}", container.address()),
            Base::Instance => format!("the instance metadata at {}", imds::endpoint(sources)),
        };
        match &self.role {
            Some(role) => format!("role {}, assumed with those from {base}", role.arn),
            None => base,
        }
    }
}

/// Chooses.
pub(crate) async fn choose(identity: &Identity, sources: &Sources) -> Result<Choice, CredentialsError> {
    let base = base(identity, sources).await?;
    let role = role(identity, sources, &base)?;
    if let Base::Profile(profile) = &base {
        profile.check().await?;
    }
    let unused = unused(identity, sources, &base);
    Ok(Choice { base, role, unused })
}

async fn base(identity: &Identity, sources: &Sources) -> Result<Base, CredentialsError> {
    if let Some(keys) = keys::of_stanza(identity)? {
        return Ok(Base::Stanza(keys));
    }
    if let Some(keys) = keys::of_environment(sources)? {
        return Ok(Base::Environment(keys));
    }
    if profile::named(identity, sources).is_some() {
        return Ok(Base::Profile(Profile::of(identity, sources)?));
    }
    if let Some(identity) = web_identity(identity, sources)? {
        return Ok(Base::WebIdentity(identity));
    }
    let profile = Profile::of(identity, sources)?;
    if profile.gives_credentials().await? {
        return Ok(Base::Profile(profile));
    }
    if let Some(container) = Container::new(sources)? {
        return Ok(Base::Container(container));
    }
    if imds::disabled(sources) {
        let what = "set keys, a profile, a web identity token file or a container endpoint";
        return Err(wrong(&format!("no AWS credentials are configured, and {} is true: {what}", variable::IMDS_DISABLED)));
    }
    Ok(Base::Instance)
}

/// The token file, with the role that it is for.
fn web_identity(identity: &Identity, sources: &Sources) -> Result<Option<WebIdentity>, CredentialsError> {
    let (stanza, variable) = (&identity.web_identity_token_file, sources.get(variable::TOKEN_FILE));
    let Some(path) = stanza.clone().or(variable) else { return Ok(None) };
    let given = if stanza.is_some() { "`web_identity_token_file`" } else { variable::TOKEN_FILE };
    let of_pod = sources.get(variable::ROLE_ARN);
    let arn = match (&identity.role_arn, &identity.external_id) {
        (Some(_), Some(_)) if stanza.is_some() => {
            return Err(wrong("`external_id` does not go with `web_identity_token_file`: a token is exchanged without one"));
        }
        (Some(_), Some(_)) => {
            let missing = || wrong(&format!("`external_id` with {given} needs {} too, the pod's own role", variable::ROLE_ARN));
            of_pod.ok_or_else(missing)?
        }
        (Some(arn), None) => arn.clone(),
        (None, _) => {
            let missing = || wrong(&format!("{given} is set, and no role for it: set `role_arn` or {}", variable::ROLE_ARN));
            of_pod.ok_or_else(missing)?
        }
    };
    let of_stanza = identity.role_session_name.clone().filter(|_| identity.external_id.is_none());
    let session = of_stanza.or_else(|| sources.get(variable::ROLE_SESSION_NAME)).unwrap_or_else(|| session(sources));
    let token_file: PathBuf = sources.path(&path)?;
    Ok(Some(WebIdentity { token_file, arn, session }))
}

/// The role that is assumed with the base, if one is.
fn role(identity: &Identity, sources: &Sources, base: &Base) -> Result<Option<Role>, CredentialsError> {
    let exchanged = matches!(base, Base::WebIdentity(_)) && identity.external_id.is_none();
    match &identity.role_arn {
        Some(_) if exchanged => Ok(None),
        Some(arn) => {
            let session = identity.role_session_name.clone().unwrap_or_else(|| session(sources));
            Ok(Some(Role { arn: arn.clone(), session, external_id: identity.external_id.clone() }))
        }
        None if identity.external_id.is_some() => Err(wrong("`external_id` is set without `role_arn`")),
        None if identity.role_session_name.is_some() && !exchanged => Err(wrong("`role_session_name` is set without `role_arn`")),
        None if identity.web_identity_token_file.is_some() && !exchanged => {
            Err(wrong("`web_identity_token_file` is set without `role_arn`, and other credentials have precedence over it"))
        }
        None => Ok(None),
    }
}

/// The name that CloudTrail shows when the operator gave none.
fn session(sources: &Sources) -> String {
    let host = sources.get("HOSTNAME").unwrap_or_else(|| std::process::id().to_string());
    let fits = |c: &char| c.is_ascii_alphanumeric() || "_=,.@-".contains(*c);
    format!("cofferdam-{}", host.chars().filter(fits).take(48).collect::<String>())
}

fn unused(identity: &Identity, sources: &Sources, base: &Base) -> Vec<String> {
    let environment = variable::ACCESS_KEY.into_iter().find(|name| sources.get(name).is_some());
    let stanza_token = identity.web_identity_token_file.as_ref().map(|_| "`web_identity_token_file`");
    let token = stanza_token.or_else(|| sources.get(variable::TOKEN_FILE).map(|_| variable::TOKEN_FILE));
    let lone_role = sources.get(variable::ROLE_ARN).filter(|_| token.is_none()).map(|_| variable::ROLE_ARN.to_owned());
    let rank = match base {
        Base::Stanza(_) => 0,
        Base::Environment(_) => 1,
        Base::Profile(_) => 2,
        Base::WebIdentity(_) => 3,
        Base::Container(_) => 4,
        Base::Instance => 5,
    };
    let configured = [
        (1, environment.map(str::to_owned)),
        (2, profile::named(identity, sources)),
        (3, token.map(str::to_owned)),
        (4, Container::configured(sources).map(str::to_owned)),
    ];
    let lower = configured.into_iter().filter(|(other, _)| *other > rank).filter_map(|(_, name)| name);
    lower.chain(lone_role).collect()
}

fn wrong(what: &str) -> CredentialsError {
    CredentialsError::Configuration(what.to_owned())
}
