//! `cubbyhole_read`, `cubbyhole_write`: one secret of the token's own.

use super::Site;
use crate::client::{ApiError, Plan};
use crate::config::{ConfigError, Fields};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(super) const KEYS: &[&str] = &["path"];

pub(crate) struct Cubbyhole {
    write: bool,
    path: String,
}

impl Cubbyhole {
    pub(super) fn read(write: bool, config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        let path = config.map(|config| config.name("path")).transpose()?.flatten();
        Ok(Self { write, path: path.unwrap_or_else(|| "my-path".to_owned()) })
    }

    pub(super) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        let suffix = if site.random { format!("-{}", Uuid::new_v4()) } else { String::new() };
        let path = format!("cubbyhole/{}{suffix}", self.path.trim_matches('/'));
        let secret = json!({"foo": "bar"});
        site.api.call("PUT", &path, Some(&secret)).await?;
        site.undo.borrow_mut().push(path.clone());
        if self.write {
            Ok(Plan::new("POST", &path, Zeroizing::new(secret.to_string())))
        } else {
            Ok(Plan::new("GET", &path, Zeroizing::default()))
        }
    }
}
