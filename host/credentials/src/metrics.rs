//! What is counted of credentials. `identity` is the role or profile that the operator or the platform named, empty where there is none.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | [`AGE`] | gauge, in seconds: since they were got | `source`, `identity` |
//! | [`LEFT`] | gauge, in seconds: until they expire, 0 once they have; absent for keys that do not | `source`, `identity` |
//! | [`REFRESHES`] | counter: attempts to get credentials, the first included | `source`, `identity`, `outcome` (`ok`, `failed`) |
//!
//! `source` is `stanza`, `environment`, `profile`, `web-identity`, `container`, `instance` or `assumed-role`.

use metrics::{Counter, Gauge, counter, gauge};

use crate::choice::Choice;

/// The age of the credentials in use.
pub const AGE: &str = "coffer.aws.credentials.age.seconds";
/// How long they are still valid.
pub const LEFT: &str = "coffer.aws.credentials.left.seconds";
/// Attempts to get credentials.
pub const REFRESHES: &str = "coffer.aws.credentials.refreshes";

/// The handles of one provider.
pub(crate) struct Meter {
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) age: Gauge,
    source: &'static str,
    identity: String,
}

impl Meter {
    pub(crate) fn new(choice: &Choice) -> Meter {
        let (source, identity) = (choice.kind(), choice.name());
        let refreshes =
            |outcome: &'static str| counter!(REFRESHES, "source" => source, "identity" => identity.clone(), "outcome" => outcome);
        Meter {
            succeeded: refreshes("ok"),
            failed: refreshes("failed"),
            age: gauge!(AGE, "source" => source, "identity" => identity.clone()),
            source,
            identity,
        }
    }

    /// Registered only when there is an expiry to show.
    pub(crate) fn left(&self, seconds: f64) {
        gauge!(LEFT, "source" => self.source, "identity" => self.identity.clone()).set(seconds);
    }
}
