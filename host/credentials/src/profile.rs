//! The shared configuration and credentials files, and one profile of them.
//!
//! The rule: a file that somebody names must be readable, and the files are read anew for each attempt, so that rotated keys are found. What
//! a profile means (roles over other profiles, processes, token files) is the SDK's to say.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use aws_config::profile::{ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError as ProviderError;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::region::Region;

use crate::container::Container;
use crate::error::chain;
use crate::sources::variable;
use crate::{CredentialsError, Identity, Sources, imds, keys, network};

/// The profile that is used when none is named.
const DEFAULT: &str = "default";
/// What makes the SDK take credentials from a profile.
const GIVES: [&str; 7] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "role_arn",
    "source_profile",
    "credential_source",
    "credential_process",
    "web_identity_token_file",
];
/// What asks for a person at a browser, and is not supported.
const INTERACTIVE: [&str; 6] = ["sso_session", "sso_start_url", "sso_account_id", "sso_role_name", "sso_region", "login_session"];

/// A profile and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

/// What names the profile or its file, in words, if anything does. A profile that is only there is not named.
pub(crate) fn named(identity: &Identity, sources: &Sources) -> Option<String> {
    let stanza = [
        ("`profile`", &identity.profile),
        ("`shared_credentials_file`", &identity.shared_credentials_file),
        ("`shared_config_file`", &identity.shared_config_file),
    ];
    let by_variable = [variable::PROFILE, variable::CREDENTIALS_FILE].into_iter().find(|name| sources.get(name).is_some());
    let by_stanza = || stanza.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name);
    by_variable.or_else(by_stanza).map(str::to_owned)
}

impl Profile {
    /// The profile that identity and environment mean, whether it exists or not.
    pub(crate) fn of(identity: &Identity, sources: &Sources) -> Result<Profile, CredentialsError> {
        let name = sources.get(variable::PROFILE).or_else(|| identity.profile.clone()).unwrap_or_else(|| DEFAULT.to_owned());
        let config = file(sources, "shared_config_file", &identity.shared_config_file, variable::CONFIG_FILE, "config")?;
        let credentials =
            file(sources, "shared_credentials_file", &identity.shared_credentials_file, variable::CREDENTIALS_FILE, "credentials")?;
        Ok(Profile { name, config, credentials })
    }

    /// Whether it has anything that gives credentials.
    pub(crate) async fn gives_credentials(&self) -> Result<bool, CredentialsError> {
        let Some(set) = self.load().await? else { return Ok(false) };
        let found = set.get_profile(&self.name);
        Ok(found.is_some_and(|profile| GIVES.iter().chain(&INTERACTIVE).any(|key| profile.get(key).is_some())))
    }

    /// Its `region`.
    pub(crate) async fn region(&self) -> Result<Option<String>, CredentialsError> {
        let Some(set) = self.load().await? else { return Ok(None) };
        Ok(set.get_profile(&self.name).and_then(|profile| profile.get("region")).map(str::to_owned))
    }

    /// Refuses a profile that is missing, empty or of a kind that is not supported.
    pub(crate) async fn check(&self) -> Result<(), CredentialsError> {
        let Some(set) = self.load().await? else {
            return Err(self.wrong("there is neither a shared credentials file nor a shared config file"));
        };
        let (mut name, mut seen) = (self.name.as_str(), HashSet::new());
        loop {
            let Some(profile) = set.get_profile(name) else {
                return Err(self.wrong(&format!("there is no profile `{name}`")));
            };
            let has = |key: &&str| profile.get(key).is_some();
            if !seen.is_empty() && has(&"aws_access_key_id") {
                return Ok(());
            }
            if let Some(key) = INTERACTIVE.iter().find(|key| has(key)) {
                let what =
                    "which asks for a person to sign in and is not supported; use keys, a role, a token file or `credential_process`";
                return Err(self.wrong(&format!("profile `{name}` has `{key}`, {what}")));
            }
            if !GIVES.iter().any(&has) {
                return Err(self.wrong(&format!("profile `{name}` holds no credentials and no way to get them")));
            }
            match profile.get("source_profile").filter(|_| has(&"role_arn")) {
                // Loops are the SDK's to refuse.
                Some(next) if seen.insert(name) && next != name => name = next,
                _ => return Ok(()),
            }
        }
    }

