//! The operator's settings, with Vault's names, defaults and messages where Vault has them.

use std::collections::BTreeMap;

use cofferdam_guest::{Error, Result, Setting, Settings};

/// Vault's name for the table.
const TABLE: &str = "vault-dynamodb-backend";
/// Vault's capacity of a new table, for reads as for writes.
const CAPACITY: u64 = 5;
/// How often the SDK that Vault uses repeats a request to DynamoDB.
const RETRIES: u32 = 10;

/// How a new table is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Billing {
    /// Capacities that stand.
    Provisioned { read: u64, write: u64 },
    /// By request.
    OnDemand,
}

/// What the stanza says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) table: String,
    /// The most retries of one request.
    pub(crate) retries: u32,
    pub(crate) new: NewTable,
}

/// What a table is like that this guest creates. A table that exists is never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTable {
    pub(crate) billing: Billing,
    pub(crate) point_in_time_recovery: bool,
    pub(crate) deletion_protection: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) sse_kms_key_id: Option<String>,
}

impl Options {
    /// Reads them all; one that is not known is an error.
    pub(crate) fn read(settings: Vec<Setting>) -> Result<Options> {
        let mut settings = Settings::new(settings);
        let table = settings.text("table").filter(|name| !name.is_empty()).unwrap_or_else(|| TABLE.to_owned());
        let options = Options {
            retries: retries(settings.text("dynamodb_max_retries").as_deref())?,
            new: NewTable {
                billing: billing(&mut settings)?,
                point_in_time_recovery: settings.boolean("point_in_time_recovery", false)?,
                deletion_protection: settings.boolean("deletion_protection", false)?,
                tags: tags(settings.text("tags").as_deref())?,
                sse_kms_key_id: settings.text("sse_kms_key_id").filter(|key| !key.is_empty()),
            },
            table: checked(table)?,
        };
        settings.finish()?;
        Ok(options)
    }
}

fn checked(table: String) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (3..=255).contains(&table.len()) && table.bytes().all(allowed) {
        return Ok(table);
    }
    Err(Error::Configuration(format!(
        "\"table\" is {table:?}; it must be the plain name of a table: 3 to 255 characters of a-z, A-Z, 0-9, _, - and ."
    )))
}

fn billing(settings: &mut Settings) -> Result<Billing> {
    let read = capacity("read", settings.text("read_capacity"))?;
    let write = capacity("write", settings.text("write_capacity"))?;
    match settings.text("billing_mode").as_deref() {
        None | Some("" | "PROVISIONED") => Ok(Billing::Provisioned { read, write }),
        Some("PAY_PER_REQUEST") => Ok(Billing::OnDemand),
        Some(other) => {
            Err(Error::Configuration(format!("\"billing_mode\" is {other:?}; it must be \"PROVISIONED\" or \"PAY_PER_REQUEST\"")))
        }
    }
}

/// Zero stands for Vault's default.
fn capacity(what: &str, value: Option<String>) -> Result<u64> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(CAPACITY) };
    match value.parse() {
        Ok(0) => Ok(CAPACITY),
        Ok(units) => Ok(units),
        Err(_) => Err(Error::Configuration(format!("invalid {what} capacity: {value:?} (\"{what}_capacity\" must be a whole number)"))),
    }
}

/// Vault passes -1 on to its SDK, for which it is the default.
fn retries(value: Option<&str>) -> Result<u32> {
    match value {
        None | Some("" | "-1") => Ok(RETRIES),
        Some(value) => value
            .parse()
            .map_err(|_| Error::Configuration(format!("invalid max retry: {value:?} (\"dynamodb_max_retries\" must be a whole number)"))),
    }
}

fn tags(value: Option<&str>) -> Result<BTreeMap<String, String>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(value).map_err(|error| {
        Error::Configuration(format!("\"tags\" must be a map of names to texts, such as {{\"team\": \"platform\"}}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options> {
        Options::read(pairs.iter().map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() }).collect())
    }

    fn refused(name: &str, value: &str) -> String {
        match read(&[(name, value)]).unwrap_err() {
            Error::Configuration(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_settings_all_is_as_in_vault() {
        let options = read(&[]).unwrap();
        assert_eq!(options.table, "vault-dynamodb-backend");
        assert_eq!(options.retries, 10);
        assert_eq!(options.new.billing, Billing::Provisioned { read: 5, write: 5 });
        assert!(!options.new.point_in_time_recovery && !options.new.deletion_protection);
        assert_eq!((options.new.tags.len(), options.new.sse_kms_key_id), (0, None));
    }

    #[test]
    fn settings_are_read() {
        let options = read(&[
            ("table", "t.1"),
            ("read_capacity", "0"),
            ("write_capacity", "15"),
            ("dynamodb_max_retries", "0"),
            ("tags", r#"{"b":"2","a":"1"}"#),
            ("sse_kms_key_id", "alias/x"),
            ("point_in_time_recovery", "true"),
            ("deletion_protection", "1"),
        ])
        .unwrap();
        assert_eq!((options.table.as_str(), options.retries), ("t.1", 0));
        assert_eq!(options.new.billing, Billing::Provisioned { read: 5, write: 15 });
        assert_eq!(options.new.tags.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(options.new.sse_kms_key_id.as_deref(), Some("alias/x"));
        assert!(options.new.point_in_time_recovery && options.new.deletion_protection);
        assert_eq!(read(&[("billing_mode", "PAY_PER_REQUEST")]).unwrap().new.billing, Billing::OnDemand);
        assert_eq!(read(&[("dynamodb_max_retries", "-1")]).unwrap().retries, 10);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert!(refused("read_capacity", "x").starts_with("invalid read capacity: \"x\""));
        assert!(refused("write_capacity", "-1").starts_with("invalid write capacity: \"-1\""));
        assert!(refused("dynamodb_max_retries", "many").starts_with("invalid max retry: \"many\""));
        assert!(refused("billing_mode", "FREE").contains("PAY_PER_REQUEST"));
        assert!(refused("tags", "[]").starts_with("\"tags\" must be"));
        assert!(refused("table", "arn:aws:dynamodb:eu-west-1:1:table/x").contains("plain name"));
        assert!(refused("tabel", "x").contains("did you mean \"table\""));
    }
}
