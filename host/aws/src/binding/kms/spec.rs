//! The key that the operator configured, and whose wrapped keys may be unwrapped.
//!
//! The rule: what is stored decides nothing. The key that a wrapped key names is used only if it is the configured one, or one that the operator's
//! word covers: `previous_key_ids`, or without that the keys of the account and region in which KMS found the configured one.

use super::key::{KeyArn, KeyName};

/// The key of a seal, and those that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The key that wraps: its id, its ARN, `alias/…`, or an alias's ARN.
    pub key_id: String,
    /// Ids or ARNs of keys that have wrapped before and may still unwrap. None: every key of the configured one's account and region; an empty list: no
    /// other key.
    pub previous_key_ids: Option<Vec<String>>,
}

/// A name that cannot be a key's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySpecError {
    /// `key_id`, which operators know as `kms_key_id`.
    #[error("kms_key_id: {0:?} is no KMS key: a key's id or ARN, alias/NAME, or an alias's ARN is expected")]
    Key(String),
    /// One of `previous_key_ids`.
    #[error("previous_key_ids: {0:?} is no KMS key: a key's id or ARN is expected (no alias, which may be given another key)")]
    Previous(String),
}

impl KeySpec {
    /// Whether these are names that keys can have.
    pub fn check(&self) -> Result<(), KeySpecError> {
        if self.configured().is_none() {
            return Err(KeySpecError::Key(self.key_id.clone()));
        }
        let unfit = |name: &&String| !matches!(name.parse(), Ok(KeyName::Id(_) | KeyName::Arn(_)));
        match self.previous_key_ids.iter().flatten().find(unfit) {
            Some(name) => Err(KeySpecError::Previous(name.clone())),
            None => Ok(()),
        }
    }

    /// The configured key's name; none if it is no key's.
    pub(super) fn configured(&self) -> Option<KeyName> {
        self.key_id.parse().ok()
    }

    /// The name under which the key of a stored wrapped key may be asked to unwrap, besides the stored one itself: of a multi-Region key that of its replica here. The
    /// error says why it may not be asked.
    pub(super) fn unwraps(&self, stored: &str, described: Option<&KeyArn>) -> Result<KeyName, String> {
        let Ok(name) = stored.parse::<KeyName>() else {
            return Err("the stored wrapped key names no KMS key: it was not wrapped by this seal, or it was changed".to_owned());
        };
        let configured = stored == self.key_id;
        let Some(described) = described else {
            let unknown =
                || format!("the stored key is wrapped by {name}, and KMS has not said yet which key kms_key_id {:?} is", self.key_id);
            return if configured { Ok(name) } else { Err(unknown()) };
        };
        let home = &described.home;
        let key = name.at(home).map(|key| key.local_to(home));
        if configured || key.as_ref().is_some_and(|key| self.covers(key, described)) {
            return Ok(match (name, key) {
                (KeyName::Arn(_), Some(local)) => KeyName::Arn(local),
                (name, _) => name,
            });
        }
        let others = match &self.previous_key_ids {
            None => format!("and every key of {home}"),
            Some(_) => "and those of previous_key_ids".to_owned(),
        };
        Err(format!(
            "the stored key is wrapped by {name}, which this seal may not use: allowed are its own key {described} {others}. If it is a key of \
             yours that has wrapped before, add it to previous_key_ids; if it is not, the storage was tampered with"
        ))
    }

