//! `core/seal-config`: which seal, and how many shares; under a key service `core/recovery-config`, the same of the recovery key.
//!
//! The rule: `stored_shares` is always written, since Vault takes a store without it as one of before 1.3 and cannot open it; it is
//! never believed, since OpenBao drops it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CONFIG_PATH, RECOVERY_CONFIG_PATH};
use crate::logical::{Error, Result};

/// The type of a seal whose unseal key is split among people.
pub const SHAMIR: &str = "shamir";

/// The seal's configuration as stored. Members that this server does not know are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealConfig {
    /// `shamir`, or the name of a key service.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// How many shares there are.
    #[serde(default)]
    pub secret_shares: i64,
    /// How many are needed.
    #[serde(default)]
    pub secret_threshold: i64,
    #[serde(default)]
    pgp_keys: Option<Vec<String>>,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    backup: bool,
    #[serde(default = "one")]
    stored_shares: i64,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

fn one() -> i64 {
    1
}

impl SealConfig {
    /// A configuration for Shamir's shares; refused with the field's texts unless 1 <= threshold <= shares <= 255, and a
    /// threshold of one only goes with one share.
    pub fn shamir(shares: i64, threshold: i64) -> Result<SealConfig> {
        check(shares, threshold).map_err(|reason| Error::bad_request(format!("invalid seal configuration: {reason}")))?;
        Ok(SealConfig::new(SHAMIR, shares, threshold, 1))
    }

    /// A configuration for a key service of this kind: it has one key and splits nothing.
    pub fn auto(kind: &str) -> SealConfig {
        SealConfig::new(kind, 1, 1, 1)
    }

    /// A configuration for the recovery key's shares; refused as Shamir's, with the field's texts.
    pub fn recovery(shares: i64, threshold: i64) -> Result<SealConfig> {
        check(shares, threshold).map_err(|reason| Error::bad_request(format!("invalid recovery configuration: {reason}")))?;
        Ok(SealConfig::new(SHAMIR, shares, threshold, 0))
    }

    fn new(kind: &str, shares: i64, threshold: i64, stored_shares: i64) -> SealConfig {
        SealConfig {
            kind: kind.to_owned(),
            secret_shares: shares,
            secret_threshold: threshold,
            pgp_keys: None,
            nonce: String::new(),
            backup: false,
            stored_shares,
            extra: Map::new(),
        }
    }

    /// The same shares as a configuration of the recovery key (`recovery`) or of the unseal key, as a migration between seals hands them on.
    pub fn handed_on(&self, recovery: bool) -> SealConfig {
        SealConfig { extra: self.extra.clone(), ..SealConfig::new(SHAMIR, self.secret_shares, self.secret_threshold, i64::from(!recovery)) }
    }

    /// Reads what is stored under `path`. Impossible numbers are [`Error::Damaged`]; only Shamir's shares may be none, as of a recovery key
    /// that OpenBao did not make.
    pub fn parse(path: &str, stored: &[u8]) -> Result<SealConfig> {
        let damaged = |reason: String| Error::Damaged(format!("{path}: {reason}"));
        let mut config: SealConfig = serde_json::from_slice(stored).map_err(|error| damaged(error.to_string()))?;
        if config.kind.is_empty() {
            // Written before there were others.
            SHAMIR.clone_into(&mut config.kind);
        }
        let none = path == RECOVERY_CONFIG_PATH && (config.secret_shares, config.secret_threshold) == (0, 0);
        if !none {
            check(config.secret_shares, config.secret_threshold).map_err(|reason| damaged(reason.to_owned()))?;
        }
        Ok(config)
    }

    /// What is to be stored in place of a configuration of the unseal key; none if `stored` says already what Vault must find.
    pub fn for_vault(stored: &[u8]) -> Result<Option<Vec<u8>>> {
        let said = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).ok()?.get("stored_shares").and_then(Value::as_i64);
        if said(stored) == Some(1) {
            return Ok(None);
        }
        SealConfig { stored_shares: 1, ..SealConfig::parse(CONFIG_PATH, stored)? }.to_stored().map(Some)
    }

    /// Whether the shares are Shamir's, and no key service's.
    pub fn is_shamir(&self) -> bool {
        self.kind == SHAMIR
    }

    /// The JSON to store.
    pub fn to_stored(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::Internal(format!("a seal's configuration: {error}")))
    }

    /// Shares and threshold, which are known to fit.
    pub fn counts(&self) -> (u8, u8) {
        let count = |number| u8::try_from(number).unwrap_or(u8::MAX);
        (count(self.secret_shares), count(self.secret_threshold))
    }
}

