//! Which pages of other origins may use this server from a browser: `sys/config/cors`, stored as Vault and OpenBao do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::Core;
use crate::logical::{Error, Fields, Result, one_error};

/// Where they are stored.
pub(crate) const VIEW: &str = "sys/config/";
pub(crate) const KEY: &str = "cors";

/// Headers that requests of every allowed origin may have.
const HEADERS: [&str; 10] = [
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

/// The settings as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// 1 if there are any, as Go's atomic number.
    enabled: u32,
    /// The origins, or `*` alone.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::lease::entry::null_is_default")]
    allowed_origins: Vec<String>,
    /// The headers, of which some are always there.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::lease::entry::null_is_default")]
    allowed_headers: Vec<String>,
}

impl Cors {
    /// Settings with these origins. The error's text is Vault's.
    pub(crate) fn new(origins: Vec<String>, headers: Vec<String>) -> Result<Cors> {
        let wrong = |text: &str| Error::Refused(one_error(text));
        if origins.is_empty() {
            return Err(wrong("at least one origin or the wildcard must be provided"));
        }
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            return Err(wrong("to allow all origins the '*' must be the only value for allowed_origins"));
        }
        let allowed_headers = HEADERS.iter().map(|name| (*name).to_owned()).chain(headers).collect();
        Ok(Cors { enabled: 1, allowed_origins: origins, allowed_headers })
    }

    /// Whether requests of browsers are looked at.
    pub fn enabled(&self) -> bool {
        self.enabled == 1
    }

    /// Whether a page of this origin may ask.
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    /// The headers that a request may have.
    pub fn headers(&self) -> &[String] {
        &self.allowed_headers
    }

    /// How the API shows them.
    pub(crate) fn shown(&self) -> Fields {
        let mut shown = Fields::new();
        shown.insert("enabled".to_owned(), self.enabled().into());
        if self.enabled() {
            shown.insert("allowed_origins".to_owned(), Value::from(self.allowed_origins.clone()));
            shown.insert("allowed_headers".to_owned(), Value::from(self.allowed_headers.clone()));
        }
        shown
    }
}

impl Core {
    /// Which pages may use this server from a browser; none while it is sealed. A standby learns of a change some seconds after the active server.
    pub fn cors(&self) -> Option<Arc<Cors>> {
        let settings = match self.active() {
            Ok(active) => Some(active.cors.now()),
            Err(Error::Standby) => self.standby_cors(),
            Err(_) => None,
        };
        settings.filter(|cors| cors.enabled())
    }
}
