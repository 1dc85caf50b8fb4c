//! `seal "TYPE" { … }`: which seals there are, which one is asked first, and which one is given up.
//!
//! The rule: whatever leaves it open which key unseals is an error: a variable that would point two seals at one key, seals without rank,
//! a variable that says otherwise than a stanza. Without a stanza and without the variable the seal is Shamir's.

mod awskms;
mod common;
mod key_id;
mod reference;

use super::aws::{Aws, LIMITS};
use super::files::{Block, Source};
use super::origin::{Given, Origin};
use super::{ConfigError, Environment, Place, pool};
use awskms::AWSKMS;
pub(crate) use awskms::AwsKms;
use cofferdam_hcl::Item;
use cofferdam_runtime::{GuestLimits, PoolOptions};
pub(crate) use common::Health;
use common::{Common, Set};

/// The type of the seal that needs no stanza.
const SHAMIR: &str = "shamir";

/// The variable, after `BAO_` or `VAULT_`, that chooses a seal.
const SEAL_TYPE: &str = "SEAL_TYPE";

/// The most seals at work, and the most that are given up.
const ACTIVE: usize = 2;
const DISABLED: usize = 1;

/// Calls of a seal are few: when the vault is opened, when a key changes, and when its health is checked.
const INSTANCES: usize = 2;

/// The seals of a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seals {
    /// Those at work, best first. None is Shamir's.
    pub active: Vec<Seal>,
    /// The one that is given up: its keys are taken over by those at work.
    pub disabled: Option<Seal>,
    /// How often their health is checked.
    pub health: Health,
}

/// A seal that unseals by itself.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    /// Its type, which is also the name of its component.
    pub kind: String,
    /// What it is called: its type, unless the operator says otherwise.
    pub name: String,
    /// Its rank, the lowest first.
    pub priority: u32,
    /// The stanza, or the variable that stands for one.
    pub origin: Origin,
    /// The key to bind, and how to reach it.
    pub awskms: AwsKms,
    /// What its component may use.
    pub limits: GuestLimits,
    /// How its instances are kept.
    pub pool: PoolOptions,
}

/// A stanza over which the environment has not come yet.
#[derive(Debug)]
pub(super) enum Draft {
    /// Says only what is so without it.
    Shamir(Place),
    /// One of KMS.
    AwsKms(Box<Stanza>),
}

/// What a stanza of KMS says.
#[derive(Debug)]
pub(super) struct Stanza {
    origin: Origin,
    common: Common,
    awskms: awskms::Draft,
    limits: GuestLimits,
    pool: PoolOptions,
}

