//! What the operator said of an identity.
//!
//! The rule: equal identities share one provider, different ones never do, and `Debug` shows nothing secret.

use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// Who the host is towards AWS, as far as the configuration says. Nothing set means: what the surroundings offer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// An access key's id. With [`secret_key`](Identity::secret_key).
    pub access_key: Option<Zeroizing<String>>,
    /// The access key's secret.
    pub secret_key: Option<Zeroizing<String>>,
    /// The token of temporary keys.
    pub session_token: Option<Zeroizing<String>>,
    /// A profile of the shared files. `AWS_PROFILE` has precedence, as in Vault.
    pub profile: Option<String>,
    /// The shared credentials file. Else `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub shared_credentials_file: Option<String>,
    /// The shared configuration file. Else `AWS_CONFIG_FILE`, else `~/.aws/config`.
    pub shared_config_file: Option<String>,
    /// A role to assume. Else, for a web identity, `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// The name under which the role is assumed. Else, for a web identity, `AWS_ROLE_SESSION_NAME`.
    pub role_session_name: Option<String>,
    /// What the role's owner asks for besides.
    pub external_id: Option<String>,
    /// A file with a web identity token. Else `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity_token_file: Option<String>,
}

impl Identity {
    /// The same with empty settings left out: an operator's template that renders to nothing has set nothing.
    #[must_use]
    pub(crate) fn without_empty(mut self) -> Identity {
        for secret in [&mut self.access_key, &mut self.secret_key, &mut self.session_token] {
            if secret.as_ref().is_some_and(|text| text.trim().is_empty()) {
                *secret = None;
            }
        }
        let texts = [
            &mut self.profile,
            &mut self.shared_credentials_file,
            &mut self.shared_config_file,
            &mut self.role_arn,
            &mut self.role_session_name,
            &mut self.external_id,
            &mut self.web_identity_token_file,
        ];
        for text in texts {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                *text = None;
            }
        }
        self
    }

    fn texts(&self) -> [(&'static str, Option<&String>); 7] {
        [
            ("profile", self.profile.as_ref()),
            ("shared_credentials_file", self.shared_credentials_file.as_ref()),
            ("shared_config_file", self.shared_config_file.as_ref()),
            ("role_arn", self.role_arn.as_ref()),
            ("role_session_name", self.role_session_name.as_ref()),
            ("external_id", self.external_id.as_ref()),
            ("web_identity_token_file", self.web_identity_token_file.as_ref()),
        ]
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for secret in [&self.access_key, &self.secret_key, &self.session_token] {
            secret.as_ref().map(|text| text.as_str()).hash(state);
        }
        self.texts().hash(state);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Identity");
        for (name, secret) in [("access_key", &self.access_key), ("secret_key", &self.secret_key), ("session_token", &self.session_token)] {
            if secret.is_some() {
                shown.field(name, &"(hidden)");
            }
        }
        // An external id is a shared word between two accounts: not for a log.
        for (name, text) in self.texts().into_iter().filter(|(_, text)| text.is_some()) {
            shown.field(name, if name == "external_id" { &"(hidden)" as &dyn fmt::Debug } else { &text });
        }
        shown.finish()
    }
}
