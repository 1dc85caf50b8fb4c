//! Names of KMS keys, as far as they can be checked before KMS is asked.
//!
//! The rule: the name of a key decides what can unseal, so one that cannot be a key's, or that is another region's, never reaches KMS. What a
//! name is, the binding says.

use cofferdam_aws::KeySpec;

/// Checks a key's id or ARN, `alias/…`, or an alias's ARN.
pub(super) fn key_id(text: &str) -> Result<String, String> {
    let spec = KeySpec { key_id: text.to_owned(), previous_key_ids: None };
    match spec.check() {
        Ok(()) => Ok(spec.key_id),
        Err(_) => Err(format!("expected the id or the ARN of a KMS key, alias/NAME, or an alias's ARN, found {text:?}")),
    }
}

/// Checks the name of a key that was used before: an alias does not say which one that was.
pub(crate) fn former_key_id(text: &str) -> Result<String, String> {
    let spec = KeySpec { key_id: text.to_owned(), previous_key_ids: Some(vec![text.to_owned()]) };
    match spec.check() {
        Ok(()) => Ok(spec.key_id),
        Err(_) => Err(format!("expected the id or the ARN of a KMS key (no alias, which may be given another key), found {text:?}")),
    }
}

/// Checks that a key is one of the region. Only an ARN says where its key is.
pub(super) fn in_region(key_id: &str, region: &str) -> Result<(), String> {
    let parts: Vec<&str> = key_id.splitn(6, ':').collect();
    let ["arn", partition, service, home, account, resource] = parts.as_slice() else { return Ok(()) };
    if *home == region {
        return Ok(());
    }
    let mut message =
        format!("the key {key_id} is one of region {home}, and the region is {region}: KMS would not find it; correct one of the two");
    if resource.starts_with("key/mrk-") {
        let replica = format!("arn:{partition}:{service}:{region}:{account}:{resource}");
        message.push_str(&format!(" (of a multi-Region key, name the replica: {replica})"));
    }
    Err(message)
}

#[cfg(test)]
mod tests {
    use super::{former_key_id, in_region, key_id};

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";

    #[test]
    fn every_form_that_kms_takes_is_taken() {
        for text in
            ["19ec80b0-dfdd-4d97-8164-c6examplekey", "mrk-1234", "alias/vault", KEY, "arn:aws-cn:kms:cn-north-1:111122223333:alias/a/b"]
        {
            assert_eq!(key_id(text).unwrap(), text);
        }
        for text in ["a b", "alias/", "arn:aws:s3:::bucket"] {
            assert_eq!(
                key_id(text).unwrap_err(),
                format!("expected the id or the ARN of a KMS key, alias/NAME, or an alias's ARN, found {text:?}")
            );
        }
        for text in [KEY, "1234"] {
            assert_eq!(former_key_id(text).unwrap(), text);
        }
        for text in ["alias/vault", "arn:aws:kms:eu-west-1:111122223333:alias/vault", "a b"] {
            assert!(former_key_id(text).unwrap_err().contains("no alias, which may be given another key"), "{text}");
        }
    }

    #[test]
    fn an_arn_is_one_of_the_region() {
        for (key, region) in [(KEY, "eu-west-1"), ("1234", "eu-west-1"), ("alias/x", "us-east-1")] {
            in_region(key, region).unwrap();
        }
        assert_eq!(
            in_region(KEY, "us-east-1").unwrap_err(),
            "the key arn:aws:kms:eu-west-1:111122223333:key/1234 is one of region eu-west-1, and the region is us-east-1: KMS would not find it; correct one of the two"
        );
        let replica = in_region("arn:aws:kms:eu-west-1:111122223333:key/mrk-12", "us-east-1").unwrap_err();
        assert!(replica.ends_with("(of a multi-Region key, name the replica: arn:aws:kms:us-east-1:111122223333:key/mrk-12)"), "{replica}");
    }
}
