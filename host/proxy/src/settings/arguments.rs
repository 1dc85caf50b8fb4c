//! The flags. The rule: a flag has the name of its key in the configuration file, with hyphens.

use std::path::PathBuf;

use clap::Args;

/// Flags of `coffer proxy`. What is not given comes from the environment, else from the configuration file.
#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Configuration file [COFFER_PROXY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// URL of the server [VLE_VAULT_ADDR, VAULT_ADDR]
    #[arg(long, value_name = "URL")]
    pub address: Option<String>,
    /// Where requests are taken: an address of this machine, or unix:PATH [default: 127.0.0.1:8200; COFFER_PROXY_LISTEN]
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    pub listen: Option<String>,
    /// default (files and proxy), file or proxy [VAULT_RUN_MODE]
    #[arg(long, value_name = "MODE")]
    pub run_mode: Option<String>,
    /// aws, approle or token [default: aws; COFFER_PROXY_AUTH_METHOD]
    #[arg(long, value_name = "METHOD", help_heading = "Login")]
    pub auth_method: Option<String>,
    /// Path of the auth method, after auth/ [VAULT_AUTH_PROVIDER; for approle: approle]
    #[arg(long, value_name = "PATH", help_heading = "Login")]
    pub auth_provider: Option<String>,
    /// aws: the role to log in as [VAULT_AUTH_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Login")]
    pub auth_role: Option<String>,
    /// aws: which server the login is for (X-Vault-AWS-IAM-Server-ID) [VAULT_IAM_SERVER_ID]
    #[arg(long, value_name = "ID", help_heading = "Login")]
    pub iam_server_id: Option<String>,
    /// aws: a role of AWS to assume before the login [VAULT_ASSUMED_ROLE_ARN]
    #[arg(long, value_name = "ARN", help_heading = "Login")]
    pub assumed_role_arn: Option<String>,
    /// aws: sign for STS of this region, not for the global one [VAULT_STS_ENDPOINT_REGION]
    #[arg(long, value_name = "REGION", help_heading = "Login")]
    pub sts_endpoint_region: Option<String>,
    /// aws: legacy (mostly the global STS) or regional (that of AWS_REGION) [AWS_STS_REGIONAL_ENDPOINTS]
    #[arg(long, value_name = "KIND", help_heading = "Login")]
    pub sts_regional_endpoints: Option<String>,
    /// aws: another STS, http://HOST:PORT or https://HOST:PORT [AWS_ENDPOINT_URL_STS]
    #[arg(long, value_name = "URL", help_heading = "Login")]
    pub sts_endpoint: Option<String>,
    /// approle: the role's id [COFFER_PROXY_ROLE_ID]
    #[arg(long, value_name = "ID", help_heading = "Login")]
    pub role_id: Option<String>,
    /// approle: the file with the secret id, read at each login [COFFER_PROXY_SECRET_ID_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Login")]
    pub secret_id_file: Option<String>,
    /// token: the file with the token; without it VAULT_TOKEN has it [COFFER_PROXY_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Login")]
    pub token_file: Option<String>,
    /// How long before its end the token counts as ended [default: 10s; VAULT_TOKEN_EXPIRY_GRACE_PERIOD]
    #[arg(long, value_name = "DURATION", help_heading = "Login")]
    pub token_expiry_grace_period: Option<String>,
    /// A secret to write to a file [VAULT_SECRET_PATH]
    #[arg(long, value_name = "PATH", help_heading = "Secret files")]
    pub secret_path: Option<String>,
    /// Its file; relative ones are below /tmp/vault [default: secret.json; VAULT_SECRET_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Secret files")]
    pub secret_file: Option<String>,
    /// A secret and its file; may be given several times [VAULT_SECRET_PATH_NAME and VAULT_SECRET_FILE_NAME]
    #[arg(long, value_name = "PATH=FILE", help_heading = "Secret files")]
    pub secret: Vec<String>,
    /// The mode of these files [default: 0600; COFFER_PROXY_SECRET_FILE_MODE]
    #[arg(long, value_name = "MODE", help_heading = "Secret files")]
    pub secret_file_mode: Option<String>,
    /// Keep these files fresh: by their leases, or at least so often, every second at most [COFFER_PROXY_WATCH]
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Secret files")]
    pub watch: Option<String>,
    /// How long answers are kept; without it, none is [VAULT_DEFAULT_CACHE_TTL]
    #[arg(long, value_name = "DURATION", help_heading = "Cache")]
    pub cache_ttl: Option<String>,
    /// Keep answers of requests that do not ask for it [VAULT_DEFAULT_CACHE_ENABLED]
    #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Cache")]
    pub cache_enabled: Option<String>,
    /// The bytes of all that is kept [default: 8MiB; COFFER_PROXY_CACHE_SIZE]
    #[arg(long, value_name = "SIZE", help_heading = "Cache")]
    pub cache_size: Option<String>,
    /// Namespace of the login and of the secrets for files; proxied requests have their own [VAULT_NAMESPACE]
    #[arg(long, value_name = "PATH", help_heading = "The server")]
    pub namespace: Option<String>,
    /// Time for a login, a renewal or a secret for a file [default: 60s; VAULT_CLIENT_TIMEOUT]
    #[arg(long, value_name = "DURATION", help_heading = "The server")]
    pub client_timeout: Option<String>,
    /// How often such a request is repeated [default: 2; VAULT_MAX_RETRIES]
    #[arg(long, value_name = "NUMBER", help_heading = "The server")]
    pub max_retries: Option<String>,
    /// Such requests a second, and how many at once [VAULT_RATE_LIMIT]
    #[arg(long, value_name = "RATE[:BURST]", help_heading = "The server")]
    pub rate_limit: Option<String>,
    /// Authorities to trust, as PEM, in place of the system's [VAULT_CACERT]
    #[arg(long, value_name = "FILE", help_heading = "The server")]
    pub ca_cert: Option<String>,
    /// The same: a directory of PEM files [VAULT_CAPATH]
    #[arg(long, value_name = "DIR", help_heading = "The server")]
    pub ca_path: Option<String>,
    /// Certificate to show, as PEM [VAULT_CLIENT_CERT]
    #[arg(long, value_name = "FILE", help_heading = "The server")]
    pub client_cert: Option<String>,
    /// Its key, as PEM [VAULT_CLIENT_KEY]
    #[arg(long, value_name = "FILE", help_heading = "The server")]
    pub client_key: Option<String>,
    /// Name that the server's certificate must have [VAULT_TLS_SERVER_NAME]
    #[arg(long, value_name = "NAME", help_heading = "The server")]
    pub tls_server_name: Option<String>,
    /// Do not check the server's certificate: anybody could be the server [VAULT_SKIP_VERIFY]
    #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "The server")]
    pub tls_skip_verify: Option<String>,
    /// trace, debug, info, warn, error or off [default: info; VAULT_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    pub log_level: Option<String>,
    /// standard or json [VAULT_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    pub log_format: Option<String>,
}

