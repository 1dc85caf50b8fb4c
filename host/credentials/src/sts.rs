//! Roles: assumed with other credentials, or with a web identity token.
//!
//! The rule: what STS gives is temporary and asked for again before it ends; what it is asked with (keys, token file) is read anew each time.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Config, Region, SharedHttpClient};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::types::Credentials as Given;

use crate::error::{chain, one_line};
use crate::sources::variable;
use crate::{Sources, network};

/// A role, and as whom it is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session: String,
    pub(crate) external_id: Option<String>,
}

/// A token file and the role it is exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebIdentity {
    pub(crate) token_file: PathBuf,
    pub(crate) arn: String,
    pub(crate) session: String,
}

/// STS of one region.
#[derive(Clone, Debug)]
pub(crate) struct Sts {
    region: String,
    endpoint: Option<String>,
    http: SharedHttpClient,
}

impl Sts {
    /// The region's own endpoint, or the one that the environment names.
    pub(crate) fn new(region: &str, sources: &Sources) -> Sts {
        let endpoint = sources.first(&variable::STS_ENDPOINT).map(|(_, url)| url);
        Sts { region: region.to_owned(), endpoint, http: network::outward(sources.proxies()) }
    }

    /// Assumes `role` with `base`.
    pub(crate) async fn assume(&self, base: Credentials, role: &Role) -> Result<Credentials, String> {
        let call = self.client(Some(base)).assume_role();
        let call = call.role_arn(&role.arn).role_session_name(&role.session).set_external_id(role.external_id.clone());
        let answer = call.send().await.map_err(|error| self.refused("AssumeRole", &role.arn, &error))?;
        given(answer.credentials, "AssumeRole")
    }

    /// Exchanges the token for the role's credentials.
    pub(crate) async fn exchange(&self, identity: &WebIdentity) -> Result<Credentials, String> {
        let path = &identity.token_file;
        let unreadable = |error| format!("cannot read the web identity token file {}: {error}", path.display());
        let token = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let call = self.client(None).assume_role_with_web_identity();
        let call = call.role_arn(&identity.arn).role_session_name(&identity.session).web_identity_token(token.trim());
        let answer = call.send().await.map_err(|error| self.refused("AssumeRoleWithWebIdentity", &identity.arn, &error))?;
        given(answer.credentials, "AssumeRoleWithWebIdentity")
    }

    fn client(&self, base: Option<Credentials>) -> Client {
        let limits = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).operation_timeout(Duration::from_secs(12));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .http_client(self.http.clone())
            .sleep_impl(network::sleep())
            .retry_config(RetryConfig::standard())
            .timeout_config(limits.build());
        let mut config = config;
        config.set_endpoint_url(self.endpoint.clone());
        if let Some(base) = base {
            config.set_credentials_provider(Some(aws_credential_types::provider::SharedCredentialsProvider::new(base)));
        }
        Client::from_conf(config.build())
    }

    /// The service's own words where it answered; they name the principal and what it may not do.
    fn refused<E>(&self, operation: &str, arn: &str, error: &SdkError<E>) -> String
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let at = self.endpoint.clone().unwrap_or_else(|| format!("STS of {}", self.region));
        let cause = match error {
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or("error without a code");
                format!("{code}: {}", answer.err().message().unwrap_or("no message"))
            }
            other => chain(other),
        };
        one_line(&format!("{operation} of {arn} at {at}: {cause}"))
    }
}

fn given(given: Option<Given>, operation: &'static str) -> Result<Credentials, String> {
    let given = given.ok_or_else(|| format!("{operation}: the answer holds no credentials"))?;
    let expiry = SystemTime::try_from(*given.expiration()).map_err(|error| format!("{operation}: {error}"))?;
    let token = Some(given.session_token().to_owned());
    Ok(Credentials::new(given.access_key_id(), given.secret_access_key(), token, Some(expiry), operation))
}
