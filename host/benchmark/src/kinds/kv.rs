//! `kvv1_read`, `kvv1_write`, `kvv2_read`, `kvv2_write`: secrets of one mount, all there before the load begins.

use super::Site;
use crate::client::{Api, ApiError, Plan};
use crate::config::{ConfigError, Fields};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::cell::Cell;
use zeroize::Zeroizing;

pub(super) const KEYS_V1: &[&str] = &["kvsize", "numkvs"];
pub(super) const KEYS_V2: &[&str] = &["kvsize", "numkvs", "sealWrap"];

/// Most that write the first secrets at once.
const SEEDERS: u32 = 16;

pub(crate) struct Kv {
    version: u8,
    write: bool,
    size: usize,
    number: u32,
    seal_wrap: bool,
}

impl Kv {
    pub(super) fn read(version: u8, write: bool, config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        let count = |key: &str, least: u32, default: u32| {
            Ok::<_, ConfigError>(config.map(|config| config.count(key, least)).transpose()?.flatten().unwrap_or(default))
        };
        Ok(Self {
            version,
            write,
            size: usize::try_from(count("kvsize", 0, 1)?).unwrap_or(usize::MAX),
            number: count("numkvs", 1, 1000)?,
            seal_wrap: config.map(|config| config.boolean("sealWrap")).transpose()?.flatten().unwrap_or(false),
        })
    }

    pub(super) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        let mut options = json!({});
        if let Some(options) = options.as_object_mut() {
            if self.version == 2 {
                options.insert("options".to_owned(), json!({"version": "2"}));
            }
            if self.seal_wrap {
                options.insert("seal_wrap".to_owned(), Value::Bool(true));
            }
        }
        let mount = site.mount("kv", options).await?;
        let prefix = if self.version == 2 { format!("{mount}/data/secret-") } else { format!("{mount}/secret-") };
        let first = json!({"data": {"foo": 1}});
        // The first alone: it waits until the mount is ready.
        site.api.call_when_ready("PUT", &format!("{prefix}1"), &first).await?;
        let next = Cell::new(2);
        let seeders = site.workers.clamp(1, SEEDERS);
        try_join_all((0..seeders).map(|_| seed(site.api.another(), &prefix, &first, &next, self.number))).await?;
        if !self.write {
            return Ok(Plan::new("GET", &prefix, Zeroizing::default()).numbered(self.number));
        }
        let body = json!({"data": {"foo": "a".repeat(self.size)}}).to_string();
        Ok(Plan::new("POST", &prefix, Zeroizing::new(body)).numbered(self.number))
    }
}

/// Writes secrets as long as there are some that nobody writes.
async fn seed(mut api: Api, prefix: &str, first: &Value, next: &Cell<u32>, last: u32) -> Result<(), ApiError> {
    while next.get() <= last {
        let number = next.get();
        next.set(number.saturating_add(1));
        api.call("PUT", &format!("{prefix}{number}"), Some(first)).await?;
        if number == u32::MAX {
            break;
        }
    }
    Ok(())
}