impl Arguments {
    /// The flag of a key, if it was given.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let given = match key {
            "address" => &self.address,
            "listen" => &self.listen,
            "run_mode" => &self.run_mode,
            "auth_method" => &self.auth_method,
            "auth_provider" => &self.auth_provider,
            "auth_role" => &self.auth_role,
            "iam_server_id" => &self.iam_server_id,
            "assumed_role_arn" => &self.assumed_role_arn,
            "sts_endpoint_region" => &self.sts_endpoint_region,
            "sts_regional_endpoints" => &self.sts_regional_endpoints,
            "sts_endpoint" => &self.sts_endpoint,
            "role_id" => &self.role_id,
            "secret_id_file" => &self.secret_id_file,
            "token_file" => &self.token_file,
            "token_expiry_grace_period" => &self.token_expiry_grace_period,
            "secret_path" => &self.secret_path,
            "secret_file" => &self.secret_file,
            "secret_file_mode" => &self.secret_file_mode,
            "watch" => &self.watch,
            "cache_ttl" => &self.cache_ttl,
            "cache_enabled" => &self.cache_enabled,
            "cache_size" => &self.cache_size,
            "namespace" => &self.namespace,
            "client_timeout" => &self.client_timeout,
            "max_retries" => &self.max_retries,
            "rate_limit" => &self.rate_limit,
            "ca_cert" => &self.ca_cert,
            "ca_path" => &self.ca_path,
            "client_cert" => &self.client_cert,
            "client_key" => &self.client_key,
            "tls_server_name" => &self.tls_server_name,
            "tls_skip_verify" => &self.tls_skip_verify,
            "log_level" => &self.log_level,
            "log_format" => &self.log_format,
            _ => return None,
        };
        given.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }
}
