//! Where a setting comes from: the flag, else the variable, else the file.
//!
//! The rule: whoever set a value is named in the message about it.

use std::path::PathBuf;

use cofferdam_hcl::{Object, Pos};

use super::{Arguments, Environment};

/// The keys, each with its variables. `VAULT_X` is also `BAO_X`, which counts before it.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("address", &["VLE_VAULT_ADDR", "VAULT_ADDR"]),
    ("listen", &["COFFER_PROXY_LISTEN"]),
    ("run_mode", &["VAULT_RUN_MODE"]),
    ("auth_method", &["COFFER_PROXY_AUTH_METHOD"]),
    ("auth_provider", &["VAULT_AUTH_PROVIDER"]),
    ("auth_role", &["VAULT_AUTH_ROLE"]),
    ("iam_server_id", &["VAULT_IAM_SERVER_ID"]),
    ("assumed_role_arn", &["VAULT_ASSUMED_ROLE_ARN"]),
    ("sts_endpoint_region", &["VAULT_STS_ENDPOINT_REGION"]),
    ("sts_regional_endpoints", &["AWS_STS_REGIONAL_ENDPOINTS"]),
    ("sts_endpoint", &["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]),
    ("role_id", &["COFFER_PROXY_ROLE_ID"]),
    ("secret_id_file", &["COFFER_PROXY_SECRET_ID_FILE"]),
    ("token_file", &["COFFER_PROXY_TOKEN_FILE"]),
    ("token_expiry_grace_period", &["VAULT_TOKEN_EXPIRY_GRACE_PERIOD"]),
    ("secret_path", &["VAULT_SECRET_PATH"]),
    ("secret_file", &["VAULT_SECRET_FILE"]),
    ("secret_file_mode", &["COFFER_PROXY_SECRET_FILE_MODE"]),
    ("watch", &["COFFER_PROXY_WATCH"]),
    ("cache_ttl", &["VAULT_DEFAULT_CACHE_TTL"]),
    ("cache_enabled", &["VAULT_DEFAULT_CACHE_ENABLED", "VAULT_DEFAULT_CACHE_ENABLE"]),
    ("cache_size", &["COFFER_PROXY_CACHE_SIZE"]),
    ("namespace", &["VAULT_NAMESPACE"]),
    ("client_timeout", &["VAULT_CLIENT_TIMEOUT"]),
    ("max_retries", &["VAULT_MAX_RETRIES"]),
    ("rate_limit", &["VAULT_RATE_LIMIT"]),
    ("ca_cert", &["VAULT_CACERT"]),
    ("ca_path", &["VAULT_CAPATH"]),
    ("client_cert", &["VAULT_CLIENT_CERT"]),
    ("client_key", &["VAULT_CLIENT_KEY"]),
    ("tls_server_name", &["VAULT_TLS_SERVER_NAME"]),
    ("tls_skip_verify", &["VAULT_SKIP_VERIFY"]),
    ("log_level", &["VAULT_LOG_LEVEL"]),
    ("log_format", &["VAULT_LOG_FORMAT"]),
];

/// Who set a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Flag,
    Variable,
    File,
}

/// A value that was set, and who did.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Trimmed, and not empty.
    pub(super) text: String,
    /// For messages: `--flag`, `VARIABLE`, `FILE:LINE:COLUMN: key`.
    pub(super) name: String,
    pub(super) by: By,
}

/// The configuration file.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) root: Object,
}

impl File {
    /// A place in it.
    pub(super) fn at(&self, pos: Pos) -> String {
        format!("{}:{pos}", self.path.display())
    }
}

/// All that was set, and all that is wrong with it.
pub(super) struct Lookup<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) environment: &'a Environment,
    pub(super) file: Option<File>,
    pub(super) mistakes: Vec<String>,
}

impl Lookup<'_> {
    /// What counts for this key.
    pub(super) fn given(&self, key: &str) -> Option<Given> {
        if let Some(text) = self.arguments.get(key) {
            return Some(Given { text: text.to_owned(), name: format!("--{}", key.replace('_', "-")), by: By::Flag });
        }
        let variables = KEYS.iter().find(|(known, _)| *known == key).map(|(_, variables)| *variables).unwrap_or_default();
        let variable = variables.iter().find_map(|name| self.variable(name));
        variable.or_else(|| self.in_file(key))
    }

    /// The variable, or the one of OpenBao's name.
    pub(super) fn variable(&self, name: &str) -> Option<Given> {
        let (name, text) = match name.strip_prefix("VAULT_") {
            Some(ending) => self.environment.get(ending)?,
            None => (name.to_owned(), self.environment.variable(name)?),
        };
        Some(Given { text: text.to_owned(), name, by: By::Variable })
    }

    fn in_file(&self, key: &str) -> Option<Given> {
        let file = self.file.as_ref()?;
        let item = file.root.get(key)?;
        // A value that is no text was found wrong when the file was read.
        let text = item.value.setting().ok()?.trim().to_owned();
        (!text.is_empty()).then(|| Given { text, name: format!("{}: {key}", file.at(item.value.pos)), by: By::File })
    }

    /// The text that counts for this key.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.given(key).map(|given| given.text)
    }

    /// The path that counts for this key.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// What `parse` makes of the text that counts; its error is a mistake.
    pub(super) fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let given = self.given(key)?;
        self.parsed(&given, parse)
    }

    /// What `parse` makes of this; its error is a mistake.
    pub(super) fn parsed<T>(&mut self, given: &Given, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        parse(&given.text).map_err(|message| self.mistakes.push(format!("{}: {message}", given.name))).ok()
    }
}
