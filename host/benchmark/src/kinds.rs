//! The types of tests: what each sets up, and what it then asks for.
//!
//! Names, defaults and requests are vault-benchmark's, so that its figures and ours can be laid side by side.

mod approle;
mod cubbyhole;
mod known;
mod kv;
mod system;
#[cfg(test)]
mod tests;
mod transit;
mod userpass;

use crate::client::{Api, ApiError, Plan};
use crate::config::{ConfigError, Fields};
use serde_json::json;
use std::cell::RefCell;
use uuid::Uuid;

/// One test of the file.
pub(crate) struct Test {
    pub name: String,
    /// Of 100 requests, so many are this test's.
    pub weight: u32,
    /// Where it mounts what it needs, unless that is drawn; its name if it does not say.
    pub mount: Option<String>,
    pub kind: Kind,
}

/// What a test does.
pub(crate) enum Kind {
    Approle(approle::Approle),
    Userpass(userpass::Userpass),
    Kv(kv::Kv),
    Cubbyhole(cubbyhole::Cubbyhole),
    Transit(transit::Transit),
    System(system::System),
}

impl Kind {
    /// The keys that `config` of this type may have. An error says which types there are.
    pub(crate) fn keys(name: &str) -> Result<&'static [&'static str], String> {
        match name {
            "approle_auth" => Ok(approle::KEYS),
            "userpass_auth" => Ok(userpass::KEYS),
            "kvv1_read" | "kvv1_write" => Ok(kv::KEYS_V1),
            "kvv2_read" | "kvv2_write" => Ok(kv::KEYS_V2),
            "cubbyhole_read" | "cubbyhole_write" => Ok(cubbyhole::KEYS),
            "transit_encrypt" | "transit_decrypt" | "transit_sign" | "transit_verify" => Ok(transit::KEYS),
            "ha_status" | "seal_status" | "metrics" => Ok(&[]),
            _ => Err(known::refusal(name)),
        }
    }

    /// Reads `config`.
    pub(crate) fn read(name: &str, config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        Ok(match name {
            "approle_auth" => Self::Approle(approle::Approle::read(config)?),
            "userpass_auth" => Self::Userpass(userpass::Userpass::read(config)?),
            "kvv1_read" => Self::Kv(kv::Kv::read(1, false, config)?),
            "kvv1_write" => Self::Kv(kv::Kv::read(1, true, config)?),
            "kvv2_read" => Self::Kv(kv::Kv::read(2, false, config)?),
            "kvv2_write" => Self::Kv(kv::Kv::read(2, true, config)?),
            "cubbyhole_read" => Self::Cubbyhole(cubbyhole::Cubbyhole::read(false, config)?),
            "cubbyhole_write" => Self::Cubbyhole(cubbyhole::Cubbyhole::read(true, config)?),
            "transit_encrypt" => Self::Transit(transit::Transit::read(transit::Action::Encrypt, config)?),
            "transit_decrypt" => Self::Transit(transit::Transit::read(transit::Action::Decrypt, config)?),
            "transit_sign" => Self::Transit(transit::Transit::read(transit::Action::Sign, config)?),
            "transit_verify" => Self::Transit(transit::Transit::read(transit::Action::Verify, config)?),
            "ha_status" => Self::System(system::System::HaStatus),
            "seal_status" => Self::System(system::System::SealStatus),
            "metrics" => Self::System(system::System::Metrics),
            // `keys` was asked before.
            _ => return Err(ConfigError::new("test", known::refusal(name))),
        })
    }

    /// Sets up what the test needs.
    pub(crate) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        match self {
            Self::Approle(test) => test.set_up(site).await,
            Self::Userpass(test) => test.set_up(site).await,
            Self::Kv(test) => test.set_up(site).await,
            Self::Cubbyhole(test) => test.set_up(site).await,
            Self::Transit(test) => test.set_up(site).await,
            Self::System(test) => Ok(test.plan()),
        }
    }
}

/// Where a test is set up, and what of it is to be removed afterwards.
pub(crate) struct Site<'a> {
    pub api: &'a mut Api,
    /// The name that the test gives its mount.
    pub mount: String,
    /// Whether names are drawn.
    pub random: bool,
    /// How many may write at once.
    pub workers: u32,
    /// Paths whose deletion removes what was set up.
    pub undo: &'a RefCell<Vec<String>>,
}

impl Site<'_> {
    /// The place of a mount.
    fn place(&self) -> String {
        if self.random { Uuid::new_v4().to_string() } else { self.mount.trim_matches('/').to_owned() }
    }

    /// Enables an auth method, and says where.
    async fn enable(&mut self, kind: &str) -> Result<String, ApiError> {
        let place = self.place();
        let path = format!("sys/auth/{place}");
        self.api.call("POST", &path, Some(&json!({"type": kind}))).await?;
        tracing::debug!("enabled {kind} at auth/{place}/");
        self.undo.borrow_mut().push(path);
        Ok(format!("auth/{place}"))
    }

    /// Mounts an engine, and says where.
    async fn mount(&mut self, kind: &str, more: serde_json::Value) -> Result<String, ApiError> {
        let place = self.place();
        let path = format!("sys/mounts/{place}");
        let mut body = json!({"type": kind});
        if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.api.call("POST", &path, Some(&body)).await?;
        tracing::debug!("mounted {kind} at {place}/");
        self.undo.borrow_mut().push(path);
        Ok(place)
    }
}

/// Random bytes for payloads and passwords; version and variant of the identifiers that they come from are no loss.
fn random_bytes(length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| Uuid::new_v4().into_bytes()).flatten().take(length).collect()
}
