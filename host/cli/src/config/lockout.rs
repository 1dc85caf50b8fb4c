//! `user_lockout "all" | "approle" { … }`: when clients are locked out that log in with wrong credentials.
//!
//! The blocks are Vault's. What a mount says itself (`user_lockout_config` of its tuning) comes over them, and what is said of `approle` over what is
//! said of all.

use super::ConfigError;
use super::files::Source;
use super::keys::{Scope, Verdict};
use cofferdam_hcl::{Object, Value};
use cofferdam_vault::lockout::LockoutOptions;
use std::time::Duration;

const KEYS: &[(&str, Verdict)] = &[
    ("lockout_threshold", Verdict::Supported),
    ("lockout_duration", Verdict::Supported),
    ("lockout_counter_reset", Verdict::Supported),
    ("disable_lockout", Verdict::Supported),
];

const WANTED: &str = "the auth method, as in user_lockout \"approle\" { … }, or \"all\"";

/// What the files say, until all are read.
#[derive(Default)]
pub(super) struct Draft {
    all: Said,
    approle: Said,
}

/// What a block says; zero leaves it, as in Vault.
#[derive(Default)]
struct Said {
    threshold: Option<u64>,
    duration: Option<Duration>,
    counter_reset: Option<Duration>,
    disable: Option<bool>,
}

impl Draft {
    /// Reads what a file has of it.
    pub(super) fn read(&mut self, file: &Source, root: &Object, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        for item in root.named("user_lockout") {
            for block in file.blocks(item, WANTED)? {
                Scope { file, name: "in a user_lockout block", keys: KEYS }.check(block.body, warnings)?;
                let said = said(file, block.body)?;
                match block.label.text.to_lowercase().as_str() {
                    "all" => self.all = said,
                    "approle" => self.approle = said,
                    // Known to Vault; there is no such method here.
                    "ldap" | "userpass" => {}
                    other => {
                        let message =
                            format!("user_lockout {other:?}: locks nobody out: expected \"all\", \"approle\", \"ldap\" or \"userpass\"");
                        return Err(file.at(block.label.pos, message));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, disabled: bool) -> LockoutOptions {
        let mut options = LockoutOptions::default();
        for Said { threshold, duration, counter_reset, disable } in [self.all, self.approle] {
            options = LockoutOptions {
                threshold: threshold.unwrap_or(options.threshold),
                duration: duration.unwrap_or(options.duration),
                counter_reset: counter_reset.unwrap_or(options.counter_reset),
                disabled: disable.unwrap_or(options.disabled),
            };
        }
        LockoutOptions { disabled: options.disabled || disabled, ..options }
    }
}

fn said(file: &Source, body: &Object) -> Result<Said, ConfigError> {
    let threshold = match file.value(body, "lockout_threshold", Value::setting)? {
        None => None,
        Some((text, place)) => match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                let message = format!("lockout_threshold: expected the number of wrong logins that lock a client out, found {text:?}");
                return Err(ConfigError::new(place, message));
            }
        },
    };
    let time =
        |name: &str| Ok::<_, ConfigError>(file.value(body, name, Value::duration)?.map(|(time, _)| time).filter(|time| !time.is_zero()));
    Ok(Said {
        threshold: threshold.filter(|threshold| *threshold > 0),
        duration: time("lockout_duration")?,
        counter_reset: time("lockout_counter_reset")?,
        disable: file.value(body, "disable_lockout", Value::boolean)?.map(|(disable, _)| disable),
    })
}
