//! The blocks `pool` and `limits` of a storage's or a seal's stanza: how instances are kept, and what a guest may use.

use super::files::Source;
use super::keys::{Scope, Verdict};
use super::{ConfigError, schema};
use cofferdam_hcl::{Item, Kind, Object, Value};
use cofferdam_runtime::{GuestLimits, PoolOptions, PoolPolicy};

/// Reads the block `pool` of a stanza; `of` says whose, for messages.
pub(super) fn pool(pool: &mut PoolOptions, file: &Source, item: &Item, of: &str) -> Result<(), ConfigError> {
    let body = block(file, item)?;
    Scope { file, name: &format!("in pool of {of}"), keys: schema::POOL }.check(body, &mut Vec::new())?;
    let policy = |text: &str| match text {
        "warm" => Ok(PoolPolicy::Warm),
        "ephemeral" => Ok(PoolPolicy::Ephemeral),
        other => Err(format!("expected warm or ephemeral, found {other:?}")),
    };
    set(&mut pool.policy, file.parsed(body, "policy", policy)?);
    set(&mut pool.size, file.value(body, "size", positive)?.map(|(value, _)| value));
    set(&mut pool.wait, file.value(body, "wait", Value::duration)?.map(|(value, _)| value));
    set(&mut pool.calls, file.value(body, "calls", positive)?.map(|(value, _)| value));
    set(&mut pool.memory_mark, file.value(body, "memory_mark", size)?.map(|(value, _)| value));
    Ok(())
}

/// Reads the block `limits` of a stanza; `others` are keys of it that are read elsewhere.
pub(super) fn limits(
    limits: &mut GuestLimits,
    file: &Source,
    item: &Item,
    of: &str,
    others: &[(&'static str, Verdict)],
) -> Result<(), ConfigError> {
    let body = block(file, item)?;
    Scope { file, name: &format!("in limits of {of}"), keys: &[schema::LIMITS, others].concat() }.check(body, &mut Vec::new())?;
    for (name, time) in [("cpu", &mut limits.cpu), ("call", &mut limits.call), ("open", &mut limits.open)] {
        if let Some((value, place)) = file.value(body, name, Value::duration)? {
            if value.is_zero() {
                return Err(ConfigError::new(place, format!("{name}: expected a duration longer than 0")));
            }
            *time = value;
        }
    }
    set(&mut limits.memory, file.value(body, "memory", size)?.map(|(value, _)| value));
    set(&mut limits.response, file.value(body, "response", size)?.map(|(value, _)| value));
    set(&mut limits.handles, file.value(body, "handles", positive)?.map(|(value, _)| value));
    set(&mut limits.random, file.value(body, "random", Value::size)?.map(|(value, _)| value));
    set(&mut limits.log_lines, file.value(body, "log_lines", positive)?.map(|(value, _)| value));
    Ok(())
}

/// What a block holds.
pub(super) fn block<'a>(file: &Source, item: &'a Item) -> Result<&'a Object, ConfigError> {
    match &item.value.kind {
        Kind::Object(body) => Ok(body),
        _ => Err(file.at(item.value.pos, format!("{}: expected a block, found {}", item.name(), item.value.described()))),
    }
}

fn set<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

/// A whole number of at least 1 that fits.
pub(super) fn positive<T: TryFrom<i64>>(value: &Value) -> cofferdam_hcl::Result<T> {
    let number = value.integer()?;
    let wrong = || cofferdam_hcl::Error::new(value.pos, format!("expected a whole number of at least 1, found {number}"));
    if number < 1 { Err(wrong()) } else { T::try_from(number).map_err(|_| wrong()) }
}

/// A size in bytes of at least 1 that fits.
fn size(value: &Value) -> cofferdam_hcl::Result<usize> {
    let wrong = |size| cofferdam_hcl::Error::new(value.pos, format!("expected a size of at least 1 byte, found {size}"));
    match value.size()? {
        0 => Err(wrong(0)),
        size => usize::try_from(size).map_err(|_| wrong(size)),
    }
}
