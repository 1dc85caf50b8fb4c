//! `seal "TYPE" { … }`: which seals there are, which one is asked first, and which one is given up.
//!
//! The rule: whatever leaves it open which key unseals is an error: a variable that would point two seals at one key, seals without rank,
//! a variable that says otherwise than a stanza. Without a stanza and without the variable the seal is Shamir's.
//!
//! Of `seal "awskms"` the host reads everything. Any other type is a plugin: all but what every seal's stanza has goes to its component as
//! text, and what that is granted stands in its plugin block. Whatever stands in its stanza it reads, so a secret belongs into a grant.

mod awskms;
mod common;
mod key_id;
mod reference;

use super::aws::{Aws, LIMITS};
use super::files::{Block, Source};
use super::origin::{Given, Origin};
use super::plugin::{Files, Plugin, Role};
use super::storage::is_name;
use super::{ConfigError, Environment, Place, pool};
use awskms::AWSKMS;
pub(crate) use awskms::{AwsKms, previous_key_ids};
use cofferdam_hcl::{Item, Object};
use cofferdam_runtime::{GuestLimits, PoolOptions};
pub(crate) use common::Health;
use common::{Common, Set};
pub(crate) use key_id::former_key_id;
use std::sync::Arc;

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
    /// The key to bind, and how to reach it: of `awskms`.
    pub awskms: Option<AwsKms>,
    /// What the component is told: of a plugin.
    pub settings: Vec<(String, String)>,
    /// Its plugin block.
    pub plugin: Option<Arc<Plugin>>,
    /// What its component may use.
    pub limits: GuestLimits,
    /// How its instances are kept.
    pub pool: PoolOptions,
}

impl Seals {
    /// All of them, what is given up last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Seal> {
        self.active.iter().chain(&self.disabled)
    }
}

impl Seal {
    /// Whether its component is given this grant, by its own stanza or by its plugin block.
    pub(crate) fn grants(&self, grant: &str) -> bool {
        match (&self.awskms, &self.plugin) {
            (Some(_), _) => grant == "aws",
            (None, plugin) => plugin.as_ref().is_some_and(|plugin| plugin.grants.has(grant)),
        }
    }
}

/// A stanza over which the environment has not come yet.
#[derive(Debug)]
pub(super) enum Draft {
    /// Says only what is so without it.
    Shamir(Place),
    /// One that unseals by itself.
    Auto(Box<Stanza>),
}

/// What a stanza other than Shamir's says.
#[derive(Debug)]
pub(super) struct Stanza {
    kind: String,
    origin: Origin,
    common: Common,
    service: Service,
    limits: GuestLimits,
    pool: PoolOptions,
}

/// What only one type of seal has.
#[derive(Debug)]
enum Service {
    AwsKms(Box<awskms::Draft>),
    /// Settings of a plugin.
    Plugin(Vec<(String, String)>),
}

