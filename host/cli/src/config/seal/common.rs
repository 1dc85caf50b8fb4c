//! The keys that every seal's stanza has: its name and rank, whether it is given up, and how its health is checked.
//!
//! The rule: one set of times serves all seals, so stanzas that disagree about it are an error.

use super::super::files::Source;
use super::super::keys::Verdict;
use super::super::storage::is_name;
use super::super::{ConfigError, Place, pool};
use cofferdam_hcl::{Object, Value};
use std::time::Duration;

/// Below this a check is no check but a load.
const LEAST: Duration = Duration::from_millis(100);

/// The keys.
pub(super) const KEYS: &[(&str, Verdict)] = &[
    ("name", Verdict::Supported),
    ("priority", Verdict::Supported),
    ("disabled", Verdict::Supported),
    ("purpose", Verdict::Supported),
    ("health_check_enabled", Verdict::Supported),
    ("health_check_timeout", Verdict::Supported),
    ("health_check_interval", Verdict::Supported),
    ("health_check_interval_unhealthy", Verdict::Supported),
    ("pool", Verdict::Supported),
    ("limits", Verdict::Supported),
];

/// A value and where it stands.
pub(super) type Set<T> = Option<(T, Place)>;

/// What a stanza says of them.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// What the seal is called.
    pub name: Set<String>,
    /// Its rank: the lowest is asked first.
    pub priority: Set<u32>,
    /// Whether it is given up.
    pub disabled: Set<bool>,
    /// How its health is checked.
    pub health: Checks,
    /// What may stand in the plugin block as well.
    pub shared: Vec<(&'static str, Place)>,
}

/// How health is checked, as far as somebody says it.
#[derive(Debug, Default)]
pub(super) struct Checks {
    enabled: Set<bool>,
    timeout: Set<Duration>,
    interval: Set<Duration>,
    unhealthy: Set<Duration>,
}

/// How often the seals' health is checked. None leaves it to the vault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Whether it is checked at all.
    pub enabled: Option<bool>,
    /// The longest time that a check may take.
    pub timeout: Option<Duration>,
    /// The pause between checks of a healthy seal.
    pub interval: Option<Duration>,
    /// The pause between checks of one that is not.
    pub unhealthy: Option<Duration>,
}

/// Reads them.
pub(super) fn read(file: &Source, body: &Object) -> Result<Common, ConfigError> {
    let name = file.value(body, "name", Value::string)?.filter(|(name, _)| !name.is_empty());
    if let Some((text, place)) = name.as_ref().filter(|(text, _)| !is_name(text)) {
        return Err(ConfigError::new(
            place.clone(),
            format!("name: expected at most 64 letters, digits, '-' and '_', since metrics and entries are named after it, found {text:?}"),
        ));
    }
    purpose(file, body)?;
    let time = |name: &str| match file.value(body, name, Value::duration)? {
        Some((time, place)) if time < LEAST => {
            Err(ConfigError::new(place, format!("{name}: expected a duration of at least {LEAST:?}, found {time:?}")))
        }
        found => Ok(found),
    };
    let stands = |name: &'static str| body.get(name).map(|item| (name, file.place(item.pos)));
    Ok(Common {
        shared: ["pool", "limits"].into_iter().filter_map(stands).collect(),
        name,
        priority: file.value(body, "priority", pool::positive)?,
        disabled: file.value(body, "disabled", Value::boolean)?,
        health: Checks {
            enabled: file.value(body, "health_check_enabled", Value::boolean)?,
            timeout: time("health_check_timeout")?,
            interval: time("health_check_interval")?,
            unhealthy: time("health_check_interval_unhealthy")?,
        },
    })
}

/// Vault's stanza may say what the key is for; here it is always the seal.
fn purpose(file: &Source, body: &Object) -> Result<(), ConfigError> {
    match file.value(body, "purpose", Value::comma_strings)? {
        Some((purposes, place)) if purposes.iter().any(|purpose| purpose != "seal") => Err(ConfigError::new(
            place,
            format!(
                "purpose: expected \"seal\", since the key of this stanza serves nothing else here, found {:?}: remove it",
                purposes.join(", ")
            ),
        )),
        _ => Ok(()),
    }
}

/// What the stanzas say together.
pub(super) fn merge<'a>(all: impl Iterator<Item = &'a Checks>) -> Result<Health, ConfigError> {
    let mut merged = Checks::default();
    for checks in all {
        agree("health_check_enabled", &mut merged.enabled, &checks.enabled)?;
        agree("health_check_timeout", &mut merged.timeout, &checks.timeout)?;
        agree("health_check_interval", &mut merged.interval, &checks.interval)?;
        agree("health_check_interval_unhealthy", &mut merged.unhealthy, &checks.unhealthy)?;
    }
    let time = |set: Set<Duration>| set.map(|(time, _)| time);
    Ok(Health {
        enabled: merged.enabled.map(|(on, _)| on),
        timeout: time(merged.timeout),
        interval: time(merged.interval),
        unhealthy: time(merged.unhealthy),
    })
}

fn agree<T: Clone + PartialEq>(name: &str, merged: &mut Set<T>, other: &Set<T>) -> Result<(), ConfigError> {
    match (merged.as_ref(), other) {
        (Some((first, place)), Some((second, here))) if first != second => {
            let message = format!("{name}: another value stands at {place}, and one serves all seals: give the same, or remove one");
            Err(ConfigError::new(here.clone(), message))
        }
        (None, Some(_)) => {
            *merged = other.clone();
            Ok(())
        }
        _ => Ok(()),
    }
}
