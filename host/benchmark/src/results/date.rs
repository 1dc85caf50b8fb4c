//! Dates as Go writes them: RFC 3339 with as many digits of the second as there are.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use serde::de;
use serde::ser;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) fn serialize<S: Serializer>(date: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&date.format(&Rfc3339).map_err(ser::Error::custom)?)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The zero time of Go, which a test without a request has, lies in year 1.
    OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)
}
