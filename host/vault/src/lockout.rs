//! Who is locked out of an auth method for a while, after too many logins with wrong credentials; stored as Vault does.
//!
//! Only who exists can be locked out: for approle that is the id of a role, and a wrong secret id is what counts. The rules: while somebody is
//! locked out, right and wrong credentials are answered alike; and a seal ends no lockout, for it is stored by the time of its answer. Failures
//! short of that are counted in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::clock::Clock;
use crate::logical::{Fields, Result};
use crate::mounts::{Entry, ROOT_NAMESPACE, Routes};
use crate::view::View;

/// Where lockouts are stored: `<namespace>/<accessor>/<alias>` as of Vault; OpenBao leaves the root namespace out.
const FOLDER: &str = "core/login/lockedUsers/";

/// The kinds of auth methods that Vault has lockouts for, be they of this server or only kept.
const KINDS: [&str; 3] = ["approle", "ldap", "userpass"];

const SECOND: i64 = 1_000_000_000;

/// Whether a mount of this kind has lockouts.
pub(crate) fn applies(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// When somebody is locked out, where a mount does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutOptions {
    /// After how many wrong logins in a row.
    pub threshold: u64,
    /// For how long.
    pub duration: Duration,
    /// How long after a wrong login it counts no more.
    pub counter_reset: Duration,
    /// Nobody is locked out.
    pub disabled: bool,
}

impl Default for LockoutOptions {
    /// Vault's: for 15 minutes after 5 within 15 minutes each.
    fn default() -> LockoutOptions {
        let quarter = Duration::from_secs(900);
        LockoutOptions { threshold: 5, duration: quarter, counter_reset: quarter, disabled: false }
    }
}

/// What a mount says of lockouts, as its table's entry has it: times in nanoseconds, zero for the server's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserLockout {
    #[serde(skip_serializing_if = "none")]
    pub(crate) lockout_threshold: i64,
    #[serde(skip_serializing_if = "none")]
    pub(crate) lockout_duration: i64,
    #[serde(skip_serializing_if = "none")]
    pub(crate) lockout_counter_reset: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) disable_lockout: bool,
    /// Members that other servers keep here.
    #[serde(flatten)]
    pub(crate) other: Fields,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn none(number: &i64) -> bool {
    *number == 0
}

/// What a client changes of that; none leaves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) threshold: Option<i64>,
    pub(crate) duration: Option<i64>,
    pub(crate) counter_reset: Option<i64>,
    pub(crate) disable: Option<bool>,
}

impl UserLockout {
    /// Takes a change over.
    pub(crate) fn change(&mut self, change: &Change) {
        for (slot, new) in [
            (&mut self.lockout_threshold, change.threshold),
            (&mut self.lockout_duration, change.duration),
            (&mut self.lockout_counter_reset, change.counter_reset),
        ] {
            *slot = new.unwrap_or(*slot);
        }
        self.disable_lockout = change.disable.unwrap_or(self.disable_lockout);
    }

    /// How the API shows it.
    pub(crate) fn show(&self, shown: &mut Fields) {
        for (name, value) in [
            ("user_lockout_threshold", self.lockout_threshold.into()),
            ("user_lockout_duration", (self.lockout_duration / SECOND).into()),
            ("user_lockout_counter_reset_duration", (self.lockout_counter_reset / SECOND).into()),
            ("user_lockout_disable", self.disable_lockout.into()),
        ] {
            shown.insert(name.to_owned(), value);
        }
    }

    fn over(&self, server: LockoutOptions) -> LockoutOptions {
        let time = |own: i64, server: Duration| u64::try_from(own).ok().filter(|own| *own > 0).map_or(server, Duration::from_nanos);
        LockoutOptions {
            threshold: u64::try_from(self.lockout_threshold).ok().filter(|own| *own > 0).unwrap_or(server.threshold),
            duration: time(self.lockout_duration, server.duration),
            counter_reset: time(self.lockout_counter_reset, server.counter_reset),
            disabled: self.disable_lockout,
        }
    }
}

/// Somebody of a mount.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    accessor: String,
    alias: String,
}

impl Who {
    /// Where it is stored.
    fn key(&self) -> String {
        format!("{ROOT_NAMESPACE}/{}/{}", self.accessor, self.alias)
    }

    /// Where OpenBao stores it.
    fn bare_key(&self) -> String {
        format!("{}/{}", self.accessor, self.alias)
    }
}

/// Wrong logins in a row.
#[derive(Clone, Copy, Default)]
struct Failures {
    count: u64,
    /// When the last was, in seconds since 1970.
    last: i64,
    /// There were too many; it is stored.
    locked: bool,
}

impl Failures {
    fn locked_at(self, now: i64, options: LockoutOptions) -> bool {
        self.locked && now < self.last.saturating_add(seconds(options.duration))
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The lockouts of an unsealed vault.
pub(crate) struct Lockouts {
    view: View,
    clock: Clock,
    server: LockoutOptions,
    failures: Mutex<HashMap<Who, Failures>>,
    /// Held through a change of what is stored.
    changing: tokio::sync::Mutex<()>,
}

/// A login of somebody.
pub(crate) struct Attempt<'a> {
    lockouts: &'a Lockouts,
    who: Who,
    options: LockoutOptions,
}

impl Lockouts {
    /// Reads what is stored; deletes what is over. `root` is a view of the whole store.
    pub(crate) async fn load(root: &View, clock: Clock, server: LockoutOptions, routes: &Routes) -> Result<Lockouts> {
        let lockouts =
            Lockouts { view: root.sub(FOLDER), clock, server, failures: Mutex::default(), changing: tokio::sync::Mutex::default() };
        for (who, key) in lockouts.stored().await? {
            // Text of a number, with a line's end.
            let last = lockouts.view.get(&key).await?.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok());
            let entry = routes.all().into_iter().map(|mount| &mount.entry).find(|entry| entry.accessor == who.accessor);
            match (last, entry) {
                (Some(last), Some(entry)) => {
                    let failures = Failures { count: 0, last, locked: true };
                    if failures.locked_at(lockouts.now(), lockouts.options(entry)) {
                        lockouts.failures().insert(who, failures);
                    } else {
                        lockouts.view.delete(&key).await?;
                    }
                }
                // Of a mount that is gone, or of nothing that this server can read.
                _ => {
                    tracing::warn!(key = format!("{FOLDER}{key}"), "a lockout that is stored is of no mount, or cannot be read; it is kept")
                }
            }
        }
        Ok(lockouts)
    }

