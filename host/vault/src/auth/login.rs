//! What a login earns, and what its renewal is decided by.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::lease;
use crate::logical::Fields;

/// The kind of a token, as Go's enumeration has it: what a mount or a role hands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenType {
    /// Whatever the mount says.
    #[default]
    Default,
    /// One that is stored.
    Service,
    /// One that holds its own entry.
    Batch,
    /// A service token, unless the role says otherwise.
    DefaultService,
    /// A batch token, unless the role says otherwise.
    DefaultBatch,
}

impl TokenType {
    /// All, by their numbers.
    const ALL: [(TokenType, &'static str); 5] = [
        (TokenType::Default, "default"),
        (TokenType::Service, "service"),
        (TokenType::Batch, "batch"),
        (TokenType::DefaultService, "default-service"),
        (TokenType::DefaultBatch, "default-batch"),
    ];

    /// The number that is stored.
    pub fn number(self) -> u64 {
        (0_u64..).zip(TokenType::ALL).find(|(_, (kind, _))| *kind == self).map_or(0, |(number, _)| number)
    }

    /// The kind of a stored number; one that is not known counts as none.
    pub fn of_number(number: u64) -> TokenType {
        let at = usize::try_from(number).ok();
        at.and_then(|at| TokenType::ALL.get(at)).map_or(TokenType::Default, |(kind, _)| *kind)
    }

    /// The name that clients use.
    pub fn name(self) -> &'static str {
        TokenType::ALL.iter().find(|(kind, _)| *kind == self).map_or("default", |(_, name)| name)
    }

    /// The kind of a client's name.
    pub fn of_name(name: &str) -> Option<TokenType> {
        TokenType::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Whether a login gets a batch token, of what the mount says (`self`) and what the engine says: a mount that names one kind and no default
    /// decides alone.
    pub fn batch(self, login: TokenType) -> bool {
        use TokenType::{Batch, Default, DefaultBatch, DefaultService, Service};
        match self {
            Service => false,
            Batch => true,
            Default | DefaultService => !matches!(login, Default | DefaultService | Service),
            DefaultBatch => matches!(login, Default | DefaultBatch | Batch),
        }
    }
}

/// What a login earns: the token that the core is to make. Durations of zero say nothing.
#[derive(Clone, Default, PartialEq)]
pub struct Login {
    /// The token's policies; `default` is added to them.
    pub policies: Vec<String>,
    /// `default` is not added.
    pub no_default_policy: bool,
    /// How long the token lives; else the mount's time.
    pub ttl: Duration,
    /// No renewal goes past this, as the engine says at each of them; else the mount's.
    pub max_ttl: Duration,
    /// The token lives this long again with every renewal.
    pub period: Duration,
    /// No renewal goes past this, ever.
    pub explicit_max_ttl: Duration,
    /// How often the token can be used; zero for no limit.
    pub num_uses: i64,
    /// Networks that the token is bound to; none for all.
    pub bound_cidrs: Vec<String>,
    /// What the engine says of the token's kind; the mount has a say too.
    pub token_type: TokenType,
    /// Whether the token can be renewed.
    pub renewable: bool,
    /// What is added to the mount's path to make the token's name for people.
    pub display_name: String,
    /// What is written on the token, for everyone who looks it up.
    pub metadata: BTreeMap<String, String>,
    /// What the engine wants to know at a renewal. It stays in the lease.
    pub internal_data: Fields,
    /// The name that the engine knows its client by.
    pub alias: String,
    /// The role that the client asked for; empty if the engine has none.
    pub role: String,
}

/// Without what the engine keeps for itself.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("policies", &self.policies).field("role", &self.role).finish_non_exhaustive()
    }
}

/// A token that a login earned and that is to be renewed.
#[derive(Clone)]
pub struct LoginLease {
    /// What the login earned, as the lease has it. `policies` are those of the engine, `token_type` is not known any more, and `display_name` is the
    /// token's.
    pub login: Login,
    /// When the token was made.
    pub issued: OffsetDateTime,
}

impl LoginLease {
    /// From what is stored.
    pub(crate) fn of(auth: &lease::Auth, role: &str, issued: OffsetDateTime) -> LoginLease {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let login = Login {
            policies: auth.policies.clone(),
            no_default_policy: auth.no_default_policy,
            ttl: auth.ttl,
            max_ttl: auth.max_ttl,
            period: auth.period,
            explicit_max_ttl: auth.explicit_max_ttl,
            num_uses: auth.num_uses,
            bound_cidrs: auth.bound_cidrs.iter().flatten().filter_map(text).collect(),
            token_type: TokenType::Default,
            renewable: auth.renewable,
            display_name: auth.display_name.clone(),
            metadata: auth.metadata.iter().flatten().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
            internal_data: auth.internal_data.clone().unwrap_or_default(),
            alias: auth.alias.as_ref().and_then(|alias| text(alias.get("name")?)).unwrap_or_default(),
            role: role.to_owned(),
        };
        LoginLease { login, issued }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenType;
    use super::TokenType::{Batch, Default, DefaultBatch, DefaultService, Service};

    #[test]
    fn kinds_have_the_numbers_and_names_of_the_field() {
        for (number, name) in [(0, "default"), (1, "service"), (2, "batch"), (3, "default-service"), (4, "default-batch")] {
            let kind = TokenType::of_name(name).unwrap();
            assert_eq!((kind.number(), kind.name(), TokenType::of_number(number)), (number, name, kind));
        }
        assert_eq!(TokenType::of_number(5), Default);
        assert_eq!(TokenType::of_name("other"), None);
    }

    #[test]
    fn a_mount_that_names_a_kind_decides_and_one_with_a_default_lets_the_role() {
        for (mount, login, batch) in [
            (Service, Batch, false),
            (Batch, Service, true),
            (DefaultService, Default, false),
            (DefaultService, Batch, true),
            (DefaultService, Service, false),
            (Default, Default, false),
            (DefaultBatch, Default, true),
            (DefaultBatch, Service, false),
            (DefaultBatch, Batch, true),
        ] {
            assert_eq!(mount.batch(login), batch, "{mount:?} {login:?}");
        }
    }
}