/// Reads the stanzas that an item stands for.
pub(super) fn read(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<Vec<Draft>, ConfigError> {
    let blocks = file.blocks(item, "a seal's type, as in seal \"awskms\" { … }")?;
    blocks.iter().map(|block| stanza(file, block, warnings)).collect()
}

fn stanza(file: &Source, block: &Block<'_>, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    let kind = block.label.text.to_ascii_lowercase();
    let service = match kind.as_str() {
        SHAMIR => return shamir(file, block),
        AWSKMS => Service::AwsKms(Box::new(awskms::read(file, block.body, warnings)?)),
        other if is_name(other) => Service::Plugin(settings(file, other, block.body)?),
        other => {
            let message =
                format!("seal {other:?}: a type has letters, digits, '-' and '_' only, since it names a file in plugin_directory");
            return Err(file.at(block.label.pos, message));
        }
    };
    Ok(Draft::Auto(Box::new(Stanza {
        origin: Origin::File(file.place(block.label.pos)),
        common: common::read(file, block.body)?,
        service,
        limits: limits(file, block)?,
        pool: instances(file, block)?,
        kind,
    })))
}

/// What a plugin is told: all that is no key of every seal's.
fn settings(file: &Source, kind: &str, body: &Object) -> Result<Vec<(String, String)>, ConfigError> {
    let mut settings = Vec::new();
    for (index, item) in body.items.iter().enumerate() {
        let name = item.name();
        if let Some(earlier) = body.items.iter().take(index).find(|earlier| earlier.name().eq_ignore_ascii_case(name)) {
            return Err(file.at(item.pos, format!("{name}: set twice in seal {kind:?}, first at {}: remove one", earlier.pos)));
        }
        if !common::KEYS.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            let text = item.value.setting().map_err(|error| file.at(error.pos, format!("{name}: {}", error.message)))?;
            settings.push((name.to_owned(), text));
        }
    }
    Ok(settings)
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
            kind: AWSKMS.to_owned(),
            origin: Origin::Variable(name),
            common: Common::default(),
            service: Service::AwsKms(Box::default()),
            limits: GuestLimits::default(),
            pool: PoolOptions { size: INSTANCES, ..PoolOptions::default() },
        }
    }

    fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        self.origin.error(&format!("seal {:?}", self.kind), message)
    }

    /// Whether the variables for key id and endpoint are this stanza's.
    fn listens(&self) -> bool {
        matches!(&self.service, Service::AwsKms(draft) if draft.listens())
    }

    fn finish(mut self, shared: &Aws, environment: &Environment, files: &Files<'_>) -> Result<Seal, ConfigError> {
        let plugin = files.block(Role::Seal, &self.kind);
        if let Some(plugin) = &plugin {
            plugin.refuse_twice(&self.common.shared)?;
            plugin.overlay(&mut self.pool, &mut self.limits)?;
        }
        let (awskms, settings) = match self.service {
            Service::AwsKms(draft) => {
                let mut awskms = draft.finish(&self.origin, shared, environment)?;
                if let Some(requests) = plugin.as_ref().and_then(|plugin| plugin.requests) {
                    awskms.access.requests = requests;
                }
                (Some(awskms), Vec::new())
            }
            Service::Plugin(_) if !files.know(Role::Seal, &self.kind) => {
                let message = "no such seal here: supported are awskms, and shamir, which needs no stanza; any other is a component in plugin_directory";
                return Err(self.origin.error(&format!("seal {:?}", self.kind), message));
            }
            Service::Plugin(settings) => (None, settings),
        };
        Ok(Seal {
            name: self.common.name.map_or_else(|| self.kind.clone(), |(name, _)| name),
            kind: self.kind,
            priority: self.common.priority.map_or(1, |(priority, _)| priority),
            awskms,
            settings,
            plugin,
            origin: self.origin,
            limits: self.limits,
            pool: self.pool,
        })
    }
}

/// Puts the environment over the stanzas, and checks that they go together.
pub(super) fn finish(drafts: Vec<Draft>, shared: &Aws, environment: &Environment, files: &Files<'_>) -> Result<Seals, ConfigError> {
    let (mut shamir, mut active, mut disabled) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        match draft {
            Draft::Shamir(place) => shamir.push(place),
            Draft::Auto(stanza) if stanza.common.disabled.as_ref().is_some_and(|(on, _)| *on) => disabled.push(*stanza),
            Draft::Auto(stanza) => active.push(*stanza),
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
    let finish = |stanza: Stanza| stanza.finish(shared, environment, files);
    let mut active = active.into_iter().map(finish).collect::<Result<Vec<Seal>, ConfigError>>()?;
    active.sort_by_key(|seal| seal.priority);
    if let [one, other] = active.as_slice() {
        one_key(one, other)?;
    }
    Ok(Seals { active, disabled: disabled.into_iter().next().map(finish).transpose()?, health })
}

/// Refuses two seals that one loss would take.
fn one_key(one: &Seal, other: &Seal) -> Result<(), ConfigError> {
    let too =
        |it: &str, own: &str| format!("{it} of seal {:?} too, so that losing it would lose both: give each seal its own {own}", one.name);
    match (&one.awskms, &other.awskms) {
        (Some(first), Some(second)) if (&first.key_id, &first.access.region) == (&second.key_id, &second.access.region) => {
            Err(second.access.error("kms_key_id", too("it is the key", "key or region")))
        }
        (None, None) if (&one.kind, &one.settings) == (&other.kind, &other.settings) => {
            Err(other.origin.error(&format!("seal {:?}", other.kind), too("its settings are those", "key")))
        }
        _ => Ok(()),
    }
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
        (wanted, Some(_)) if active.iter().any(|stanza| stanza.kind == wanted) => Ok(()),
        (SHAMIR, None) => Ok(()),
        (SHAMIR | AWSKMS, Some(stanza)) => otherwise(&stanza.origin),
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
    let listening = stanzas.filter(|stanza| stanza.listens()).count();
    match Given::in_environment(&[awskms::KEY_ID, awskms::ENDPOINT].concat(), environment) {
        Some(given) if listening > 1 => Err(given.origin.error(
            "seal",
            format!("it would point all {listening} seals of the configuration at one key: unset it and write the value into each stanza, or set disallow_env_vars = true there"),
        )),
        _ => Ok(()),
    }
}