    fn covers(&self, key: &KeyArn, described: &KeyArn) -> bool {
        let home = &described.home;
        let named = |name: &String| name.parse::<KeyName>().ok().and_then(|name| name.at(home)).is_some_and(|named| named.is_same_as(key));
        key.is_same_as(described)
            || match &self.previous_key_ids {
                None => key.home == *home,
                Some(names) => names.iter().any(named),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001";
    const OTHER: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000002";
    const ABROAD: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000002";
    const FOREIGN: &str = "arn:aws:kms:eu-west-1:999999999999:key/11111111-aaaa-bbbb-cccc-000000000002";
    const REPLICA: &str = "arn:aws:kms:us-east-1:123456789012:key/mrk-00000000000000000000000000000001";

    fn spec(key_id: &str, previous: Option<&[&str]>) -> KeySpec {
        KeySpec { key_id: key_id.to_owned(), previous_key_ids: previous.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()) }
    }

    /// The name to be used, if any; the configured key was described as [`OWN`].
    fn unwraps(spec: &KeySpec, stored: &str) -> Option<String> {
        spec.unwraps(stored, Some(&OWN.parse().unwrap())).ok().map(|name| name.to_string())
    }

    fn id(arn: &str) -> &str {
        arn.rsplit('/').next().unwrap()
    }

    #[test]
    fn by_default_every_key_of_account_and_region_may_unwrap() {
        for own in [OWN, id(OWN), "alias/vault", "arn:aws:kms:eu-west-1:123456789012:alias/vault"] {
            let spec = spec(own, None);
            for stored in [OWN, OTHER, id(OWN), id(OTHER)] {
                assert_eq!(unwraps(&spec, stored).as_deref(), Some(stored), "{own}");
            }
            for stored in [ABROAD, FOREIGN, &OTHER.replace(":aws:", ":aws-cn:"), "alias/other", "nonsense of the storage", ""] {
                assert_eq!(unwraps(&spec, stored), None, "{own}: {stored}");
            }
        }
    }

    #[test]
    fn a_list_allows_what_it_names_and_the_configured_key() {
        let spec = |previous: &[&str]| spec("alias/vault", Some(previous));
        assert_eq!(unwraps(&spec(&[]), OWN).as_deref(), Some(OWN), "what the alias stands for");
        for stored in [OTHER, ABROAD, FOREIGN, id(OTHER)] {
            assert_eq!(unwraps(&spec(&[]), stored), None, "{stored}");
        }
        for (listed, stored) in [(OTHER, OTHER), (id(OTHER), OTHER), (OTHER, id(OTHER)), (FOREIGN, FOREIGN), (ABROAD, ABROAD)] {
            assert_eq!(unwraps(&spec(&[listed]), stored).as_deref(), Some(stored), "{listed}");
        }
        for (listed, stored) in [(id(OTHER), FOREIGN), (id(OTHER), ABROAD), (FOREIGN, OTHER), (ABROAD, OTHER), (FOREIGN, id(OTHER))] {
            assert_eq!(unwraps(&spec(&[listed]), stored), None, "{listed} {stored}");
        }
    }

    #[test]
    fn a_replica_stands_for_its_primary() {
        let here = REPLICA.replace("us-east-1", "eu-west-1");
        let own = spec(&here, Some(&[]));
        let found = |stored: &str| own.unwraps(stored, Some(&here.parse().unwrap())).ok().map(|name| name.to_string());
        assert_eq!(found(REPLICA).as_deref(), Some(&*here), "the replica here is asked");
        assert_eq!(found(&here).as_deref(), Some(&*here));
        assert_eq!(found(&REPLICA.replace("123456789012", "999999999999")), None);
        // One that is not the configured key counts as one of this region.
        assert_eq!(unwraps(&spec(OWN, None), REPLICA).as_deref(), Some(&*here));
        assert_eq!(unwraps(&spec(OWN, Some(&[])), REPLICA), None);
        assert_eq!(unwraps(&spec(OWN, Some(&[REPLICA])), &here).as_deref(), Some(&*here));
        assert_eq!(unwraps(&spec(OWN, Some(&[&here])), REPLICA).as_deref(), Some(&*here));
    }

    #[test]
    fn before_kms_has_described_the_key_only_the_very_name_counts() {
        for own in [OWN, "alias/vault", id(OWN)] {
            let spec = spec(own, None);
            assert_eq!(spec.unwraps(own, None).map(|name| name.to_string()).as_deref(), Ok(own));
            let refused = spec.unwraps(OTHER, None).unwrap_err();
            assert!(refused.contains(OTHER) && refused.contains(own), "{refused}");
        }
    }

    #[test]
    fn a_refusal_names_both_keys_and_no_text_of_the_storage_that_is_no_key() {
        let refused = |previous, stored: &str| spec("alias/vault", previous).unwraps(stored, Some(&OWN.parse().unwrap())).unwrap_err();
        let text = refused(None, FOREIGN);
        assert!(text.contains(FOREIGN) && text.contains(OWN) && text.contains("account 123456789012 in eu-west-1 (aws)"), "{text}");
        assert!(refused(Some(&[][..]), OTHER).contains("previous_key_ids"));
        assert!(!refused(None, "evil\n\u{1b}[2J").contains("evil"));
    }

    #[test]
    fn names_that_no_key_can_have_are_told_to_the_operator() {
        assert_eq!(spec(OWN, None).check(), Ok(()));
        assert_eq!(spec("alias/vault", Some(&[OTHER, id(OTHER)])).check(), Ok(()));
        for name in ["", "alias/", "a key", "arn:aws:s3:::bucket"] {
            assert_eq!(spec(name, None).check(), Err(KeySpecError::Key(name.to_owned())));
            assert_eq!(spec(OWN, Some(&[OTHER, name])).check(), Err(KeySpecError::Previous(name.to_owned())));
        }
        assert_eq!(spec(OWN, Some(&["alias/old"])).check(), Err(KeySpecError::Previous("alias/old".to_owned())));
    }
}
