//! The block `ha` of a storage stanza: the times by which several servers share a store.
//!
//! The rule: times with which no server could keep its lead are refused. A renewal is due, and is tried again, before the lock's time is over.

use super::files::Source;
use super::keys::Scope;
use super::{ConfigError, schema};
use cofferdam_hcl::{Item, Object, Value};
use cofferdam_vault::ha::Times;
use std::time::Duration;

/// Below this a busy machine misses its own times.
const LEAST: Duration = Duration::from_millis(100);

/// Reads the block.
pub(super) fn read(file: &Source, item: &Item, body: &Object) -> Result<Times, ConfigError> {
    Scope { file, name: "in ha of storage", keys: schema::HA }.check(body, &mut Vec::new())?;
    let mut times = Times::default();
    for (name, time) in [
        ("ttl", &mut times.ttl),
        ("renew", &mut times.renew),
        ("retry", &mut times.retry),
        ("margin", &mut times.margin),
        ("step_down_pause", &mut times.step_down_pause),
    ] {
        if let Some((value, place)) = file.value(body, name, Value::duration)? {
            if value < LEAST {
                return Err(ConfigError::new(place, format!("{name}: expected a duration of at least {LEAST:?}, found {value:?}")));
            }
            *time = value;
        }
    }
    for (name, time) in [("renew", times.renew), ("retry", times.retry)] {
        if time >= times.ttl {
            let pos = body.get(name).or_else(|| body.get("ttl")).unwrap_or(item).value.pos;
            let message = format!("{name}: expected a duration below ttl, which is {:?}, found {time:?}: lower it or raise ttl", times.ttl);
            return Err(file.at(pos, message));
        }
    }
    Ok(times)
}