    /// All that are stored, in either form, with their keys.
    async fn stored(&self) -> Result<Vec<(Who, String)>> {
        let mut found = Vec::new();
        let mut folders: Vec<String> = self.view.list("").await?;
        if let Some(at) = folders.iter().position(|folder| folder.strip_suffix('/') == Some(ROOT_NAMESPACE)) {
            let root = folders.swap_remove(at);
            folders.extend(self.view.list(&root).await?.into_iter().map(|accessor| format!("{root}{accessor}")));
        }
        for folder in folders.into_iter().filter(|folder| folder.ends_with('/')) {
            let accessor = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
            // The alias may hold slashes.
            let mut within = vec![folder.clone()];
            while let Some(below) = within.pop() {
                for name in self.view.list(&below).await? {
                    let key = format!("{below}{name}");
                    if key.ends_with('/') {
                        within.push(key);
                    } else if let Some(alias) = key.strip_prefix(&folder) {
                        found.push((Who { accessor: accessor.clone(), alias: alias.to_owned() }, key));
                    }
                }
            }
        }
        Ok(found)
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Who, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn options(&self, entry: &Entry) -> LockoutOptions {
        entry.config.user_lockout_config.as_ref().map_or(self.server, |own| own.over(self.server))
    }

    /// A login at this mount of who is called `alias` there. None where nobody is locked out.
    pub(crate) fn attempt(&self, entry: &Entry, alias: String) -> Option<Attempt<'_>> {
        let options = self.options(entry);
        let who = Who { accessor: entry.accessor.clone(), alias };
        (applies(&entry.kind) && !options.disabled).then_some(Attempt { lockouts: self, who, options })
    }

    /// Lets somebody in again. Nobody locked out is a success.
    pub(crate) async fn unlock(&self, accessor: &str, alias: &str) -> Result<()> {
        let who = Who { accessor: accessor.to_owned(), alias: alias.to_owned() };
        let _changing = self.changing.lock().await;
        self.forget(&who).await
    }

    /// The caller holds `changing`.
    async fn forget(&self, who: &Who) -> Result<()> {
        for key in [who.key(), who.bare_key()] {
            self.view.delete(&key).await?;
        }
        self.failures().remove(who);
        Ok(())
    }

    /// Who is locked out now, by the accessors of mounts.
    pub(crate) fn locked(&self, routes: &Routes) -> BTreeMap<String, Vec<String>> {
        let options: HashMap<&str, LockoutOptions> =
            routes.all().into_iter().map(|mount| (mount.entry.accessor.as_str(), self.options(&mount.entry))).collect();
        let (now, mut locked) = (self.now(), BTreeMap::<String, Vec<String>>::new());
        for (who, failures) in self.failures().iter() {
            if options.get(who.accessor.as_str()).is_some_and(|options| failures.locked_at(now, *options)) {
                locked.entry(who.accessor.clone()).or_default().push(who.alias.clone());
            }
        }
        locked.values_mut().for_each(|aliases| aliases.sort_unstable());
        locked
    }
}

impl Attempt<'_> {
    /// Whether it is refused, whatever the credentials.
    pub(crate) fn locked(&self) -> bool {
        let failures = self.lockouts.failures().get(&self.who).copied();
        failures.is_some_and(|failures| failures.locked_at(self.lockouts.now(), self.options))
    }

    /// The credentials were wrong.
    pub(crate) async fn failed(&self) {
        let Attempt { lockouts, who, options } = self;
        let _changing = lockouts.changing.lock().await;
        let now = lockouts.now();
        let locked = {
            let mut all = lockouts.failures();
            // Nothing but a lockout is remembered for longer than it counts, so that there are no more than roles.
            let failures = all.entry(who.clone()).or_default();
            if failures.locked && !failures.locked_at(now, *options) || now >= failures.last.saturating_add(seconds(options.counter_reset))
            {
                *failures = Failures::default();
            }
            failures.count += 1;
            failures.last = now;
            failures.locked |= failures.count >= options.threshold;
            failures.locked
        };
        if locked {
            tracing::warn!(accessor = who.accessor, "a client of an auth mount is locked out: too many logins with wrong credentials");
            if let Err(error) = lockouts.view.put(&who.key(), format!("{now}\n").as_bytes()).await {
                tracing::warn!(accessor = who.accessor, %error, "a lockout could not be stored: a seal ends it");
            }
        }
    }

    /// The credentials were right: what came before counts no more.
    pub(crate) async fn succeeded(&self) -> Result<()> {
        let Attempt { lockouts, who, .. } = self;
        let Some(before) = lockouts.failures().get(who).copied() else { return Ok(()) };
        let _changing = lockouts.changing.lock().await;
        if before.locked {
            return lockouts.forget(who).await;
        }
        lockouts.failures().remove(who);
        Ok(())
    }
}