/// Reads the stanzas that an item stands for.
pub(super) fn read(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<Vec<Draft>, ConfigError> {
    let blocks = file.blocks(item, "a seal's type, as in seal \"awskms\" { … }")?;
    blocks.iter().map(|block| stanza(file, block, warnings)).collect()
}

fn stanza(file: &Source, block: &Block<'_>, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let kind = block.label.text.to_ascii_lowercase();
    match kind.as_str() {
        SHAMIR => shamir(file, block),
        AWSKMS => Ok(Draft::AwsKms(Box::new(Stanza {
            origin: Origin::File(file.place(block.label.pos)),
            common: common::read(file, block.body)?,
            awskms: awskms::read(file, block.body, warnings)?,
            limits: limits(file, block)?,
            pool: instances(file, block)?,
        }))),
        _ => {
            Err(file
                .at(block.label.pos, format!("seal {kind:?}: no such seal here: supported are awskms, and shamir, which needs no stanza")))
        }
    }
}

fn shamir(file: &Source, block: &Block<'_>) -> Result<Draft, ConfigError> {
    if file.switch(block.body, "disabled")? {
        return Err(file.at(block.label.pos, "Shamir seals cannot be set disabled (they should simply not be set): remove the stanza"));
    }
    match block.body.items.iter().find(|item| !item.name().eq_ignore_ascii_case("disabled")) {
        Some(item) => Err(file.error(item.error("a shamir seal has no settings: remove it"))),
        None => Ok(Draft::Shamir(file.place(block.label.pos))),
    }
}

fn limits(file: &Source, block: &Block<'_>) -> Result<GuestLimits, ConfigError> {
    let mut limits = GuestLimits::default();
    if let Some(item) = block.body.get("limits") {
        pool::limits(&mut limits, file, item, "seal", LIMITS)?;
    }
    Ok(limits)
}

fn instances(file: &Source, block: &Block<'_>) -> Result<PoolOptions, ConfigError> {
    let mut options = PoolOptions { size: INSTANCES, ..PoolOptions::default() };
    if let Some(item) = block.body.get("pool") {
        pool::pool(&mut options, file, item, "seal")?;
    }
    Ok(options)
}

impl Stanza {
    /// The stanza that a variable stands for.
    fn of_variable(name: String) -> Self {
        Self {
            origin: Origin::Variable(name),
            common: Common::default(),
            awskms: awskms::Draft::default(),
            limits: GuestLimits::default(),
            pool: PoolOptions { size: INSTANCES, ..PoolOptions::default() },
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        self.origin.error("seal \"awskms\"", message)
    }

    fn finish(self, shared: &Aws, environment: &Environment) -> Result<Seal, ConfigError> {
        Ok(Seal {
            kind: AWSKMS.to_owned(),
            name: self.common.name.map_or_else(|| AWSKMS.to_owned(), |(name, _)| name),
            priority: self.common.priority.map_or(1, |(priority, _)| priority),
            awskms: self.awskms.finish(&self.origin, shared, environment)?,
            origin: self.origin,
            limits: self.limits,
            pool: self.pool,
        })
    }
}

/// Puts the environment over the stanzas, and checks that they go together.
pub(super) fn finish(drafts: Vec<Draft>, shared: &Aws, environment: &Environment) -> Result<Seals, ConfigError> {
    let (mut shamir, mut active, mut disabled) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        match draft {
            Draft::Shamir(place) => shamir.push(place),
            Draft::AwsKms(stanza) if stanza.common.disabled.as_ref().is_some_and(|(on, _)| *on) => disabled.push(*stanza),
            Draft::AwsKms(stanza) => active.push(*stanza),
        }
    }
    by_variable(&shamir, &mut active, &disabled, environment)?;
    let second_shamir = shamir.get(1).or_else(|| shamir.first().filter(|_| !active.is_empty()));
    if let Some(place) = second_shamir {
        let message = "seal \"shamir\": it is another seal's place: without a stanza the seal is Shamir's; remove this stanza";
        return Err(ConfigError::new(place.clone(), message));
    }
    number(&active, &disabled)?;
    ranks(&active)?;
    shared_variables(active.iter().chain(&disabled), environment)?;
    let health = common::merge(active.iter().map(|stanza| &stanza.common.health))?;
    let finish = |stanza: Stanza| stanza.finish(shared, environment);
    let mut active = active.into_iter().map(finish).collect::<Result<Vec<Seal>, ConfigError>>()?;
    active.sort_by_key(|seal| seal.priority);
    if let [one, other] = active.as_slice()
        && (&one.awskms.key_id, &one.awskms.access.region) == (&other.awskms.key_id, &other.awskms.access.region)
    {
        let message =
            format!("it is the key of seal {:?} too, so that losing it would lose both: give each seal its own key or region", one.name);
        return Err(other.awskms.access.error("kms_key_id", message));
    }
    Ok(Seals { active, disabled: disabled.into_iter().next().map(finish).transpose()?, health })
}

/// What `VAULT_SEAL_TYPE` says: it stands for a stanza, or agrees with the one there is.
fn by_variable(shamir: &[Place], active: &mut Vec<Stanza>, disabled: &[Stanza], environment: &Environment) -> Result<(), ConfigError> {
    let Some((variable, kind)) = environment.get(SEAL_TYPE) else { return Ok(()) };
    let otherwise = |place: &dyn std::fmt::Display| {
        Err(ConfigError::whole(
            &variable,
            format!("{kind:?}: the stanza at {place} says otherwise: unset the variable, or change the stanza"),
        ))
    };
    match (kind.to_ascii_lowercase().as_str(), active.first()) {
        (AWSKMS, Some(_)) | (SHAMIR, None) => Ok(()),
        (SHAMIR, Some(stanza)) => otherwise(&stanza.origin),
        (AWSKMS, None) => match (shamir.first(), disabled.first()) {
            (Some(place), _) => otherwise(place),
            (None, Some(stanza)) => otherwise(&stanza.origin),
            (None, None) => {
                active.push(Stanza::of_variable(variable));
                Ok(())
            }
        },
        _ => Err(ConfigError::whole(variable, format!("no seal {kind:?} here: supported are awskms and shamir"))),
    }
}

fn number(active: &[Stanza], disabled: &[Stanza]) -> Result<(), ConfigError> {
    if let Some(stanza) = active.get(ACTIVE) {
        return Err(
            stanza.error(format!("at most {ACTIVE} seals can be at work: remove one, or set disabled = true in the one that is given up"))
        );
    }
    match disabled.get(DISABLED) {
        Some(stanza) => Err(stanza.error("only one seal can be given up at a time: remove one that is disabled")),
        None => Ok(()),
    }
}

/// Two seals are told apart by their names, and asked by their ranks.
fn ranks(active: &[Stanza]) -> Result<(), ConfigError> {
    let [first, second] = active else { return Ok(()) };
    for stanza in [first, second] {
        let missing = match (&stanza.common.name, &stanza.common.priority) {
            (None, _) => "name",
            (_, None) => "priority",
            _ => continue,
        };
        return Err(stanza.error(format!("{missing} is missing: of two seals at work each has a name and a priority, 1 is asked first")));
    }
    same("name", &first.common.name, &second.common.name)?;
    same("priority", &first.common.priority, &second.common.priority)
}

fn same<T: PartialEq>(key: &str, first: &Set<T>, second: &Set<T>) -> Result<(), ConfigError> {
    match (first, second) {
        (Some((one, place)), Some((other, here))) if one == other => {
            Err(ConfigError::new(here.clone(), format!("{key}: it is that of the seal at {place} too: two seals at work differ in it")))
        }
        _ => Ok(()),
    }
}

/// A variable for a key or an address is one stanza's, or nobody's.
fn shared_variables<'a>(stanzas: impl Iterator<Item = &'a Stanza>, environment: &Environment) -> Result<(), ConfigError> {
    let listening = stanzas.filter(|stanza| stanza.awskms.listens()).count();
    match Given::in_environment(&[awskms::KEY_ID, awskms::ENDPOINT].concat(), environment) {
        Some(given) if listening > 1 => Err(given.origin.error(
            "seal",
            format!("it would point all {listening} seals of the configuration at one key: unset it and write the value into each stanza, or set disallow_env_vars = true there"),
        )),
        _ => Ok(()),
    }
}