    /// Reads the files and gets credentials as the profile says, with calls to STS of `region`.
    pub(crate) async fn credentials(&self, region: &str, sources: &Sources) -> Result<Credentials, String> {
        let files = self.files().ok_or_else(|| "the shared files are gone".to_owned())?;
        let config = ProviderConfig::empty()
            .with_region(Some(Region::new(region.to_owned())))
            .with_http_client(network::outward(sources.proxies()))
            .with_sleep_impl(network::sleep())
            .with_retry_config(RetryConfig::standard());
        let (a, b, c) = (sources.clone(), sources.clone(), sources.clone());
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_files(files)
            .profile_name(&self.name)
            .with_custom_provider("Environment", provide_credentials_fn(move || environment(a.clone())))
            .with_custom_provider("Ec2InstanceMetadata", provide_credentials_fn(move || instance(b.clone())))
            .with_custom_provider("EcsContainer", provide_credentials_fn(move || container(c.clone())))
            .build();
        provider.provide_credentials().await.map_err(|error| chain(&error))
    }

    /// Where it stands, in words.
    pub(crate) fn describe(&self) -> String {
        let files: Vec<String> = self.config.iter().chain(&self.credentials).map(|path| path.display().to_string()).collect();
        format!("profile `{}` of {}", self.name, files.join(" and "))
    }

    async fn load(&self) -> Result<Option<ProfileSet>, CredentialsError> {
        let Some(files) = self.files() else { return Ok(None) };
        // Paths and name are given, so the SDK needs nothing of the environment.
        let nothing = Env::from(HashMap::new());
        let set = aws_config::profile::load(&Fs::real(), &nothing, &files, Some(self.name.clone().into())).await;
        set.map(Some).map_err(|error| CredentialsError::Configuration(format!("the shared AWS files: {}", chain(&error))))
    }

    fn files(&self) -> Option<EnvConfigFiles> {
        let config = self.config.iter().map(|path| (EnvConfigFileKind::Config, path));
        let credentials = self.credentials.iter().map(|path| (EnvConfigFileKind::Credentials, path));
        let mut files = config.chain(credentials).peekable();
        // The builder panics without a file.
        files.peek()?;
        Some(files.fold(EnvConfigFiles::builder(), |builder, (kind, path)| builder.with_file(kind, path)).build())
    }

    fn wrong(&self, what: &str) -> CredentialsError {
        CredentialsError::Configuration(format!("the AWS identity is profile `{}`, but {what}", self.name))
    }
}

/// A file that is named must be there; the one in the home directory need not.
fn file(sources: &Sources, key: &str, given: &Option<String>, variable: &str, in_home: &str) -> Result<Option<PathBuf>, CredentialsError> {
    let named = given.clone().map(|path| (format!("`{key}`"), path)).or_else(|| Some((variable.to_owned(), sources.get(variable)?)));
    let Some((name, text)) = named else {
        return Ok(sources.in_home(in_home).filter(|path| !matches!(path.try_exists(), Ok(false))));
    };
    let path = sources.path(&text)?;
    match std::fs::File::open(&path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => Err(CredentialsError::Configuration(format!("{name}: cannot read {}: {error}", path.display()))),
    }
}

async fn environment(sources: Sources) -> Result<Credentials, ProviderError> {
    let keys = keys::of_environment(&sources).map_err(ProviderError::invalid_configuration)?;
    keys.ok_or_else(|| ProviderError::not_loaded("the environment holds no AWS keys"))
}

async fn instance(sources: Sources) -> Result<Credentials, ProviderError> {
    imds::credentials(&sources).await.map_err(ProviderError::provider_error)
}

async fn container(sources: Sources) -> Result<Credentials, ProviderError> {
    let container = Container::new(&sources).map_err(ProviderError::invalid_configuration)?;
    let container = container.ok_or_else(|| ProviderError::not_loaded("the environment names no container endpoint"))?;
    container.credentials().await.map_err(ProviderError::provider_error)
}
