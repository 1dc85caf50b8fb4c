//! What a vault is sealed by, as the operator configured it. The vault knows no key service: it is handed them open, behind
//! [`cofferdam_backend::Seal`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::Seal;

/// A key service that unseals.
#[derive(Clone)]
pub struct AutoSeal {
    /// The seal's type, as `core/seal-config` and clients name it: `awskms`.
    pub kind: String,
    /// The name of its stanza: names it in the log, in status and in metrics, and where there are two also what is stored for it.
    pub name: String,
    /// The service, by way of its guest.
    pub backend: Arc<dyn Seal>,
    /// Whether a blob that holds the root key itself (mechanism 0) may be shown to the guest, once: the root key is replaced at once.
    pub allow_direct_blob: bool,
}

impl fmt::Debug for AutoSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoSeal").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

/// How soon an unseal that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; it doubles from there on.
    pub first: Duration,
    /// The longest.
    pub cap: Duration,
    /// The longest while there is no vault in the storage yet: whoever initializes it is soon followed.
    pub uninitialized: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { first: Duration::from_secs(1), cap: Duration::from_secs(60), uninitialized: Duration::from_secs(5) }
    }
}

/// When key services are asked whether they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthTimes {
    /// Whether they are asked at all.
    pub enabled: bool,
    /// How often, while they answer.
    pub interval: Duration,
    /// How often, while they do not.
    pub unhealthy: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for HealthTimes {
    /// Every hour: 24 cheap requests a day. Vault asks every 10 minutes, with two requests that are charged for.
    fn default() -> HealthTimes {
        HealthTimes {
            enabled: true,
            interval: Duration::from_secs(3600),
            unhealthy: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
        }
    }
}

/// The file of this host alone that remembers which vault it last opened, so that an older one is told from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateOptions {
    /// The file. Its folder exists; the file is made.
    pub path: PathBuf,
    /// Whether what the storage holds is taken as it is this once, and the file rewritten.
    pub accept_rollback: bool,
}

/// What the vault is sealed by. The default is Shamir's shares alone.
#[derive(Clone, Debug, Default)]
pub struct SealOptions {
    /// The key services in use, the preferred one first; none for Shamir's shares.
    pub seals: Vec<AutoSeal>,
    /// The key service that is given up: what it holds is migrated to the others, or to Shamir's shares.
    pub disabled: Option<AutoSeal>,
    /// How soon an unseal is tried again.
    pub retry: Retry,
    /// When the services are asked whether they are there.
    pub health: HealthTimes,
    /// The file that remembers the vault; none if nothing does.
    pub state: Option<StateOptions>,
}