fn check(shares: i64, threshold: i64) -> Result<(), &'static str> {
    // The first that applies is told, as in the field's servers.
    let rules = [
        (shares < 1, "shares must be at least one"),
        (threshold < 1, "threshold must be at least one"),
        (shares > 255, "shares must be less than 256"),
        (threshold > 255, "threshold must be less than 256"),
        (threshold > shares, "threshold cannot be larger than shares"),
        (shares > 1 && threshold == 1, "threshold must be greater than one for multiple shares"),
    ];
    rules.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, reason)| Err(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_the_members_of_vault() {
        let stored = SealConfig::shamir(5, 3).unwrap().to_stored().unwrap();
        let golden =
            r#"{"type":"shamir","secret_shares":5,"secret_threshold":3,"pgp_keys":null,"nonce":"","backup":false,"stored_shares":1}"#;
        assert_eq!(String::from_utf8(stored).unwrap(), golden);
    }

    #[test]
    fn what_openbao_and_older_vaults_wrote_is_read_and_other_members_are_kept() {
        let openbao = br#"{"type":"shamir","secret_shares":3,"secret_threshold":2,"pgp_keys":null,"nonce":"","backup":false}"#;
        assert_eq!(SealConfig::parse(CONFIG_PATH, openbao).unwrap(), SealConfig::shamir(3, 2).unwrap());
        let old = br#"{"type":"","secret_shares":1,"secret_threshold":1,"nonce":"n","later":{"a":1.50}}"#;
        let config = SealConfig::parse(CONFIG_PATH, old).unwrap();
        assert_eq!(config.counts(), (1, 1));
        assert!(String::from_utf8(config.to_stored().unwrap()).unwrap().ends_with(r#""stored_shares":1,"later":{"a":1.50}}"#));
    }

    #[test]
    fn what_vault_would_take_for_a_store_of_before_1_3_is_put_right() {
        let openbao = br#"{"type":"shamir","secret_shares":3,"secret_threshold":2,"pgp_keys":null,"nonce":"","backup":false}"#;
        let right = SealConfig::shamir(3, 2).unwrap().to_stored().unwrap();
        assert_eq!(SealConfig::for_vault(openbao).unwrap().unwrap(), right);
        assert_eq!(SealConfig::for_vault(&right).unwrap(), None);
        let none = String::from_utf8(right.clone()).unwrap().replace(r#""stored_shares":1"#, r#""stored_shares":0"#);
        assert_eq!(SealConfig::for_vault(none.as_bytes()).unwrap().unwrap(), right);
    }

    #[test]
    fn what_cannot_be_is_damaged() {
        let none = br#"{"type":"shamir","secret_shares":0,"secret_threshold":0}"#;
        assert!(matches!(SealConfig::parse(CONFIG_PATH, none), Err(Error::Damaged(_))));
        assert_eq!(SealConfig::parse(RECOVERY_CONFIG_PATH, none).unwrap().counts(), (0, 0));
        for stored in ["", "{}", "[]", r#"{"type":"shamir","secret_shares":300,"secret_threshold":3}"#] {
            assert!(matches!(SealConfig::parse(CONFIG_PATH, stored.as_bytes()), Err(Error::Damaged(_))), "{stored}");
        }
    }

    #[test]
    fn impossible_counts_are_refused_with_the_texts_of_the_field() {
        for (shares, threshold, text) in [
            (0, 0, "shares must be at least one"),
            (-1, 1, "shares must be at least one"),
            (3, 0, "threshold must be at least one"),
            (256, 3, "shares must be less than 256"),
            (3, 256, "threshold must be less than 256"),
            (2, 3, "threshold cannot be larger than shares"),
            (2, 1, "threshold must be greater than one for multiple shares"),
        ] {
            match SealConfig::shamir(shares, threshold) {
                Err(Error::BadRequest(error)) => assert_eq!(error, format!("invalid seal configuration: {text}")),
                _ => panic!("{shares}/{threshold}"),
            }
        }
        for (shares, threshold) in [(1, 1), (2, 2), (255, 255), (255, 2)] {
            assert_eq!(SealConfig::shamir(shares, threshold).unwrap().counts(), (shares as u8, threshold as u8));
        }
    }
}
