//! Names of keys, as KMS has them: an id, an ARN, an alias, an alias's ARN.
//!
//! The rule: a name is read strictly, and is written again as it was read; so two names are the same key if and only if their parts say so.
//! A multi-Region key (`mrk-…`) is one key in every region of its account: its ARNs differ in the region alone.

use std::fmt;
use std::str::FromStr;

use cofferdam_credentials::is_region;

/// The longest id of a key, and the longest name of an alias.
const LONGEST: usize = 256;

/// A name of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyName {
    /// A key's id, which means a key of the caller's account and region.
    Id(String),
    /// A key's ARN.
    Arn(KeyArn),
    /// `alias/…`, of the caller's account and region.
    Alias(String),
    /// An alias's ARN: where it is, and its name.
    AliasArn(Home, String),
}

/// A key, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyArn {
    pub(super) home: Home,
    pub(super) id: String,
}

/// Where keys live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    partition: String,
    region: String,
    account: String,
}

/// What is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoKey;

impl KeyArn {
    /// Whether both are the same key, or replicas of one.
    pub(super) fn is_same_as(&self, other: &KeyArn) -> bool {
        let place = |key: &KeyArn| (key.home.partition.clone(), key.home.account.clone());
        self.id == other.id && place(self) == place(other) && (self.home.region == other.home.region || self.is_multi_region())
    }

    fn is_multi_region(&self) -> bool {
        self.id.starts_with("mrk-")
    }

    /// The key as a region knows it: of a multi-Region key the replica there, of any other the key itself.
    pub(super) fn local_to(&self, home: &Home) -> KeyArn {
        let mut local = self.clone();
        if self.is_multi_region() {
            local.home.region.clone_from(&home.region);
        }
        local
    }
}

impl KeyName {
    /// The key that is meant, if `home` is the caller's account and region. An alias says nothing of its key.
    pub(super) fn at(&self, home: &Home) -> Option<KeyArn> {
        match self {
            KeyName::Id(id) => Some(KeyArn { home: home.clone(), id: id.clone() }),
            KeyName::Arn(key) => Some(key.clone()),
            KeyName::Alias(_) | KeyName::AliasArn(..) => None,
        }
    }

    /// Whether a service that was asked for this name may answer with that key. `home` is where the configured key lives, once it is known.
    pub(super) fn may_be(&self, key: &KeyArn, home: Option<&Home>) -> bool {
        let at_home = home.is_none_or(|home| key.local_to(home).home == *home);
        match self {
            KeyName::Id(id) => *id == key.id && at_home,
            KeyName::Arn(named) => named.is_same_as(key),
            KeyName::Alias(_) => at_home,
            KeyName::AliasArn(home, _) => key.home == *home,
        }
    }
}

impl FromStr for KeyName {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<KeyName, NoKey> {
        let Some(arn) = text.strip_prefix("arn:") else {
            return match text.strip_prefix("alias/") {
                Some(alias) if is_alias(alias) => Ok(KeyName::Alias(alias.to_owned())),
                None if is_id(text) => Ok(KeyName::Id(text.to_owned())),
                _ => Err(NoKey),
            };
        };
        let mut parts = arn.splitn(5, ':');
        let (Some(partition), Some("kms"), Some(region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoKey);
        };
        // Partitions are named as regions are.
        if !is_region(partition) || !is_region(region) || account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoKey);
        }
        let home = Home { partition: partition.to_owned(), region: region.to_owned(), account: account.to_owned() };
        match resource.split_once('/') {
            Some(("key", id)) if is_id(id) => Ok(KeyName::Arn(KeyArn { home, id: id.to_owned() })),
            Some(("alias", alias)) if is_alias(alias) => Ok(KeyName::AliasArn(home, alias.to_owned())),
            _ => Err(NoKey),
        }
    }
}

