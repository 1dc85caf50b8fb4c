//! The operator's settings. Of a stanza `seal "awskms"` the host keeps all but these two for itself.

use cofferdam_guest::{Error, Result, Setting, Settings};

use crate::arn::Arn;

/// The longest id of a key that KMS takes.
const KEY_ID: usize = 2048;

/// What the stanza says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// A key's ARN or id, or an alias's ARN or name.
    pub(crate) key_id: String,
    /// The region to which the host sends.
    pub(crate) region: String,
}

impl Options {
    /// Reads them all; one that is not known is an error.
    pub(crate) fn read(settings: Vec<Setting>) -> Result<Options> {
        let mut settings = Settings::new(settings);
        let options = Options { key_id: settings.required("kms_key_id")?, region: settings.required("region")? };
        settings.finish()?;
        options.check().map_err(Error::Configuration)?;
        Ok(options)
    }

    fn check(&self) -> Result<(), String> {
        let Options { key_id, region } = self;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'/' | b'_' | b'-');
        let usual = key_id.len() <= KEY_ID && key_id.bytes().all(allowed);
        let arn = Arn::parse(key_id);
        if !usual || (key_id.starts_with("arn:") && arn.is_none()) {
            return Err(format!(
                "\"kms_key_id\" is {key_id:?}; it must be a key's id or ARN (arn:aws:kms:REGION:ACCOUNT:key/ID), or an alias's name (alias/NAME) or ARN"
            ));
        }
        match arn {
            Some(arn) if arn.region != region => {
                let replica = if arn.is_multi_region() {
                    format!(", or name the key's replica in {region}, \"kms_key_id\" = {:?}", arn.in_region(region))
                } else {
                    String::new()
                };
                Err(format!(
                    "wrong region: \"kms_key_id\" is {key_id:?}, a key of {}, but \"region\" is {region:?}: set \"region\" = {:?}{replica}",
                    arn.region, arn.region
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options> {
        Options::read(pairs.iter().map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() }).collect())
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        match read(pairs).unwrap_err() {
            Error::Configuration(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_way_to_name_a_key_is_taken() {
        for key_id in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "alias/vault",
            "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-west-1:123456789012:alias/vault/prod",
        ] {
            let options = read(&[("kms_key_id", key_id), ("region", "eu-west-1")]).unwrap();
            assert_eq!(options, Options { key_id: key_id.to_owned(), region: "eu-west-1".to_owned() });
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(refused(&[("region", "eu-west-1")]), r#""kms_key_id" must be set"#);
        assert_eq!(refused(&[("kms_key_id", "alias/x"), ("region", "")]), r#""region" must be set"#);
        let unknown = refused(&[("kms_key_id", "alias/x"), ("region", "eu-west-1"), ("aws_region", "eu-west-1")]);
        assert!(unknown.contains("\"aws_region\""), "{unknown}");
        for key_id in ["alias/x y", "arn:aws:s3:::bucket", "arn:aws:kms:eu-west-1:1:key/x", "ключ", "a\"b", &"a".repeat(2049)] {
            assert!(refused(&[("kms_key_id", key_id), ("region", "eu-west-1")]).starts_with("\"kms_key_id\" is"));
        }
    }

    #[test]
    fn a_key_of_another_region_is_told_before_anything_is_sent() {
        let text = refused(&[("kms_key_id", "arn:aws:kms:us-east-1:123456789012:key/a"), ("region", "eu-west-1")]);
        assert!(text.starts_with("wrong region: ") && text.ends_with("set \"region\" = \"us-east-1\""), "{text}");
        let text = refused(&[("kms_key_id", "arn:aws:kms:us-east-1:123456789012:key/mrk-a"), ("region", "eu-west-1")]);
        assert!(text.ends_with("\"kms_key_id\" = \"arn:aws:kms:eu-west-1:123456789012:key/mrk-a\""), "{text}");
    }
}
