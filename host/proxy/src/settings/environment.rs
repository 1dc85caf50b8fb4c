//! The variables that are read.
//!
//! The rule: no other variable of the process is kept, AWS's keys least of all.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// Variables that are looked for by their whole name.
const NAMED: &[&str] = &[
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_DEFAULT_REGION",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "VLE_VAULT_ADDR",
];

/// What those of Vault's clients begin with; of two that say the same, the first counts.
const PREFIXES: [&str; 2] = ["BAO_", "VAULT_"];

/// What those begin with that Vault's clients do not know.
const OWN: &str = "COFFER_PROXY_";

/// The environment variables of one start, as far as they are the proxy's.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Zeroizing<String>>);

impl Environment {
    /// Those of the process.
    pub fn of_process() -> Environment {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// A variable by its whole name, trimmed; empty counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// `BAO_<name>`, else `VAULT_<name>`, with the name of the one that is set.
    pub(super) fn get(&self, name: &str) -> Option<(String, &str)> {
        PREFIXES.iter().find_map(|prefix| {
            let name = format!("{prefix}{name}");
            let value = self.variable(&name)?;
            Some((name, value))
        })
    }

    /// What stands after `BAO_<start>` and `VAULT_<start>` in the names of variables that are set, in order and once each.
    pub(super) fn endings(&self, start: &str) -> Vec<String> {
        let ending = |name: &String| PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)?.strip_prefix(start)).map(str::to_owned);
        let mut endings: Vec<String> = self.0.keys().filter(|name| self.variable(name).is_some()).filter_map(ending).collect();
        endings.sort_unstable();
        endings.dedup();
        endings
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Environment {
        let ours = |name: &str| NAMED.contains(&name) || name.starts_with(OWN) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        Environment(variables.into_iter().filter(|(name, _)| ours(name)).map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }
}

/// Names only: one of the values may be a token.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