impl FromStr for KeyArn {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<KeyArn, NoKey> {
        match text.parse()? {
            KeyName::Arn(key) => Ok(key),
            _ => Err(NoKey),
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_alias(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/'))
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} in {} ({})", self.account, self.region, self.partition)
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Home { partition, region, account } = &self.home;
        write!(f, "arn:{partition}:kms:{region}:{account}:key/{}", self.id)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Id(id) => f.write_str(id),
            KeyName::Arn(key) => key.fmt(f),
            KeyName::Alias(alias) => write!(f, "alias/{alias}"),
            KeyName::AliasArn(Home { partition, region, account }, alias) => {
                write!(f, "arn:{partition}:kms:{region}:{account}:alias/{alias}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> KeyArn {
        text.parse().unwrap()
    }

    const ONE: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const REPLICA: &str = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn a_replica_is_its_primary_and_no_other_key_is_another() {
        assert!(key(ONE).is_same_as(&key(ONE)) && key(REPLICA).is_same_as(&key(REPLICA)));
        assert!(key(REPLICA).is_same_as(&key(&REPLICA.replace("eu-west-1", "us-east-1"))));
        assert!(!key(ONE).is_same_as(&key(&ONE.replace("eu-west-1", "us-east-1"))));
        assert!(!key(ONE).is_same_as(&key(REPLICA)));
        for one in [ONE, REPLICA] {
            for (part, other) in [("123456789012", "123456789013"), ("arn:aws:", "arn:aws-cn:"), ("90ab", "90ac")] {
                assert!(!key(one).is_same_as(&key(&one.replace(part, other))), "{other}");
            }
        }
    }

    #[test]
    fn only_a_multi_region_key_has_a_replica() {
        let home = key(&ONE.replace("eu-west-1", "us-east-1")).home;
        assert_eq!(key(REPLICA).local_to(&home).to_string(), REPLICA.replace("eu-west-1", "us-east-1"));
        assert_eq!(key(ONE).local_to(&home).to_string(), ONE);
        // The account stays what it is.
        let other = key(&ONE.replace("123456789012", "999999999999")).home;
        assert_eq!(key(REPLICA).local_to(&other).to_string(), REPLICA);
    }

    #[test]
    fn a_name_may_be_answered_by_the_keys_that_it_can_mean() {
        let home = key(ONE).home;
        let (elsewhere, foreign) = (ONE.replace("eu-west-1", "us-east-1"), ONE.replace("123456789012", "999999999999"));
        let may = |name: &str, answered: &str| name.parse::<KeyName>().unwrap().may_be(&key(answered), Some(&home));
        assert!(may(ONE, ONE) && !may(ONE, &elsewhere) && !may(ONE, &foreign) && !may(ONE, REPLICA));
        assert!(may("1234abcd-12ab-34cd-56ef-1234567890ab", ONE) && !may("1234abcd-12ab-34cd-56ef-1234567890ab", &foreign));
        assert!(!may("1234abcd-12ab-34cd-56ef-1234567890ac", ONE));
        assert!(may(REPLICA, &REPLICA.replace("eu-west-1", "us-east-1")));
        assert!(may("alias/a", ONE) && may("alias/a", REPLICA) && !may("alias/a", &elsewhere) && !may("alias/a", &foreign));
        let alias = "arn:aws:kms:eu-west-1:123456789012:alias/a";
        assert!(may(alias, ONE) && !may(alias, &elsewhere) && !may(alias, &foreign));
        assert!("alias/a".parse::<KeyName>().unwrap().may_be(&key(&foreign), None), "before anything is known");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            " ",
            "a b",
            "a:b",
            "a/b",
            "é",
            "alias/",
            "alias/a:b",
            "Alias/a/",
            "arn:",
            "arn:aws:kms:eu-west-1:123456789012",
            "arn:aws:kms:eu-west-1:123456789012:",
            "arn:aws:kms:eu-west-1:123456789012:key",
            "arn:aws:kms:eu-west-1:123456789012:key/",
            "arn:aws:kms:eu-west-1:123456789012:key/a/b",
            "arn:aws:kms:eu-west-1:123456789012:key/a:b",
            "arn:aws:kms:eu-west-1:123456789012:key/a\n",
            "arn:aws:kms:eu-west-1:123456789012:key:a",
            "arn:aws:kms:eu-west-1:123456789012:grant/a",
            "arn:aws:kms:eu-west-1:12345678901:key/a",
            "arn:aws:kms:eu-west-1:1234567890123:key/a",
            "arn:aws:kms:eu-west-1:12345678901x:key/a",
            "arn:aws:kms::123456789012:key/a",
            "arn:aws:kms:EU-WEST-1:123456789012:key/a",
            "arn::kms:eu-west-1:123456789012:key/a",
            "arn:aws:s3:eu-west-1:123456789012:key/a",
            "ARN:aws:kms:eu-west-1:123456789012:key/a",
            " arn:aws:kms:eu-west-1:123456789012:key/a",
        ] {
            assert_eq!(text.parse::<KeyName>(), Err(NoKey), "{text:?}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(long.parse::<KeyName>(), Err(NoKey));
        assert_eq!(format!("alias/{long}").parse::<KeyName>(), Err(NoKey));
        for alias in ["alias/a", "arn:aws:kms:eu-west-1:123456789012:alias/a", "1234"] {
            assert_eq!(alias.parse::<KeyArn>(), Err(NoKey), "{alias}: a key's ARN was wanted");
        }
    }

    fn names() -> impl Strategy<Value = String> {
        let pattern = |text: &str| prop::string::string_regex(text).unwrap();
        let home = "arn:aws(-[a-z]{1,5})?:kms:[a-z]{2}-[a-z]{4,9}-[1-9]:[0-9]{12}:";
        let id = "(mrk-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})";
        let alias = "alias/[a-zA-Z0-9/_-]{1,40}";
        prop_oneof![pattern(id), pattern(&format!("{home}key/{id}")), pattern(alias), pattern(&format!("{home}{alias}"))]
    }

    proptest! {
        #[test]
        fn every_name_is_read_and_nothing_is_lost(text in names()) {
            let name: KeyName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text);
        }

        #[test]
        fn no_text_is_too_strange_and_what_is_read_is_what_stands_there(text in prop_oneof!["\\PC*", "arn:[a-z:/0-9-]{0,60}", "[a-z:/0-9 -]{0,40}"]) {
            if let Ok(name) = text.parse::<KeyName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn a_character_that_no_name_has_spoils_every_name(text in names(), at in any::<prop::sample::Index>(), odd in "[^a-zA-Z0-9:/_-]") {
            let at = at.index(text.len() + 1);
            let (head, tail) = text.split_at(at);
            let spoiled = format!("{head}{odd}{tail}");
            prop_assert_eq!(spoiled.parse::<KeyName>(), Err(NoKey));
        }

        #[test]
        fn a_replica_is_the_same_key_in_any_region(text in "arn:aws:kms:[a-z]{2}-[a-z]{4,9}-[1-9]:[0-9]{12}:key/mrk-[0-9a-f]{32}", region in "[a-z]{2}-[a-z]{4,9}-[1-9]") {
            let one = key(&text);
            let home = Home { region, ..one.home.clone() };
            let local = one.local_to(&home);
            prop_assert!(one.is_same_as(&local) && local.is_same_as(&one));
            prop_assert_eq!(local.home, home);
        }
    }
}
