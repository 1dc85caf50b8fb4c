//! ARNs of keys and aliases, as far as the region matters.
//!
//! The rule: a multi-Region key (`mrk-…`) is one key with a replica in each of several regions, whose ARNs differ in the region alone. What was wrapped by one is unwrapped by any
//! other, so a wrapped key that names the key of a region that cannot be reached is sent to the replica here. Of every other key the id stays as it is.

use std::borrow::Cow;

/// The ARN of a key or of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    partition: &'a str,
    pub(crate) region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads one; none if it is anything else.
    pub(crate) fn parse(text: &'a str) -> Option<Arn<'a>> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (scheme, partition, service, region, account, resource) = (next()?, next()?, next()?, next()?, next()?, next()?);
        let name = resource.strip_prefix("key/").or_else(|| resource.strip_prefix("alias/"))?;
        let known = scheme == "arn" && service == "kms" && !name.is_empty();
        let counted = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (known && counted).then_some(Arn { partition, region, account, resource })
    }

    /// Whether it is a multi-Region key's.
    pub(crate) fn is_multi_region(&self) -> bool {
        self.resource.starts_with("key/mrk-")
    }

    /// The same in another region.
    pub(crate) fn in_region(&self, region: &str) -> String {
        let Arn { partition, account, resource, .. } = self;
        format!("arn:{partition}:kms:{region}:{account}:{resource}")
    }
}

/// The id under which this region knows the key.
pub(crate) fn local<'a>(key_id: &'a str, region: &str) -> Cow<'a, str> {
    match Arn::parse(key_id) {
        Some(arn) if arn.is_multi_region() && arn.region != region => Cow::Owned(arn.in_region(region)),
        _ => Cow::Borrowed(key_id),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const REPLICATED: &str = "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn only_multi_region_keys_have_a_local_form() {
        assert_eq!(local(KEY, "eu-central-1"), KEY);
        assert_eq!(local(REPLICATED, "cn-north-1"), REPLICATED);
        assert_eq!(local(REPLICATED, "cn-northwest-1"), REPLICATED.replace("cn-north-1", "cn-northwest-1"));
        for other in
            ["alias/x", "mrk-1234", "arn:aws:kms:eu-west-1:123456789012:alias/mrk-x", "arn:aws:s3:eu-west-1:123456789012:key/mrk-x", ""]
        {
            assert_eq!(local(other, "eu-central-1"), other);
        }
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        for other in [
            "",
            "arn:aws:kms:eu-west-1:123456789012",
            "arn:aws:kms:eu-west-1:123456789012:",
            "arn:aws:kms:eu-west-1:123456789012:key/",
            "arn:aws:kms:eu-west-1:12345678901:key/a",
            "arn:aws:kms:eu-west-1:12345678901x:key/a",
            "arn:aws:kms::123456789012:key/a",
            "arn:aws:dynamodb:eu-west-1:123456789012:key/a",
            "urn:aws:kms:eu-west-1:123456789012:key/a",
        ] {
            assert_eq!(Arn::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_reading(partition in "[a-z-]{1,10}", region in "[a-z0-9-]{1,20}", account in "[0-9]{12}", resource in "(key|alias)/[a-zA-Z0-9:/_-]{1,40}") {
            let text = format!("arn:{partition}:kms:{region}:{account}:{resource}");
            let arn = Arn::parse(&text).unwrap();
            prop_assert_eq!(arn.region, &region);
            prop_assert_eq!(arn.in_region(&region), text.clone());
            let elsewhere = arn.in_region("x");
            prop_assert_eq!(Arn::parse(&elsewhere).unwrap().in_region(&region), text);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*", region in "\\PC*") {
            if let Some(arn) = Arn::parse(&text) {
                prop_assert_eq!(arn.in_region(arn.region), text.clone());
            }
            local(&text, &region);
        }
    }
}
